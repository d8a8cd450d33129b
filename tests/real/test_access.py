"""RBAC: what is denied, granted and taken back, and the ways around what is denied.

A retry after 403 comes within 30 to 60 s. So each such story has two tests: one begins it, one marked `last` ends it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import yaml

from testbed import cluster
from tests.real.world import LIMIT, WHOLE, Place, World, conditions, eventually, rule, total
from tests.running import Sidecar

PATIENCE = 75.0
"""Seconds after a grant within which it must be noticed: the promise is a try every 30 to 60 s."""
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass
class Story:
    """A sidecar whose permissions change while it runs."""

    place: Place
    sidecar: Sidecar
    granted: float | None = field(default=None)

    def grant(self) -> None:
        """Allow all that is needed, once."""
        if self.granted is None:
            self.place.grant(*WHOLE)
            self.granted = time.monotonic()

    @property
    def patience(self) -> float:
        """What is left of the time in which the grant must be noticed."""
        assert self.granted is not None
        return max(1.0, self.granted + PATIENCE - time.monotonic())


def _prepare(place: Place) -> Place:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.pod("is-1", "10.1.0.6", ready=False)
    place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    return place


@pytest.fixture(scope="session")
def denied(make_place: Callable[..., Place]) -> Story:
    place = _prepare(make_place("t-denied", rules=()))
    return Story(place, place.sidecar(synced=False))


@pytest.fixture(scope="session")
def charted(make_place: Callable[..., Place]) -> Story:
    """The Role of WSO2's Helm charts: get and list on Endpoints, nothing else."""
    place = _prepare(make_place("t-charted", rules=(rule("endpoints", "get", "list"),)))
    return Story(place, place.sidecar("--poll-interval", "500ms"))


@pytest.fixture(scope="session")
def unwatched(make_place: Callable[..., Place]) -> Story:
    place = _prepare(make_place("t-unwatched", rules=(rule("endpointslices", "list"),)))
    return Story(place, place.sidecar("--poll-interval", "500ms"))


@pytest.fixture(scope="session")
def revoked(make_place: Callable[..., Place]) -> Story:
    place = _prepare(make_place("t-revoked"))
    return Story(place, place.sidecar("--stale-after", "6s", "--poll-interval", "1s"))


def test_denied(denied: Story) -> None:
    sidecar = denied.sidecar
    line = sidecar.wait_log("403|[Ff]orbidden|cannot list", LIMIT)
    ready, members = sidecar.get("/readyz"), sidecar.get("/members")
    assert (ready.status, members.status, members.type) == (503, 503, "application/problem+json")
    for text in (line, ready.text, members.text):
        _names_what_is_forbidden(text, "list", "endpointslices", denied.place)
    assert sidecar.get("/livez").status == 200, "no restart helps against RBAC"
    assert total(sidecar, "membership_synced") == 0
    assert sidecar.get("/startupz").status == 503
    denied.grant()


@pytest.mark.last
def test_granted_while_running(denied: Story) -> None:
    denied.grant()
    sidecar = denied.sidecar.synced(denied.patience)
    sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
    assert sidecar.members()["source"] == "endpointslices"
    assert "orbidden" not in sidecar.get("/readyz?verbose").text

    asked = denied.place.world.asked(denied.place.user)
    refused = [request.at for request in asked if request.code == 403 and request.resource == "endpointslices"]
    accepted = [request.at for request in asked if request.code == 200]
    assert len(refused) <= 2, "a refusal is no reason to hurry"
    for earlier, later in zip(refused, (*refused[1:], accepted[0])):
        assert 29 <= later - earlier <= 62, "the promise is a try every 30 to 60 s"


def test_the_role_of_the_charts(charted: Story) -> None:
    """No watch, no slices: v1 Endpoints are polled, and that is announced everywhere."""
    sidecar, place = charted.sidecar, charted.place
    eventually(lambda: sidecar.members()["source"], "endpoints-polling")
    answer = sidecar.members()
    assert conditions(sidecar) == {"is-0": (True, True, False), "is-1": (False, False, False)}
    first = answer["members"][0]
    assert (first["port"], first["ports"], first["node"]) == (4000, {"hazelcast": 4000}, "n1")
    assert first["uid"]
    ready = sidecar.get("/readyz?verbose")
    assert ready.status == 200 and "endpoints-polling" in ready.text
    _names_what_is_forbidden(ready.text, "list", "endpointslices", place)
    _names_what_is_forbidden(ready.text, "watch", "endpoints", place)
    line = sidecar.wait_log("polling endpoints", LIMIT)
    assert '"level": "warning"' in line

    place.ready("is-1", True)
    eventually(lambda: conditions(sidecar)["is-1"], (True, True, False))
    place.pod("is-2", "10.1.0.7")
    place.gone("is-0")
    sidecar.follows(["10.1.0.6", "10.1.0.7"], LIMIT)
    assert sidecar.members()["stale"] is False
    charted.grant()


@pytest.mark.last
def test_slices_granted_while_endpoints_are_polled(charted: Story) -> None:
    charted.grant()
    eventually(lambda: charted.sidecar.members()["source"], "endpointslices", charted.patience)
    assert charted.sidecar.members()["members"], "the way there leads over no empty list"
    assert "orbidden" not in charted.sidecar.get("/readyz?verbose").text


def test_slices_without_watch(unwatched: Story) -> None:
    sidecar, place = unwatched.sidecar, unwatched.place
    eventually(lambda: sidecar.members()["source"], "endpointslices-polling")
    assert conditions(sidecar) == {"is-0": (True, True, False), "is-1": (False, False, False)}
    ready = sidecar.get("/readyz?verbose")
    assert ready.status == 200 and "endpointslices-polling" in ready.text
    _names_what_is_forbidden(ready.text, "watch", "endpointslices", place)
    assert '"level": "warning"' in sidecar.wait_log("polling endpointslices", LIMIT)

    place.pod("is-2", "10.1.0.7")
    place.gone("is-0")
    sidecar.follows(["10.1.0.6", "10.1.0.7"], LIMIT)
    unwatched.grant()


@pytest.mark.last
def test_watch_granted_while_slices_are_polled(unwatched: Story) -> None:
    unwatched.grant()
    eventually(lambda: unwatched.sidecar.members()["source"], "endpointslices", unwatched.patience)
    assert "orbidden" not in unwatched.sidecar.get("/readyz?verbose").text
    before = unwatched.sidecar.addresses()
    unwatched.place.pod("is-3", "10.1.0.8")
    unwatched.sidecar.follows([*before, "10.1.0.8"], LIMIT)


def test_revoked_while_running(revoked: Story) -> None:
    """The open stream goes on until it is opened anew; then the list stays, gets old, and the reason is said."""
    sidecar, place = revoked.sidecar, revoked.place
    before = sidecar.members()
    place.revoke()
    eventually(lambda: sidecar.get("/readyz").status, 503, 15)
    _names_what_is_forbidden(sidecar.get("/readyz?verbose").text, "list", "endpointslices", place)
    place.gone("is-0")
    place.wait_addresses(["10.1.0.6"])
    after = sidecar.get("/members")
    assert after.status == 200 and after.json["stale"] is True
    assert after.json["members"] == before["members"], "an error empties nothing"
    assert after.json["generation"] == before["generation"]
    assert "orbidden" in sidecar.log
    revoked.grant()


@pytest.mark.last
def test_granted_again(revoked: Story) -> None:
    revoked.grant()
    sidecar = revoked.sidecar
    eventually(lambda: sidecar.get("/readyz").status, 200, revoked.patience)
    revoked.place.gone("is-0")
    sidecar.follows(["10.1.0.6"], LIMIT)
    assert sidecar.members()["source"] == "endpointslices"


def test_endpoints_that_may_be_watched(make_place: Callable[..., Place]) -> None:
    place = _prepare(make_place("t-endpoints", rules=(rule("endpoints", "list", "watch"),)))
    fallback, asked_for = place.sidecar(), place.sidecar("--source", "endpoints")
    for sidecar in (fallback, asked_for):
        assert sidecar.members()["source"] == "endpoints"
    _names_what_is_forbidden(fallback.get("/readyz?verbose").text, "list", "endpointslices", place)
    assert "orbidden" not in asked_for.get("/readyz?verbose").text, "what was not wanted is not missing"
    # The server counts a watch of one object by its name in a scope of its own.
    eventually(lambda: place.plane.open_watches("endpoints", scope="resource"), 2)
    place.pod("is-2", "10.1.0.7")
    place.gone("is-0")
    for sidecar in (fallback, asked_for):
        sidecar.follows(["10.1.0.6", "10.1.0.7"], LIMIT)


def test_a_refused_command_ends_with_4(make_place: Callable[..., Place]) -> None:
    place = make_place("t-refused", rules=())
    command = place.command("list")
    assert command.result() == 4
    _names_what_is_forbidden(command.log, "list", "endpointslices", place)
    assert command.output == ""


def test_check_prints_what_is_missing(make_place: Callable[..., Place], world: World) -> None:
    """What it prints is applied as it is; then it is content, and so is all the rest."""
    here, there = make_place("t-check", rules=()), make_place("t-check-too", rules=())
    for place, address in ((here, "10.1.0.5"), (there, "10.1.0.6")):
        place.service()
        place.pod("is-0", address)
        place.wait_addresses([address])
    both = ("--services", f"{here.namespace}/is,{there.namespace}/is")
    before = here.command("check", *both)
    assert before.result() == 4
    assert f"we are {here.user}" in before.output
    for place in (here, there):
        assert f"missing: list endpointslices.discovery.k8s.io in namespace {place.namespace}" in before.output

    documents = [document for document in yaml.safe_load_all(before.output) if document]
    kinds = sorted((document["kind"], document["metadata"]["namespace"]) for document in documents)
    assert kinds == [(kind, p.namespace) for kind in ("Role", "RoleBinding") for p in (here, there)]
    for document in documents:
        plural = f"{document['kind'].lower()}s"
        world.plane.request("POST", f"{RBAC}/namespaces/{document['metadata']['namespace']}/{plural}", document)
    for place in (here, there):
        for verb in ("list", "watch"):
            wanted = (place.namespace, here.user, verb, "endpointslices", "discovery.k8s.io")
            eventually(lambda: cluster.is_allowed(world.plane, *wanted), True, what=str(wanted))

    after = here.command("check", *both)
    assert after.result() == 0, after.output
    assert "missing" not in after.output and "kind: Role" not in after.output
    assert here.command("list", *both).result() == 0
    sidecar = here.sidecar(services=both[1])
    assert sidecar.addresses() == ["10.1.0.5", "10.1.0.6"]
    assert sidecar.members()["source"] == "endpointslices"
    assert not cluster.is_allowed(world.plane, here.namespace, here.user, "get", "secrets", "")


def test_check_with_half_of_the_permissions(make_place: Callable[..., Place]) -> None:
    place = make_place("t-half", rules=(rule("endpointslices", "list"),))
    command = place.command("check")
    assert command.result() == 4
    assert f"ok: list endpointslices.discovery.k8s.io in namespace {place.namespace}" in command.output
    assert f"missing: watch endpointslices.discovery.k8s.io in namespace {place.namespace}" in command.output
    assert "polled" in command.output


def test_check_as_the_administrator(make_place: Callable[..., Place]) -> None:
    """A user who is no service account, from a kubeconfig."""
    place = make_place("t-admin", rules=())
    command = place.bare_command(
        "check", "--kubeconfig", str(place.plane.kubeconfig()), "--services", f"{place.namespace}/is"
    )
    assert command.result() == 0, command.log
    assert "we are admin" in command.output


def _names_what_is_forbidden(text: str, verb: str, resource: str, place: Place) -> None:
    for word in (verb, resource, place.namespace):
        assert word in text, f"{word!r} is not in {text!r}"
    assert "orbidden" in text or "cannot" in text, text
