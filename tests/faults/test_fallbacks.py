"""What is done without where RBAC or an old server does not give it: slices, or watching."""

from __future__ import annotations

import re

import pytest

from membership import Membership, Options
from membership.testing import FakeKube
from tests.faults.stage import THREE, TWO, addresses, server_of, unhurried
from tests.running import Sidecar, pods, until


def test_permissions_taken_away_and_given_back(kube: FakeKube, hasty: None) -> None:
    options = Options(stale_after=1.0, poll_interval=0.3)
    with Membership(server_of(kube), ["wso2/is"], options=options) as membership:
        membership.wait(2, 10)
        kube.wait_for_watch()
        kube.deny("*", "*")
        kube.cut_watches()
        # First of the watch, which is not believed for a moment, for the connection was cut; then of the list.
        words = ("403", "list", "endpointslices", "wso2", kube.url)
        until(lambda: all(word in str(membership.problem) for word in words), 10, "the refusal")
        until(lambda: membership.current().stale, what="staleness")
        assert addresses(membership.current()) == TWO
        kube.set_service("wso2", "is", pods(3))
        kube.allow("*", "*")
        until(lambda: addresses(membership.current()) == THREE, 10, "the new list")
        until(lambda: membership.current().source == "endpointslices" and not membership.problem, 10, "slices again")
    unhurried(kube)


@pytest.mark.parametrize("how", ["forbidden", "absent"])
def test_without_slices_endpoints_serve_and_slices_come_back(kube: FakeKube, hasty: None, how: str) -> None:
    kube.deny("*", "endpointslices") if how == "forbidden" else kube.remove_api("endpointslices")
    with Membership(server_of(kube), ["wso2/is"]) as membership:
        snapshot = membership.wait(2, 10)
        assert (snapshot.source, addresses(snapshot)) == ("endpoints", TWO)
        kube.allow("*", "endpointslices") if how == "forbidden" else kube.restore_api("endpointslices")
        until(lambda: membership.current().source == "endpointslices", 10, "the slices")
        assert addresses(membership.current()) == TWO
        kube.wait_for(lambda: kube.watches == 1)
        kube.set_service("wso2", "is", pods(3))
        until(lambda: addresses(membership.current()) == THREE, what="the change")
    unhurried(kube)


@pytest.mark.parametrize(
    ("denied", "source", "words"),
    [
        ((("*", "endpointslices"),), "endpoints", "cannot list resource.*endpointslices"),
        ((("watch", "endpointslices"),), "endpointslices-polling", "cannot watch resource.*endpointslices"),
        ((("*", "endpointslices"), ("watch", "endpoints")), "endpoints-polling", "cannot watch resource.*endpoints"),
    ],
)
def test_fallbacks_are_told_and_follow(
    kube: FakeKube, denied: tuple[tuple[str, str], ...], source: str, words: str
) -> None:
    for verb, resource in denied:
        kube.deny(verb, resource)
    with Sidecar(kube, "--poll-interval", "300ms", "--stale-after", "3s") as sidecar:
        sidecar.synced()
        until(lambda: sidecar.members()["source"] == source, what=f"source {source}")
        sidecar.wait_log(f'"level": "warning".*{words}')
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200 and f"source {source}" in answer.text and re.search(words, answer.text)
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE)
        assert not sidecar.members()["stale"] and sidecar.members()["age_seconds"] < 3
        if source.endswith("-polling"):
            lists = kube.count("list")
            kube.wait_for(lambda: kube.count("list") >= lists + 3, 5, "more polls")
            assert "polling" in answer.text and kube.watches == 0
    unhurried(kube)


def test_where_namespaces_differ_the_last_source_counts(kube: FakeKube) -> None:
    kube.set_service("apps", "gateway", pods(1, 20))
    kube.deny("watch", "endpointslices", "apps")
    with Sidecar(kube, "--poll-interval", "300ms", services="wso2/is,apps/gateway") as sidecar:
        sidecar.synced()
        until(lambda: sidecar.members()["source"] == "endpointslices-polling", what="the source")
        text = sidecar.get("/readyz?verbose").text
        assert "namespace wso2: source endpointslices, watching" in text
        assert "namespace apps: source endpointslices-polling" in text


def test_a_source_that_was_named_is_the_only_one(kube: FakeKube) -> None:
    kube.deny("*", "endpointslices")
    with Sidecar(kube, "--source", "endpointslices") as sidecar:
        sidecar.wait_log("cannot list resource")
        assert sidecar.get("/members").status == 503
    assert {request.resource for request in kube.requests} == {"endpointslices"}
