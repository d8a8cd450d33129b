"""From slices to members: each rule of watch.md section 2 and of contract.md's --port, --family and readiness settings.

Every case also holds that explain() says the same as the list: the addresses it calls included are the members'.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership import members
from membership.candidates import Candidate, Rules, SliceReading, read_slice
from membership.members import Decision, decide, explain
from membership.model import Member
from membership.wire import Conditions, Endpoint, EndpointSlice, Port, TargetRef
from tests.unit.slices import DRAINING, DYING, SERVING, STARTING, piece, pod

DEFAULT = Rules()
BOTH = Rules(family="both")
IPV6 = Rules(family="ipv6")
READY_ONLY = Rules(ready_only=True)
WITH_TERMINATING = Rules(include_terminating=True)
EVERYTHING = Rules(family="both", include_terminating=True)
NAMED = Rules(port="hazelcast")


def judge(slices: Iterable[EndpointSlice], rules: Rules = DEFAULT) -> Decision:
    """Decide, and check that the explanation agrees."""
    readings = [read_slice(slice, rules) for slice in slices]
    decision = decide(readings, rules)
    entries = explain(readings, decision, rules)
    listed = [address for member in decision.members for address in member.addresses]
    assert {entry.address for entry in entries if entry.included} == set(listed)
    assert len(listed) == len(set(listed)), "an address twice within a Service"
    assert len(entries) == sum(len(reading.candidates) for reading in readings), "every endpoint of every slice"
    assert all(entry.reason for entry in entries)
    return decision


def show(member: Member) -> str:
    """`10.0.0.1+fd00::1 port=5701 not-ready not-serving terminating`: what differs from an ordinary member."""
    words = ["+".join(member.addresses)]
    words += [f"port={member.port}"] if member.port != 4000 else []
    words += ["not-ready"] if not member.ready else []
    words += ["not-serving"] if not member.serving else []
    words += ["terminating"] if member.terminating else []
    return " ".join(words)


@dataclass(frozen=True)
class Case:
    slices: Sequence[EndpointSlice]
    members: Sequence[str]
    rules: Rules = DEFAULT


A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
A6, B6 = "fd00::1", "fd00::2"
NOTHING = Conditions()
PUBLISHED_DYING = Conditions(ready=True, serving=False, terminating=True)  # under publishNotReadyAddresses
PUBLISHED_STARTING = Conditions(ready=True, serving=False, terminating=False)

CASES = {
    # several slices, whoever made them
    "no slices, no members": Case([], []),
    "the placeholder of an empty Service has no members": Case([piece(ports={})], []),
    "slices of one Service are united": Case([piece(pod(A, "a"), rv=1), piece(pod(B, "b"), rv=2)], [A, B]),
    "slices of all managed-by parties are united": Case(
        [
            piece(
                pod(A, "a"), rv=1, labels={"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
            ),
            piece(pod(B, "b"), rv=2, labels={"endpointslice.kubernetes.io/managed-by": "mesh.example.com"}),
            piece(pod(C, "c"), rv=3),
        ],
        [A, B, C],
    ),
    "a headless Service's slices count": Case([piece(pod(A, "a"), labels={"service.kubernetes.io/headless": ""})], [A]),
    "endpoints: null is an empty slice": Case([EndpointSlice(piece().metadata, "IPv4")], []),
    # addresses
    "only addresses[0] has a meaning": Case([piece(pod(None, "a", addresses=(A, B)))], [A]),
    "addresses: null is no member": Case([piece(pod(None, "a"), pod(B, "b"))], [B]),
    "addresses: [] is no member": Case([piece(pod(None, "a", addresses=()), pod(B, "b"))], [B]),
    "what is no address is no member": Case([piece(pod("is-0.is", "a"), pod("10.0.0.256", "x"), pod(B, "b"))], [B]),
    "an IPv6 address in an IPv4 slice is no member": Case([piece(pod(A6, "a"), pod(B, "b"))], [B], BOTH),
    "FQDN slices are ignored": Case(
        [piece(pod("a.example.com", "a"), rv=1, family="FQDN"), piece(pod(B, "b"))], [B], BOTH
    ),
    "FQDN slices are ignored even with an IP in them": Case([piece(pod(A, "a"), family="FQDN")], [], BOTH),
    "an address type of the future is ignored": Case([piece(pod(A, "a"), family="IPv8")], [], BOTH),
    "sorted as numbers": Case(
        [piece(*(pod(f"10.0.0.{n}", f"{n}") for n in (10, 9, 100, 1)))],
        [
            "10.0.0.1",
            "10.0.0.9",
            "10.0.0.10",
            "10.0.0.100",
        ],
    ),
    "sorted with IPv4 first": Case(
        [piece(pod("fd00::a", "c"), pod("fd00::9", "b"), rv=1, family="IPv6"), piece(pod("200.0.0.1", "a"), rv=2)],
        ["200.0.0.1", "fd00::9", "fd00::a"],
        BOTH,
    ),
    "IPv6 is written in its short form": Case([piece(pod("FD00:0::0001", "a"), family="IPv6")], [A6], IPV6),
    # dual stack
    "dual stack: one pod is one member with two addresses, IPv4 first": Case(
        [piece(pod(A6, "a"), rv=1, family="IPv6"), piece(pod(A, "a"), rv=2)], [f"{A}+{A6}"], BOTH
    ),
    "dual stack: ipv4 leaves out IPv6": Case([piece(pod(A6, "a"), rv=1, family="IPv6"), piece(pod(A, "a"), rv=2)], [A]),
    "dual stack: ipv6 leaves out IPv4": Case(
        [piece(pod(A6, "a"), rv=1, family="IPv6"), piece(pod(A, "a"), rv=2)], [A6], IPV6
    ),
    "dual stack: a pod with one family is a member with one address": Case(
        [piece(pod(B6, "b"), rv=1, family="IPv6"), piece(pod(A, "a"), rv=2)], [A, B6], BOTH
    ),
    "dual stack: without targetRef nothing says that it is one pod": Case(
        [piece(pod(A6), rv=1, family="IPv6"), piece(pod(A), rv=2)], [A, A6], BOTH
    ),
    # conditions
    "nil conditions are ready, serving and not terminating": Case(
        [piece(pod(A, "a", None), pod(B, "b", NOTHING))], [A, B]
    ),
    "a selectorless Service: no targetRef, no conditions": Case(
        [piece(pod(A, None, None), pod(B, None, None))], [A, B]
    ),
    "a targetRef without uid: the address is the identity": Case(
        [piece(pod(A, None, target_ref=TargetRef(kind="Pod", name="is-0")), pod(B))], [A, B]
    ),
    "members that are not ready are kept": Case([piece(pod(A, "a", STARTING))], [f"{A} not-ready not-serving"]),
    "terminating members are dropped": Case([piece(pod(A, "a", DYING), pod(B, "b", DRAINING), pod(C, "c"))], [C]),
    "ready is true while terminating under publishNotReadyAddresses: dropped": Case(
        [piece(pod(A, "a", PUBLISHED_DYING))], []
    ),
    "include-terminating keeps them": Case(
        [piece(pod(A, "a", DRAINING))], [f"{A} not-ready terminating"], WITH_TERMINATING
    ),
    "ready-only asks serving": Case([piece(pod(A, "a", STARTING), pod(B, "b"))], [B], READY_ONLY),
    "ready-only does not ask ready, true under publishNotReadyAddresses": Case(
        [piece(pod(A, "a", PUBLISHED_STARTING), pod(B, "b", PUBLISHED_DYING))], [], READY_ONLY
    ),
    "ready-only does not ask ready, false while serving": Case(
        [piece(pod(A, "a", Conditions(ready=False, serving=True)))], [f"{A} not-ready"], READY_ONLY
    ),
    "ready-only drops terminating members that still serve": Case([piece(pod(A, "a", DRAINING))], [], READY_ONLY),
    "ready-only drops them also under include-terminating": Case(
        [piece(pod(A, "a", DRAINING))], [], Rules(ready_only=True, include_terminating=True)
    ),
    "ready-only takes nil conditions as serving": Case([piece(pod(A, "a", None))], [A], READY_ONLY),
    # one pod in two slices
    "moving: one pod in two slices is one member": Case([piece(pod(A, "a"), rv=1), piece(pod(A, "a"), rv=2)], [A]),
    "moving: the more recently changed slice has the conditions": Case(
        [piece(pod(A, "a", SERVING), rv=2), piece(pod(A, "a", STARTING), rv=10)], [f"{A} not-ready not-serving"]
    ),
    "moving: the older slice's terminating does not count": Case(
        [piece(pod(A, "a", SERVING), rv=10), piece(pod(A, "a", DYING), rv=9)], [A]
    ),
    "moving: the newer slice's terminating does": Case(
        [piece(pod(A, "a", SERVING), rv=9), piece(pod(A, "a", DYING), rv=10)], []
    ),
    "moving: the more recently changed slice has the address": Case(
        [piece(pod(B, "a"), rv=10), piece(pod(A, "a"), rv=9)], [B]
    ),
    "moving: without targetRef the address is what moves": Case(
        [piece(pod(A, None, STARTING), rv=9), piece(pod(A), rv=10)], [A]
    ),
    "moving: resource versions are numbers, 9 is older than 10": Case(
        [piece(pod(A, "a", DYING), rv=9), piece(pod(A, "a"), rv=10)], [A]
    ),
    "moving, dual stack: the more recently changed slice of all families has the conditions": Case(
        [
            piece(pod(A, "a", SERVING), rv=1),
            piece(pod(A6, "a", SERVING), rv=2, family="IPv6"),
            piece(pod(A, "a", DYING), rv=3),
        ],
        [],
        BOTH,
    ),
    # two pods, one address
    "ghost: the address is the serving pod's, in the newer slice": Case(
        [piece(pod(A, "ghost", DYING), rv=1), piece(pod(A, "new"), rv=2)], [A]
    ),
    "ghost: the address is the serving pod's, in the older slice": Case(
        [piece(pod(A, "new"), rv=1), piece(pod(A, "ghost", DYING), rv=2)], [A]
    ),
    "ghost: in one slice": Case([piece(pod(A, "ghost", DYING), pod(A, "new"), rv=1)], [A]),
    "ghost: a starting pod before a terminating one that still serves": Case(
        [piece(pod(A, "new", STARTING), rv=1), piece(pod(A, "ghost", DRAINING), rv=2)], [f"{A} not-ready not-serving"]
    ),
    "ghost: serving before starting": Case([piece(pod(A, "new"), rv=1), piece(pod(A, "old", STARTING), rv=2)], [A]),
    "ghost: also where terminating members are kept": Case(
        [piece(pod(A, "new"), rv=1), piece(pod(A, "ghost", DYING), rv=2)], [A], WITH_TERMINATING
    ),
    "ghost: it keeps the address of its other family": Case(
        [
            piece(pod(A, "ghost", DYING), rv=1),
            piece(pod(A6, "ghost", DYING), rv=2, family="IPv6"),
            piece(pod(A, "new"), rv=3),
        ],
        [A, f"{A6} not-ready not-serving terminating"],
        EVERYTHING,
    ),
    # delete and recreate
    "recreated: only the newest owner's slices count": Case(
        [
            piece(pod(A, "a"), rv=90, owner="old", created="2026-01-01T00:00:00Z"),
            piece(pod(B, "b"), rv=20, owner="new", created="2026-01-01T00:00:09Z"),
        ],
        [B],
    ),
    "recreated: the placeholder of the new Service empties the list": Case(
        [
            piece(pod(A, "a"), rv=10, owner="old", created="2026-01-01T00:00:00Z"),
            piece(rv=20, owner="new", created="2026-01-01T00:00:09Z", ports={}),
        ],
        [],
    ),
    "recreated: in the same second the resource version tells": Case(
        [
            piece(pod(A, "a"), rv=10, owner="z-old", created="2026-01-01T00:00:00Z"),
            piece(pod(B, "b"), rv=20, owner="a-new", created="2026-01-01T00:00:00Z"),
        ],
        [B],
    ),
    "recreated: until the new Service has slices the old ones count": Case(
        [piece(pod(A, "a"), owner="old", created="2026-01-01T00:00:00Z")], [A]
    ),
    "recreated: slices without an owner are nobody's predecessors": Case(
        [
            piece(pod(A, "a"), rv=10, owner="old", created="2026-01-01T00:00:00Z"),
            piece(pod(B, "b"), rv=20, owner="new", created="2026-01-01T00:00:09Z"),
            piece(pod(C, "c"), rv=5),
        ],
        [B, C],
    ),
    "recreated: the same pod in both is the new one's": Case(
        [
            piece(pod(A, "a", DYING), rv=90, owner="old", created="2026-01-01T00:00:00Z"),
            piece(pod(A, "a"), rv=20, owner="new", created="2026-01-01T00:00:09Z"),
        ],
        [A],
    ),
    # ports
    "a numeric port needs no slice port": Case([piece(pod(A, "a"), ports=None)], [A]),
    "a named port is looked up": Case(
        [piece(pod(A, "a"), ports={"hazelcast": 5701, "https": 9443})], [f"{A} port=5701"], NAMED
    ),
    "a named port that is missing is null, the member stays": Case(
        [piece(pod(A, "a"), ports={"https": 9443})], [f"{A} port=None"], NAMED
    ),
    "ports: null": Case([piece(pod(A, "a"), ports=None)], [f"{A} port=None"], NAMED),
    "ports: []": Case([piece(pod(A, "a"), ports={})], [f"{A} port=None"], NAMED),
    "a port that is unnamed is not the one": Case([piece(pod(A, "a"), ports={"": 4000})], [f"{A} port=None"], NAMED),
    "port 0 is no port": Case([piece(pod(A, "a"), ports={"hazelcast": 0})], [f"{A} port=None"], NAMED),
    "different numbers behind one name, each its own slice": Case(
        [piece(pod(A, "a"), rv=1, ports={"hazelcast": 4000}), piece(pod(B, "b"), rv=2, ports={"hazelcast": 5701})],
        [A, f"{B} port=5701"],
        NAMED,
    ),
    "ports split over slices: all of a pod's slices count": Case(
        [piece(pod(A, "a"), rv=1, ports={"hazelcast": 5701}), piece(pod(A, "a"), rv=2, ports={"https": 9443})],
        [f"{A} port=5701"],
        NAMED,
    ),
    "ports split over slices: for a name in both the newer counts": Case(
        [piece(pod(A, "a"), rv=10, ports={"hazelcast": 5702}), piece(pod(A, "a"), rv=9, ports={"hazelcast": 5701})],
        [f"{A} port=5702"],
        NAMED,
    ),
    "ports split over families": Case(
        [
            piece(pod(A, "a"), rv=1, ports={"hazelcast": 5701}),
            piece(pod(A6, "a"), rv=2, family="IPv6", ports={"https": 9443}),
        ],
        [f"{A}+{A6} port=5701"],
        Rules(port="hazelcast", family="both"),
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_rule(case: Case) -> None:
    for slices in (case.slices, case.slices[::-1]):
        assert [show(member) for member in judge(slices, case.rules).members] == list(case.members)


def test_a_member_has_all_that_its_endpoint_says() -> None:
    endpoint = pod(A, "u0", hostname="is-0", node_name="n1", zone="z1", conditions=STARTING)
    (member,) = judge([piece(endpoint, ports={"hazelcast": 5701, "": 9443})], NAMED).members
    assert member == Member(
        address=A,
        port=5701,
        addresses=(A,),
        service="is",
        namespace="wso2",
        name="pod-u0",
        uid="u0",
        ready=False,
        serving=False,
        terminating=False,
        node="n1",
        zone="z1",
        hostname="is-0",
        ports={"hazelcast": 5701, "": 9443},
    )


def test_what_the_endpoint_does_not_say_is_none() -> None:
    (member,) = judge([piece(pod(A))]).members
    assert (member.name, member.uid, member.node, member.zone, member.hostname) == (None,) * 5


@pytest.mark.parametrize("kind", ["Node", "WorkloadEntry"])
def test_addresses_of_what_is_no_pod_are_members_each_by_its_own(kind: str) -> None:
    target = TargetRef(kind=kind, name="n1", uid="u1")
    members = judge([piece(pod(A, target_ref=target), pod(B, target_ref=target))]).members
    assert [(member.address, member.name, member.uid) for member in members] == [(A, None, None), (B, None, None)]


@pytest.mark.parametrize("kind", [None, ""])
def test_a_target_without_a_kind_is_a_pod(kind: str | None) -> None:
    (member,) = judge([piece(pod(A, target_ref=TargetRef(kind=kind, name="is-0", uid="u1")))]).members
    assert (member.name, member.uid) == ("is-0", "u1")


def test_ports_without_number_are_left_out() -> None:
    slice = piece(pod(A, "a"))
    (member,) = judge(
        [EndpointSlice(slice.metadata, "IPv4", slice.endpoints, (Port("x"), Port(), Port("y", 1)))]
    ).members
    assert member.ports == {"y": 1}


def test_of_two_equal_pods_with_one_address_the_more_recently_changed_slice_has_it() -> None:
    slices = [piece(pod(A, "b"), rv=2), piece(pod(A, "a"), rv=1)]
    assert [member.uid for member in judge(slices).members] == ["b"]


def test_of_two_equal_pods_the_slice_counts_that_names_the_pod_last() -> None:
    slices = [piece(pod(A, "a"), rv=1), piece(pod(A, "b"), rv=2), piece(pod(A, "a"), rv=3)]
    assert [member.uid for member in judge(slices).members] == ["a"]


REASONS = {
    "terminating": Case([piece(pod(A, "a", DYING))], ["terminating"]),
    "ready-only": Case([piece(pod(A, "a", STARTING))], ["not ready"], READY_ONLY),
    "another family": Case([piece(pod(A6, "a"), family="IPv6")], ["IPv6", "ipv4"]),
    "FQDN": Case([piece(pod("a.example.com", "a"), family="FQDN")], ["FQDN", "never resolved"]),
    "no address": Case([piece(pod("a", "a"))], ["'a'"]),
    "an earlier Service": Case(
        [piece(pod(A, "a"), owner="old", created="1"), piece(rv=2, owner="new", created="2")], ["earlier Service"]
    ),
    "moving": Case([piece(pod(A, "a")), piece(pod(A, "a"), rv=2, name="newer")], ["newer", "same pod"]),
    "a reused address": Case([piece(pod(A, "ghost", DYING)), piece(pod(A, "new"), rv=2)], ["pod-new"]),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REASONS.items()])
def test_who_is_out_is_told_why(case: Case) -> None:
    readings = [read_slice(slice, case.rules) for slice in case.slices]
    entries = explain(readings, decide(readings, case.rules), case.rules)
    (out,) = [entry for entry in entries if not entry.included]
    assert all(word in out.reason for word in case.members), out.reason
    assert (out.slice, out.namespace, out.service) == (case.slices[0].metadata.name, "wso2", "is")


def test_a_member_without_port_has_a_word_in_explain() -> None:
    readings = [read_slice(piece(pod(A, "a"), ports={"https": 9443}), NAMED)]
    (entry,) = explain(readings, decide(readings, NAMED), NAMED)
    assert entry.included and "port" in entry.reason and "hazelcast" in entry.reason


def test_explain_names_the_pod() -> None:
    readings = [read_slice(piece(pod(A, "a"), pod(B)), DEFAULT)]
    assert [(entry.name, entry.uid) for entry in explain(readings, decide(readings, DEFAULT), DEFAULT)] == [
        ("pod-a", "a"),
        (None, None),
    ]


# Random slices: few pods and few addresses, so that every rule meets every other.

CONDITION = st.sampled_from([None, NOTHING, SERVING, STARTING, DYING, DRAINING, PUBLISHED_DYING])
UID = st.sampled_from([None, "a", "b", "c"])


def _endpoints(addresses: list[str | None]) -> st.SearchStrategy[list[Endpoint]]:
    return st.lists(st.builds(pod, st.sampled_from(addresses), UID, CONDITION), max_size=4)


@st.composite
def some_slices(draw: st.DrawFn) -> list[EndpointSlice]:
    found = []
    for rv in draw(st.lists(st.integers(1, 20), unique=True, max_size=5)):
        family = draw(st.sampled_from(["IPv4", "IPv4", "IPv6", "FQDN"]))
        endpoints = draw(_endpoints([A, B, C, "nonsense", None] if family == "IPv4" else [A6, B6]))
        owner, created = draw(st.sampled_from([("", None), ("old", "1"), ("new", "2"), ("other", "2")]))
        ports = draw(st.sampled_from([None, {}, {"hazelcast": 4000}, {"hazelcast": 5701}, {"https": 9443}]))
        found.append(piece(*endpoints, rv=rv, family=family, owner=owner, created=created, ports=ports))
    return found


ANY_RULES = st.builds(
    Rules,
    port=st.sampled_from([4000, "hazelcast"]),
    family=st.sampled_from(["ipv4", "ipv6", "both"]),
    ready_only=st.booleans(),
    include_terminating=st.booleans(),
)


@settings(max_examples=120, deadline=None)
@given(slices=some_slices(), rules=ANY_RULES, data=st.data())
def test_the_order_in_which_slices_are_given_does_not_matter(
    slices: list[EndpointSlice], rules: Rules, data: st.DataObject
) -> None:
    first, second = judge(slices, rules), judge(data.draw(st.permutations(slices)), rules)
    assert first.members == second.members
    assert first.present == second.present
    assert sorted(first.dropped.values()) == sorted(second.dropped.values())


@settings(max_examples=120, deadline=None)
@given(slices=some_slices(), rules=ANY_RULES)
def test_of_any_slices_the_list_is_sorted_and_filtered(slices: list[EndpointSlice], rules: Rules) -> None:
    members = judge(slices, rules).members
    families = [[":" in address for address in member.addresses] for member in members]
    assert all(flags == sorted(flags) for flags in families), "IPv4 first within a member"
    assert [flags[0] for flags in families] == sorted(flags[0] for flags in families), "IPv4 first within the list"
    assert all(member.address == member.addresses[0] for member in members)
    uids = [member.uid for member in members if member.uid]
    assert len(uids) == len(set(uids)), "a pod is one member"
    if rules.ready_only or not rules.include_terminating:
        assert not any(member.terminating for member in members)
    if rules.ready_only:
        assert all(member.serving for member in members)


@settings(max_examples=300, deadline=None)
@given(slices=some_slices(), rules=ANY_RULES)
def test_where_every_endpoint_is_decided_by_itself_all_rules_say_the_same(
    slices: list[EndpointSlice], rules: Rules
) -> None:
    readings = sorted((read_slice(slice, rules) for slice in slices), key=lambda reading: reading.order)
    newest = [reading for reading in readings if reading.slice.owner_uid]
    owner = max(newest, key=lambda one: (one.slice.metadata.creation_timestamp or "", one.order), default=None)
    uid = owner.slice.owner_uid if owner else ""
    same = tuple(one for one in readings if one.slice.owner_uid in ("", uid))
    apart = members._decide_apart(same)
    if apart is not None:
        assert decided(apart) == decided(members._decide_together(same, uid, rules))


def decided(decision: Decision) -> tuple[Any, ...]:
    """What a decision says, without what the next one begins with."""
    return decision.members, decision.present, decision.terminating, decision.dropped


@st.composite
def long_histories(draw: st.DrawFn) -> list[list[EndpointSlice]]:
    """The slices of 24 pods after each of some changes: few of many endpoints, seldom one that is not apart."""
    slices = [[pod(f"10.0.{number}.{place}", f"{number}-{place}") for place in range(8)] for number in range(3)]
    told, rv = [[piece(*each, rv=number + 1, name=f"s{number}") for number, each in enumerate(slices)]], 3
    address = st.one_of(st.sampled_from(["10.0.0.3", "nonsense"]), st.integers(0, 30).map(lambda at: f"10.0.9.{at}"))
    uid = st.one_of(st.sampled_from([None, "1-3"]), st.integers(0, 30).map(str))
    for _ in range(draw(st.integers(1, 6))):
        number, rv = draw(st.integers(0, 2)), rv + 1
        endpoints = slices[number] = list(slices[number])
        for _ in range(draw(st.integers(0, 2))):
            place = draw(st.integers(0, len(endpoints)))
            endpoints[place : place + draw(st.integers(0, 1))] = [pod(draw(address), draw(uid), draw(CONDITION))]
        if draw(st.booleans()) and endpoints:
            del endpoints[draw(st.integers(0, len(endpoints) - 1))]
        owner = draw(st.sampled_from(["s1"] * 9 + ["s2"]))
        told.append([*told[-1]])
        told[-1][number] = piece(*endpoints, rv=rv, name=f"s{number}", owner=owner)
    return told


@settings(max_examples=300, deadline=None)
@given(told=long_histories(), rules=ANY_RULES)
def test_a_decision_that_begins_with_the_last_one_is_the_one_that_begins_anew(
    told: list[list[EndpointSlice]], rules: Rules
) -> None:
    known: dict[int, SliceReading] = {}
    before: Decision | None = None
    for slices in told:
        for slice in slices:
            known.setdefault(id(slice), read_slice(slice, rules))
        readings = [known[id(slice)] for slice in slices]
        decision = decide(readings, rules, before)
        assert decided(decision) == decided(decide(readings, rules))
        were = before.members if before else ()
        vanished = {one for one in were if (one.uid or one.address) not in decision.present}
        assert set(decision.vanished) == vanished and len(decision.vanished) == len(vanished)
        before = decision


def test_one_change_of_many_is_all_that_is_decided() -> None:
    """Else nothing would be wrong, only slow."""
    slices = [piece(*(pod(f"10.0.0.{at}", f"{at}") for at in range(40)), rv=1)]
    before = decide([first := read_slice(slices[0], DEFAULT)], DEFAULT)
    changed = piece(pod("10.0.1.1", "new"), *(slices[0].endpoints or ())[1:], rv=2)
    after = members._decide_change(before, (read_slice(changed, DEFAULT, first),))
    assert after is not None
    assert [member.uid for member in after.members] == [*map(str, range(1, 40)), "new"]


WRITTEN = st.one_of(
    st.text(max_size=8),
    st.ip_addresses(v=4).map(str),
    st.lists(
        st.sampled_from(["0", "1", "10", "010", "255", "256", "+1", " 1", "1_0", "-1", "\u0661", ""]), max_size=5
    ).map(".".join),
)


@settings(max_examples=500, deadline=None)
@given(address=WRITTEN)
def test_an_ipv4_address_is_what_ipaddress_takes_for_one(address: str) -> None:
    (candidate,) = read_slice(piece(pod(address, "1"), rv=1), DEFAULT).candidates
    try:
        number = int(ipaddress.IPv4Address(address))
    except ValueError:
        assert candidate.member is None and "is no IPv4 address" in candidate.reason
    else:
        assert candidate.member and candidate.member.address == address
        assert int.from_bytes(candidate.rank[1:], "big") == number


def test_addresses_of_two_zones_are_two_members_of_one_rank() -> None:
    rules = Rules(family="ipv6")
    pods = [pod(f"fe80::1%{zone}", f"{zone}") for zone in range(40)]
    before = decide([first := read_slice(piece(*pods, family="IPv6", rv=1), rules)], rules)
    later = piece(*pods[:20], *pods[21:], family="IPv6", rv=2)
    after = members._decide_change(before, (read_slice(later, rules, first),))
    assert after is not None
    assert {member.uid for member in after.members} == {f"{zone}" for zone in range(40) if zone != 20}
    assert [member.uid for member in after.vanished] == ["20"]


def test_what_is_no_member_may_be_twice_in_a_slice() -> None:
    slices = [piece(pod("nonsense", "x"), *(pod(f"10.0.0.{at}", f"{at}") for at in range(40)), rv=1)]
    first = read_slice(slices[0], DEFAULT)
    twice = replace(first, candidates=(first.candidates[0], *first.candidates))
    before = decide([twice], DEFAULT)
    new = read_slice(piece(pod("10.0.1.1", "new"), rv=2), DEFAULT).candidates
    after = [replace(twice, candidates=(*new, *twice.candidates[1:]))]
    decision = decide(after, DEFAULT, before)
    assert decided(decision) == decided(decide(after, DEFAULT))
    assert "nonsense" in explain(after, decision, DEFAULT)[1].reason


@settings(max_examples=300, deadline=None)
@given(
    before=_endpoints([A, B, C]),
    place=st.integers(0, 4),
    gone=st.integers(0, 2),
    come=_endpoints([A, B, C, "nonsense"]),
    copied=st.booleans(),
    ports=st.sampled_from([{"hazelcast": 4000}, {"hazelcast": 5701}]),
)
def test_reading_what_was_read_before_is_reading_it_anew(
    before: list[Endpoint], place: int, gone: int, come: list[Endpoint], copied: bool, ports: dict[str, int]
) -> None:
    """Whether an endpoint that is as it was is the same object, as from protobuf, or an equal one, as from JSON."""
    rules = Rules(port="hazelcast")
    after = [*before[:place], *come, *before[place + gone :]]
    if copied:
        after = [Endpoint(**{name: getattr(one, name) for name in one.__struct_fields__}) for one in after]
    earlier = read_slice(piece(*before, rv=1, name="x"), rules)
    slice = piece(*after, rv=2, name="x", ports=ports)
    found, anew = read_slice(slice, rules, earlier), read_slice(slice, rules)
    assert list(map(said, found.candidates)) == list(map(said, anew.candidates))
    if ports == {"hazelcast": 4000} and not copied and len(before) == len(set(map(id, before))):
        kept = {id(one): candidate for one, candidate in zip(before, earlier.candidates)}
        assert all(kept[id(one)] is candidate for one, candidate in zip(after, found.candidates) if id(one) in kept)


def said(candidate: Candidate) -> tuple[Any, ...]:
    return tuple(getattr(candidate, field.name) for field in fields(candidate))
