"""What a real kube-apiserver answers to the same requests in JSON and in protobuf.

python -m tests.real.recording       writes it to tests/unit/recorded, for the tests without a control plane
"""

import http.client
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed.cluster import create_namespace
from testbed.plane import ControlPlane
from testbed.rest import Json

FOLDER = Path(__file__).parents[1] / "unit" / "recorded"
NAMESPACE = "recorded"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
ENDPOINTS = f"/api/v1/namespaces/{NAMESPACE}/endpoints"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}-services/services"
"""In a namespace of their own: the controllers make slices and Endpoints of them, in their own time."""
_JSON, _PROTOBUF = "application/json", "application/vnd.kubernetes.protobuf"
_TARGET = {"kind": "Pod", "namespace": NAMESPACE, "name": "is-0", "uid": "u0"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, Content-Type and body."""

    status: int
    content_type: str
    body: bytes


def record(plane: ControlPlane) -> dict[str, tuple[Answer, Answer]]:
    """By name, in JSON and in protobuf: lists, watches, and what goes wrong."""
    create_namespace(plane, NAMESPACE)
    create_namespace(plane, f"{NAMESPACE}-services")
    before = plane.request("GET", SLICES)["metadata"]["resourceVersion"]
    _write(plane)
    past = f"watch=1&resourceVersion={before}"
    asked = {
        "endpointslices-list": SLICES,
        "endpointslices-watch": f"{SLICES}?{past}&timeoutSeconds=8&allowWatchBookmarks=true",
        "endpoints-list": ENDPOINTS,
        "endpoints-watch": f"{ENDPOINTS}?{past}&timeoutSeconds=1",
        "services-list": SERVICES,
        "services-watch": f"{SERVICES}?{past}&timeoutSeconds=1",
        "empty-list": SLICES + "?labelSelector=no=such",
        "not-found": SLICES + "/no-such",
        "unknown-path": SLICES + "x",
        "too-large": SLICES + "?resourceVersion=99999999",
        "invalid": SLICES + "?watch=1&sendInitialEvents=true",
    }
    found = {name: _both(plane, path) for name, path in asked.items()}
    plane.expire_history()
    return {**found, "expired-watch": _both(plane, f"{SLICES}?{past}&timeoutSeconds=1")}


def _both(plane: ControlPlane, path: str) -> tuple[Answer, Answer]:
    """In JSON and in protobuf; of one moment where it is a list: controllers write when they like, and each write
    anywhere gives lists another version."""
    if "watch=1" in path:
        return _get(plane, path, _JSON), _get(plane, path, f"{_PROTOBUF};stream=watch, {_JSON}")
    for _ in range(50):
        told, sent, again = (_get(plane, path, accept) for accept in (_JSON, f"{_PROTOBUF}, {_JSON}", _JSON))
        if told == again:
            return told, sent
    raise AssertionError(f"{path} is another one each time")


def _get(plane: ControlPlane, path: str, accept: str) -> Answer:
    host, _, port = plane.url.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
    try:
        headers = {"Accept": accept, "Authorization": f"Bearer {plane.admin_token}", "Accept-Encoding": "identity"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheader("Content-Type", ""), answer.read())
    finally:
        connection.close()


def _write(plane: ControlPlane) -> None:
    """Objects with all that they may have, and with as little as they may have."""
    full = {
        "addresses": ["10.244.0.5"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "hostname": "is-0",
        "nodeName": "n1",
        "zone": "z1",
        "targetRef": _TARGET,
        "hints": {"forZones": [{"name": "z1"}]},
        "deprecatedTopology": {"rack": "r1"},
    }
    some = [full, {"addresses": ["10.244.0.6"], "conditions": {"ready": False}}, {"addresses": ["10.244.0.7"]}]
    some.append({"addresses": ["10.244.0.8"], "targetRef": {"kind": "Pod"}})
    labels = {"kubernetes.io/service-name": "is", "empty": ""}
    owner = {"apiVersion": "v1", "kind": "Service", "name": "is", "uid": "s1"}
    ports = [{"name": "hazelcast", "port": 4000, "protocol": "TCP", "appProtocol": "x"}, {"port": 5}, {"name": "any"}]
    _create(plane, SLICES, "full", {"addressType": "IPv4", "endpoints": some, "ports": ports}, labels, owner)
    _create(plane, SLICES, "bare", {"addressType": "IPv6", "endpoints": None, "ports": None})
    _create(plane, SLICES, "dns", {"addressType": "FQDN", "endpoints": [{"addresses": ["a.example"]}], "ports": []})
    plane.request("PATCH", f"{SLICES}/full", {"endpoints": some[1:]})
    plane.request("DELETE", f"{SLICES}/dns")
    for name in ("is", "bare"):  # the endpoints controller deletes what belongs to no Service
        _create(plane, f"/api/v1/namespaces/{NAMESPACE}/services", name, {"spec": {"clusterIP": "None"}})
    address = {"ip": "10.0.0.1", "hostname": "is-0", "nodeName": "n1", "targetRef": _TARGET}
    subset = {"addresses": [address, {"ip": "10.0.0.3"}], "notReadyAddresses": [{"ip": "10.0.0.2"}]}
    named = {**subset, "ports": [{"name": "a", "port": 4000}, {"name": "b", "port": 53, "protocol": "UDP"}]}
    _create(plane, ENDPOINTS, "is", {"subsets": [named, {"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 1}]}]})
    _create(plane, ENDPOINTS, "bare", {})
    plane.request("DELETE", f"{ENDPOINTS}/bare")
    two = [{"name": "a", "port": 443, "targetPort": "https", "appProtocol": "https"}]
    two.append({"name": "b", "port": 53, "targetPort": 5353, "protocol": "UDP"})
    notes = {"serviceloadbalancer/lb.host": "a.b", "other": "x"}
    spec = {"ports": two, "sessionAffinity": "ClientIP", "selector": {"app": "is"}}
    _create(plane, SERVICES, "full", {"spec": spec}, annotations=notes)
    _create(plane, SERVICES, "bare", {"spec": {"clusterIP": "None"}})
    plane.request("DELETE", f"{SERVICES}/bare")


def _create(
    plane: ControlPlane,
    path: str,
    name: str,
    content: Json,
    labels: dict[str, str] | None = None,
    owner: Json | None = None,
    annotations: dict[str, str] | None = None,
) -> None:
    metadata: Json = {"name": name, "labels": labels, "annotations": annotations}
    plane.request("POST", path, {"metadata": {**metadata, "ownerReferences": [owner] if owner else None}, **content})


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ControlPlane.start(Path(folder) / "plane") as plane:
        for name, answers in record(plane).items():
            for answer, ending in zip(answers, ("json", "protobuf")):
                (FOLDER / f"{name}.{ending}").write_bytes(answer.body)


if __name__ == "__main__":
    main()
