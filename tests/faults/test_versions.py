"""F12, F13, F14, F20, F21 and F24: resource versions that are too old, too new, or from another past."""

from __future__ import annotations

from typing import Any

import pytest

from membership.testing import FakeKube
from tests.faults.stage import FOUR, THREE, TWO, Seen, following, lists, unhurried, watches
from tests.running import Sidecar, pods, until


def test_f12_expired_inside_the_stream(kube: FakeKube) -> None:
    """F12, an ERROR event 410: never the same version again, but the most recent list, and from there."""
    _list_after_410(kube, "expired-event")


def test_f13_expired_as_a_status(kube: FakeKube) -> None:
    """F13, the watch is answered with HTTP 410: the same as inside the stream."""
    _list_after_410(kube, "expired-status")


def _list_after_410(kube: FakeKube, fault: str) -> None:
    with Seen(kube) as seen:
        expired = kube.fault(fault, on="watch", times=2)
        kube.cut_watches("eof")
        kube.wait_for(lambda: expired.left == 0, 10)
        kube.wait_for_requests(4, "watch", 10)
        kube.set_service("wso2", "is", pods(3))
        seen.becomes(THREE)
        (status,) = seen.membership.status()
        assert status.lists["expired"] == status.watch_restarts["expired"] == 2
        assert seen.lists == [TWO, THREE]
    assert [request.kind for request in kube.requests] == ["list", "watch", "watch", "list", "watch", "list", "watch"]
    assert lists(kube) == ["", "", ""]
    unhurried(kube)


@pytest.mark.parametrize(
    ("fault", "params"), [("expired-status", {}), ("half-line", {}), ("partial-list", {"items": 1})]
)
def test_f14_list_that_breaks_off(fault: str, params: dict[str, Any]) -> None:
    """F14, 410 on a list, or its end is missing: we ask for no pages and use nothing before the end."""
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2), per_slice=1)
        first = kube.fault(fault, on="list", times=1, **params)
        with Seen(kube) as seen:
            assert first.hits == 1
            kube.fault("expired-event", times=1)
            again = kube.fault(fault, on="list", times=1, **params)
            kube.cut_watches("eof")
            kube.wait_for(lambda: again.left == 0, 10)
            kube.set_service("wso2", "is", pods(3), per_slice=1)
            seen.becomes(THREE)
            assert seen.lists == [TWO, THREE], "never the first page alone"
            assert seen.membership.problem is None
        assert not any({"limit", "continue"} & request.query.keys() for request in kube.requests)
        unhurried(kube)


def test_f20_restored_to_an_older_state(kube: FakeKube) -> None:
    """F20, etcd was restored, our version is in the future and the stream stays silent: the periodic list replaces."""
    backup = kube.checkpoint()
    with following(kube, "--relist-interval", "800ms") as sidecar:
        kube.set_service("wso2", "is", pods(4))
        for _ in range(5):
            kube.touch()
        sidecar.follows(FOUR)
        before = sidecar.members()
        kube.restore(backup)
        sidecar.follows(TWO)
        after = sidecar.members()
        assert (after["generation"], after["epoch"]) == (before["generation"] + 1, before["epoch"])
        assert int(after["resource_versions"]["wso2"]) < int(before["resource_versions"]["wso2"])
        assert sidecar.metric("membership_server_restored_total") == 1
        # Cut by ourselves: no fault, and no backoff.
        assert sidecar.metric("membership_watch_restarts_total", reason="restored") == 1
        assert not sidecar.metric("membership_watch_restarts_total", reason="cut")
        sidecar.wait_log('"level": "warning".*restored')
        kube.set_service("wso2", "is", pods(3))  # the stream must follow the restored server, too
        sidecar.follows(THREE, 1.0)
        assert sidecar.metric("membership_server_restored_total") == 1
    unhurried(kube)


def test_a_server_restored_while_it_was_away(kube: FakeKube) -> None:
    backup = kube.checkpoint()
    with Sidecar(kube, "--relist-interval", "800ms") as sidecar:
        sidecar.synced()
        kube.set_service("wso2", "is", pods(4))
        sidecar.follows(FOUR)
        kube.stop_listening(cut=True)
        kube.restore(backup)
        sidecar.wait_log("refused")
        assert len(sidecar.addresses()) == 4
        kube.listen_again()
        sidecar.follows(TWO, 15)
        assert sidecar.metric("membership_server_restored_total") == 1


@pytest.mark.parametrize("answer", ["504", "older"])
def test_f21_stale_list(kube: FakeKube, answer: str) -> None:
    """F21, a server that is behind: the first list is the most recent one, and no list takes us back."""
    with Seen(kube) as seen:
        kube.set_service("wso2", "is", pods(3))
        seen.becomes(THREE)
        held = seen.membership.current().resource_versions["wso2"]
        kube.fault("bad-json", on="watch", times=1)  # after which a list is asked for that is as new as what we hold
        behind = kube.fault("lag", on="list", times=1, rvs=4, honest=answer == "504")
        kube.cut_watches("eof")
        kube.wait_for(lambda: behind.left == 0, 10)
        kube.set_service("wso2", "is", pods(4))
        seen.becomes(FOUR)
        assert seen.lists == [TWO, THREE, FOUR]
        (status,) = seen.membership.status()
        assert status.restored == 0
        assert status.lists["too-large" if answer == "504" else "outdated"] == 1
    assert lists(kube) == ["", held, ""]
    assert "0" not in (*lists(kube), *watches(kube))
    unhurried(kube)


@pytest.mark.parametrize("gap", ["outage", "lost events"])
def test_f24_delete_lost_in_a_gap(kube: FakeKube, gap: str) -> None:
    """F24, a pod and a whole slice went while nobody told us: every list replaces, in one step."""
    metadata = {"name": "by-hand", "namespace": "wso2", "labels": {"kubernetes.io/service-name": "is"}}
    kube.put_slice({"metadata": metadata, "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.0.7"]}]})
    with following(kube, "--relist-interval", "5m" if gap == "outage" else "800ms") as sidecar:
        assert sidecar.addresses() == THREE
        if gap == "outage":
            kube.stop_listening(cut=True)
        else:
            kube.fault("drop-event", times=2)
        kube.set_service("wso2", "is", [*pods(1), *pods(2, 8)])  # 10.244.0.6 goes, unseen
        kube.delete_slice("wso2", "by-hand")
        if gap == "outage":
            kube.touch()
            kube.compact()
            kube.listen_again()
        sidecar.follows(["10.244.0.5", "10.244.0.8", "10.244.0.9"], 10)
        assert sidecar.members()["generation"] == 2, "one step, without a moment in between"
        assert sidecar.metric("membership_relists_total", reason="expired" if gap == "outage" else "periodic")
        assert kube.count("watch") == (3 if gap == "outage" else 1), "a verification runs beside the stream"
    unhurried(kube)


def test_a_verification_that_failed_comes_again_though_the_stream_is_quiet(kube: FakeKube) -> None:
    """Nothing but the failure itself plans it: no event and no bookmark comes that would."""
    with Seen(kube, relist_interval=0.5) as seen:
        kube.fault("status", on="list", times=2, code=500)
        until(
            lambda: seen.membership.status()[0].lists.get("periodic", 0) >= 4,
            10,
            "two verifications after two that failed",
        )
        assert not seen.membership.status()[0].watch_restarts
