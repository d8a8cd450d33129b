"""F18, F19, F25 and F32: answers that are broken, big, compressed, or have null for a list."""

from __future__ import annotations

from typing import Any

import pytest

from membership.testing import FakeKube
from tests.faults.stage import THREE, TWO, Seen, following, heals, lists, unhurried, watches
from tests.running import pods, until

HERE = {"kubernetes.io/service-name": "is"}


@pytest.mark.parametrize("fault", ["half", "half, then a clean end", "bad line"])
def test_f18_broken_line(kube: FakeKube, fault: str) -> None:
    """F18, half a line is dropped and watched for again; a complete bad line means a list, and is counted."""
    with Seen(kube) as seen:
        kube.set_service("wso2", "is", pods(1))
        seen.becomes(TWO[:1])
        held = seen.membership.current().resource_versions["wso2"]
        if fault == "half":
            kube.cut_watches("half")
        else:
            kube.fault(
                *(("bad-json",) if fault == "bad line" else ("half-line",)), on="watch", times=1, **_clean(fault)
            )
            kube.cut_watches("eof")
        kube.set_service("wso2", "is", pods(3))
        seen.becomes(THREE)
        assert seen.lists == [TWO, TWO[:1], THREE]
        (status,) = seen.membership.status()
        assert status.lists.get("bad-answer", 0) == (fault == "bad line")
    assert lists(kube) == ([""] if fault != "bad line" else ["", held])
    assert watches(kube)[1] == held
    unhurried(kube)


def _clean(fault: str) -> dict[str, Any]:
    return {"clean": True} if fault.startswith("half") else {}


def test_f19_big_events(kube: FakeKube) -> None:
    """F19, 1.5 MiB in one line and characters torn in two: read as it comes, decoded line by line, in little memory."""
    with following(kube) as sidecar:
        torn = kube.fault("drip", on="watch", times=1, delay=0.00001, size=4999)
        kube.cut_watches("eof")
        kube.wait_for(lambda: torn.hits == 1)
        kube.put_slice(big_slice("is-big", 1000))
        wanted = [*TWO, *(f"10.245.{n // 250}.{n % 250 + 1}" for n in range(1000))]
        sidecar.follows(wanted)
        answer = sidecar.members()
        assert answer["generation"] == 2
        assert {member["zone"] for member in answer["members"][2:]} == {"Zürich-東京"}
        assert sidecar.resident() < 120
        assert sidecar.metric("membership_relists_total", reason="bad-answer") is None


def big_slice(name: str, count: int) -> dict[str, Any]:
    """A slice of `count` endpoints, full to the limit of an object: 1.5 MiB."""
    endpoints = [
        {
            "addresses": [f"10.245.{n // 250}.{n % 250 + 1}"],
            "conditions": {"ready": True},
            "zone": "Zürich-東京",
            "targetRef": {"kind": "Pod", "name": f"big-{n}", "uid": f"big-{n}"},
        }
        for n in range(count)
    ]
    return {
        "metadata": {"name": name, "namespace": "wso2", "labels": HERE, "annotations": {"filler": "é" * 650_000}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [],
    }


def test_40_mib_lines_cost_no_lasting_memory(kube: FakeKube) -> None:
    with following(kube) as sidecar:
        fault = kube.fault("huge-line", times=2)
        kube.cut_watches()
        kube.wait_for(lambda: fault.left == 0, 15, "the fault")
        line = sidecar.wait_log("longer than|larger than")
        assert kube.url in line
        heals(kube, sidecar)
        assert sidecar.resident() < 120  # MiB; one line of up to 32 MiB is all that is ever held


@pytest.mark.parametrize("always", [False, True], ids=["where accepted", "always"])
def test_f25_compressed_stream(kube: FakeKube, caplog: pytest.LogCaptureFixture, always: bool) -> None:
    """F25, gzip holds events back or hides them: ask for identity, and name an answer that is encoded all the same."""
    with Seen(kube) as seen:
        zipped = kube.fault("gzip", times=2, always=always)
        kube.cut_watches("eof")
        kube.wait_for(lambda: zipped.hits >= (2 if always else 1), 10)
        kube.set_service("wso2", "is", pods(3))
        seen.becomes(THREE)
        assert seen.lists == [TWO, THREE]
    assert ("'gzip', which was not asked for" in caplog.text) is always
    assert {request.headers["accept-encoding"] for request in kube.requests} == {"identity"}
    unhurried(kube)


def test_f32_null_lists(kube: FakeKube) -> None:
    """F32, null where a list could be: legal, and nothing but an empty list."""
    nulls: list[dict[str, Any]] = [
        {"endpoints": None, "ports": None},
        {"endpoints": [{"addresses": None}, {"addresses": ["10.244.0.7"], "conditions": None}], "ports": None},
    ]
    for n, fields in enumerate(nulls):
        metadata = {"name": f"null-{n}", "namespace": "wso2", "labels": HERE, "ownerReferences": None}
        kube.put_slice({"metadata": metadata, "addressType": "IPv4", **fields})
    with following(kube) as sidecar:
        assert sidecar.addresses() == THREE
        kube.put_slice(
            {"metadata": {"name": "null-2", "namespace": "wso2", "labels": HERE}, "addressType": "IPv4", **nulls[0]}
        )
        kube.set_service("wso2", "is", pods(1))
        sidecar.follows(["10.244.0.5", "10.244.0.7"])
        member = sidecar.members()["members"][1]
        assert (member["ports"], member["ready"], member["terminating"]) == ({}, True, False)
        assert kube.count("list") == 1 and '"warning"' not in sidecar.log
        everything = kube.fault("null-lists", on="list")
        kube.compact()
        kube.touch()
        kube.compact()
        kube.cut_watches("eof")
        kube.wait_for(lambda: everything.hits == 1)
        sidecar.follows([])
        assert sidecar.metric("membership_relists_total", reason="bad-answer") is None


def test_one_list_and_one_stream_for_each_namespace(kube: FakeKube) -> None:
    kube.set_service("wso2", "am", pods(1, 20))
    kube.set_service("apps", "gateway", pods(1, 30))
    with following(kube, services="wso2/is,apps/gateway,wso2/am") as sidecar:
        kube.wait_for_watch(2)
        kube.set_service("apps", "gateway", pods(2, 30))
        kube.set_service("wso2", "am", pods(2, 20))
        until(lambda: len(sidecar.addresses()) == 6, what="both changes")
        assert kube.watches == 2
    found = sorted((request.kind, str(request.namespace)) for request in kube.requests)
    assert found == [("list", "apps"), ("list", "wso2"), ("watch", "apps"), ("watch", "wso2")]
    for request in kube.requests:
        services = "gateway" if request.namespace == "apps" else "am,is"
        assert request.query["labelSelector"] == f"kubernetes.io/service-name in ({services})"
        if request.kind == "list":
            assert "resourceVersion" not in request.query
        else:
            assert request.query["allowWatchBookmarks"] == "true"
            assert 240 <= int(request.query["timeoutSeconds"]) <= 300
