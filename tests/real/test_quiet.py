"""When nothing happens: what it costs, how it stays fresh, and that bookmarks keep its version young."""

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.real.world import LIMIT, Place, World, eventually, total
from tests.running import Sidecar

WINDOW = 20.0
"""Seconds of watching nothing happen."""


@dataclass
class Quiet:
    """A sidecar whose namespace nobody touches, and its first answer."""

    place: Place
    sidecar: Sidecar
    first: Any
    began: float

    @property
    def version(self) -> int:
        return int(self.sidecar.members()["resource_versions"][self.place.namespace])


@pytest.fixture(scope="session")
def bookmarked(make_place: Callable[..., Place]) -> Quiet:
    """Its stream may be silent for 100 s, so that the bookmark, which comes after 60 s, is what ends the silence."""
    place = make_place("t-bookmarked")
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    sidecar = place.sidecar("--stale-after", "150s")
    sidecar.wait_log("watching endpointslices", LIMIT)
    return Quiet(place, sidecar, sidecar.get("/members"), time.monotonic())


def test_a_version_grows_old_without_bookmarks(bookmarked: Quiet, place: Place) -> None:
    """The beginning: other namespaces' slices move the server's version, and not ours."""
    place.service()
    (other,) = place.slices()
    assert int(other["metadata"]["resourceVersion"]) > bookmarked.version


@pytest.mark.last
def test_a_bookmark_makes_it_young_again(bookmarked: Quiet) -> None:
    first, sidecar = bookmarked.first, bookmarked.sidecar
    before = int(first.json["resource_versions"][bookmarked.place.namespace])
    remaining = max(1.0, bookmarked.began + 75 - time.monotonic())
    eventually(lambda: bookmarked.version > before, True, remaining, "a newer resource version")
    assert total(sidecar, "membership_watch_restarts_total") == 0
    assert total(sidecar, "membership_relists_total") == 1
    assert total(sidecar, "membership_events_total") == 0
    again = sidecar.get("/members")
    assert again.json["age_seconds"] < 75, "a bookmark proves the list"
    assert (again.generation, again.headers["etag"]) == (first.generation, first.headers["etag"])
    assert sidecar.get("/members", {"If-None-Match": first.headers["etag"]}).status == 304


def test_twenty_quiet_seconds(lone_world: World, lone_place: Place, figures: MutableMapping[str, str]) -> None:
    """Side by side: one with default settings, that must cost nothing, and one that may be silent for 6 s only."""
    lone_place.service()
    lone_place.pod("is-0", "10.1.0.5")
    lone_place.pod("is-1", "10.1.0.6")
    lone_place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    (lone_place.folder / "brief").mkdir()
    with Place(lone_world, "t-brief", lone_place.folder / "brief") as beside:
        beside.service()
        beside.pod("is-0", "10.1.0.5")
        beside.wait_addresses(["10.1.0.5"])
        idle, brief = lone_place.sidecar(), beside.sidecar("--stale-after", "6s")
        eventually(lambda: lone_world.plane.open_watches("endpointslices"), 2)
        asked_before = {place: len(lone_world.asked(place.user)) for place in (lone_place, beside)}

        ages, until = [], time.monotonic() + WINDOW
        while time.monotonic() < until:
            answer = brief.get("/members")
            assert answer.json["stale"] is False and brief.get("/readyz").status == 200
            ages.append(answer.json["age_seconds"])
            time.sleep(0.05)

        asked = lone_world.asked(lone_place.user)[asked_before[lone_place] :]
        assert len(asked) <= 1, f"more than one request a minute besides the watch: {asked}"
        assert idle.resident() <= 45
        figures["idle"] = f"{idle.resident():.1f} MiB resident, {len(asked)} requests in {WINDOW:g} s besides the watch"
        assert {request.agent for request in lone_world.asked(lone_place.user)} == {"kubernetes-membership"}
        assert total(idle, "membership_watch_restarts_total") == 0

        again = lone_world.asked(beside.user)[asked_before[beside] :]
        assert {request.verb for request in again} <= {"watch"}, "silence is a hint: opened anew, not listed"
        assert 3 <= len(again) <= 6, "opened anew every 4 to 5 s"
        assert max(ages) < 6
        assert total(brief, "membership_watch_restarts_total", reason="quiet") == len(again)
        assert total(brief, "membership_generation") == 1
        assert "warning" not in brief.log
        figures["quiet stream"] = (
            f"oldest list {max(ages):.1f} s of 6 s, opened anew {len(again)} times in {WINDOW:g} s"
        )
