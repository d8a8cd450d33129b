"""What the tests of this tier stand on: a real control plane with an audit log, and a namespace of it to play in.

Nothing here hopes: `eventually` polls with a bound. Processes belong to their `Place` and are ended with it, by pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from testbed import cluster
from testbed.kubelet import Kubelet
from testbed.plane import ControlPlane
from testbed.rest import Json
from tests.running import Command, Sidecar, clean_environ

T = TypeVar("T")
LIMIT = 20.0
"""Seconds that something prompt may take on a busy machine; what the contract bounds has a number of its own."""
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


def rule(resource: str, *verbs: str) -> Json:
    """A PolicyRule for endpointslices or endpoints."""
    group = "discovery.k8s.io" if resource == "endpointslices" else ""
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


WHOLE = (rule("endpointslices", "list", "watch"),)
"""All that the product needs."""


def eventually(ask: Callable[[], T], wanted: T, timeout: float = LIMIT, what: str = "") -> None:
    """Ask until the answer is `wanted`; AssertionError with the last answer after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while (seen := ask()) != wanted:
        assert time.monotonic() < deadline, f"{what or 'the answer'} is {seen!r} and not {wanted!r} after {timeout:g} s"
        time.sleep(0.02)


def conditions(sidecar: Sidecar, query: str = "") -> dict[str, tuple[bool, bool, bool]]:
    """(ready, serving, terminating) by member name."""
    members = sidecar.members(query)["members"]
    return {member["name"]: (member["ready"], member["serving"], member["terminating"]) for member in members}


def total(sidecar: Sidecar, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels; 0 where there is none."""
    from prometheus_client.parser import text_string_to_metric_families

    return sum(
        one.value
        for family in text_string_to_metric_families(sidecar.get("/metrics").text)
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    )


@dataclass(frozen=True)
class Asked:
    """A request that the API server has answered, as its audit log tells."""

    verb: str
    resource: str
    namespace: str
    code: int
    at: float
    agent: str
    query: dict[str, str]


@dataclass(frozen=True)
class World:
    """A control plane, whoever plays its kubelets, and what the server says it was asked."""

    plane: ControlPlane
    kubelet: Kubelet
    audit_log: Path

    @classmethod
    def start(cls, directory: Path, *flags: str) -> Self:
        policy, log = directory / "audit-policy.json", directory / "audit.log"
        policy.write_text(json.dumps(AUDIT))
        audit = (f"--audit-policy-file={policy}", f"--audit-log-path={log}")
        plane = ControlPlane.start(directory / "plane", apiserver_flags=(*audit, *flags))
        return cls(plane, Kubelet(plane), log)

    def asked(self, user: str) -> list[Asked]:
        """Every request of this user so far, in order. A watch is there from when it was accepted."""
        found: dict[str, Asked] = {}
        lines = self.audit_log.read_text().splitlines(keepends=True) if self.audit_log.exists() else []
        for line in lines:
            if not line.endswith("\n"):
                continue  # being written
            entry = json.loads(line)
            if entry["user"]["username"] != user or entry["auditID"] in found:
                continue
            target = entry.get("objectRef", {})
            found[entry["auditID"]] = Asked(
                verb=entry["verb"],
                resource=target.get("resource", ""),
                namespace=target.get("namespace", ""),
                code=entry.get("responseStatus", {}).get("code", 0),
                at=datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp(),
                agent=entry.get("userAgent", ""),
                query={key: value[0] for key, value in parse_qs(urlsplit(entry["requestURI"]).query).items()},
            )
        return sorted(found.values(), key=lambda asked: asked.at)


class Place:
    """A namespace with a service account, whose token is mounted as a kubelet would. Close it to end its processes."""

    def __init__(self, world: World, namespace: str, folder: Path, *, rules: Sequence[Json] = WHOLE) -> None:
        self.world = world
        self.plane = world.plane
        self.kubelet = world.kubelet
        self.namespace = namespace
        self.folder = folder
        self.account = "sidecar"
        self.mount = folder / "serviceaccount"
        self._exit = contextlib.ExitStack()
        cluster.create_namespace(self.plane, namespace)
        cluster.create_service_account(self.plane, namespace, self.account)
        if rules:
            self.grant(*rules)
        self.mount_token()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    # -- what is in the cluster -------------------------------------------------------------------

    def grant(self, *rules: Json) -> None:
        cluster.grant(self.plane, self.namespace, self.account, rules)

    def revoke(self) -> None:
        cluster.revoke(self.plane, self.namespace, self.account)

    def mount_token(self, token: str | None = None) -> None:
        """Mount a token, a new one by default; again to rotate."""
        self.kubelet.mount_token(self.mount, self.namespace, self.account, token=token)

    def service(
        self,
        name: str = "is",
        *,
        selector: dict[str, str] | None | tuple[()] = (),
        ports: dict[str, int | str] | None = None,
        headless: bool = True,
        publish_not_ready: bool = False,
        families: Sequence[str] = (),
    ) -> None:
        """A Service for the pods labelled app=`name`; returns when the controller has made its first slices."""
        chosen = {"app": name} if selector == () else dict(selector or {}) or None
        cluster.create_service(
            self.plane,
            self.namespace,
            name,
            selector=chosen,
            ports={"hazelcast": 4000} if ports is None else ports,
            headless=headless,
            publish_not_ready=publish_not_ready,
            families=families,
        )
        if chosen:
            eventually(lambda: bool(self.slices(name)), True, what=f"slices of {name}")

    def pod(self, name: str, address: str, service: str = "is", *, ready: bool = True, **more: Any) -> Json:
        return self.kubelet.run(self.namespace, name, address, {"app": service}, ready=ready, **more)

    def ready(self, name: str, is_ready: bool) -> None:
        self.kubelet.ready(self.namespace, name, is_ready)

    def terminate(self, name: str) -> None:
        self.kubelet.terminate(self.namespace, name)

    def gone(self, name: str) -> None:
        self.kubelet.gone(self.namespace, name)

    def slices(self, service: str = "is") -> list[Json]:
        return cluster.list_slices(self.plane, self.namespace, service)

    def make_slice(
        self, name: str, service: str, endpoints: list[Json], *, owner: Json | None = None, **more: Any
    ) -> None:
        """A slice made by hand, as for a Service without a selector; `owner` is an owner reference."""
        body = {
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/service-name": service},
                "ownerReferences": [owner] if owner else [],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            **more,
        }
        self.plane.request("POST", f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices", body)

    def delete_slice(self, name: str) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices/{name}"
        self.plane.request("DELETE", path)

    def wait_addresses(self, addresses: Sequence[str], service: str = "is") -> None:
        """Until the server's own slices name these addresses, in any order."""

        def named() -> list[str]:
            endpoints = cluster.list_endpoints(self.plane, self.namespace, service)
            return sorted(endpoint["addresses"][0] for endpoint in endpoints)

        eventually(named, sorted(addresses), 30, f"what the slices of {service} name")

    # -- our programs -----------------------------------------------------------------------------

    @property
    def credentials(self) -> tuple[str, ...]:
        """The flags that name token and CA."""
        return ("--token-file", str(self.mount / "token"), "--ca-file", str(self.mount / "ca.crt"))

    @property
    def in_cluster(self) -> dict[str, str]:
        """The variables by which a pod finds the API server."""
        url = urlsplit(self.plane.url)
        return {"KUBERNETES_SERVICE_HOST": str(url.hostname), "KUBERNETES_SERVICE_PORT": str(url.port)}

    def sidecar(self, *flags: str, services: str = "is", synced: bool = True) -> Sidecar:
        """`membership-sidecar` on Services of this namespace, found as in a pod; ended with the place."""
        given = (*self.credentials, "--namespace", self.namespace, *flags)
        started = Sidecar(None, *given, services=services, environ=environ(**self.in_cluster))
        self._exit.enter_context(started)
        return started.synced(LIMIT) if synced else started

    def command(self, name: str, *flags: str, **variables: str) -> Command:
        """`membership NAME` on the Service `is`, unless `flags` name others; found as in a pod."""
        services = () if "--services" in flags else ("--services", f"{self.namespace}/is")
        given = (name, "--server", self.plane.url, *self.credentials, *services, *flags)
        return self._exit.enter_context(Command(*given, environ=environ(**variables)))

    def bare_command(self, name: str, *flags: str, **variables: str) -> Command:
        """`membership NAME` with just these flags and variables."""
        return self._exit.enter_context(Command(name, *flags, environ=environ(**variables)))


def environ(**extra: str) -> dict[str, str]:
    """A clean environment, but for where this process looks for the code under test."""
    path = os.environ.get("PYTHONPATH")
    return clean_environ(**({"PYTHONPATH": path} if path else {}), **extra)
