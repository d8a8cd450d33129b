"""rbac: may we list and watch what the members are in?"""

from collections.abc import Iterator

from membership.doctor.catalogue import common, find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.kube import ApiServer
from membership.names import parse_services
from membership.outputs import needs_services
from membership.preflight import VERBS, find_account, render_role
from membership.wire import Resource


def examine_rbac(situation: Situation, limit: Limit) -> Iterator[Finding]:
    server = situation.reading.server
    if server is None or not situation.reading.services:
        yield common("rbac", "skipped", "no API server or no Services are known")
        return
    account = find_account(server, limit.deadline)
    slices = Resource.ENDPOINTS if situation.settings.options.source == "endpoints" else Resource.ENDPOINTSLICES
    services = needs_services(situation.reading.outputs)
    wanted = (slices, Resource.SERVICES) if services else (slices,)
    for namespace in sorted(
        {namespace for namespace, _ in parse_services(situation.reading.services, server.namespace)}
    ):
        role = render_role(namespace, wanted, account)
        codes = [(code, evidence) for code, evidence in _miss(situation, server, slices, namespace, limit)]
        if services:
            missing = _missing(server, Resource.SERVICES, namespace, limit)
            codes += [("rbac.services", f"namespace {namespace}: no {' and '.join(missing)} of services")] * bool(
                missing
            )
        for code, evidence in codes:
            yield find(code, f"{evidence}; we are {account or 'not named'}", role)
        if not codes:
            yield find("rbac.ok", f"namespace {namespace}: {' and '.join(VERBS)} {slices.qualified}")


def _miss(
    situation: Situation, server: ApiServer, slices: Resource, namespace: str, limit: Limit
) -> Iterator[tuple[str, str]]:
    missing = _missing(server, slices, namespace, limit)
    if "list" in missing:
        falls_back = slices is Resource.ENDPOINTSLICES and situation.settings.options.source == "auto"
        if falls_back and server.may("list", Resource.ENDPOINTS, namespace, limit.deadline):
            yield "rbac.fallback", f"namespace {namespace}: no list of {slices.qualified}, list of endpoints"
        else:
            yield "rbac.list", f"namespace {namespace}: no {' and '.join(missing)} of {slices.qualified}"
    elif missing:
        yield "rbac.watch", f"namespace {namespace}: list, and no watch, of {slices.qualified}"


def _missing(server: ApiServer, resource: Resource, namespace: str, limit: Limit) -> list[str]:
    return [verb for verb in VERBS if not server.may(verb, resource, namespace, limit.deadline)]
