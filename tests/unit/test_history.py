"""What a change says of two lists, and which changes are handed out for what is asked."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership.history import NAMED, Change, History, Party, compare, parse_since
from membership.render.history import changes_text, read_change, write_change
from tests.unit.lists import member, snapshot

WITHOUT_ZONE = b'{"at":"2026-11-21T12:00:00","epoch":"e","generation":1,"source":"endpointslices","members":0}'
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
A, B, C = member("10.0.0.1"), member("10.0.0.2"), member("10.0.0.3")


def make(generation: int, *, minutes: int = 0, epoch: str = "e") -> Change:
    at = NOON + timedelta(minutes=minutes)
    return Change(at=at, epoch=epoch, generation=generation, source="endpointslices", members=0)


def endpoints(parties: tuple[Party, ...]) -> list[str]:
    return [party.endpoint for party in parties]


def test_everybody_joins_the_first_list() -> None:
    change = compare(None, snapshot(A, B, generation=1), NOON)
    assert endpoints(change.joined) == ["10.0.0.1:4000", "10.0.0.2:4000"]
    assert (change.left, change.altered, change.members, change.generation) == ((), (), 2, 1)


def test_joined_left_and_altered() -> None:
    other = replace(B, ready=False, node="n2")
    change = compare(snapshot(A, B), snapshot(other, C, generation=8), NOON)
    assert (endpoints(change.joined), endpoints(change.left)) == (["10.0.0.3:4000"], ["10.0.0.1:4000"])
    assert [(party.name, dict(party.became or {})) for party in change.altered] == [
        (B.name, {"ready": (True, False), "node": ("n1", "n2")})
    ]


def test_a_pod_made_anew_under_its_name_and_address_has_left_and_joined() -> None:
    change = compare(snapshot(A), snapshot(replace(A, uid="another")), NOON)
    assert (len(change.joined), len(change.left), len(change.altered)) == (1, 1, 0)


def test_without_a_uid_the_address_is_who_it_is() -> None:
    change = compare(snapshot(replace(A, uid=None)), snapshot(replace(A, uid=None, ready=False)), NOON)
    assert (len(change.joined), len(change.left), len(change.altered)) == (0, 0, 1)


def test_a_pod_of_two_services_is_two_members() -> None:
    change = compare(snapshot(A), snapshot(A, replace(A, service="apim")), NOON)
    assert [party.service for party in change.joined] == ["wso2/apim"]


def test_a_member_without_a_port_is_named_by_its_address() -> None:
    assert endpoints(compare(None, snapshot(member("10.0.0.1", port=None)), NOON).joined) == ["10.0.0.1"]


def test_a_change_of_thousands_names_some_and_counts_the_others() -> None:
    many = [member(f"10.0.{number // 250}.{number % 250}", uid=str(number)) for number in range(1000)]
    change = compare(snapshot(A), snapshot(*many), NOON)
    assert (len(change.joined), len(change.left), change.unnamed) == (NAMED, 1, 1000 - NAMED)
    assert "and 950 more" in changes_text([change])


def test_changes_after_a_generation_are_of_this_epoch() -> None:
    history = History([make(9, epoch="before"), make(1), make(2), make(3)])
    assert [change.generation for change in history.since(1, "e")] == [2, 3]
    assert history.since(3, "e") == ()


def test_a_generation_of_another_epoch_gets_all_of_this_one() -> None:
    history = History([make(9, epoch="before"), make(1), make(2)])
    assert [change.generation for change in history.since(9, "e")] == [1, 2]


def test_changes_since_a_time_are_of_every_epoch() -> None:
    history = History([make(8, epoch="before"), make(9, minutes=5, epoch="before"), make(1, minutes=9)])
    assert [change.generation for change in history.since(NOON + timedelta(minutes=5), "e")] == [9, 1]
    assert len(history.since(None, "e")) == 3


def test_only_the_last_are_kept() -> None:
    history = History([make(1), make(2)], limit=3)
    for number in range(3, 8):
        history.add(make(number))
    assert [change.generation for change in history.changes] == [5, 6, 7]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("7", 7),
        ("0", 0),
        ("15m", NOON - timedelta(minutes=15)),
        ("2026-11-21T11:59:00Z", NOON - timedelta(minutes=1)),
        ("2026-11-21T11:59:00", NOON - timedelta(minutes=1)),
        ("2026-11-21T12:59:00+01:00", NOON - timedelta(minutes=1)),
        ("2026-11-21T12:59:00 01:00", NOON - timedelta(minutes=1)),
    ],
)
def test_since_is_a_generation_a_time_or_a_duration(text: str, expected: int | datetime) -> None:
    assert parse_since(text, NOON) == expected


@pytest.mark.parametrize("text", ["", "-1", "yesterday", "9" * 19, "2026-13-01", "99999999999h", "1.5"])
def test_since_refuses_everything_else(text: str) -> None:
    with pytest.raises(ValueError):
        parse_since(text, NOON)


@given(st.text(max_size=30))
def test_since_raises_nothing_but_value_errors(text: str) -> None:
    try:
        parse_since(text, NOON)
    except ValueError:
        pass


def test_a_line_is_read_as_it_was_written() -> None:
    change = compare(snapshot(A, B), snapshot(replace(A, ready=False), C), NOON)
    line = write_change(change)
    assert line.count(b"\n") == 1 and b'"at":"2026-11-21T12:00:00Z"' in line
    assert read_change(line) == change


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff", b'{"at":"now"}'])
def test_a_broken_line_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_change(line)


def test_text_for_people() -> None:
    first = compare(None, replace(snapshot(A), unknown_services=("wso2/apim",)), NOON)
    second = compare(snapshot(A), snapshot(replace(A, serving=False), generation=8), NOON)
    assert changes_text([first, second]) == (
        "2026-11-21T12:00:00Z  generation 7 of e, 1 member, from endpointslices\n"
        "    + is-1  10.0.0.1:4000  wso2/is\n"
        "    ? wso2/apim is not found\n"
        "2026-11-21T12:00:00Z  generation 8 of e, 1 member, from endpointslices\n"
        "    ~ is-1  10.0.0.1:4000  wso2/is  serving: true -> false\n"
    )
    assert changes_text([]) == "no changes\n"


def test_a_time_without_a_zone_is_no_change() -> None:
    """It could not be compared with any other."""
    assert read_change(WITHOUT_ZONE.replace(b'00",', b'00Z",')).at == NOON
    with pytest.raises(ValueError, match="zone"):
        read_change(WITHOUT_ZONE)
