"""`--upstream`: the list of another sidecar, its age, its restarts, and the API server while it is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from membership.testing import FakeKube
from tests.running import Sidecar, pods, until

SOON = ("--stale-after", "9s")
"""Blocking queries of 1 s, and the API server is asked after 1.5 to 2.5 s without an answer."""


def url(sidecar: Sidecar) -> str:
    return f"http://127.0.0.1:{sidecar.port}"


def addresses(count: int) -> list[str]:
    return [f"10.244.0.{5 + number}" for number in range(count)]


@pytest.fixture
def shared(kube: FakeKube) -> Iterator[Sidecar]:
    with Sidecar(kube, "--family", "both", "--include-terminating").synced() as sidecar:
        yield sidecar


def test_the_list_comes_from_the_other_sidecar_and_follows_it(kube: FakeKube, shared: Sidecar) -> None:
    with Sidecar(kube, "--upstream", url(shared)).synced() as sidecar:
        before = len(kube.requests)
        found = sidecar.members()
        assert (found["source"], found["stale"], found["synced"]) == ("upstream", False, True)
        assert found["members"] == shared.members()["members"]
        assert found["resource_versions"] == shared.members()["resource_versions"]
        assert found["epoch"] != shared.members()["epoch"] and 0 <= found["age_seconds"] < 60
        for count in (3, 1, 4):
            kube.set_service("wso2", "is", pods(count))
            sidecar.follows(addresses(count))
        assert sidecar.get("/readyz").status == 200
        assert "source upstream" in sidecar.get("/readyz?verbose").text
        explained = sidecar.get("/explain").json["addresses"]
        assert [entry["address"] for entry in explained] == addresses(4) and url(shared) in explained[0]["reason"]
        assert [request for request in kube.requests[before:] if request.kind != "watch"] == []
        assert kube.watches == 1, "the other sidecar's"


def test_a_restart_of_the_other_sidecar_changes_nothing(kube: FakeKube) -> None:
    with Sidecar(kube, *SOON).synced() as first:
        port = first.port
        with Sidecar(kube, "--upstream", url(first), *SOON).synced() as sidecar:
            kube.set_service("wso2", "is", pods(3))
            sidecar.follows(addresses(3))
            generation = sidecar.members()["generation"]
            first.kill()
            with Sidecar(kube, "--http", f"127.0.0.1:{port}", *SOON).synced():
                sidecar.wait_log("cut|refused")
                until(lambda: sidecar.get("/readyz?verbose").text.count("[!]") == 0, 15, "a clean bill")
                assert sidecar.members()["generation"] == generation
                kube.set_service("wso2", "is", pods(2))
                sidecar.follows(addresses(2))


def test_the_api_server_serves_while_the_other_sidecar_is_gone(kube: FakeKube) -> None:
    with Sidecar(kube, *SOON).synced() as first:
        port = first.port
        with Sidecar(kube, "--upstream", url(first), *SOON).synced() as sidecar:
            first.kill()
            until(lambda: kube.watches == 0, what="the end of the other one's watch")
            until(lambda: sidecar.members()["source"] == "endpointslices", 15, "the API server")
            kube.set_service("wso2", "is", pods(4))
            sidecar.follows(addresses(4))
            assert kube.watches == 1 and "done without" in sidecar.get("/readyz?verbose").text
            relists = sidecar.metric("membership_relists_total", reason="start")
            with Sidecar(kube, "--http", f"127.0.0.1:{port}", *SOON).synced():
                until(lambda: sidecar.members()["source"] == "upstream", 25, "the other sidecar")
                until(lambda: kube.watches == 1, what="the end of the own watch")
                assert sidecar.metric("membership_relists_total", reason="start") == relists == 1
                kube.set_service("wso2", "is", pods(1))
                sidecar.follows(addresses(1))


def test_without_rights_the_list_is_kept_and_gets_stale(kube: FakeKube) -> None:
    with Sidecar(kube, *SOON).synced() as first, Sidecar(kube, "--upstream", url(first), *SOON).synced() as sidecar:
        for resource in ("endpointslices", "endpoints"):
            kube.deny("list", resource)
        first.kill()
        until(lambda: sidecar.members()["stale"], 25, "stale")
        assert sidecar.addresses() == addresses(2) and sidecar.get("/readyz").status == 503
        told = sidecar.get("/readyz?verbose").text
        assert "403" in told or "forbidden" in told.lower()


def test_the_other_sidecar_cannot_reach_its_api_server(kube: FakeKube) -> None:
    with FakeKube() as other:
        other.set_service("wso2", "is", pods(2))
        with Sidecar(other, *SOON).synced() as first, Sidecar(
            kube, "--upstream", url(first), *SOON
        ).synced() as sidecar:
            assert sidecar.members()["source"] == "upstream"
            other.stop_listening(cut=True)
            until(lambda: sidecar.members()["source"] == "endpointslices", 40, "the own API server")
            assert sidecar.members()["stale"] is False and sidecar.addresses() == addresses(2)


@pytest.mark.parametrize("what", ["a service that it does not follow", "no sidecar", "nothing"])
def test_what_is_no_use_is_told_and_the_api_server_asked(kube: FakeKube, what: str) -> None:
    kube.set_service("wso2", "apim", pods(1, 90))
    with Sidecar(kube, *SOON).synced() as first:
        there = {"no sidecar": kube.url, "nothing": "http://127.0.0.1:1"}.get(what, url(first))
        with Sidecar(kube, "--upstream", there, *SOON, services="wso2/apim") as sidecar:
            sidecar.synced(20)
            assert sidecar.members()["source"] == "endpointslices" and sidecar.addresses() == ["10.244.0.90"]
            words = {"no sidecar": "does not follow|no sidecar|not HTTP", "nothing": "refused"}
            sidecar.wait_log(words.get(what, "does not follow apim"))


def test_own_rules_are_kept(kube: FakeKube, shared: Sidecar) -> None:
    kube.set_service("wso2", "is", [*pods(1), *pods(1, 6, ready=False)])
    shared.follows(addresses(2))
    with Sidecar(kube, "--upstream", url(shared), "--ready-only", "--port", "5701").synced() as sidecar:
        sidecar.follows(addresses(1))
        assert [member["port"] for member in sidecar.members()["members"]] == [5701]


@pytest.mark.parametrize(
    "flags, services, words",
    [
        (("--upstream", "https://other:4080"), "wso2/is", "not the address of a sidecar"),
        (("--upstream", "other:4080"), "wso2/is", "not the address of a sidecar"),
        (("--upstream", "http://other", "--out", "haproxy:/tmp/x"), "wso2/*", "name them"),
        (("--upstream", "http://other", "--out", "haproxy:/tmp/x"), "wso2/is", "haproxy needs the Services"),
    ],
)
def test_what_cannot_be_is_refused(kube: FakeKube, flags: tuple[str, ...], services: str, words: str) -> None:
    with Sidecar(kube, *flags, services=services) as sidecar:
        assert sidecar.finish() == 2 and words in sidecar.log
