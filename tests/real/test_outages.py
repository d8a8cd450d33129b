"""The API server and etcd killed, hung, compacted and restored: nothing is lost, nothing emptied.

A control plane of its own, which every test leaves in working order or which is thrown away.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from membership import Membership, connect
from testbed.plane import UNCACHED_SLICES
from testbed.rest import RequestFailed, RestClient
from tests.real.world import LIMIT, Place, World, eventually, rule, total
from tests.running import STOP_LIMIT, Sidecar

HEALING = 40.0
"""Seconds after an outage within which it must be over for us too: a backoff that may have grown, on a busy machine."""


@pytest.fixture
def is_pair(lone_place: Place) -> Place:
    """The Service `is` with two pods."""
    lone_place.service()
    lone_place.pod("is-0", "10.1.0.5")
    lone_place.pod("is-1", "10.1.0.6")
    lone_place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    return lone_place


def test_api_server_killed_and_started(is_pair: Place) -> None:
    place, plane = is_pair, is_pair.plane
    sidecar = place.sidecar("--stale-after", "3s", "--out", f"lines:{place.folder / 'members'}")
    before = sidecar.members()
    plane.kill("kube-apiserver")
    killed, requests = time.monotonic(), total(sidecar, "membership_requests_total")

    eventually(lambda: sidecar.get("/readyz").status, 503, 10)
    away = time.monotonic() - killed
    answer = sidecar.members()
    assert away - 0.5 < answer["age_seconds"] < away + 3.5, "counted from the last proof, not from the last try"
    assert (answer["stale"], answer["synced"]) == (True, True)
    assert answer["members"] == before["members"], "an error empties nothing"
    assert answer["generation"] == before["generation"]
    eventually(lambda: sidecar.members()["age_seconds"] > answer["age_seconds"], True, 2, "growing old")
    assert sidecar.get("/livez").status == 200, "an outage of the API server must not restart the pod"
    assert plane.url in sidecar.get("/readyz?verbose").text
    away = time.monotonic() - killed
    assert total(sidecar, "membership_requests_total") - requests <= 5 * (away + 1)

    plane.start_component("kube-apiserver")
    plane.wait_ready()
    plane.restart("kube-controller-manager")
    place.gone("is-0")
    place.pod("is-2", "10.1.0.7")
    sidecar.follows(["10.1.0.6", "10.1.0.7"], HEALING)
    eventually(lambda: sidecar.get("/readyz").status, 200, LIMIT)
    eventually((place.folder / "members").read_text, "10.1.0.6:4000\n10.1.0.7:4000\n")
    assert sidecar.members()["epoch"] == before["epoch"]
    assert sidecar.count("the list is stale") == 1, "one line for a change of state, not one for each try"
    assert busiest_second_of(place) <= 5


def test_nothing_that_happened_meanwhile_is_lost(is_pair: Place) -> None:
    """The sidecar sleeps through a restart, a deletion and the end of that history: a real 410, and a true list."""
    place, plane = is_pair, is_pair.plane
    place.make_slice("by-hand", "is", [{"addresses": ["10.1.0.9"]}])
    sidecar = place.sidecar()
    assert sidecar.addresses() == ["10.1.0.5", "10.1.0.6", "10.1.0.9"]
    sidecar.wait_log("watching endpointslices", LIMIT)
    sidecar.send(signal.SIGSTOP)
    plane.restart("kube-apiserver")  # cuts the stream: nothing from here on reaches the sidecar
    plane.restart("kube-controller-manager")
    place.gone("is-0")  # from a slice that stays
    place.delete_slice("by-hand")  # and one that goes as a whole
    place.pod("is-2", "10.1.0.7")
    place.wait_addresses(["10.1.0.6", "10.1.0.7"])
    plane.expire_history()
    sidecar.send(signal.SIGCONT)
    sidecar.follows(["10.1.0.6", "10.1.0.7"], HEALING)
    assert total(sidecar, "membership_relists_total", reason="expired") == 1
    assert total(sidecar, "membership_watch_restarts_total", reason="expired") == 1
    assert sidecar.members()["generation"] == 2, "replaced in one step"
    codes = [request.code for request in place.world.asked(place.user) if request.verb == "watch"]
    assert codes[-1] == 200
    plane.restart("kube-controller-manager")
    place.pod("is-3", "10.1.0.8")
    sidecar.follows(["10.1.0.6", "10.1.0.7", "10.1.0.8"], HEALING)


def test_history_expired_while_watching(is_pair: Place) -> None:
    place, plane = is_pair, is_pair.plane
    sidecar = place.sidecar()
    generation = sidecar.members()["generation"]
    plane.expire_history()
    eventually(lambda: total(sidecar, "membership_relists_total", reason="expired"), 1.0, HEALING)
    plane.restart("kube-controller-manager")
    place.gone("is-1")
    sidecar.follows(["10.1.0.5"], HEALING)
    assert sidecar.members()["generation"] == generation + 1, "the same list again is no news"


def test_a_server_that_has_just_started_denies_everything(is_pair: Place) -> None:
    """Until its RBAC cache is filled it answers 403 to what it allows (kubernetes#121635). That is no revocation."""
    place, plane = is_pair, is_pair.plane
    # Their backoffs differ: one of them will ask at the wrong moment.
    sidecars = [place.sidecar("--stale-after", "30s") for _ in range(4)]
    eventually(lambda: plane.open_watches("endpointslices"), len(sidecars))
    plane.restart("kube-apiserver")
    eventually(lambda: plane.open_watches("endpointslices"), len(sidecars), 15, "the number of streams")
    for sidecar in sidecars:
        assert sidecar.get("/readyz").status == 200
        assert sidecar.members()["source"] == "endpointslices"


def test_compaction_without_a_restart(tmp_path: Path, folder: Path) -> None:
    """Slices uncached: the first watch that is opened after the compaction gets its 410 inside the stream."""
    (folder / "uncached").mkdir()
    world = World.start(folder / "uncached", *UNCACHED_SLICES)
    with world.plane, Place(world, "t-compaction", tmp_path) as place:
        place.service()
        place.pod("is-0", "10.1.0.5")
        place.wait_addresses(["10.1.0.5"])
        sidecar = place.sidecar("--stale-after", "4s")
        before = sidecar.members()
        sidecar.wait_log("watching endpointslices", LIMIT)
        world.plane.compact()
        eventually(lambda: total(sidecar, "membership_relists_total", reason="expired") >= 1, True, 15)
        after = sidecar.members()
        assert (after["members"], after["generation"]) == (before["members"], before["generation"])
        assert after["stale"] is False
        place.pod("is-1", "10.1.0.6")
        sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
        refused = [request for request in world.asked(place.user) if request.code >= 400]
        assert refused == [], "the 410 came inside a stream that had been accepted"


def test_api_server_hangs(is_pair: Place) -> None:
    """Connections stay open and nothing comes: as a black hole, it shows in the silence only."""
    place, plane = is_pair, is_pair.plane
    sidecar = place.sidecar("--stale-after", "6s")
    sidecar.wait_log("watching endpointslices", LIMIT)
    before = sidecar.members()
    with _hanging(place):
        began = time.monotonic()
        eventually(lambda: total(sidecar, "membership_watch_restarts_total", reason="quiet") >= 1, True, 10)
        assert time.monotonic() - began <= 6.0, "opened anew before the list is stale"
        eventually(lambda: sidecar.get("/readyz").status, 503, 10)
        answer = sidecar.members()
        assert answer["stale"] is True and answer["age_seconds"] > 6
        assert answer["members"] == before["members"]
        assert sidecar.get("/livez").status == 200
    plane.wait_ready()
    plane.restart("kube-controller-manager")
    place.gone("is-0")
    sidecar.follows(["10.1.0.6"], HEALING)
    eventually(lambda: sidecar.get("/readyz").status, 200, LIMIT)
    assert total(sidecar, "membership_generation") == 2


def test_stopped_while_the_api_server_hangs(is_pair: Place) -> None:
    """SIGTERM ends it within a second: reading a silent stream, and waiting for the answer to a list."""
    watching = is_pair.sidecar()
    watching.wait_log("watching endpointslices", LIMIT)
    with _hanging(is_pair):
        listing = is_pair.sidecar(synced=False)
        assert listing.get("/readyz").status == 503
        eventually(lambda: _connections(listing.pid, is_pair), 1)
        for sidecar in (watching, listing):
            code, took = sidecar.stop()
            assert code == 0 and took < STOP_LIMIT, f"ended with {code} after {took:.2f} s"
    is_pair.plane.wait_ready()


def test_closing_while_the_api_server_hangs(is_pair: Place) -> None:
    """Every wait can be interrupted, that for a TLS handshake too: no thread stays behind."""
    server = connect(environ=is_pair.in_cluster, service_account=is_pair.mount)
    with _hanging(is_pair):
        before = _connections(os.getpid(), is_pair)
        with Membership(server, services=["is"]):
            eventually(lambda: _connections(os.getpid(), is_pair) > before, True)
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("membership")]
        assert left == []
    is_pair.plane.wait_ready()


@pytest.fixture
def polled(lone_world: World, tmp_path: Path) -> Iterator[Place]:
    """A place whose account may list and not watch: a list needs etcd, where a stream goes on without it."""
    (tmp_path / "polled").mkdir()
    with Place(lone_world, "t-polled", tmp_path / "polled", rules=(rule("endpointslices", "list"),)) as found:
        found.service()
        found.pod("is-0", "10.1.0.5")
        found.wait_addresses(["10.1.0.5"])
        yield found


def test_etcd_killed_and_started(is_pair: Place, polled: Place) -> None:
    """Streams stay open and silent; lists fail, and change nothing."""
    place, plane = is_pair, is_pair.plane
    sidecar, asking = place.sidecar(), polled.sidecar("--poll-interval", "500ms", "--stale-after", "5s")
    eventually(lambda: asking.members()["source"], "endpointslices-polling")
    before, listed = sidecar.members(), asking.members()
    plane.kill("etcd")
    port = int(place.in_cluster["KUBERNETES_SERVICE_PORT"])
    with contextlib.closing(RestClient("127.0.0.1", port, ca_file=plane.ca_file, token=plane.admin_token)) as admin:
        eventually(lambda: _reaches_etcd(admin), False, LIMIT)
    late = place.sidecar(synced=False)
    eventually(lambda: asking.get("/readyz").status, 503, LIMIT)
    for each in (asking, late):
        eventually(lambda: _failures(each) > 0, True, 60, "a list that fails")
    assert sidecar.members()["members"] == before["members"]
    assert asking.members()["members"] == listed["members"], "an error empties nothing"
    assert asking.members()["generation"] == listed["generation"] and asking.get("/livez").status == 200
    assert late.get("/members").status == 503, "nothing is not an empty list"
    plane.start_component("etcd")
    plane.wait_ready()
    plane.restart("kube-controller-manager")
    place.gone("is-0")
    place.pod("is-2", "10.1.0.7")
    for each in (sidecar, late):
        each.follows(["10.1.0.6", "10.1.0.7"], HEALING)
    for each in (sidecar, late, asking):
        eventually(lambda: each.get("/readyz").status, 200, HEALING)
    assert sidecar.members()["stale"] is False
    assert busiest_second_of(polled) <= 5


def _failures(sidecar: Sidecar) -> float:
    """Lists so far that the server could not answer, or not in time."""
    return sum(total(sidecar, "membership_requests_total", code=code) for code in ("500", "503", "504", "429", "error"))


def test_restored_to_an_older_state(is_pair: Place) -> None:
    """The version we hold is now in the server's future: it answers with silence, and only a list tells."""
    place, plane = is_pair, is_pair.plane
    sidecar = place.sidecar("--relist-interval", "4s")
    epoch = sidecar.members()["epoch"]
    snapshot = plane.snapshot()
    config_maps = f"/api/v1/namespaces/{place.namespace}/configmaps"
    for number in range(400):  # a started server writes some objects: it must not catch up by these
        plane.request("POST", config_maps, {"metadata": {"name": f"filler-{number}"}})
    place.gone("is-0")
    place.pod("is-2", "10.1.0.7")
    place.pod("is-3", "10.1.0.8")
    sidecar.follows(["10.1.0.6", "10.1.0.7", "10.1.0.8"], LIMIT)
    seen = sidecar.members()
    held = int(seen["resource_versions"][place.namespace])

    plane.restore(snapshot)
    sidecar.follows(["10.1.0.5", "10.1.0.6"], 75)
    answer = sidecar.members()
    assert int(answer["resource_versions"][place.namespace]) < held, "an older state is what we test"
    assert (answer["epoch"], answer["generation"]) == (epoch, seen["generation"] + 1)
    assert total(sidecar, "membership_server_restored_total") == 1
    sidecar.wait_log("restored", LIMIT)

    # The stream was opened anew from the restored version: the next change comes by watch.
    events = total(sidecar, "membership_events_total")
    place.pod("is-9", "10.1.0.9")
    sidecar.follows(["10.1.0.5", "10.1.0.6", "10.1.0.9"], HEALING)
    eventually(lambda: total(sidecar, "membership_events_total") > events, True, what="an event")
    assert total(sidecar, "membership_server_restored_total") == 1


def test_the_list_beside_the_watch_soon_comes_again(is_pair: Place) -> None:
    """One of them fell into an outage. The next is due as always: a restored server shows in no other way."""
    place, plane = is_pair, is_pair.plane
    sidecar = place.sidecar("--relist-interval", "2s", "--poll-interval", "60s")  # 1 to 3 s, and no polls
    eventually(lambda: total(sidecar, "membership_relists_total", reason="periodic") >= 2, True)
    plane.kill("kube-apiserver")
    eventually(lambda: sidecar.members()["age_seconds"] > 4, True)
    plane.start_component("kube-apiserver")
    plane.wait_ready()
    began = time.time()

    def listed() -> bool:
        asked = [request for request in place.world.asked(place.user) if request.at > began]
        return any(request.verb == "list" and request.code == 200 for request in asked)

    eventually(listed, True, 15, "a list since the server is ready")


def test_started_during_an_outage(is_pair: Place) -> None:
    """With --state the last list is served, stale and from state, until the API server is back."""
    place, plane = is_pair, is_pair.plane
    state = ("--state", str(place.folder / "state.json"))
    first = place.sidecar(*state)
    wanted = first.members()["members"]
    eventually((place.folder / "state.json").exists, True)
    assert first.stop()[0] == 0
    plane.kill("kube-apiserver")
    bare, kept = place.sidecar(synced=False), place.sidecar(*state, synced=False)
    eventually(lambda: kept.get("/members").status, 200)
    answer = kept.members()
    assert (answer["source"], answer["stale"], answer["synced"]) == ("state", True, False)
    assert answer["members"] == wanted
    assert bare.get("/members").status == 503
    assert kept.get("/readyz").status == bare.get("/readyz").status == 503
    assert place.command("list", "--timeout", "1s").result() == 6
    plane.start_component("kube-apiserver")
    plane.wait_ready()
    for sidecar in (bare, kept):
        sidecar.synced(HEALING)
        answer = sidecar.members()
        assert (answer["source"], answer["stale"], answer["members"]) == ("endpointslices", False, wanted)


class _hanging:
    """The API server stopped by a signal, for the length of a `with` block."""

    def __init__(self, place: Place) -> None:
        self._plane = place.plane

    def __enter__(self) -> None:
        self._plane.kill("kube-apiserver", signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        self._plane.kill("kube-apiserver", signal.SIGCONT)


def _reaches_etcd(admin: RestClient) -> bool:
    try:
        admin.call("GET", "/readyz", timeout=3)
        return True
    except (RequestFailed, urllib3.exceptions.HTTPError):
        return False


def _connections(pid: int, place: Place) -> int:
    """How many connections to the API server a process has, from the kernel's tables."""
    port = int(place.in_cluster["KUBERNETES_SERVICE_PORT"])
    owned = set(_sockets(pid))
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(line[2].endswith(f":{port:04X}") and line[3] == "01" and line[9] in owned for line in lines)


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of the sockets that a process has open."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            yield str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")


def busiest_second_of(place: Place) -> int:
    """The most requests of this place's account that the server got within any one second."""
    times = [request.at for request in place.world.asked(place.user)]
    return max(sum(begin <= at < begin + 1.0 for at in times) for begin in times)
