"""F23, F26, F27 and F28: what reaches those who read the list, and what must not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from membership import Membership
from membership.testing import FakeKube
from tests.faults.stage import THREE, TWO, Seen, following, unhurried
from tests.running import Sidecar, pods, until

HERE = {"kubernetes.io/service-name": "is"}


def test_f23_unchanged_and_duplicate_events(kube: FakeKube, tmp_path: Path) -> None:
    """F23, the same again, by event or by list: the version moves, and nothing else; no file is written."""
    by_hand: dict[str, Any] = {
        "metadata": {"name": "by-hand", "namespace": "wso2", "labels": HERE},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.0.7"], "conditions": {"ready": True}}],
        "ports": [],
    }
    file = tmp_path / "members"
    with following(kube, "--out", f"lines:{file}") as sidecar:
        kube.fault("duplicate-event", times=1)
        kube.put_slice(by_hand)
        sidecar.follows(THREE)
        until(lambda: "10.244.0.7" in file.read_text(), what="the file")
        written, tag = file.stat(), sidecar.get("/members").headers["etag"]
        by_hand["metadata"]["annotations"] = {"seen": "again"}
        version = kube.put_slice(by_hand)
        until(lambda: sidecar.members()["resource_versions"]["wso2"] == version, what="the version")
        kube.fault("expired-event", times=1)
        kube.cut_watches("eof")
        kube.wait_for(lambda: kube.count("list") == 2 and kube.watches == 1)
        answer = sidecar.get("/members", {"If-None-Match": tag})
        assert (answer.status, answer.generation) == (304, 2)
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    unhurried(kube)


def test_f26_slow_consumer(kube: FakeKube) -> None:
    """F26, who reads slowly makes nobody wait: the stream is read on, and the next list he gets is the newest."""
    generations: list[int] = []
    busy, done = threading.Event(), threading.Event()
    with Seen(kube) as seen:

        def consume() -> None:
            for snapshot in seen.membership.changes():
                generations.append(snapshot.generation)
                busy.set()
                done.wait(20)

        consumer = threading.Thread(target=consume, daemon=True)
        consumer.start()
        assert busy.wait(5)
        for count in range(3, 203):
            kube.set_service("wso2", "is", pods(count))
        until(lambda: len(seen.lists[-1]) == 202, what="the reader")
        assert generations == [1]
        done.set()
        newest = seen.membership.current().generation
        until(lambda: generations[-1] == newest, what="the newest list")
        assert newest > 5 and len(generations) <= 3, "no backlog"
    consumer.join(5)
    assert kube.count("watch") == kube.count("list") == 1, "the server never had to close the stream"


def _recreated(kube: FakeKube) -> list[list[str]]:
    kube.delete_service("wso2", "is", leave_slices=True)
    kube.set_service("wso2", "is", pods(2, 20))
    return [TWO, ["10.244.0.20", "10.244.0.21"]]


def _moved(kube: FakeKube) -> list[list[str]]:
    """From one slice to another in two writes, the removal first, as the controller does it."""
    _put(kube, "a", [_endpoint("10.244.0.7", "u7")])
    _put(kube, "a", [])
    _put(kube, "b", [_endpoint("10.244.0.7", "u7")])
    return [TWO, THREE]


def _ghost(kube: FakeKube) -> list[list[str]]:
    """A pod that terminates still names an address that a new pod has by now; its slice is the last to change."""
    _put(kube, "new", [_endpoint("10.244.0.7", "new")])
    _put(kube, "old", [_endpoint("10.244.0.7", "old", ready=False, serving=False, terminating=True)])
    return [TWO, THREE]


def _deleted(kube: FakeKube) -> list[list[str]]:
    kube.delete_service("wso2", "is")
    return [TWO, []]


def _put(kube: FakeKube, name: str, endpoints: list[dict[str, Any]]) -> None:
    metadata = {"name": name, "namespace": "wso2", "labels": HERE}
    kube.put_slice({"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": []})


def _endpoint(address: str, uid: str, **conditions: bool) -> dict[str, Any]:
    conditions = conditions or {"ready": True, "serving": True, "terminating": False}
    return {"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": uid, "uid": uid}}


@pytest.mark.parametrize("happens", [_recreated, _moved, _ghost, _deleted])
def test_f27_service_and_slices_replaced(kube: FakeKube, happens: Callable[[FakeKube], list[list[str]]]) -> None:
    """F27, Service made anew, pod moved, address reused: no flap, nobody twice; "unknown" is told from "empty"."""
    with Seen(kube) as seen:
        wanted = happens(kube)
        version = kube.resource_version
        until(lambda: _reached(seen.membership, kube, version), what="the last event")
        seen.becomes(wanted[-1], 3)
        rested = seen.membership.wait_newer(seen.membership.current().generation, 0.6)  # longer than anything is held
        assert not rested and seen.lists == wanted
        assert seen.membership.current().unknown_services == (("wso2/is",) if happens is _deleted else ())
        uids = [member.uid for member in seen.membership.current().members]
        assert len(uids) == len(set(uids)) and "old" not in uids


def _reached(membership: Membership, kube: FakeKube, version: str) -> bool:
    kube.bookmark()
    return int(membership.current().resource_versions["wso2"]) >= int(version)


def test_f28_nothing_before_all_are_listed(kube: FakeKube, tmp_path: Path) -> None:
    """F28, half of the Services are listed: nothing is published, no file, no hook, until all are."""
    kube.set_service("apps", "gateway", pods(1, 20))
    out, mark = tmp_path / "members", tmp_path / "mark"
    failing = kube.fault("status", on="list", namespace="apps", code=503)
    flags = ("--out", f"lines:{out}", "--on-change", f"touch {mark}")
    with Sidecar(kube, *flags, services="wso2/is,apps/gateway") as sidecar:
        kube.wait_for_watch(1)  # wso2 is followed, apps is not
        kube.wait_for(lambda: failing.hits >= 2)
        assert sidecar.get("/members").status == 503 and sidecar.metric("membership_synced") == 0
        assert "503" in sidecar.get("/readyz").text
        kube.set_service("wso2", "is", pods(3))
        assert not out.exists() and not mark.exists()
        failing.clear()
        sidecar.follows(["10.244.0.20", *THREE], 10)
        assert sidecar.members()["generation"] == 1
        until(mark.exists, what="the hook")
        assert len(out.read_text().splitlines()) == 4
    unhurried(kube)
