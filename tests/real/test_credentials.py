"""Tokens and authorities that are replaced under a running sidecar, as a kubelet replaces them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed import cluster
from testbed.authority import Authority
from testbed.rest import RequestFailed, RestClient
from tests.real.world import LIMIT, Place, eventually, total
from tests.running import Sidecar

SHORT = ("--stale-after", "3s")
"""A quiet stream is then opened anew every 2 to 2.5 s, with the token of that moment."""


def test_tokens_expire_and_are_rotated(place: Place) -> None:
    """One is replaced in time, as kubelets do, the other too late: the list stays, and it heals by itself."""
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    token = place.plane.short_token(place.namespace, place.account, 5)
    place.mount_token(token)
    late_file = place.folder / "late-token"
    late_file.write_text(token)
    timely = place.sidecar(*SHORT)
    late = place.sidecar(*SHORT, "--token-file", str(late_file))
    place.mount_token()

    port = int(place.in_cluster["KUBERNETES_SERVICE_PORT"])
    with contextlib.closing(RestClient("127.0.0.1", port, ca_file=place.plane.ca_file, token=token)) as bearer:
        eventually(lambda: _status(bearer, place), 401, 30, "the answer to the old token")
    eventually(lambda: late.get("/readyz").status, 503, 15)
    assert "401" in late.get("/readyz?verbose").text or "nauthorized" in late.get("/readyz?verbose").text
    assert late.addresses() == ["10.1.0.5"], "an error empties nothing"
    assert late.members()["stale"] is True
    assert total(late, "membership_requests_total", code="401") >= 2, "one retry at once, then with backoff"

    restarts = total(timely, "membership_watch_restarts_total")
    eventually(lambda: total(timely, "membership_watch_restarts_total") > restarts, True)
    place.pod("is-1", "10.1.0.6")
    timely.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
    assert timely.get("/readyz").status == 200
    assert total(timely, "membership_requests_total", code="401") == 0
    assert "warning" not in timely.log

    late_file.write_text(place.plane.token(place.namespace, place.account) + "\n")
    late.follows(["10.1.0.5", "10.1.0.6"], 30)
    eventually(lambda: late.get("/readyz").status, 200, LIMIT)
    assert total(late, "membership_generation") == 2


@dataclass
class Deleted:
    """A sidecar whose service account was deleted: TokenReview refuses its token, whatever its date says."""

    place: Place
    sidecar: Sidecar
    gone: bool = False


@pytest.fixture(scope="session")
def deleted(make_place: Callable[..., Place]) -> Deleted:
    place = make_place("t-deleted-account")
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    return Deleted(place, place.sidecar(*SHORT))


def test_a_token_is_revoked(deleted: Deleted) -> None:
    """The beginning: the server remembers a token that it has accepted for 10 s."""
    place = deleted.place
    place.plane.request("DELETE", f"/api/v1/namespaces/{place.namespace}/serviceaccounts/{place.account}")
    deleted.gone = True
    assert deleted.sidecar.addresses() == ["10.1.0.5"]


@pytest.mark.last
def test_a_revoked_token_is_told_and_replaced(deleted: Deleted) -> None:
    """F10: 401 from then on; the list stays and gets old, and a new account's token heals it without a restart."""
    assert deleted.gone, "the beginning has failed"
    place, sidecar = deleted.place, deleted.sidecar
    eventually(lambda: sidecar.get("/readyz").status, 503, 30)
    assert "401" in sidecar.get("/readyz?verbose").text
    assert sidecar.addresses() == ["10.1.0.5"], "an error empties nothing"
    assert sidecar.count(r" 401 (?!.* times before\))") == 1, "told once, and once a minute with the number of tries"
    cluster.create_service_account(place.plane, place.namespace, place.account)
    place.mount_token()
    place.pod("is-1", "10.1.0.6")
    sidecar.follows(["10.1.0.5", "10.1.0.6"], 45)
    assert sidecar.members()["generation"] == 2
    eventually(lambda: sidecar.get("/readyz").status, 200, LIMIT)


def test_a_new_authority(lone_place: Place) -> None:
    """The server has its new certificate before the pod has the new CA: the list stays until it has."""
    place = lone_place
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    sidecar = place.sidecar(*SHORT)
    place.plane.rotate_authority()
    sidecar.wait_log("certificate", LIMIT)
    eventually(lambda: sidecar.get("/readyz").status, 503, LIMIT)
    assert "certificate" in sidecar.get("/readyz?verbose").text
    assert sidecar.addresses() == ["10.1.0.5"], "an error empties nothing"

    place.mount_token()  # with the new CA beside it
    eventually(lambda: sidecar.get("/readyz").status, 200, 30)
    place.pod("is-1", "10.1.0.6")
    sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)


def test_a_foreign_authority(place: Place, tmp_path: Path) -> None:
    """Verification is on: with another CA nothing is said to the server, not even the token."""
    foreign = tmp_path / "foreign.crt"
    foreign.write_bytes(Authority("somebody else").certificate)
    command = place.command("list", "--ca-file", str(foreign), "--timeout", "2s")
    assert command.result() == 6
    assert "certificate" in command.log and place.plane.url in command.log
    assert place.world.asked(place.user) == []
    skipping = place.command("list", "--ca-file", str(foreign), "--insecure-skip-tls-verify")
    assert skipping.result() == 0
    assert "not verified" in skipping.log


def test_tokens_that_are_not_accepted(place: Place, tmp_path: Path) -> None:
    elsewhere = place.plane.token(place.namespace, place.account, audiences=["elsewhere"])
    for name, token in (("garbage", "garbage"), ("elsewhere", elsewhere)):
        file = tmp_path / name
        file.write_text(token)
        command = place.command("list", "--token-file", str(file))
        assert command.result() == 4, f"{name}: {command.log}"
        assert "401" in command.log or "nauthorized" in command.log
        assert token not in command.log


def _status(bearer: RestClient, place: Place) -> int:
    try:
        bearer.request("GET", f"/apis/discovery.k8s.io/v1/namespaces/{place.namespace}/endpointslices")
        return 200
    except RequestFailed as failed:
        return failed.status
