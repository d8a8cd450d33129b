"""The formation gate of contract.md: --expect, --stable, --gate-timeout, --on-timeout and --self-ip, in virtual time.

It opens when the own address and --expect addresses are in the slices, unchanged for --stable; at once where another
member serves; at the time-out with `start` and any list at all. Once open it stays open.
"""

from dataclasses import replace
from itertools import count

import pytest

from membership.gate import BOOT_WINDOW, Gate, GateRules
from membership.model import Member, Snapshot

OWN, OTHER, THIRD = "10.0.0.1", "10.0.0.2", "10.0.0.3"
RULES = GateRules(expect=2, stable=2.0, timeout=120.0, self_ip=OWN)
FAIL = replace(RULES, on_timeout="fail")
GENERATION = count(1)
START = 1000.0
"""The monotonic second at which the gate starts: no test may depend on its being 0."""


def member(address: str, *more: str, serving: bool = False, terminating: bool = False, service: str = "is") -> Member:
    uid = f"uid-{address}"
    return Member(
        address, 4000, (address, *more), service, "wso2", uid, uid, True, serving, terminating, None, None, None, {}
    )


def snapshot(*members: Member | str, synced: bool = True, generation: int | None = None) -> Snapshot:
    """Members by address are such that do not serve yet: all start together."""
    return Snapshot(
        generation=next(GENERATION) if generation is None else generation,
        epoch="e",
        synced=synced,
        stale=not synced,
        age_seconds=0.0,
        source="endpointslices" if synced else "state",
        services=("wso2/is",),
        unknown_services=(),
        resource_versions={},
        members=tuple(member(entry) if isinstance(entry, str) else entry for entry in members),
    )


def gate(*seen: tuple[float, Snapshot], rules: GateRules = RULES) -> Gate:
    """A gate that saw these lists so many seconds after its start."""
    made = Gate(rules, START)
    for at, what in seen:
        made.observe(what, START + at)
    return made


def is_open(of: Gate, at: float) -> bool:
    return of.state(START + at).open


def test_the_defaults_are_the_contracts() -> None:
    rules = GateRules()
    assert (rules.expect, rules.timeout, rules.stable, rules.on_timeout) == (1, 120.0, 2.0, "start")


def test_before_any_list_it_is_closed_and_counts_down() -> None:
    state = gate().state(START + 20)
    assert (state.open, state.timed_out, state.seconds_left) == (False, False, 100.0)
    assert "no list" in state.reason


def test_complete_opens_when_stable_and_not_before() -> None:
    made = gate((1, snapshot(OWN, OTHER)))
    assert not is_open(made, 1) and not is_open(made, 2.999)
    assert is_open(made, 3)
    assert not made.state(START + 3).timed_out


INCOMPLETE = {
    "no members": (snapshot(), "own address"),
    "the own address is missing": (snapshot(OTHER, THIRD), OWN),
    "too few": (snapshot(OWN), "1 of 2"),
    "one address in two Services counts once": (snapshot(OWN, member(OWN, service="am")), "1 of 2"),
    "a second address of one member does not count": (snapshot(member(OWN, "fd00::1")), "1 of 2"),
}


@pytest.mark.parametrize("seen, words", list(INCOMPLETE.values()), ids=list(INCOMPLETE))
def test_incomplete_stays_closed_and_says_why(seen: Snapshot, words: str) -> None:
    state = gate((0, seen)).state(START + 119)
    assert not state.open and words in state.reason


COMPLETE = {
    "as many as expected": (snapshot(OWN, OTHER), RULES),
    "more than expected": (snapshot(OWN, OTHER, THIRD), RULES),
    "the own address is a member's second one": (snapshot(member(OTHER, OWN), THIRD), RULES),
    "without --self-ip nobody need be there but the expected": (snapshot(OTHER, THIRD), replace(RULES, self_ip=None)),
    "alone where one is expected": (snapshot(OWN), replace(RULES, expect=1)),
    "serving ourselves": (snapshot(member(OWN, serving=True), OTHER), RULES),
    "with someone who terminates while serving": (
        snapshot(OWN, OTHER, member(THIRD, serving=True, terminating=True)),
        RULES,
    ),
}


@pytest.mark.parametrize("seen, rules", list(COMPLETE.values()), ids=list(COMPLETE))
def test_complete_needs_to_be_stable(seen: Snapshot, rules: GateRules) -> None:
    made = gate((0, seen), rules=rules)
    assert not is_open(made, 1.9)
    assert is_open(made, 2)


def test_a_changed_list_starts_the_stable_time_anew() -> None:
    made = gate((0, snapshot(OWN, OTHER)), (1.5, snapshot(OWN, OTHER, THIRD)))
    assert not is_open(made, 3.4)
    assert is_open(made, 3.5)


def test_an_incomplete_list_ends_the_stable_time() -> None:
    made = gate((0, snapshot(OWN, OTHER)), (1, snapshot(OWN)), (1.5, snapshot(OWN, OTHER)))
    assert not is_open(made, 3.4)
    assert is_open(made, 3.5)


def test_a_list_that_became_incomplete_does_not_open_it_later() -> None:
    assert not is_open(gate((0, snapshot(OWN, OTHER)), (1, snapshot(OWN))), 119)


def test_a_list_with_the_same_addresses_does_not_start_it_anew() -> None:
    """A pod that becomes ready or a node name that appears changes the list and not who is in it."""
    made = gate((0, snapshot(OWN, OTHER)), (1.5, snapshot(member(OWN), member(OTHER, service="am"))))
    assert is_open(made, 2)


def test_what_was_stable_long_enough_has_opened_it_whenever_it_is_asked() -> None:
    made = gate((0, snapshot(OWN, OTHER)), (5, snapshot(OWN)))
    assert is_open(made, 5), "stable from 0 to 5: open since 2, and once open it stays open"


def test_an_established_member_opens_it_at_once() -> None:
    made = gate((7, snapshot(member(OTHER, serving=True))))
    state = made.state(START + 7)
    assert state.open and OTHER in state.reason and not state.timed_out


NOT_ESTABLISHED = {
    "ourselves": member(OWN, serving=True),
    "ourselves by a second address": member(THIRD, OWN, serving=True),
    "someone who terminates": member(OTHER, serving=True, terminating=True),
    "someone who is not ready": member(OTHER),
}


@pytest.mark.parametrize("who", list(NOT_ESTABLISHED.values()), ids=list(NOT_ESTABLISHED))
def test_who_is_no_established_member(who: Member) -> None:
    assert not is_open(gate((0, snapshot(who))), 119)


def test_once_open_it_stays_open() -> None:
    made = gate((0, snapshot(OWN, OTHER)))
    assert is_open(made, 2)
    for at, seen in ((3, snapshot()), (4, snapshot(OTHER)), (200, snapshot(synced=False))):
        made.observe(seen, START + at)
        assert is_open(made, at)
    assert made.next_change(START + 10) is None


def test_once_open_for_an_established_member_it_stays_open() -> None:
    made = gate((0, snapshot(member(OTHER, serving=True))), (1, snapshot()))
    assert is_open(made, 1) and is_open(made, 500)


# The time-out


@pytest.mark.parametrize(
    "seen", [snapshot(OWN), snapshot(), snapshot(OTHER, THIRD)], ids=["too few", "empty", "not us"]
)
def test_at_the_time_out_start_opens_with_any_list(seen: Snapshot) -> None:
    made = gate((0, seen))
    assert not is_open(made, 119.999)
    state = made.state(START + 120)
    assert (state.open, state.timed_out, state.seconds_left) == (True, True, 0.0)
    assert "time is up" in state.reason
    assert is_open(made, 121)


@pytest.mark.parametrize("seen", [snapshot(OWN), snapshot()], ids=["too few", "empty"])
def test_at_the_time_out_fail_stays_closed(seen: Snapshot) -> None:
    state = gate((0, seen), rules=FAIL).state(START + 500)
    assert (state.open, state.timed_out, state.seconds_left) == (False, True, 0.0)


@pytest.mark.parametrize("rules", [RULES, FAIL], ids=["start", "fail"])
def test_at_the_time_out_without_any_list_it_stays_closed(rules: GateRules) -> None:
    state = gate((0, snapshot(synced=False, generation=0)), rules=rules).state(START + 500)
    assert (state.open, state.timed_out) == (False, True)


def test_after_the_time_out_the_first_list_opens_it() -> None:
    made = gate()
    assert not is_open(made, 300)
    made.observe(snapshot(), START + 301)
    assert is_open(made, 301)


@pytest.mark.parametrize("rules", [RULES, FAIL], ids=["start", "fail"])
def test_stable_in_time_is_no_time_out(rules: GateRules) -> None:
    state = gate((118, snapshot(OWN, OTHER)), rules=rules).state(START + 120)
    assert (state.open, state.timed_out) == (True, False)


# Lists from a state file

STATE = {
    "complete": snapshot(OWN, OTHER, synced=False),
    "with an established member": snapshot(OWN, member(OTHER, serving=True), synced=False),
}


@pytest.mark.parametrize("seen", list(STATE.values()), ids=list(STATE))
def test_a_list_from_a_state_file_opens_it_only_at_the_time_out(seen: Snapshot) -> None:
    made = gate((0, seen))
    assert not is_open(made, 119.999)
    state = made.state(START + 120)
    assert state.open and state.timed_out


@pytest.mark.parametrize("seen", list(STATE.values()), ids=list(STATE))
def test_a_list_from_a_state_file_does_not_open_it_under_fail(seen: Snapshot) -> None:
    assert not is_open(gate((0, seen), rules=FAIL), 500)


# When to look again


def test_next_change_is_when_the_answer_changes_by_itself() -> None:
    assert gate().next_change(START) == START + 120
    assert gate((1, snapshot(OWN))).next_change(START + 1) == START + 120
    assert gate((1, snapshot(OWN, OTHER))).next_change(START + 1) == START + 3
    assert gate((119, snapshot(OWN, OTHER))).next_change(START + 119) == START + 120


@pytest.mark.parametrize("rules", [RULES, FAIL], ids=["start", "fail"])
def test_next_change_never_lies_in_the_past(rules: GateRules) -> None:
    made = gate(rules=rules)
    now = START + 130
    assert not made.state(now).open
    due = made.next_change(now)
    assert due is None or due > now


ALONE = GateRules(expect=1, stable=2.0, self_ip=OWN)
OPENED = (0.0, snapshot(OWN)), (2.5, snapshot(OWN))
"""A gate for one, open since second 2 or a little later."""


@pytest.mark.parametrize("at", (2.6, 30.0, BOOT_WINDOW))
def test_a_second_address_while_the_server_boots_is_warned_of(at: float) -> None:
    made = gate(*OPENED, (at, snapshot(OWN, OTHER)), rules=ALONE)
    state = made.state(START + at)
    assert state.open and not state.timed_out
    assert OWN in state.warning and OTHER in state.warning and "expect is 1" in state.warning
    made.observe(snapshot(OWN), START + at + 1)
    assert made.state(START + at + 1).warning == state.warning, "what happened has happened"


def test_two_addresses_at_the_opening_for_one_are_warned_of() -> None:
    both = snapshot(OWN, OTHER)
    assert gate((0, both), (2.5, both), (2.6, both), rules=ALONE).state(START + 2.6).warning


NO_TRAP = {
    "it came when the server must have started": (ALONE, ((BOOT_WINDOW + 2.6, snapshot(OWN, OTHER)),)),
    "the own member serves: OrderedReady": (ALONE, ((30, snapshot(member(OWN, serving=True), OTHER)),)),
    "the own member served before it came": (
        ALONE,
        ((30, snapshot(member(OWN, serving=True))), (40, snapshot(OWN, OTHER))),
    ),
    "one address instead of another": (ALONE, ((30, snapshot(OTHER)),)),
    "one address of two Services": (ALONE, ((30, snapshot(OWN, member(OWN, service="am"))),)),
}


@pytest.mark.parametrize(("rules", "seen"), NO_TRAP.values(), ids=NO_TRAP)
def test_no_warning(rules: GateRules, seen: tuple[tuple[float, Snapshot], ...]) -> None:
    made = gate(*OPENED, *seen, rules=rules)
    assert not made.state(START + seen[-1][0]).warning


def test_no_warning_where_there_is_a_cluster_to_join_or_as_many_as_expected() -> None:
    serving = snapshot(OWN, member(OTHER, serving=True))
    joined = gate((0, serving), (1, snapshot(OWN, OTHER, THIRD)), rules=ALONE)
    assert not joined.state(START + 1).warning
    both = snapshot(OWN, OTHER)
    assert not gate((0, both), (2.5, both), (3, both)).state(START + 3).warning
    assert gate((0, both), (2.5, both), (3, snapshot(OWN, OTHER, THIRD))).state(START + 3).warning


def test_it_names_the_list_that_opened_it() -> None:
    """What a member reads when it starts must be this list or a newer one, and may be in a file still to be written."""
    assert gate((1, snapshot(OWN, OTHER))).state(START + 2).generation == 0
    shut = gate((1, replace(snapshot(OWN, OTHER), generation=3)), (4, replace(snapshot(OWN), generation=4)))
    assert shut.state(START + 5).generation == 3, "the second list came after the first had opened it"
    timed = gate((1, replace(snapshot(OWN), generation=2)))
    assert timed.state(START + 200).generation == 2


def test_an_open_gate_is_overdue_when_its_time_is_up_and_start_was_chosen() -> None:
    opened = (1, snapshot(OWN, OTHER)), (4, snapshot(OWN, OTHER))
    assert not gate(*opened).state(START + 119.9).overdue
    assert gate(*opened).state(START + 120).overdue
    assert not gate(*opened, rules=FAIL).state(START + 120).overdue


# Whom files can name, and whom v1 Endpoints can


def test_members_that_no_file_can_name_count_for_nothing() -> None:
    """Held back for others, a member must find them in its file; alone in it, it is a cluster of its own."""
    portless = replace(member(OTHER, serving=True), port=None)
    made = gate((0, snapshot(OWN, portless)))
    assert not is_open(made, 119) and OTHER in made.state(START + 119).reason
    made.observe(snapshot(OWN, portless, THIRD), START + 119)
    assert is_open(made, 121)


def test_who_is_about_to_go_is_not_waited_for() -> None:
    assert not is_open(gate((0, snapshot(OWN, member(OTHER, terminating=True)))), 119)


@pytest.mark.parametrize("source", ["endpoints", "endpoints-polling"])
def test_endpoints_call_everyone_ready_where_not_ready_addresses_are_published(source: str) -> None:
    both = snapshot(member(OWN, serving=True), member(OTHER, serving=True))
    alone = snapshot(member(OTHER, serving=True))
    expects_three = replace(RULES, expect=3)
    for seen in (both, alone):
        assert not is_open(gate((0, replace(seen, source=source)), rules=expects_three), 119)
        assert is_open(gate((0, seen), rules=expects_three), 0) is True
    without_own = replace(expects_three, self_ip=None)
    assert not is_open(gate((0, replace(both, source=source)), rules=without_own), 119)


def test_endpoints_that_tell_us_from_them_show_a_cluster_to_join() -> None:
    seen = replace(snapshot(OWN, member(OTHER, serving=True)), source="endpoints")
    assert is_open(gate((0, seen), rules=replace(RULES, expect=3)), 0)
