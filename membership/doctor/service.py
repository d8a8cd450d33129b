"""service: what the Services say of themselves, where we may read them. Following them needs only their slices."""

from collections.abc import Iterator, Mapping
from typing import Any

from membership.doctor.catalogue import common, find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.errors import Forbidden, NotFound
from membership.names import EVERY, parse_services


def examine_service(situation: Situation, limit: Limit) -> Iterator[Finding]:
    server = situation.reading.server
    if server is None or not situation.reading.services:
        yield common("service", "skipped", "no API server or no Services are known")
        return
    for namespace, name in parse_services(situation.reading.services, server.namespace):
        if name == EVERY:
            yield common("service", "skipped", f"every Service of {namespace} is followed")
            continue
        try:
            found = server.service(namespace, name, limit.deadline, limit.interrupt)
        except Forbidden:
            yield find("service.unreadable", f"no get of services in namespace {namespace}")
        except NotFound:
            yield find("service.missing", f"{namespace}/{name}")
        else:
            yield from judge_service(f"{namespace}/{name}", found, situation.settings.port)


def judge_service(name: str, service: Mapping[str, Any], port: int | str) -> Iterator[Finding]:
    """`service`: the object as the API server has it; `port` as in --port."""
    spec = service.get("spec") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    ports = spec.get("ports") or []
    named = ", ".join(f"{one.get('name') or 'unnamed'} {one.get('port')}" for one in ports) or "none"
    if spec.get("type") == "ExternalName":
        yield find("service.external", f"{name} is {spec.get('externalName')}")
        return
    if not selector:
        yield find("service.no-selector", name)
    if isinstance(port, str) and port not in {one.get("name") for one in ports}:
        yield find("service.port", f"{name} has the ports {named}; --port is {port}")
    elif isinstance(port, int) and port not in {
        number for one in ports for number in (one.get("port"), one.get("targetPort"))
    }:
        yield find("service.other-port", f"{name} has the ports {named}; --port is {port}")
    headless = spec.get("clusterIP") == "None"
    if not headless:
        yield find("service.not-headless", f"{name} has the address {spec.get('clusterIP')}")
    if not spec.get("publishNotReadyAddresses"):
        yield find("service.hides-not-ready", name)
    kind = "headless" if headless else spec.get("type") or "ClusterIP"
    yield find("service.ok", f"{name}: {kind}, selector {selector or 'none'}, ports {named}")
