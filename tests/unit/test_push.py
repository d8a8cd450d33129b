"""The rules of membership/push.py; facts behind them: shared/hazelcast.md, section 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership.hazelcast_rest import give_list
from membership.push import (
    CONTESTED,
    INTERVAL,
    LONGEST,
    WAITING,
    Answer,
    Course,
    Outcome,
    Wanted,
    choose_entries,
    is_same,
    make_entries,
)
from membership.transport import Interrupt
from membership.verify import Target
from tests.unit.lists import member, snapshot

WANTED = Wanted(("10.0.0.1:4000", "10.0.0.2:4000"))
IN_PLACE, GIVEN = Answer("ready", WANTED.entries), Answer("ready", WANTED.entries, given=True)
OFF, REFUSED, BROKEN = Answer("off", why="off"), Answer("refused", why="403"), Answer("unknown", why="500")


def judged(*answers: Answer, wanted: Wanted = WANTED) -> list[Outcome]:
    course = Course()
    return [course.judge(wanted, answer) for answer in answers]


def pauses(*answers: Answer) -> list[float]:
    return [outcome.pause for outcome in judged(*answers)]


# Which list


def test_the_list_is_every_address_with_its_port() -> None:
    members = (
        member("10.0.0.2"),
        member("10.0.0.1", "fd00::1", port=4001),
        member("fd00::2"),
        member("10.0.0.9", port=None),
    )
    assert choose_entries(snapshot(*members), None).entries == ("10.0.0.2:4000", "10.0.0.1:4001", "[fd00::2]:4000")


@pytest.mark.parametrize(
    ("list_", "self_ip", "why"),
    [
        (replace(snapshot("10.0.0.1"), generation=0), None, "no list yet"),
        (replace(snapshot("10.0.0.1"), stale=True), None, "stale"),
        (replace(snapshot("10.0.0.1"), synced=False), None, "stale"),
        (snapshot(), None, "no address"),
        (snapshot(member("10.0.0.1", port=None)), None, "no address"),
        (snapshot("10.0.0.1"), "10.0.0.2", "10.0.0.2 is not in the list"),
    ],
)
def test_no_list_is_given(list_: Any, self_ip: str | None, why: str) -> None:
    found = choose_entries(list_, self_ip)
    assert not found.entries and why in found.why


def test_the_own_address_may_be_of_the_other_family() -> None:
    assert choose_entries(snapshot(member("10.0.0.1", "fd00::1")), "fd00::1").entries == ("10.0.0.1:4000",)


@pytest.mark.parametrize(
    "endpoint",
    ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:99999", "10.0.0.256:4000", "is-0:4000", "fd00::1:4000"]
    + [
        "[10.0.0.1]:4000",
        "[fd00::1]",
        "[fd00::1%eth0]:4000",
        "10.0.0.1:4000,10.0.0.2:4000",
        "10.0.0.1:4000\n",
        "a&b:1",
    ],
)
def test_what_hazelcast_would_have_to_guess_about_is_no_entry(endpoint: str) -> None:
    assert make_entries([endpoint, "10.0.0.7:4000"]) == ("10.0.0.7:4000",)


@given(st.lists(st.ip_addresses().map(str), max_size=5), st.integers(1, 65535), st.lists(st.text(max_size=20)))
def test_entries_are_always_addresses(addresses: list[str], port: int, garbage: list[str]) -> None:
    endpoints = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]
    found = make_entries([*garbage, *endpoints])
    assert set(found) >= set(endpoints) and make_entries(found) == found
    assert not set("&,; \n%") & set("".join(found))


def test_lists_are_compared_as_sets_however_they_are_written() -> None:
    assert is_same(("10.0.0.1:1", "[fd00::1]:1"), ["[fd00:0::1]:1", "10.0.0.1:1", "10.0.0.1:1"])
    for other in (["10.0.0.1:1"], ["10.0.0.1"], ["10.0.0.1:1", "[fd00::1]:1", "x:1"], []):
        assert not is_same(("10.0.0.1:1", "[fd00::1]:1"), other)


@pytest.mark.parametrize("entries", [(), ("garbage",), ("10.0.0.1:4000", "10.0.0.1:4000"), ("10.0.0.1",)])
def test_nothing_but_a_good_list_can_be_sent(entries: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no list to give"):
        give_list(Target("127.0.0.1", 1), "dev", entries, Interrupt())


# When


def test_the_member_is_looked_at_for_ever() -> None:
    assert judged(IN_PLACE, IN_PLACE) == [Outcome("in place", "it has the list", INTERVAL)] * 2


def test_a_list_was_given_and_is_looked_at_again() -> None:
    assert [outcome.kind for outcome in judged(GIVEN, IN_PLACE, GIVEN, IN_PLACE)] == ["given", "in place"] * 2
    assert pauses(GIVEN, IN_PLACE, GIVEN) == [INTERVAL] * 3


def test_whoever_gives_another_list_makes_us_slower_and_is_told() -> None:
    outcomes = judged(*[GIVEN] * 8)
    assert [outcome.kind for outcome in outcomes] == ["given"] * (CONTESTED - 1) + ["failed"] * (9 - CONTESTED)
    assert [outcome.pause for outcome in outcomes] == [10, 20, 40, 80, 160, 300, 300, 300]
    assert "somebody else" in outcomes[-1].text and not outcomes[-1].held


def test_a_new_list_is_another_matter() -> None:
    course = Course()
    for _ in range(5):
        course.judge(WANTED, GIVEN)
    assert course.judge(Wanted(("10.0.0.1:4000",)), GIVEN).kind == "given"


@pytest.mark.parametrize("state", ["joining", "silent"])
def test_a_member_that_is_not_ready_is_waited_for(state: Any) -> None:
    assert judged(*[Answer(state, why="w")] * 50) == [Outcome("waiting", "w", WAITING)] * 50


def test_nothing_to_give_is_waited_for_without_asking() -> None:
    assert Course().judge(Wanted(why="w"), None) == Outcome("waiting", "w", WAITING)


def test_rest_off_is_asked_a_second_time_and_then_seldom() -> None:
    outcomes = judged(OFF, OFF, OFF, IN_PLACE, OFF)
    assert [(one.kind, one.pause, one.held) for one in outcomes] == [
        ("waiting", INTERVAL, True),
        ("failed", LONGEST, True),
        ("failed", LONGEST, True),
        ("in place", INTERVAL, False),
        ("waiting", INTERVAL, True),
    ]


def test_a_refused_name_is_asked_seldom_from_the_first_time() -> None:
    assert judged(REFUSED) == [Outcome("failed", "403", LONGEST, held=True)]


def test_what_fails_is_tried_less_and_less_often() -> None:
    assert pauses(*[BROKEN] * 7) == [10, 20, 40, 80, 160, 300, 300] and pauses(BROKEN, IN_PLACE, BROKEN)[-1] == 10
    assert {outcome.kind for outcome in judged(*[BROKEN] * 7)} == {"failed"}
    assert judged(*[BROKEN] * 2000)[-1].pause == LONGEST
