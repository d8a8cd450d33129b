"""Answers that are accepted and say nothing: of a proxy, or of a server that fails in its streams."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from membership import Membership, connect, roster
from membership.errors import BadAnswer
from membership.testing import FakeKube
from tests.faults.stage import THREE, TWO, Seen, addresses
from tests.running import HOST, pods, until

Answer = tuple[str, bytes]
"""Content-Type and body."""
JSON = "application/json"


def listed(version: int, *names: int) -> Answer:
    items = [_slice(version, names)]
    body = {"kind": "EndpointSliceList", "metadata": {"resourceVersion": str(version)}, "items": items}
    return JSON, json.dumps(body).encode()


def changed(version: int, *names: int, ending: tuple[int, ...] = ()) -> bytes:
    return json.dumps({"type": "MODIFIED", "object": _slice(version, names, ending)}).encode() + b"\n"


def failed(code: int) -> bytes:
    status = {"kind": "Status", "code": code, "reason": "InternalError", "message": "etcd is away"}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


def _slice(version: int, names: tuple[int, ...], ending: tuple[int, ...] = ()) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "is"}
    metadata = {"name": "is-1", "namespace": "wso2", "resourceVersion": str(version), "labels": labels}
    endpoints = [
        {
            "addresses": [f"10.244.0.{name}"],
            "conditions": {"terminating": name in ending},
            "targetRef": {"kind": "Pod", "name": f"is-{name}", "uid": f"u{name}"},
        }
        for name in names
    ]
    return {"kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": []}


@contextmanager
def answering(list: Callable[[int], Answer], watch: Callable[[int], Answer]) -> Iterator[Membership]:
    """The library at a server that answers each list and watch so, by their numbers from 1."""
    counts = {"list": 0, "watch": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = "watch" if "watch=1" in self.path else "list"
            counts[kind] += 1
            content_type, body = (watch if kind == "watch" else list)(counts[kind])
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # who has read enough of a page may have gone
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            api = connect(f"http://{HOST}:{server.server_port}", environ={}, service_account=Path("/nonexistent"))
            with Membership(api, ["wso2/is"]) as membership:
                membership.wait(0, 10)
                yield membership
        finally:
            server.shutdown()
            thread.join()


def goes_stale(seen: Seen) -> None:
    until(lambda: isinstance(seen.membership.problem, BadAnswer), 15, "the problem")
    until(lambda: seen.membership.current().stale, 15, "a stale list")
    assert seen.lists == [TWO], "it is kept"


def test_a_page_in_place_of_each_answer_is_no_proof(kube: FakeKube) -> None:
    """Something in front answers 200 to everything: the list must not look fresh for ever."""
    with Seen(kube, stale_after=3.0) as seen:
        kube.fault("html", on="any")
        kube.cut_watches()
        goes_stale(seen)


def test_watches_that_are_accepted_and_empty_are_no_proof(kube: FakeKube) -> None:
    with Seen(kube, stale_after=3.0) as seen:
        kube.fault("close", on="watch")
        kube.fault("html", on="list")
        kube.cut_watches()
        goes_stale(seen)


def test_streams_that_always_fail_lead_to_a_list(kube: FakeKube) -> None:
    with Seen(kube) as seen:
        kube.fault("error-event", on="watch", code=500)
        kube.cut_watches()
        kube.set_service("wso2", "is", pods(3))
        seen.becomes(THREE, 15)
        assert seen.membership.status()[0].lists["server-fault"] >= 1


def test_an_event_before_an_error_in_the_same_bytes_counts() -> None:
    """Else it would be sent with the error again and again, and never be taken."""
    stream = changed(11, 5, 6) + failed(500)
    with answering(lambda n: listed(10, 5), lambda n: (JSON, stream if n == 1 else failed(500))) as membership:
        snapshot = membership.wait(2, 10)
        assert addresses(snapshot) == ["10.244.0.5", "10.244.0.6"]
        assert snapshot.resource_versions == {"wso2": "11"}


def test_who_terminates_and_is_gone_in_the_same_bytes_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both events only the last was decided on, and the pod was held as if it was moving between two slices."""
    monkeypatch.setattr(roster, "HOLD", 60.0)
    stream = changed(11, 5, 6, ending=(6,)) + changed(12, 5)
    over = threading.Event()

    def watch(number: int) -> Answer:
        if number > 1:
            over.wait(60)
        return JSON, stream if number == 1 else b""

    with answering(lambda n: listed(10, 5, 6), watch) as membership:
        try:
            until(lambda: addresses(membership.current()) == ["10.244.0.5"], 10, "the list without it")
        finally:
            over.set()


def test_an_event_that_is_older_than_what_is_held_leads_to_a_list() -> None:
    """What came before it counts; it itself would take the list back in time."""
    stream = changed(11, 5, 6) + changed(9, 7)
    lists = {1: listed(10, 5), 2: listed(9, 7, 8)}
    over = threading.Event()
    told: list[list[str]] = []

    def watch(number: int) -> Answer:
        if number > 1:
            over.wait(60)
        return JSON, stream if number == 1 else b""

    with answering(lists.__getitem__, watch) as membership:
        membership.subscribe(lambda publication: told.append(addresses(publication.snapshot)))
        try:
            until(lambda: told[-1] == ["10.244.0.7", "10.244.0.8"], 10, "the list of the restored server")
        finally:
            over.set()
        assert [one for one in told if "10.244.0.7" in one] == told[-1:], "the event was taken"
        assert membership.status()[0].restored == 1
        assert membership.current().resource_versions == {"wso2": "9"}


def test_protobuf_under_another_name_is_read() -> None:
    """A proxy may take the Content-Type away: such a list was a bad answer for ever."""
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2))
        path = "/apis/discovery.k8s.io/v1/namespaces/wso2/endpointslices"
        request = Request(kube.url + path, headers={"Accept": "application/vnd.kubernetes.protobuf"})
        with urlopen(request, timeout=10) as response:
            body = response.read()
    assert body.startswith(b"k8s")
    anything = "application/octet-stream"
    with answering(lambda n: (anything, body), lambda n: (anything, b"")) as membership:
        assert addresses(membership.current()) == TWO
