"""F22, F29 and F31: a server that says nothing, one that comes back, and what our health is made of."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from membership import Membership
from membership.testing import FakeKube
from tests.faults.stage import following, heals, kept, server_of, unhurried, watches
from tests.running import Sidecar, until

CROWD = 20
"""Sidecars that follow one server."""


@pytest.mark.parametrize("bookmarks", [False, True], ids=["none", "some"])
def test_f22_bookmarks_that_do_not_come(kube: FakeKube, bookmarks: bool) -> None:
    """F22, a quiet stream may have no bookmarks for minutes: opened anew by watch, no list, no alarm, never stale."""
    if bookmarks:
        kube.bookmark_interval = 0.1
    with following(kube, "--stale-after", "2s") as sidecar:
        first, end = sidecar.members(), time.monotonic() + 3.8
        while time.monotonic() < end:
            if bookmarks:
                kube.touch()
            body = sidecar.members()
            assert not body["stale"] and body["age_seconds"] < 2 and body["generation"] == 1
            time.sleep(0.02)
        assert sidecar.get("/readyz").status == 200 and '"warning"' not in sidecar.log
        assert kube.count("list") == 1
        assert kube.count("watch") == 1 if bookmarks else kube.count("watch") >= 3
        younger = int(sidecar.members()["resource_versions"]["wso2"]) - int(first["resource_versions"]["wso2"])
        assert younger > 5 if bookmarks else younger == 0
    unhurried(kube)


def test_f29_thundering_herd(kube: FakeKube) -> None:
    """F29, all sidecars lose the same server at once: they come back spread out, to watch and not to list."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(Membership(server_of(kube), ["wso2/is"])) for _ in range(CROWD)]
        kube.wait_for_watch(CROWD, 20)
        kube.stop_listening(cut=True)
        until(lambda: all(one.requests_by_code().get("error", 0) >= 2 for one in crowd), 15, "two tries of each")
        kube.listen_again()
        back = time.monotonic()
        kube.wait_for_watch(CROWD, 20)
        times = sorted(request.time - back for request in kube.requests if request.time > back)
        longest = max(sum(begin <= at < begin + 0.1 for at in times) for begin in times)
        assert longest <= CROWD * 0.6, f"{longest} of {CROWD} within a tenth of a second: {times}"
        assert kube.count("list") == CROWD, "one each, at the start"
        timeouts = {request.query["timeoutSeconds"] for request in kube.requests if request.kind == "watch"}
        assert len(timeouts) > CROWD / 2, "streams that began together do not end together"
        assert len(set(watches(kube))) == 1


def test_f31_health_that_can_fail(kube: FakeKube) -> None:
    """F31, health is the age of the last proof: trying is none, and an empty selection is no fault."""
    with FakeKube() as other, Sidecar(other, services="wso2/none") as empty:
        assert empty.synced().members()["unknown_services"] == ["wso2/none"]
    with following(kube, "--stale-after", "700ms") as sidecar:
        failing = kube.fault("status", code=500)
        kube.cut_watches("eof")
        until(lambda: sidecar.get("/readyz").status == 503, what="a stale list")
        ages, requests = [], sidecar.metric("membership_requests_total", code="500") or 0
        until(lambda: (sidecar.metric("membership_requests_total", code="500") or 0) > requests, 15, "another try")
        for _ in range(5):
            assert sidecar.get("/readyz").status == 503
            ages.append(sidecar.metric("membership_age_seconds") or 0)
        assert ages == sorted(ages) and ages[0] > 0.7
        kept(sidecar)
        failing.clear()
        heals(kube, sidecar, 15)
