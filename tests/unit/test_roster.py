"""One Service over time: the removal hold of watch.md section 2 (a move may look like a gap), and known or unknown.

Held is only who vanished without ever having been seen terminating, for at most a second, and never against a list.
Whatever happens, explain() says the same as the list and no address is in it twice.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership.candidates import Rules
from membership.roster import HOLD, Roster
from membership.wire import Conditions, Endpoint, EndpointSlice
from tests.unit.slices import DRAINING, DYING, SERVING, STARTING, piece, pod

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
A6, B6 = "fd00::1", "fd00::2"
OTHER = piece(pod(B, "b"), rv=1, name="other")
PLACEHOLDER = piece(rv=2, ports={})


class Told:
    """A roster that is told slices at times; every answer is checked against explain()."""

    def __init__(self, *slices: EndpointSlice, rules: Rules = Rules()) -> None:
        self.roster = Roster(rules)
        self.roster.update(slices, 0.0, listed=True)

    def event(self, now: float, *slices: EndpointSlice) -> bool:
        return self._checked(self.roster.update(slices, now, listed=False))

    def relist(self, now: float, *slices: EndpointSlice) -> bool:
        return self._checked(self.roster.update(slices, now, listed=True))

    def release(self, now: float) -> bool:
        return self._checked(self.roster.release(now))

    @property
    def addresses(self) -> list[str]:
        return [address for member in self.roster.members for address in member.addresses]

    def _checked(self, answer: bool) -> bool:
        assert len(self.addresses) == len(set(self.addresses)), "an address twice"
        included = [entry.address for entry in self.roster.explain() if entry.included]
        assert sorted(included) == sorted(self.addresses)
        return answer


def test_before_anything_is_told_the_service_is_unknown_and_empty() -> None:
    roster = Roster(Rules())
    assert (roster.members, roster.known, roster.release_at, roster.explain()) == ((), False, None, ())


def test_a_slice_without_endpoints_is_a_known_service_and_no_slice_is_an_unknown_one() -> None:
    told = Told()
    assert not told.roster.known
    assert told.event(1.0, PLACEHOLDER) and told.roster.known and not told.roster.members
    assert told.event(2.0) and not told.roster.known


def test_only_a_change_of_members_or_of_known_is_reported() -> None:
    told = Told(OTHER)
    assert not told.event(1.0, OTHER)
    assert not told.event(2.0, piece(pod(B, "b"), rv=7, name="other"))
    assert told.event(3.0, piece(pod(B, "b", STARTING), rv=8, name="other"))
    assert not told.relist(4.0, piece(pod(B, "b", STARTING), rv=8, name="other"))


def test_a_slice_whose_ports_changed_is_read_anew_although_its_endpoints_did_not() -> None:
    told = Told(piece(pod(A, "a"), name="one", ports={"hazelcast": 4000}), rules=Rules(port="hazelcast"))
    assert told.event(1.0, piece(pod(A, "a"), rv=2, name="one", ports={"hazelcast": 5701}))
    assert [member.port for member in told.roster.members] == [5701]


def test_who_vanishes_is_held_and_then_released() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    assert not told.event(10.0, OTHER), "held: nothing changes"
    assert told.addresses == [A, B]
    release_at = told.roster.release_at
    assert release_at is not None and 10.0 < release_at <= 11.0, "at most a second"
    assert not told.release(release_at - 0.001)
    assert told.addresses == [A, B]
    assert told.release(release_at)
    assert told.addresses == [B] and told.roster.release_at is None
    assert not told.release(release_at + 1)


def test_a_move_whose_removal_is_seen_first_changes_nothing() -> None:
    told = Told(piece(pod(A, "a"), rv=1, name="one"), piece(pod(B, "b"), rv=2, name="two"))
    assert not told.event(10.0, piece(rv=3, name="one"), piece(pod(B, "b"), rv=2, name="two"))
    assert not told.event(10.01, piece(rv=3, name="one"), piece(pod(B, "b"), pod(A, "a"), rv=4, name="two"))
    assert told.addresses == [A, B] and told.roster.release_at is None, "no hold is left behind"


def test_who_reappears_counts_as_its_slice_says() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(10.0, OTHER)
    assert told.event(10.1, OTHER, piece(pod(C, "a", STARTING), rv=9))
    assert told.addresses == [B, C] and told.roster.release_at is None


def test_who_reappears_terminating_goes_at_once() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(10.0, OTHER)
    assert told.event(10.1, OTHER, piece(pod(A, "a", DYING), rv=9))
    assert told.addresses == [B] and told.roster.release_at is None


def test_more_events_do_not_prolong_a_hold() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(10.0, OTHER)
    until = told.roster.release_at
    told.event(10.2, piece(pod(B, "b", STARTING), rv=5, name="other"))
    assert told.roster.release_at == until and told.addresses == [A, B]


def test_each_hold_has_its_own_time() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2), piece(pod(C, "c"), rv=3))
    told.event(10.0, OTHER, piece(pod(C, "c"), rv=3))
    told.event(10.1, OTHER)
    assert told.addresses == [A, B, C]
    told.release(10.0 + HOLD)
    assert told.addresses == [B, C]
    told.release(10.1 + HOLD)
    assert told.addresses == [B]


@pytest.mark.parametrize("rules", [Rules(), Rules(include_terminating=True)], ids=["dropped", "kept"])
@pytest.mark.parametrize("conditions", [DYING, DRAINING], ids=["dying", "draining"])
def test_who_was_seen_terminating_is_not_held(rules: Rules, conditions: Conditions) -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2), rules=rules)
    told.event(5.0, OTHER, piece(pod(A, "a", conditions), rv=3))
    told.event(10.0, OTHER)
    assert told.addresses == [B] and told.roster.release_at is None


def test_who_was_ever_seen_terminating_is_not_held() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(5.0, OTHER, piece(pod(A, "a", DYING), rv=3))
    told.event(6.0, OTHER, piece(pod(A, "a", SERVING), rv=4))  # a slice written from an outdated cache
    told.event(10.0, OTHER)
    assert told.addresses == [B]


def test_who_terminated_since_the_last_decision_is_not_held() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2), piece(pod(C, "c"), rv=3, name="three"))
    assert told.roster.update([OTHER], 10.0, listed=False, doomed=frozenset({"a", "never heard of"}))
    assert told.addresses == [B, C], "c may be on its way"
    assert told.event(10.1, OTHER, piece(pod(A, "a"), rv=6))
    assert not told.event(10.2, OTHER) and told.addresses == [A, B, C], "what is gone is forgotten"


def test_a_list_is_the_truth_of_one_moment_nothing_is_held_against_it() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    assert told.relist(10.0, OTHER)
    assert told.addresses == [B] and told.roster.release_at is None


def test_a_list_ends_a_hold() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(10.0, OTHER)
    assert told.relist(10.1, OTHER)
    assert told.addresses == [B] and told.roster.release_at is None


def test_nothing_is_held_when_the_last_slice_is_gone() -> None:
    told = Told(piece(pod(A, "a")))
    assert told.event(10.0)
    assert told.addresses == [] and not told.roster.known


def test_without_a_uid_nobody_can_reappear_and_nobody_is_held() -> None:
    told = Told(OTHER, piece(pod(A), rv=2))
    assert told.event(10.0, OTHER)
    assert told.addresses == [B]


def test_an_address_that_is_reused_in_the_same_event_is_not_held() -> None:
    told = Told(piece(pod(A, "a"), rv=2))
    assert told.event(10.0, piece(pod(A, "new"), rv=3))
    assert [member.uid for member in told.roster.members] == ["new"]


def test_an_address_that_is_reused_during_a_hold_ends_it() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(10.0, OTHER)
    assert told.event(10.1, OTHER, piece(pod(A, "new"), rv=3))
    assert [member.uid for member in told.roster.members] == ["new", "b"]
    assert told.roster.release_at is None


def test_a_second_address_that_is_reused_during_a_hold_ends_it() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2), piece(pod(A6, "a"), rv=3, family="IPv6"), rules=Rules(family="both"))
    told.roster.update([OTHER], 10.0, listed=False)
    told.roster.update([OTHER, piece(pod(A6, "new"), rv=5, family="IPv6")], 10.1, listed=False)
    assert sorted(told.addresses) == sorted(set(told.addresses)), "an address twice"


def two_families(*v6: Endpoint, rv: int = 3, conditions: Conditions = SERVING) -> list[EndpointSlice]:
    """Pod a with its IPv4 address, b with both, and whatever else has an IPv6 address."""
    six = piece(pod(B6, "b"), *v6, rv=rv, name="six", family="IPv6")
    return [piece(pod(A, "a", conditions), pod(B, "b"), rv=rv, name="four"), six]


def test_a_move_within_one_family_whose_removal_is_seen_first_changes_nothing() -> None:
    told = Told(*two_families(pod(A6, "a")), rules=Rules(family="both"))
    assert told.addresses == [A, A6, B, B6]
    assert not told.event(10.0, *two_families(rv=4)), "held with both addresses"
    moved = piece(pod(A6, "a"), rv=5, name="seven", family="IPv6")
    assert not told.event(10.01, *two_families(rv=4), moved)
    assert told.addresses == [A, A6, B, B6] and told.roster.release_at is None, "no hold is left behind"


def test_who_loses_one_family_for_good_is_held_and_then_has_the_other() -> None:
    told = Told(*two_families(pod(A6, "a")), rules=Rules(family="both"))
    told.event(10.0, *two_families(rv=4))
    until = told.roster.release_at
    assert until is not None and 10.0 < until <= 11.0
    assert told.event(10.2, *two_families(rv=5, conditions=STARTING)), "its conditions are those of what is left"
    assert told.roster.release_at == until and told.addresses == [A, A6, B, B6]
    assert [member.serving for member in told.roster.members] == [False, True]
    assert told.release(until) and told.addresses == [A, B, B6]
    assert told.roster.release_at is None and not told.event(20.0, *two_families(rv=6, conditions=STARTING))


def test_each_that_loses_one_family_has_its_own_time() -> None:
    told = Told(*two_families(pod(A6, "a")), rules=Rules(family="both"))
    told.event(10.0, *two_families(rv=4))
    told.event(10.1, two_families(rv=4)[0], piece(rv=5, name="six", family="IPv6"))
    assert told.addresses == [A, A6, B, B6]
    assert told.release(10.0 + HOLD) and told.addresses == [A, B, B6]
    assert told.release(10.1 + HOLD) and told.addresses == [A, B]


def test_one_family_is_not_held_against_a_list_nor_for_who_terminates_or_whose_address_is_reused() -> None:
    for answer, told_now in (
        ([A, B, B6], two_families(rv=4)),
        ([A, B, B6], two_families(rv=4, conditions=DRAINING)),
        ([A, A6, B, B6], [*two_families(rv=4), piece(pod(A6, "new"), rv=5, name="seven", family="IPv6")]),
    ):
        told = Told(*two_families(pod(A6, "a")), rules=Rules(family="both", include_terminating=True))
        listed = told_now == two_families(rv=4)
        assert (told.relist if listed else told.event)(10.0, *told_now)
        assert sorted(told.addresses) == sorted(answer) and told.roster.release_at is None


def test_an_address_of_the_lost_family_that_is_reused_during_the_hold_ends_it() -> None:
    told = Told(*two_families(pod(A6, "a")), rules=Rules(family="both"))
    told.event(10.0, *two_families(rv=4))
    assert told.event(10.1, *two_families(rv=4), piece(pod(A6, "new"), rv=5, name="seven", family="IPv6"))
    assert [(member.uid, member.addresses) for member in told.roster.members] == [
        ("a", (A,)),
        ("b", (B, B6)),
        ("new", (A6,)),
    ]
    assert told.roster.release_at is None


def test_who_loses_both_families_one_after_the_other_is_held_once() -> None:
    told = Told(*two_families(pod(A6, "a")), rules=Rules(family="both"))
    told.event(10.0, *two_families(rv=4))
    until = told.roster.release_at
    assert not told.event(
        10.1, piece(pod(B, "b"), rv=5, name="four"), piece(pod(B6, "b"), rv=4, name="six", family="IPv6")
    )
    assert told.roster.release_at == until and told.addresses == [A, A6, B, B6]
    assert until is not None and told.release(until) and told.addresses == [B, B6]


def test_explain_names_every_address_of_a_held_member() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2), piece(pod(A6, "a"), rv=3, family="IPv6"), rules=Rules(family="both"))
    told.roster.update([OTHER], 10.0, listed=False)
    assert {entry.address for entry in told.roster.explain() if entry.included} == {A, A6, B}


def test_a_recreated_service_holds_nobody_of_the_earlier_one() -> None:
    old = piece(pod(A, "a"), rv=2, owner="old", created="1")
    told = Told(old)
    assert told.event(10.0, old, piece(rv=9, owner="new", created="2", ports={}))
    assert told.addresses == [] and told.roster.known


def test_a_held_member_is_listed_in_order() -> None:
    told = Told(piece(pod("10.0.0.10", "x"), pod("10.0.0.9", "y"), pod("10.0.0.100", "z")))
    told.event(10.0, piece(pod("10.0.0.9", "y"), pod("10.0.0.100", "z"), rv=2))
    assert told.addresses == ["10.0.0.9", "10.0.0.10", "10.0.0.100"]


def test_explain_says_of_a_held_member_that_it_is_missing() -> None:
    told = Told(OTHER, piece(pod(A, "a"), rv=2))
    told.event(10.0, OTHER)
    (entry,) = [entry for entry in told.roster.explain() if entry.address == A]
    assert entry.included and entry.uid == "a" and "missing" in entry.reason


def test_explain_agrees_where_two_subsets_of_endpoints_name_one_address() -> None:
    subset = piece(pod(A, "a"), rv=1, name="is")
    again = [piece(pod(A, "a"), rv=2, name="is") for _ in range(2)]
    told = Told(subset, subset)
    told.relist(1.0, *again)
    assert told.addresses == [A]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, list[EndpointSlice]]]:
    """Steps: what is told, and the slices; resource versions only grow."""
    steps, rv = [], 1
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["event", "event", "event", "list", "release"]))
        slices = []
        for name in draw(st.lists(st.sampled_from(["one", "two", "six"]), unique=True)):
            rv += 1
            endpoint = st.builds(
                pod,
                st.sampled_from([A6, B6] if name == "six" else [A, B, C]),
                st.sampled_from([None, "a", "b", "c"]),
                st.sampled_from([None, SERVING, STARTING, DYING]),
            )
            family = "IPv6" if name == "six" else "IPv4"
            slices.append(piece(*draw(st.lists(endpoint, max_size=3)), rv=rv, name=name, family=family))
        steps.append((kind, slices))
    return steps


@settings(max_examples=200, deadline=None)
@given(
    steps=histories(),
    pauses=st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.6]), min_size=8, max_size=8),
    rules=st.builds(Rules, family=st.sampled_from(["ipv4", "both"]), include_terminating=st.booleans()),
)
def test_whatever_is_told_the_list_is_explained_and_ends_as_the_slices_say(
    steps: list[tuple[str, list[EndpointSlice]]], pauses: list[float], rules: Rules
) -> None:
    told, now = Told(rules=rules), 0.0
    last: list[EndpointSlice] = []
    for (kind, slices), pause in zip(steps, pauses, strict=False):
        now += pause
        if kind == "release":
            told.release(now)
            continue
        last = slices
        before = told.roster.members, told.roster.known
        changed = told.event(now, *slices) if kind == "event" else told.relist(now, *slices)
        assert changed == ((told.roster.members, told.roster.known) != before)
        assert told.roster.release_at is None or told.roster.release_at <= now + 1.0
    told.release(now + 1.0)
    fresh = Told(*last, rules=rules)
    assert told.roster.members == fresh.roster.members
    assert told.roster.explain() == fresh.roster.explain()
    assert told.roster.release_at is None
