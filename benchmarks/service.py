"""The Service that is followed, and who changes it: slices of our own on a real control plane, or on a FakeKube.

A change of a slice is what a rolling update does to it: one endpoint is new, and the one that was new before is
terminating. The new address is in this change only (`mark`), so that a list without a resource version tells which
changes are in it. The slices carry a managed-by label of ours, so that the endpointslice controller leaves them alone.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trustme

from benchmarks.arms.pod import Pod
from membership.testing import FakeKube
from testbed.cluster import create_namespace, create_service, create_service_account
from testbed.plane import ControlPlane
from testbed.rest import RestClient

NAMESPACE, SERVICE = "wso2", "is"
ACCOUNT = "bench"
PORT = 4000
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many endpoints in so many slices of one size; at least two in each."""

    endpoints: int
    slices: int = 1

    @property
    def size(self) -> int:
        """Endpoints of one slice. The endpointslice controller puts 100 into one, the API takes 1000."""
        return self.endpoints // self.slices


class Writer(Protocol):
    """Who changes what is followed."""

    def reset(self, shape: Shape) -> None:
        """Bring the Service to this shape, all endpoints ready, none marked; slices of another shape are deleted."""

    def change(self, number: int, mark: str, before: str | None) -> str:
        """Change slice `number`: `mark` is new, `before` (None: the one that was new last) is terminating.

        Returns the slice's resource version. Threads may share this.
        """


class ServiceWriter(Writer, Protocol):
    """Who changes the Service of one namespace."""

    namespace: str

    def beside(self, number: int) -> "ServiceWriter":
        """A writer for the Service of the same name in a namespace with this number, which is made."""


@contextmanager
def real_service(folder: Path, bind: str = "127.0.0.1") -> Iterator[tuple[ControlPlane, Pod, ServiceWriter]]:
    """A control plane with the Service, and a pod whose account may list and watch what a client of it needs."""
    with ControlPlane.start(folder / "plane", bind=bind) as plane:
        _create(plane, NAMESPACE)
        create_service_account(plane, NAMESPACE, ACCOUNT)
        _grant(plane)
        token = plane.token(NAMESPACE, ACCOUNT, seconds=86400)
        pod = Pod.make(folder / "account", plane.url, token=token, ca_file=plane.ca_file, namespace=NAMESPACE)
        yield plane, pod, RealWriter(plane)


@contextmanager
def fake_service(folder: Path) -> Iterator[tuple[Pod, ServiceWriter]]:
    """The same on a FakeKube with TLS, for a quick look: it has another server's share of the time."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key, chain, ca_file = folder / "key.pem", folder / "chain.pem", folder / "ca.pem"
    certificate.private_key_pem.write_to_path(str(key))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(chain), append=True)
    authority.cert_pem.write_to_path(str(ca_file))
    with FakeKube(token="bench", tls=(str(chain), str(key))) as kube:
        pod = Pod.make(folder / "account", kube.url, token="bench", ca_file=ca_file, namespace=NAMESPACE)
        yield pod, FakeWriter(kube)


class Newest:
    """The endpoint of each slice that was new last: the first one before any change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: dict[int, str] = {}

    def reset(self, shape: Shape) -> None:
        with self._lock:
            self._marks = {number: _address(number * shape.size) for number in range(shape.slices)}

    def swap(self, number: int, new: str) -> str:
        """Note the new one; the one before it."""
        with self._lock:
            old, self._marks[number] = self._marks[number], new
            return old


class RealWriter:
    """Small JSON patches, so that the request is no load."""

    def __init__(self, plane: ControlPlane, namespace: str = NAMESPACE) -> None:
        self.namespace = namespace
        self._plane = plane
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._newest = Newest()
        host, _, port = plane.url.partition("://")[2].partition(":")
        self._rest = RestClient(host, int(port), ca_file=plane.ca_file, token=plane.admin_token)

    def beside(self, number: int) -> "RealWriter":
        _create(self._plane, namespace := _namespace(number))
        return RealWriter(self._plane, namespace)

    def reset(self, shape: Shape) -> None:
        self._newest.reset(shape)
        listed = self._rest.request("GET", f"{self._path}?labelSelector=kubernetes.io/service-name={SERVICE}")
        there = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]}
        wanted = {body["metadata"]["name"]: body for body in slices(shape, self.namespace)}
        for name in there.keys() - wanted.keys():
            self._rest.request("DELETE", f"{self._path}/{name}")
        for name, body in wanted.items():
            if name in there:
                body["metadata"]["resourceVersion"] = there[name]
                self._rest.request("PUT", f"{self._path}/{name}", body)
            else:
                self._rest.request("POST", self._path, body)

    def change(self, number: int, mark: str, before: str | None) -> str:
        last = self._newest.swap(number, mark)
        operations = [
            {"op": "replace", "path": "/endpoints/0", "value": endpoint(mark, self.namespace)},
            {
                "op": "replace",
                "path": "/endpoints/1",
                "value": endpoint(before or last, self.namespace, terminating=True),
            },
        ]
        path = f"{self._path}/{_name(number)}"
        answer = self._rest.call("PATCH", path, operations, content_type="application/json-patch+json")
        version: str = json.loads(answer)["metadata"]["resourceVersion"]
        return version


class FakeWriter:
    """Puts whole slices into a FakeKube in this process."""

    def __init__(self, kube: FakeKube, namespace: str = NAMESPACE) -> None:
        self.namespace = namespace
        self._kube = kube
        self._newest = Newest()
        self._bodies: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def beside(self, number: int) -> "FakeWriter":
        return FakeWriter(self._kube, _namespace(number))

    def reset(self, shape: Shape) -> None:
        self._newest.reset(shape)
        for number in range(shape.slices, len(self._bodies)):
            self._kube.delete_slice(self.namespace, _name(number))
        self._bodies = dict(enumerate(slices(shape, self.namespace)))
        for body in self._bodies.values():
            self._kube.put_slice(body)

    def change(self, number: int, mark: str, before: str | None) -> str:
        with self._lock:
            last = self._newest.swap(number, mark)
            old = self._bodies[number]
            two = [endpoint(mark, self.namespace), endpoint(before or last, self.namespace, terminating=True)]
            body = old | {"endpoints": [*two, *old["endpoints"][2:]]}
            self._bodies[number] = body
            return str(self._kube.put_slice(body))


def slices(shape: Shape, namespace: str = NAMESPACE) -> Iterator[dict[str, Any]]:
    """The slices of the Service before any change.

    The second endpoint of each is of no pod: it goes with the first change, and a pod that goes without having been
    terminating is kept for a moment by ours (roster.py), which would be a change of its own.
    """
    for number in range(shape.slices):
        first = number * shape.size
        addresses = [_address(n) for n in range(first, first + shape.size)]
        endpoints = [endpoint(address, namespace) for address in addresses]
        del endpoints[1]["targetRef"]
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": _name(number),
                "namespace": namespace,
                "labels": {
                    "kubernetes.io/service-name": SERVICE,
                    "endpointslice.kubernetes.io/managed-by": "benchmarks.kubernetes-membership",
                },
            },
            "addressType": "IPv4",
            "ports": [{"name": "hazelcast", "port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        }


def endpoint(address: str, namespace: str = NAMESPACE, *, terminating: bool = False) -> dict[str, Any]:
    """As the endpointslice controller writes it for a pod: about 220 bytes."""
    name = f"is-{address.replace('.', '-')}"
    uid = "b864b1f2-6d1c-4c3b-9d2e-" + "".join(f"{int(part):03}" for part in address.split("."))
    return {
        "addresses": [address],
        "conditions": {"ready": not terminating, "serving": not terminating, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": name, "uid": uid},
        "nodeName": f"node-{int(address.rpartition('.')[2]) % 50}",
    }


def mark(change: int) -> str:
    """The address that only this change has among 62,500 that follow each other: far more than a block has."""
    return f"10.1.{change // 250 % 250}.{change % 250 + 1}"


def _address(number: int) -> str:
    return f"10.{2 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def _name(number: int) -> str:
    return f"is-{number:03}"


def _namespace(number: int) -> str:
    return f"{NAMESPACE}-{number}"


def _create(plane: ControlPlane, namespace: str) -> None:
    create_namespace(plane, namespace)
    create_service(plane, namespace, SERVICE, selector=None, ports={"hazelcast": PORT})


def _grant(plane: ControlPlane) -> None:
    """All namespaces, for CoreDNS and kopf ask for all; who asks for one is not slowed down by more rights."""
    rules = [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch", "get"]},
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": ["list", "watch", "get"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["list", "watch"]},
    ]
    plane.request("POST", f"{_RBAC}/clusterroles", {"metadata": {"name": ACCOUNT}, "rules": rules})
    plane.request(
        "POST",
        f"{_RBAC}/clusterrolebindings",
        {
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    )
