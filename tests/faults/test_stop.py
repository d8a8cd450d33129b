"""F30: the end, whatever the API server does or does not do meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from membership import Membership
from membership.testing import FakeKube
from tests.faults.stage import server_of
from tests.running import HOST, STOP_LIMIT, Sidecar, refused_port, silent_listener, until

Blocked = Callable[[FakeKube], AbstractContextManager[Sidecar]]


@contextmanager
def _refused(kube: FakeKube) -> Iterator[Sidecar]:
    with refused_port() as port, Sidecar(f"http://{HOST}:{port}") as sidecar:
        sidecar.wait_log("refused")
        yield sidecar


@contextmanager
def _connecting(kube: FakeKube) -> Iterator[Sidecar]:
    with silent_listener() as server, Sidecar(server) as sidecar:
        assert sidecar.get("/livez").status == 200
        yield sidecar


@contextmanager
def _shaking_hands(kube: FakeKube) -> Iterator[Sidecar]:
    with socket.create_server((HOST, 0)) as listener:
        with Sidecar(f"https://{HOST}:{listener.getsockname()[1]}") as sidecar:
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(100)  # the client's hello
                yield sidecar


@contextmanager
def _listing(kube: FakeKube) -> Iterator[Sidecar]:
    fault = kube.fault("hang", on="list")
    with Sidecar(kube, services="wso2/is,apps/a,other/b") as sidecar:
        until(lambda: fault.hits >= 3, 10, "the requests")
        yield sidecar


@contextmanager
def _listing_by_drops(kube: FakeKube) -> Iterator[Sidecar]:
    fault = kube.fault("drip", on="list", delay=0.05)
    with Sidecar(kube) as sidecar:
        until(lambda: fault.hits, 10, "the request")
        assert sidecar.get("/members").status == 503
        yield sidecar


@contextmanager
def _opening_a_watch(kube: FakeKube) -> Iterator[Sidecar]:
    fault = kube.fault("hang", on="watch")
    with Sidecar(kube, services="wso2/is,apps/a,other/b") as sidecar:
        until(lambda: fault.hits >= 3, 10, "the requests")
        yield sidecar


@contextmanager
def _watching_silence(kube: FakeKube) -> Iterator[Sidecar]:
    kube.fault("silent")
    with Sidecar(kube) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        yield sidecar


@contextmanager
def _watching_a_black_hole(kube: FakeKube) -> Iterator[Sidecar]:
    with Sidecar(kube) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.stall()
        yield sidecar


@contextmanager
def _throttled(kube: FakeKube) -> Iterator[Sidecar]:
    kube.fault("status", on="list", code=429, retry_after=60)
    with Sidecar(kube) as sidecar:
        sidecar.wait_log("429")
        yield sidecar


@pytest.mark.parametrize("on", ["list", "watch", "silence"])
def test_no_thread_stays_behind(kube: FakeKube, on: str) -> None:
    """Of the library: `close` ends them, not the end of the process."""
    blocked = kube.fault("silent") if on == "silence" else kube.fault("hang", on=on)
    with Membership(server_of(kube), ["wso2/is"]):
        kube.wait_for(lambda: blocked.hits)
        before = [thread.name for thread in threading.enumerate() if thread.name.startswith("membership-")]
    assert before == ["membership-wso2", "membership-time"]
    assert not any(thread.name in before for thread in threading.enumerate())


@pytest.mark.parametrize(
    "blocked",
    [
        _refused,
        _connecting,
        _shaking_hands,
        _listing,
        _listing_by_drops,
        _opening_a_watch,
        _watching_silence,
        _watching_a_black_hole,
        _throttled,
    ],
)
def test_f30_shutdown_while_blocked(kube: FakeKube, blocked: Blocked) -> None:
    """F30, SIGTERM while a connection, an answer, a stream or a delay is waited for: 0, within a second."""
    with blocked(kube) as sidecar:
        code, took = sidecar.stop()
        assert code == 0, sidecar.log
        assert took < STOP_LIMIT, f"{took:.2f} s"
        assert "Traceback" not in sidecar.log
