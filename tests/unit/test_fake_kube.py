"""FakeKube over real HTTP: what it must do like the real API server, and each fault once."""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError

from membership.testing import FAULT_NAMES, FAULTS, FakeKube, Pod

NAMESPACE = "wso2"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
ENDPOINTS = f"/api/v1/namespaces/{NAMESPACE}/endpoints"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
TIMEOUT = urllib3.Timeout(connect=2, read=5)


def pods(count: int, start: int = 0) -> list[Pod]:
    return [Pod(f"10.244.{n // 250}.{n % 250 + 1}", f"is-{n}") for n in range(start, start + count)]


class Client:
    def __init__(self, kube: FakeKube, **options: Any) -> None:
        self.kube = kube
        self.pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT, **options)

    @property
    def connections(self) -> int:
        return self.pool.connection_from_url(self.kube.url).num_connections

    def get(self, path: str, query: dict[str, str] | None = None, **options: Any) -> urllib3.BaseHTTPResponse:
        return self.pool.request("GET", self.kube.url + path, fields=query, **options)

    def list(self, path: str = SLICES, **query: str) -> dict[str, Any]:
        answer = self.get(path, query)
        assert answer.status == 200, answer.data
        result: dict[str, Any] = answer.json()
        return result

    def watch(self, path: str = SLICES, **query: str) -> Watch:
        query = {"watch": "1", "resourceVersion": self.kube.resource_version, **query}
        return Watch(self.get(path, query, preload_content=False))


class Watch:
    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self.answer = answer
        self.received = b""

    def line(self) -> bytes:
        """The next line with its newline; what there is of one at a clean end."""
        while b"\n" not in self.received:
            data = self.answer.read1(65536)
            if not data:
                break
            self.received += data
        line, newline, self.received = self.received.partition(b"\n")
        return line + newline

    def event(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.line())
        return result

    def events(self, count: int) -> list[dict[str, Any]]:
        return [self.event() for _ in range(count)]

    def ended(self) -> bool:
        return self.line() == b""

    def silent(self, seconds: float = 0.15) -> bool:
        """Whether nothing arrives within `seconds` (only ever used to see that something does not happen)."""
        sock = self.answer._fp.fp.raw._sock  # type: ignore[attr-defined]
        return b"\n" not in self.received and not select.select([sock], [], [], seconds)[0]


def version(event: dict[str, Any]) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        server.set_service(NAMESPACE, "is", pods(2))
        yield server


@pytest.fixture
def client(kube: FakeKube) -> Client:
    return Client(kube)


# -- lists and single objects


def test_list_has_the_shape_of_the_real_one(kube: FakeKube, client: Client) -> None:
    listed = client.list(labelSelector="kubernetes.io/service-name in (is,other)")
    assert (listed["kind"], listed["apiVersion"]) == ("EndpointSliceList", "discovery.k8s.io/v1")
    assert listed["metadata"]["resourceVersion"] == kube.resource_version == "103"
    [item] = listed["items"]
    assert "kind" not in item and "apiVersion" not in item
    metadata = item["metadata"]
    assert metadata["name"].startswith("is-") and len(metadata["name"]) == 8
    assert metadata["generateName"] == "is-"
    assert metadata["labels"] == {
        "kubernetes.io/service-name": "is",
        "service.kubernetes.io/headless": "",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    service = client.get(f"/api/v1/namespaces/{NAMESPACE}/services/is").json()
    assert metadata["ownerReferences"][0]["uid"] == service["metadata"]["uid"]
    assert item["ports"] == [{"name": "hazelcast", "protocol": "TCP", "port": 4000}]
    assert item["endpoints"][0] == {
        "addresses": ["10.244.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": "is-0", "uid": pods(1)[0].uid},
        "nodeName": "n1",
    }


def test_single_objects_versions_and_health(kube: FakeKube, client: Client) -> None:
    name = client.list()["items"][0]["metadata"]["name"]
    assert client.get(f"{SLICES}/{name}").json()["kind"] == "EndpointSlice"
    assert client.get(f"{ENDPOINTS}/is").json()["kind"] == "Endpoints"
    missing = client.get(f"{SLICES}/nothing")
    assert missing.status == 404
    assert missing.json()["message"] == 'endpointslices.discovery.k8s.io "nothing" not found'
    assert client.get("/version").json()["gitVersion"] == "v1.36.3"
    assert client.get("/livez").data == client.get("/readyz").data == b"ok"
    assert client.get("/apis/nothing").json()["reason"] == "NotFound"
    assert client.list(f"/api/v1/namespaces/{NAMESPACE}/services")["items"][0]["spec"]["clusterIP"] == "None"
    assert client.list("/apis/discovery.k8s.io/v1/endpointslices")["items"]
    assert client.connections == 1, "keep-alive"


@pytest.mark.parametrize(
    "selector, found",
    [
        ("kubernetes.io/service-name=is", 1),
        ("kubernetes.io/service-name==is", 1),
        ("kubernetes.io/service-name", 1),
        ("kubernetes.io/service-name=no", 0),
        ("kubernetes.io/service-name in (a, is),service.kubernetes.io/headless", 1),
        ("kubernetes.io/service-name!=is", 0),
        ("kubernetes.io/service-name notin (a)", 1),
        ("!nothing", 1),
    ],
)
def test_label_selectors(client: Client, selector: str, found: int) -> None:
    assert len(client.list(labelSelector=selector)["items"]) == found


def test_field_selectors_and_bad_options(client: Client) -> None:
    assert len(client.list(ENDPOINTS, fieldSelector="metadata.name=is")["items"]) == 1
    assert len(client.list(ENDPOINTS, fieldSelector="metadata.name=no,metadata.namespace=wso2")["items"]) == 0
    for query in ({"labelSelector": "a b"}, {"fieldSelector": "spec.x=1"}, {"resourceVersion": "x"}):
        assert client.get(SLICES, query).status == 400
    for query in ({"watch": "1", "sendInitialEvents": "true"}, {"resourceVersionMatch": "Exact"}):
        assert client.get(SLICES, query).json()["reason"] == "Invalid"


def test_list_versions(kube: FakeKube, client: Client) -> None:
    first = kube.resource_version
    kube.set_service(NAMESPACE, "is", pods(3))
    for asked in ("", "0", first, kube.resource_version):
        assert client.list(resourceVersion=asked)["metadata"]["resourceVersion"] == kube.resource_version
    exact = client.list(resourceVersion=first, resourceVersionMatch="Exact")
    assert exact["metadata"]["resourceVersion"] == first and len(exact["items"][0]["endpoints"]) == 2
    late = client.get(SLICES, {"resourceVersion": "999"})
    status = late.json()
    assert (late.status, status["reason"], late.headers["Retry-After"]) == (504, "Timeout", "1")
    assert status["message"] == f"Timeout: Too large resource version: 999, current: {kube.resource_version}"
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


# -- the controller


def slices_of(client: Client) -> dict[str, list[str]]:
    return {
        item["metadata"]["name"]: [e["addresses"][0] for e in item["endpoints"]]
        for item in client.list(labelSelector="kubernetes.io/service-name")["items"]
    }


def test_slices_are_packed_and_never_rebalanced(kube: FakeKube, client: Client) -> None:
    kube.set_service(NAMESPACE, "is", pods(250))
    before = slices_of(client)
    assert sorted(len(addresses) for addresses in before.values()) == [50, 100, 100]
    gone = {"10.244.0.5", "10.244.0.120"}
    kube.set_service(NAMESPACE, "is", [pod for pod in pods(250) if pod.address not in gone])
    assert slices_of(client) == {name: [a for a in some if a not in gone] for name, some in before.items()}
    unchanged = kube.resource_version
    kube.set_service(NAMESPACE, "is", [pod for pod in pods(250) if pod.address not in gone])
    assert kube.resource_version == unchanged, "nothing changed, nothing written"
    kube.set_service(NAMESPACE, "is", pods(10), per_slice=4)
    assert sum(map(len, slices_of(client).values())) == 10


def test_placeholder_keeps_the_name(kube: FakeKube, client: Client) -> None:
    [name] = slices_of(client)
    kube.set_service(NAMESPACE, "is", [])
    [item] = client.list()["items"]
    assert (item["metadata"]["name"], item["endpoints"], item["ports"]) == (name, [], [])
    kube.set_service(NAMESPACE, "is", pods(1))
    assert slices_of(client) == {name: ["10.244.0.1"]}
    kube.set_service(NAMESPACE, "is", pods(1), ports={"hazelcast": 5701})
    assert client.list()["items"][0]["ports"][0]["port"] == 5701 and list(slices_of(client)) == [name]
    kube.delete_service(NAMESPACE, "is", leave_slices=True)
    kube.set_service(NAMESPACE, "is", pods(1))
    assert len(slices_of(client)) == 2, "old slices with the old owner until they are collected"
    kube.delete_service(NAMESPACE, "is")
    assert list(slices_of(client)) == [name] and client.list(ENDPOINTS)["items"] == []
    with pytest.raises(KeyError):
        kube.delete_service(NAMESPACE, "is")


def test_conditions_families_and_endpoints(kube: FakeKube, client: Client) -> None:
    some = [
        Pod("10.0.0.2", "a", addresses=("fd00::2",)),
        Pod("10.0.0.1", "b", ready=False, hostname="b"),
        Pod("10.0.0.3", "c", terminating=True),
    ]
    kube.set_service(NAMESPACE, "is", some)
    items = {item["addressType"]: item for item in client.list()["items"]}
    assert [e["addresses"] for e in items["IPv6"]["endpoints"]] == [["fd00::2"]]
    assert [tuple(e["conditions"].values()) for e in items["IPv4"]["endpoints"]] == [
        (True, True, False),
        (False, False, False),
        (False, True, True),
    ]
    [subset] = client.list(ENDPOINTS)["items"][0]["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["10.0.0.2"]
    assert [(a["ip"], a["hostname"]) for a in subset["notReadyAddresses"]] == [("10.0.0.1", "b")]
    kube.set_service(NAMESPACE, "is", some, publish_not_ready=True)
    [item] = [item for item in client.list()["items"] if item["addressType"] == "IPv4"]
    assert [e["conditions"]["ready"] for e in item["endpoints"]] == [True, True, True]
    [subset] = client.list(ENDPOINTS)["items"][0]["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    with pytest.raises(ValueError):
        Pod("not-an-address")


def test_endpoints_are_cut_at_a_thousand(kube: FakeKube, client: Client) -> None:
    kube.set_service(NAMESPACE, "is", pods(1010))
    [item] = client.list(ENDPOINTS)["items"]
    assert len(item["subsets"][0]["addresses"]) == 1000
    assert item["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}


def test_raw_objects(kube: FakeKube, client: Client) -> None:
    odd = {"metadata": {"name": "odd", "namespace": NAMESPACE}, "addressType": "FQDN", "endpoints": None}
    assert kube.put_slice(odd) == kube.resource_version
    stored = client.get(f"{SLICES}/odd").json()
    assert stored["endpoints"] is None and stored["metadata"]["generation"] == 1 and "ports" not in stored
    assert int(kube.put_slice(odd)) == int(stored["metadata"]["resourceVersion"]) + 1
    assert kube.delete_slice(NAMESPACE, "odd") == kube.resource_version
    kube.put_endpoints({"metadata": {"name": "odd", "namespace": NAMESPACE}, "subsets": None})
    kube.delete_endpoints(NAMESPACE, "odd")
    with pytest.raises(KeyError):
        kube.delete_slice(NAMESPACE, "odd")
    with pytest.raises(ValueError):
        kube.put_slice({"metadata": {}})


# -- watches


def test_watch_events_in_order(kube: FakeKube, client: Client) -> None:
    watch = client.watch(labelSelector="kubernetes.io/service-name=is")
    assert watch.answer.headers["Transfer-Encoding"] == "chunked"
    kube.put_slice({"metadata": {"name": "other", "namespace": NAMESPACE}})
    kube.set_service(NAMESPACE, "is", pods(3))
    mine = {"name": "mine", "namespace": NAMESPACE}
    kube.put_slice({"metadata": {**mine, "labels": {"kubernetes.io/service-name": "is"}}})
    kube.put_slice({"metadata": mine, "endpoints": []})
    relabelled = int(kube.resource_version)
    kube.delete_service(NAMESPACE, "is")
    events = watch.events(4)
    assert [event["type"] for event in events] == ["MODIFIED", "ADDED", "DELETED", "DELETED"]
    versions = [version(event) for event in events]
    assert versions == sorted(versions) and versions[2:] == [relabelled, int(kube.resource_version)]
    assert all(event["object"]["kind"] == "EndpointSlice" for event in events)
    assert events[2]["object"]["metadata"]["labels"] and len(events[3]["object"]["endpoints"]) == 3


@pytest.mark.parametrize("start", ["", "0"])
def test_watch_without_a_version_begins_with_all(kube: FakeKube, client: Client, start: str) -> None:
    watch = client.watch(ENDPOINTS, resourceVersion=start)
    event = watch.event()
    assert event["type"] == "ADDED"
    assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("Endpoints", "v1")
    kube.set_service(NAMESPACE, "is", pods(1))
    assert watch.event()["type"] == "MODIFIED"


def test_watch_replays_from_its_version_and_ends_in_time(kube: FakeKube, client: Client) -> None:
    start = kube.resource_version
    kube.set_service(NAMESPACE, "is", pods(3))
    kube.set_service(NAMESPACE, "is", pods(4))
    watch = client.watch(resourceVersion=start, timeoutSeconds="1")
    assert [len(event["object"]["endpoints"]) for event in watch.events(2)] == [3, 4]
    assert watch.ended() and client.list()
    assert client.connections == 1, "a clean end leaves the connection usable"
    future = client.watch(resourceVersion=str(int(kube.resource_version) + 1))
    kube.set_service(NAMESPACE, "is", pods(5))
    assert future.silent(), "an event of that version is not sent"


def test_bookmarks(kube: FakeKube, client: Client) -> None:
    kube.bookmark_interval = 0.05
    plain = client.watch()
    watch = client.watch(allowWatchBookmarks="true")
    assert kube.wait_for_watch(2)
    assert kube.bookmark() == 0, "not past the start of the watch"
    assert watch.silent(0.15)
    at = kube.touch()
    event = watch.event()
    assert event["type"] == "BOOKMARK" and event["object"]["metadata"] == {"resourceVersion": at}
    assert event["object"]["kind"] == "EndpointSlice"
    assert event["object"]["apiVersion"] == "discovery.k8s.io/v1"
    kube.bookmark_interval = 60.0
    late = client.watch(allowWatchBookmarks="true")
    kube.set_service(NAMESPACE, "is", pods(3))
    assert kube.bookmark() == 2
    assert late.event()["type"] == "MODIFIED" and late.event()["type"] == "BOOKMARK"
    assert kube.bookmark() == 2 and late.event()["type"] == "BOOKMARK", "again, once past the start"
    farewell = client.watch(allowWatchBookmarks="true", timeoutSeconds="3")
    began = time.monotonic()
    at = kube.touch()
    assert farewell.event()["object"]["metadata"]["resourceVersion"] == at
    assert 0.5 < time.monotonic() - began < 2.8
    assert plain.event()["type"] == "MODIFIED" and plain.silent(0.01), "no bookmarks unless asked for"


def test_compaction(kube: FakeKube, client: Client) -> None:
    start, watch = kube.resource_version, client.watch()
    kube.set_service(NAMESPACE, "is", pods(3))
    kube.compact()
    assert watch.event()["type"] == "MODIFIED", "an open watch loses nothing"
    old = client.watch(resourceVersion=start)
    event = old.event()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert event["object"]["message"] == f"too old resource version: {start} ({kube.resource_version})"
    assert old.ended()
    assert client.watch(resourceVersion=kube.resource_version).silent(0.01)


def test_compaction_told_as_status(kube: FakeKube, client: Client) -> None:
    start = kube.resource_version
    kube.set_service(NAMESPACE, "is", pods(3))
    kube.compact(as_status=True)
    answer = client.get(SLICES, {"watch": "1", "resourceVersion": start})
    assert (answer.status, answer.json()["reason"]) == (410, "Expired")
    assert client.watch(resourceVersion=kube.resource_version).silent(0.01)
    kube.touch()
    kube.compact()
    assert client.watch(resourceVersion=start).event()["object"]["code"] == 410, "in the stream again"


def test_config_maps(kube: FakeKube, client: Client) -> None:
    value = {"metadata": {"name": "members", "namespace": NAMESPACE}, "data": {"a": "b"}}
    version = kube.put_config_map(value)
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    listed = client.get(path, {}).json()
    assert (listed["kind"], listed["metadata"]["resourceVersion"]) == ("ConfigMapList", version)
    assert [item["data"] for item in listed["items"]] == [{"a": "b"}]
    kube.delete_config_map(NAMESPACE, "members")
    assert client.get(path, {}).json()["items"] == []


def test_unchunked_and_sent_at_once(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("buffer", hold=False)
    watch = client.watch()
    assert "Transfer-Encoding" not in watch.answer.headers and "Content-Length" not in watch.answer.headers
    kube.set_service(NAMESPACE, "is", pods(3))
    assert watch.event()["type"] == "MODIFIED"
    fault.clear()
    assert watch.ended()


def test_restore(kube: FakeKube, client: Client) -> None:
    backup, before = kube.checkpoint(), kube.resource_version
    kube.set_service(NAMESPACE, "is", pods(5))
    watch = client.watch(allowWatchBookmarks="true")
    reached = kube.resource_version
    kube.restore(backup)
    listed = client.list()
    assert listed["metadata"]["resourceVersion"] == before and len(listed["items"][0]["endpoints"]) == 2
    assert kube.bookmark() == 0
    kube.set_service(NAMESPACE, "is", pods(1))
    assert int(kube.resource_version) <= int(reached) and watch.silent()
    watch = client.watch(resourceVersion=reached)
    kube.set_service(NAMESPACE, "is", pods(3))
    assert version(watch.event()) > int(reached)


# -- access


def test_token(kube: FakeKube, client: Client) -> None:
    kube.token = "new"
    assert client.get(SLICES).json()["reason"] == "Unauthorized"
    assert client.get(SLICES, headers={"Authorization": "Bearer old"}).status == 401
    assert client.get(SLICES, headers={"Authorization": "Bearer new"}).status == 200
    assert client.get(SLICES, headers={"Authorization": "bearer new"}).status == 200, "the scheme has no case"
    assert client.get("/version").status == 200
    assert kube.tokens_seen == ["Bearer old", "Bearer new", "bearer new"]


def test_deny_and_review(kube: FakeKube, client: Client) -> None:
    def review(verb: str, resource: str = "endpointslices") -> bool:
        attributes = {"verb": verb, "resource": resource, "group": "discovery.k8s.io", "namespace": NAMESPACE}
        body = {"spec": {"resourceAttributes": attributes}}
        answer = client.pool.request("POST", kube.url + REVIEWS, json=body)
        assert answer.status == 201
        return bool(answer.json()["status"]["allowed"])

    kube.deny("list", "endpointslices", NAMESPACE)
    status = client.get(SLICES).json()
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    assert status["details"] == {"group": "discovery.k8s.io", "kind": "endpointslices"}
    assert status["message"] == (
        'endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:default:membership" '
        'cannot list resource "endpointslices" in API group "discovery.k8s.io" in the namespace "wso2"'
    )
    assert not review("list") and review("watch") and review("get", "endpoints") and not review("*")
    kube.deny("*", "*")
    assert client.get(ENDPOINTS, {"watch": "1"}).json()["message"].startswith("endpoints is forbidden: User ")
    kube.allow("*", "*")
    assert client.list() and review("list")
    assert [request.kind for request in kube.requests].count("review") == 5
    with pytest.raises(ValueError):
        kube.deny("look", "*")


def test_removed_api(kube: FakeKube, client: Client) -> None:
    kube.remove_api("endpointslices")
    answer = client.get(SLICES)
    assert (answer.status, answer.data) == (404, b"404 page not found\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert client.list(ENDPOINTS)
    kube.restore_api("endpointslices")
    assert client.list()


def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=fake",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-days",
            "1",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    with FakeKube(tls=(str(certificate), str(key))) as kube:
        client = Client(kube, ssl_context=ssl.create_default_context(cafile=str(certificate)))
        kube.set_service(NAMESPACE, "is", pods(400))
        assert len(client.list()["items"]) == 4
        watch = client.watch()
        kube.set_service(NAMESPACE, "is", pods(399))
        assert watch.event()["type"] == "MODIFIED"
        silent = socket.create_connection(("127.0.0.1", int(kube.url.rsplit(":", 1)[1])))
        assert kube.cut_watches("half") == 1
        with pytest.raises(HTTPError):
            watch.line()
    silent.close()


# -- outages


def test_stop_listening_and_listen_again(kube: FakeKube, client: Client) -> None:
    url, watch = kube.url, client.watch()
    client.list()
    kube.stop_listening()
    with pytest.raises((NewConnectionError, ProtocolError)):
        Client(kube).get(SLICES)
    kube.set_service(NAMESPACE, "is", pods(3))
    assert watch.event()["type"] == "MODIFIED", "open streams live on"
    kube.listen_again()
    assert kube.url == url and Client(kube).list()
    kube.stop_listening(cut=True)
    assert kube.watches == 0
    with pytest.raises(ProtocolError):
        watch.line()
    kube.listen_again()
    assert Client(kube).list()


@pytest.mark.parametrize("how", ["reset", "eof", "half"])
def test_cut_watches(kube: FakeKube, client: Client, how: str) -> None:
    watch = client.watch()
    assert kube.wait_for_watch() and kube.cut_watches(how, namespace="other") == 0
    assert kube.cut_watches(how) == 1 and kube.watches == 0
    if how == "eof":
        assert watch.ended()
    else:
        with pytest.raises(ProtocolError) as error:
            watch.line()
        assert ("reset" in str(error.value)) == (how == "reset")
        assert watch.received.startswith(b'{"type"') == (how == "half")
    with pytest.raises(ValueError):
        kube.cut_watches("softly")


def test_stall(kube: FakeKube, client: Client) -> None:
    watch = client.watch()
    kube.stall()
    kube.set_service(NAMESPACE, "is", pods(3))
    assert watch.silent()
    with pytest.raises(ReadTimeoutError):
        Client(kube).get(SLICES, timeout=urllib3.Timeout(0.1))
    held: list[int] = []
    waiting = threading.Thread(target=lambda: held.append(Client(kube).get(SLICES).status))
    waiting.start()
    kube.wait_for_requests(2, "list")
    kube.resume()
    waiting.join(5)
    assert held == [200]
    assert watch.event()["type"] == "MODIFIED" and kube.watches == 1


def test_close_ends_everything() -> None:
    before = threading.active_count()
    kube = FakeKube()
    kube.close()
    kube = FakeKube().start()
    client = Client(kube)
    kube.fault("hang", on="list")
    watch = client.watch()
    errors: list[Exception] = []

    def hang() -> None:
        try:
            Client(kube).get(SLICES)
        except HTTPError as error:
            errors.append(error)

    waiting = threading.Thread(target=hang)
    waiting.start()
    kube.wait_for_requests(1, "list")
    idle = socket.create_connection(("127.0.0.1", int(kube.url.rsplit(":", 1)[1])))
    began = time.monotonic()
    kube.close()
    kube.close()
    assert time.monotonic() - began < 4
    waiting.join(5)
    assert len(errors) == 1
    with contextlib.suppress(ConnectionResetError):  # it may not have been accepted yet
        assert idle.recv(1) == b""
    with pytest.raises(ProtocolError):
        watch.line()
    assert threading.active_count() == before
    idle.close()


def test_gone_clients_are_noticed(kube: FakeKube, client: Client) -> None:
    watch = client.watch()
    kube.wait_for_watch(namespace=NAMESPACE)
    watch.answer.close()
    kube.wait_for(lambda: kube.watches == 0)
    with pytest.raises(TimeoutError):
        kube.wait_for_watch(timeout=0.01)


def test_request_log(kube: FakeKube, client: Client) -> None:
    client.list(labelSelector="a in (b,c)")
    began = time.monotonic()
    watch = client.watch(timeoutSeconds="9")
    assert kube.wait_for_watch() and watch.answer.status == 200
    first, second = kube.requests
    assert (first.kind, first.status, first.query, first.namespace, first.resource) == (
        "list",
        200,
        {"labelSelector": "a in (b,c)"},
        NAMESPACE,
        "endpointslices",
    )
    assert second.query["timeoutSeconds"] == "9" and "user-agent" in second.headers and second.method == "GET"
    assert kube.count() == 2 and kube.count("watch") == kube.count(since=began) == 1


# -- faults


def check_status(kube: FakeKube, client: Client) -> None:
    kube.fault("status", times=1, code=429, retry_after=7, message="later")
    answer = client.get(SLICES)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert (answer.json()["reason"], answer.json()["message"]) == ("TooManyRequests", "later")
    assert client.list()


def check_reset(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("reset", times=1, on="list")
    with pytest.raises(ProtocolError, match="reset"):
        client.get(SLICES)
    assert (fault.hits, fault.left) == (1, 0) and kube.requests[-1].status == 0


def check_hang(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("hang")
    with pytest.raises(ReadTimeoutError):
        client.get(SLICES, timeout=urllib3.Timeout(0.1))

    def release() -> None:
        kube.wait_for(lambda: fault.hits == 2)
        fault.clear()

    releaser = threading.Thread(target=release)
    releaser.start()
    assert client.list()
    releaser.join()


def check_close(kube: FakeKube, client: Client) -> None:
    kube.fault("close", times=1)
    assert client.list() and client.watch().ended()
    second = client.watch()
    assert kube.wait_for_watch() and second.answer.status == 200


def check_html(kube: FakeKube, client: Client) -> None:
    kube.fault("html", times=1)
    kube.fault("html", times=1, on="watch", code=502)
    assert client.get(SLICES).data.startswith(b"<html>")
    answer = client.get(SLICES, {"watch": "1"})
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")


def check_bad_json(kube: FakeKube, client: Client) -> None:
    kube.fault("bad-json")
    with pytest.raises(ValueError):
        client.list()
    watch = client.watch()
    with pytest.raises(ValueError):
        watch.event()
    kube.set_service(NAMESPACE, "is", pods(3))
    assert watch.event()["type"] == "MODIFIED"


def check_half_line(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("half-line")
    with pytest.raises(ProtocolError):
        client.get(SLICES)
    watch = client.watch()
    with pytest.raises(ProtocolError):
        watch.line()
    assert watch.received.startswith(b'{"type"')
    fault.clear()
    kube.fault("half-line", clean=True)
    assert client.watch().line().startswith(b'{"type"')


def check_huge_line(kube: FakeKube, client: Client) -> None:
    kube.fault("huge-line", size=3_000_000)
    assert len(client.get(SLICES).data) == 3_000_000
    watch = client.watch()
    with pytest.raises(ProtocolError):
        watch.line()
    assert len(watch.received) == 3_000_000 and b"\n" not in watch.received


def check_redirect(kube: FakeKube, client: Client) -> None:
    kube.fault("redirect")
    answer = client.get(SLICES, {"limit": "1"}, redirect=False)
    assert (answer.status, answer.headers["Location"]) == (302, f"{SLICES}?limit=1")


def check_wrong_kind(kube: FakeKube, client: Client) -> None:
    kube.fault("wrong-kind")
    assert client.list()["kind"] == "PodList"
    assert client.watch().event()["object"]["kind"] == "Pod"


def check_expired_event(kube: FakeKube, client: Client) -> None:
    kube.fault("expired-event", times=1)
    watch = client.watch()
    event = watch.event()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410) and watch.ended()


def check_expired_status(kube: FakeKube, client: Client) -> None:
    kube.fault("expired-status")
    answer = client.get(SLICES, {"watch": "1", "resourceVersion": "5"})
    assert (answer.status, answer.json()["reason"]) == (410, "Expired")


def check_too_large(kube: FakeKube, client: Client) -> None:
    kube.fault("too-large")
    assert client.list() and client.list(resourceVersion="0")
    answer = client.get(SLICES, {"resourceVersion": kube.resource_version})
    assert answer.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def check_error_event(kube: FakeKube, client: Client) -> None:
    kube.fault("error-event", code=503, message="no", retry_after=3)
    watch = client.watch()
    assert watch.event()["object"]["message"] == "no" and watch.ended()


def check_buffer(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("buffer")
    watch = client.watch()
    kube.set_service(NAMESPACE, "is", pods(3))
    assert "Transfer-Encoding" not in watch.answer.headers and "Content-Length" not in watch.answer.headers
    other = client.watch(resourceVersion="103")
    kube.wait_for_watch(2)
    assert watch.silent()
    kube.cut_watches("eof")
    assert other.event()["type"] == "MODIFIED" and other.ended()
    last = client.watch(resourceVersion="103")
    fault.clear()
    assert last.event()["type"] == "MODIFIED" and last.ended()


def check_drip(kube: FakeKube, client: Client) -> None:
    kube.fault("drip", delay=0.00001, size=7)
    assert client.list()["kind"] == "EndpointSliceList"
    watch = client.watch(resourceVersion="")
    assert watch.event()["type"] == "ADDED"
    kube.clear_faults()
    kube.fault("drip", delay=0.05, size=400)
    began = time.monotonic()
    pieces = len(client.get(SLICES).data) // 400
    assert 0.05 * pieces <= time.monotonic() - began


def check_partial_list(kube: FakeKube, client: Client) -> None:
    kube.set_service(NAMESPACE, "is", pods(3), per_slice=1)
    kube.fault("partial-list")
    answer = client.list()
    assert len(answer["items"]) == 1 and answer["metadata"]["continue"]
    assert "continue" not in client.list(ENDPOINTS)["metadata"], "all there is"


def check_gzip(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("gzip")
    assert "Content-Encoding" not in client.get(SLICES).headers
    accepting = {"Accept-Encoding": "gzip"}
    answer = client.get(SLICES, headers=accepting)
    assert answer.headers["Content-Encoding"] == "gzip" and answer.json()["items"]
    watch = Watch(client.get(SLICES, {"watch": "1"}, headers=accepting, preload_content=False, decode_content=False))
    kube.set_service(NAMESPACE, "is", pods(3))
    first = watch.answer.read1(65536)
    kube.set_service(NAMESPACE, "is", pods(4))
    members = [gzip.decompress(part) for part in (first, watch.answer.read1(65536))]
    assert all(part.startswith(b'{"type":') for part in members), "each flush is a member of its own"
    fault.clear()
    kube.fault("gzip", always=True)
    assert client.get(SLICES).headers["Content-Encoding"] == "gzip"


def check_drop_event(kube: FakeKube, client: Client) -> None:
    watch = client.watch()
    fault = kube.fault("drop-event", times=1)
    kube.set_service(NAMESPACE, "is", pods(3))
    kube.set_service(NAMESPACE, "is", pods(4))
    assert len(watch.event()["object"]["endpoints"]) == 4 and fault.hits == 1


def check_duplicate_event(kube: FakeKube, client: Client) -> None:
    watch = client.watch()
    kube.fault("duplicate-event", times=1)
    kube.set_service(NAMESPACE, "is", pods(3))
    kube.set_service(NAMESPACE, "is", pods(4))
    assert [len(event["object"]["endpoints"]) for event in watch.events(3)] == [3, 3, 4]


def check_delay(kube: FakeKube, client: Client) -> None:
    kube.fault("delay", seconds=0.2, times=1)
    began = time.monotonic()
    assert client.list() and time.monotonic() - began >= 0.2


def check_null_lists(kube: FakeKube, client: Client) -> None:
    watch = client.watch()
    kube.fault("null-lists")
    [item] = client.list()["items"]
    assert item["endpoints"] is None and item["ports"] is None
    assert client.watch(resourceVersion="0").event()["object"]["endpoints"] is None
    kube.set_service(NAMESPACE, "is", pods(3))
    assert watch.event()["object"]["endpoints"], "an open watch stays as it is"


def check_lag(kube: FakeKube, client: Client) -> None:
    before = int(kube.resource_version)
    kube.set_service(NAMESPACE, "is", pods(3))
    behind = int(kube.resource_version) - before
    kube.fault("lag", rvs=behind)
    listed = client.list()
    assert listed["metadata"]["resourceVersion"] == str(before) and len(listed["items"][0]["endpoints"]) == 2
    assert client.get(SLICES, {"resourceVersion": kube.resource_version}).status == 504
    kube.fault("lag", times=1, rvs=behind, honest=False)
    watch = client.watch(resourceVersion=str(before))
    assert watch.silent(0.1)
    for _ in range(behind):
        kube.touch()
    assert version(watch.event()) == before + 1


def check_silent(kube: FakeKube, client: Client) -> None:
    fault = kube.fault("silent")
    quiet = client.watch(resourceVersion="0", allowWatchBookmarks="true", timeoutSeconds="1")
    heard = client.watch(resourceVersion="0")
    kube.touch()
    assert kube.bookmark() == 0 and quiet.silent() and kube.watches == 2
    fault.clear()
    assert heard.event()["type"] == "ADDED"


CHECKS: dict[str, Callable[[FakeKube, Client], None]] = {
    name: globals()["check_" + name.replace("-", "_")] for name in FAULT_NAMES
}


@pytest.mark.parametrize("name", FAULT_NAMES)
def test_fault(kube: FakeKube, client: Client, name: str) -> None:
    assert FAULTS[name].doc
    CHECKS[name](kube, client)
    kube.clear_faults()
    assert Client(kube).list()


def test_faults_are_checked_scoped_and_combined(kube: FakeKube, client: Client) -> None:
    wrongs: list[dict[str, Any]] = [{"name": "no-such"}, {"name": "close", "on": "list"}, {"name": "status", "size": 1}]
    for wrong in wrongs:
        with pytest.raises(ValueError):
            kube.fault(**wrong)
    kube.fault("status", namespace="other")
    assert client.list()
    kube.fault("delay", seconds=0.05)
    kube.fault("status", on="list", times=1, code=503)
    began = time.monotonic()
    assert client.get(SLICES).status == 503 and time.monotonic() - began >= 0.05
    kube.fault("status", on="review", code=500)
    assert client.pool.request("POST", kube.url + REVIEWS, json={}).status == 500


def test_writes_arrive_fast(kube: FakeKube, client: Client) -> None:
    watch = client.watch()
    taken = []
    for count in range(200):
        began = time.perf_counter()
        kube.set_service(NAMESPACE, "is", pods(count % 2 + 1))
        watch.event()
        taken.append(time.perf_counter() - began)
    assert sorted(taken)[100] < 0.05


def test_a_service_says_what_it_was_given(kube: FakeKube, client: Client) -> None:
    pods = [Pod("10.0.0.1")]
    more: dict[str, Any] = {"ports": {"https": 9443}, "exposed": {"https": 443}, "session_affinity": "ClientIP"}
    first = kube.set_service("ns", "svc", pods, **more)
    assert kube.set_service("ns", "svc", pods, **more) == first
    second = kube.set_service("ns", "svc", pods, annotations={"a": "b"}, **more)
    assert int(second) == int(first) + 1
    (service,) = client.list("/api/v1/namespaces/ns/services")["items"]
    assert service["metadata"]["annotations"] == {"a": "b"} and service["spec"]["sessionAffinity"] == "ClientIP"
    (port,) = service["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("https", 443, 9443)
