"""F1, F2, F6 and F7: connections that stay open, and nothing comes."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from membership.testing import FakeKube
from tests.faults.stage import THREE, following, heals, keepalive_left, kept, unhurried
from tests.running import pods, until


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
