"""F1, F2, F6 and F7: connections that stay open, and nothing comes, or too little."""

from __future__ import annotations

import contextlib
import time
from urllib.parse import urlsplit

import pytest

from membership.errors import Silent
from membership.testing import FakeKube
from membership.transport import Address, Exchange, Interrupt, Tls
from tests.faults.stage import THREE, answering, following, heals, keepalive_left, kept, unhurried
from tests.running import HOST, pods, until


def test_f01_black_holed_connection(kube: FakeKube) -> None:
    """F1, packets vanish and nobody says so: silence itself ends the stream; the list stays, and its age is told."""
    with following(kube, "--stale-after", "800ms") as sidecar:
        kube.stall()
        until(lambda: sidecar.members()["stale"], what="staleness")
        kept(sidecar)
        ready = sidecar.get("/readyz?verbose")
        assert ready.status == 503 and "limit 0.8 s" in ready.text
        until(lambda: sidecar.metric("membership_watch_restarts_total", reason="quiet") == 1, what="the stream's end")
        sidecar.wait_log("the list is stale")
        kube.resume()
        heals(kube, sidecar)
        assert sidecar.count("the list is stale") == 1


@pytest.mark.parametrize("fault", ["silent", "hang"])
def test_f02_live_proxy_with_a_dead_upstream(kube: FakeKube, fault: str) -> None:
    """F2, a proxy accepts, its upstream is gone: keepalive sees nothing; watch again on silence, within the limit."""
    with following(kube, "--stale-after", "2s") as sidecar:
        dead = kube.fault(fault, on="watch", times=1)
        kube.cut_watches("eof")
        kube.wait_for(lambda: dead.hits == 1)
        kube.set_service("wso2", "is", pods(3))  # lost behind the dead upstream
        sidecar.follows(THREE, 5)
        assert sidecar.members()["generation"] == 2
        reason = {"silent": "quiet", "hang": "silent"}[fault]
        assert sidecar.metric("membership_watch_restarts_total", reason=reason) == 1
        assert kube.count("list") == 1, "silence is a hint: no list for it"
    unhurried(kube)


def test_f06_idle_timeout_of_a_balancer(kube: FakeKube) -> None:
    """F6, a balancer forgets silent connections: probes within 30 s, timeoutSeconds up to 300; a cut is no news."""
    with following(kube) as sidecar:
        port = urlsplit(kube.url).port or 0
        until(lambda: keepalive_left(sidecar.pid, port) is not None, what="the kernel's timer")
        assert (keepalive_left(sidecar.pid, port) or 0) <= 10
        kube.cut_watches("reset")
        heals(kube, sidecar)
        assert '"warning"' not in sidecar.log
    watched = [request.query for request in kube.requests if request.kind == "watch"]
    assert len(watched) == 2 and all(240 <= int(query["timeoutSeconds"]) <= 300 for query in watched)
    assert kube.count("list") == 1


def test_f07_proxy_that_buffers(kube: FakeKube) -> None:
    """F7, events are held back until the stream ends: warn where nothing is sent in chunks, and list all the same."""
    with following(kube, "--relist-interval", "700ms") as sidecar:
        held_back = kube.fault("buffer")
        kube.cut_watches("eof")
        kube.wait_for(lambda: held_back.hits == 1)
        assert '"level": "warning"' in sidecar.wait_log("not sent in chunks")
        heals(kube, sidecar, 5)
        assert sidecar.metric("membership_relists_total", reason="periodic")


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (HEAD + b"X-Slow: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (CHUNKED + b"5;", b"x"),
        (CHUNKED + b"3\r\nabc", b"\r\n1\r\nx"),
    ],
    ids=["the head", "100", "102", "the size of a chunk", "the body"],
)
def test_an_answer_that_drips_is_over_at_its_deadline(first: bytes, more: bytes) -> None:
    """Each byte keeps a timeout of the socket from passing; whole answers have deadlines."""
    with answering(first, more) as port:
        began = time.monotonic()
        exchange = Exchange(Address(HOST, port), Interrupt())
        with contextlib.closing(exchange), pytest.raises(Silent):
            exchange.request("GET", "/", {}, None, began + 1)
            exchange.read_all(began + 1)
        assert 1 <= time.monotonic() - began < 3


def test_a_stream_that_drips_is_over_at_its_deadline() -> None:
    """Where its head came at once: the silence of a stream is counted by `read_some` alone."""
    with answering(CHUNKED + b"5;", b"x") as port:
        exchange = Exchange(Address(HOST, port), Interrupt())
        with contextlib.closing(exchange):
            exchange.request("GET", "/", {}, None, time.monotonic() + 30)
            began = time.monotonic()
            with pytest.raises(Silent):
                exchange.read_some(began + 1)
        assert 1 <= time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("first", "more", "delay"),
    [
        (b"HTTP/1.1 200 Connection established\r\nX-Slow: ", b"x", 0.0),
        (b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x03\x3f\xff", b"", 1.5),
    ],
    ids=["the tunnel's head", "TLS after the tunnel"],
)
def test_a_tunnel_that_drips_is_over_at_its_deadline(first: bytes, more: bytes, delay: float) -> None:
    """TCP, TLS and a proxy have one time together, and none of them its own."""
    with answering(first, more, delay) as port:
        began = time.monotonic()
        exchange = Exchange(Address(HOST, 443, Tls(), (HOST, port, {})), Interrupt())
        with contextlib.closing(exchange), pytest.raises(Silent):
            exchange.request("GET", "/", {}, None, began + 2)
        assert 2 <= time.monotonic() - began < 3


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_what_announces_an_answer_is_no_answer(status: str) -> None:
    announced = f"HTTP/1.1 {status}\r\nLink: </>\r\n\r\n".encode()
    with answering(announced * 2 + HEAD + b"Content-Length: 2\r\n\r\nok", b"") as port:
        exchange = Exchange(Address(HOST, port), Interrupt())
        with contextlib.closing(exchange):
            exchange.request("GET", "/", {}, None, time.monotonic() + 10)
            assert (exchange.response.status, exchange.read_all(time.monotonic() + 10)) == (200, b"ok")
