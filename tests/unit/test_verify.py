"""The rules of membership/verify.py, one row each; facts behind them: shared/hazelcast.md sections 1, 2 and 6."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership import hazelcast_probe
from membership.hazelcast import client_cluster
from membership.model import Member, Snapshot
from membership.session import Membership
from membership.verification import Verification, VerifyRules
from membership.render.verdict import verdict_fields, verdict_text
from membership.verify import (
    DIFFERENCES,
    LOOPBACK,
    MOST,
    VERDICTS,
    Absences,
    Kind,
    State,
    Target,
    Unexpected,
    Verdict,
    View,
    choose_targets,
    compare,
    confirmed,
    endpoint_of,
    host_of,
)

NOW = 1000.0


def at(name: str) -> str:
    """`a` is 10.0.0.1:4000, and so on."""
    return f"10.0.0.{ord(name) - 96}:4000"


def all_at(names: str) -> tuple[str, ...]:
    return tuple(at(name) for name in names)


def member(name: str, *, serving: bool = True, terminating: bool = False, **more: Any) -> Member:
    address = host_of(at(name))
    fields: dict[str, Any] = dict(
        address=address, port=4000, addresses=(address,), service="is", namespace="wso2", name=name, uid=f"uid-{name}",
        ready=serving, serving=serving, terminating=terminating, node=None, zone=None, hostname=None, ports={},
    )  # fmt: skip
    return Member(**{**fields, **more})


def snapshot(*members: Member, **more: Any) -> Snapshot:
    fields: dict[str, Any] = dict(
        generation=1, epoch="e", synced=True, stale=False, age_seconds=0.5, source="endpointslices",
        services=("wso2/is",), unknown_services=(), resource_versions={"wso2": "1"}, members=members,
    )  # fmt: skip
    return Snapshot(**{**fields, **more})


def listed(names: str) -> Snapshot:
    """Upper case: serving; lower case: not yet."""
    return snapshot(*(member(name.lower(), serving=name.isupper()) for name in names))


def sees(name: str, others: str) -> View:
    """`name` is ready and sees `others`, itself among them."""
    return View(at(name), "ready", all_at(others), at(name))


def joining(name: str) -> View:
    return View(at(name), "joining", why="it is joining")


def silent(name: str) -> View:
    return View(at(name), "silent", why="connection refused")


def off(name: str) -> View:
    return View(at(name), "off", why="REST off")


def garbled(name: str) -> View:
    return View(at(name), "unknown", why="no member list")


def judge(list_: str | Snapshot, *views: View, gone: dict[str, float] | None = None, leaving: str = "") -> Verdict:
    since = {host_of(at(name)): NOW - seconds for name, seconds in (gone or {}).items()}
    found = listed(list_) if isinstance(list_, str) else list_
    return compare(found, views, since, NOW, leaving=[host_of(at(name)) for name in leaving])


def summary(verdict: Verdict) -> dict[str, Any]:
    """The findings, without what is empty."""
    found = {
        "halves": tuple("".join(chr(96 + int(host_of(x).rpartition(".")[2])) for x in h) for h in verdict.halves),
        "missing": "".join(chr(96 + int(host_of(x).rpartition(".")[2])) for x in verdict.missing),
        "unexpected": {entry.address: entry.since_seconds for entry in verdict.unexpected},
        "unknown": {entry.address for entry in verdict.unknown},
    }
    return {name: value for name, value in found.items() if value}


RULES: list[tuple[str, Verdict, Kind, dict[str, Any]]] = [
    # agreed
    ("everyone sees everyone", judge("ABC", *(sees(n, "abc") for n in "abc")), "agreed", {}),
    ("one member alone", judge("A", sees("a", "a")), "agreed", {}),
    ("local: what the own member sees", judge("ABC", sees("b", "abc")), "agreed", {}),
    ("in Hazelcast before it serves", judge("ABc", *(sees(n, "abc") for n in "abc")), "agreed", {}),
    # forming: 503 is no view at all
    ("joining", judge("ABC", sees("a", "ab"), sees("b", "ab"), joining("c")), "forming", {}),
    ("joining though it serves", judge("AB", sees("a", "a"), joining("b")), "forming", {}),
    ("everyone joins", judge("abc", joining("a"), joining("b"), joining("c")), "forming", {}),
    ("already listed and still joining", judge("AB", sees("a", "ab"), joining("b")), "forming", {}),
    ("not serving yet", judge("Ab", sees("a", "a")), "forming", {}),
    ("not serving yet, nothing listens", judge("Ab", sees("a", "a"), silent("b")), "forming", {}),
    ("nobody serves, nothing listens", judge("ab", silent("a"), silent("b")), "forming", {}),
    ("new in Hazelcast, not yet in Kubernetes", judge("A", sees("a", "ab")), "forming", {}),
    # split: two ready members that do not see each other
    ("split in two", judge("ABC", sees("a", "ab"), sees("b", "ab"), sees("c", "c")), "split", {"halves": ("ab", "c")}),
    ("split in three", judge("ABC", sees("a", "a"), sees("b", "b"), sees("c", "c")), "split", {"halves": tuple("abc")}),
    ("split at boot, nobody serves yet", judge("ab", sees("a", "a"), sees("b", "b")), "split", {"halves": ("a", "b")}),
    (
        "one-sided: a keeps b for its heartbeat time, b formed alone",
        judge("AB", sees("a", "ab"), sees("b", "b")),
        "split",
        {"halves": ("a", "b")},
    ),
    (
        "a member that does not tell is in the half that lists it",
        judge("ABCD", sees("a", "ab"), off("b"), sees("c", "cd"), garbled("d")),
        "split",
        {"halves": ("ab", "cd"), "unknown": {at("b"), at("d")}},
    ),
    (
        "a dead member in both halves changes nothing",
        judge("AB", sees("a", "ax"), sees("b", "bx"), gone={"x": 7}),
        "split",
        {"halves": ("ax", "bx"), "unexpected": {at("x"): 7.0}},
    ),
    (
        "of a split, only who is in neither half is missing",
        judge("ABC", sees("a", "a"), sees("b", "b"), silent("c")),
        "split",
        {"halves": ("a", "b"), "missing": "c"},
    ),
    (
        "the largest half first",
        judge("ABC", sees("a", "a"), sees("b", "bc"), sees("c", "bc")),
        "split",
        {"halves": ("bc", "a")},
    ),
    (
        "seeing each other through others is one cluster",
        judge("ABC", sees("a", "ab"), sees("b", "abc"), sees("c", "bc")),
        "missing",
        {"missing": "ac"},
    ),
    # missing
    ("serving and not listed", judge("ABC", sees("a", "ab"), sees("b", "ab")), "missing", {"missing": "c"}),
    ("serving, not listed, nothing listens", judge("AB", sees("a", "a"), silent("b")), "missing", {"missing": "b"}),
    ("serving, not listed, does not tell", judge("AB", sees("a", "a"), off("b")), "missing", {"missing": "b"}),
    ("one of several does not list it", judge("ABC", sees("a", "abc"), sees("b", "ab")), "missing", {"missing": "c"}),
    ("missing outranks forming", judge("ABc", sees("a", "a"), silent("c")), "missing", {"missing": "b"}),
    # unexpected
    ("gone in Kubernetes", judge("A", sees("a", "ab"), gone={"b": 42}), "unexpected", {"unexpected": {at("b"): 42.0}}),
    ("terminating is not gone", judge("A", sees("a", "ab"), leaving="b"), "agreed", {}),
    (
        "terminating, in the list",
        judge(snapshot(member("a"), member("b", terminating=True)), sees("a", "ab")),
        "agreed",
        {},
    ),
    (
        "who terminates and has left its cluster is no half",
        judge("A", sees("a", "a"), sees("b", "b"), leaving="b"),
        "agreed",
        {},
    ),
    (
        "unexpected outranks missing, and both are told",
        judge("AB", sees("a", "ax"), gone={"x": 3}),
        "unexpected",
        {"missing": "b", "unexpected": {at("x"): 3.0}},
    ),
    # unknown
    ("REST off everywhere", judge("AB", off("a"), off("b")), "unknown", {"unknown": {at("a"), at("b")}}),
    (
        "REST off with one: nobody agreed for it",
        judge("AB", sees("a", "ab"), off("b")),
        "unknown",
        {"unknown": {at("b")}},
    ),
    (
        "REST off is unknown, serving or not",
        judge("ab", off("a"), off("b")),
        "unknown",
        {"unknown": {at("a"), at("b")}},
    ),
    (
        "listed, serving, and does not answer",
        judge("AB", sees("a", "ab"), silent("b")),
        "unknown",
        {"unknown": {at("b")}},
    ),
    (
        "nothing listens anywhere, all serve: no proof of anything",
        judge("AB", silent("a"), silent("b")),
        "unknown",
        {"unknown": {at("a"), at("b")}},
    ),
    ("an answer that is no member list", judge("A", garbled("a")), "unknown", {"unknown": {at("a")}}),
    ("no members", judge(""), "unknown", {}),
    ("nobody asked", judge("A"), "unknown", {}),
    ("no list yet", judge(snapshot(generation=0)), "unknown", {}),
    (
        "a member whose slice lacks the named port",
        judge(snapshot(member("a"), member("b", port=None)), sees("a", "a")),
        "unknown",
        {"unknown": {"10.0.0.2"}},
    ),
    ("only who terminates answers", judge("", sees("a", "a"), leaving="a"), "unknown", {}),
    # a stale list compares with nothing, but a split needs no list
    ("stale list", judge(replace(listed("AB"), stale=True), sees("a", "a"), gone={"x": 9}), "unknown", {}),
    (
        "stale list, split",
        judge(replace(listed("AB"), stale=True), sees("a", "a"), sees("b", "b")),
        "split",
        {"halves": ("a", "b")},
    ),
]


@pytest.mark.parametrize("verdict, kind, findings", [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_rule(verdict: Verdict, kind: Kind, findings: dict[str, Any]) -> None:
    assert (verdict.verdict, summary(verdict)) == (kind, findings), verdict.reason
    assert verdict.reason


def test_every_verdict_has_a_row() -> None:
    assert {kind for _, _, kind, _ in RULES} == set(VERDICTS) == set(get_args(Kind))


@pytest.mark.parametrize(
    "verdict, words",
    [
        (judge("ABC", sees("a", "ab"), sees("b", "ab"), sees("c", "c")), f"{at('a')}, {at('b')} | {at('c')}"),
        (judge("A", sees("a", "ab"), gone={"b": 42}), f"{at('b')} (since 42 s)"),
        (judge("AB", off("a"), off("b")), "REST off"),
        (judge("ABC", sees("a", "abc")), "1 of them"),
        (judge("AB", sees("a", "a")), at("b")),
        (judge("Ab", sees("a", "a")), "not serving yet"),
        (judge(replace(listed("A"), stale=True), sees("a", "a")), "stale"),
    ],
)
def test_the_reason_names_what_it_is_about(verdict: Verdict, words: str) -> None:
    assert words in verdict.reason


# One member under several addresses


def test_a_member_asked_on_loopback_is_known_by_its_own_word() -> None:
    assert judge("AB", View(f"{LOOPBACK}:4000", "ready", all_at("ab"), at("a"))).verdict == "agreed"


def test_a_member_asked_on_loopback_that_does_not_say_who_it_is_is_nobody_besides() -> None:
    """The Hazelcast client names members by the addresses they have among themselves, none of which is 127.0.0.1."""
    verdict = judge("AB", View(f"{LOOPBACK}:4000", "ready", all_at("ab"), way="client"))
    assert verdict.verdict == "agreed", verdict.reason


@pytest.mark.parametrize("other", [silent("b"), off("b"), sees("b", "ab")])
def test_a_host_name_stands_for_the_member_whose_pod_has_it(other: View) -> None:
    """Nobody is gone because one member gives names and another does not answer."""
    names = ("a.is-headless:4000", "b.is-headless:4000")
    by_name = judge("AB", View(at("a"), "ready", names, names[0]), other)
    by_address = judge("AB", sees("a", "ab"), other)
    assert (by_name.verdict, summary(by_name)) == (by_address.verdict, summary(by_address))
    assert judge("AB", View(at("a"), "ready", (*names, "c.is-headless:4000"), names[0]), sees("b", "ab")).reason == (
        "in Hazelcast, not in Kubernetes' list yet: c.is-headless:4000"
    )


def test_the_same_member_asked_twice_counts_once() -> None:
    local = View(f"{LOOPBACK}:4000", "ready", all_at("ab"), at("a"))
    verdict = judge("AB", silent("a"), local, sees("b", "ab"))
    assert verdict.verdict == "agreed"


def test_an_advertised_address_stands_for_the_member_that_gives_it() -> None:
    public = "192.0.2.9:4000"
    first = View(at("a"), "ready", (public, at("b")), public)
    second = View(at("b"), "ready", (public, at("b")), at("b"))
    assert judge("AB", first, second).verdict == "agreed"


def test_members_that_all_advertise_loopback_are_a_split_and_not_one_cluster() -> None:
    """Carbon without NODE_IP does that: shared/wso2.md."""
    both = [View(at(name), "ready", ("127.0.0.1:4000",), "127.0.0.1:4000") for name in "ab"]
    assert summary(judge("AB", *both)) == {"halves": ("a", "b")}


def test_the_other_family_of_a_member_is_the_same_member() -> None:
    dual = member("a", addresses=("10.0.0.1", "fd00::1"))
    verdict = judge(snapshot(dual), View(at("a"), "ready", ("[fd00::1]:4000",), "[fd00::1]:4000"))
    assert verdict.verdict == "agreed"


def test_a_pod_of_two_services_is_one_member() -> None:
    verdict = judge(snapshot(member("a"), member("a", service="am", serving=False)), sees("a", "a"))
    assert verdict.verdict == "agreed"


def test_another_port_of_a_known_address_is_told_as_that() -> None:
    verdict = judge("AB", View(at("a"), "ready", (at("a"), "10.0.0.2:4001"), at("a")))
    assert (verdict.verdict, summary(verdict)) == ("missing", {"missing": "b"})
    assert "10.0.0.2:4001" in verdict.reason and "--port" in verdict.reason


@pytest.mark.parametrize("host, name", [("10.0.0.1", "10.0.0.1:1"), ("FD00:0::1", "[fd00::1]:1"), ("is-0", "is-0:1")])
def test_addresses_are_written_the_one_way(host: str, name: str) -> None:
    assert endpoint_of(host, 1) == name
    assert host_of(name) == name.rpartition(":")[0].strip("[]")


# Who is gone since when


def views_of(*names: str) -> list[View]:
    return [sees(name[0], name) for name in names]


def test_gone_counts_from_the_list_without_it() -> None:
    absences = Absences()
    absences.observe_list({"10.0.0.1", "10.0.0.2"}, 10)
    absences.observe_list({"10.0.0.1"}, 20)
    absences.observe_list({"10.0.0.1"}, 30)
    assert absences.gone_since == {"10.0.0.2": 20}
    absences.observe_list({"10.0.0.1", "10.0.0.2"}, 40)
    assert absences.gone_since == {}


def test_a_stranger_counts_once_the_list_was_proved_after_it_was_seen() -> None:
    absences = Absences()
    absences.observe_list({"10.0.0.1"}, 10)
    absences.observe_views(views_of("ab"), proved_at=19, now=20)
    absences.observe_views(views_of("ab"), proved_at=19, now=30)
    assert absences.gone_since == {}, "a pod that just started, while the API server is silent"
    absences.observe_views(views_of("ab"), proved_at=21, now=40)
    assert absences.gone_since == {"10.0.0.2": 20}


def test_a_stranger_that_turns_up_in_kubernetes_never_was_one() -> None:
    absences = Absences()
    absences.observe_views(views_of("ab"), proved_at=-math.inf, now=20)
    absences.observe_list({"10.0.0.1", "10.0.0.2"}, 25)
    absences.observe_views(views_of("ab"), proved_at=30, now=40)
    assert absences.gone_since == {}


def test_a_stranger_that_left_and_came_back_counts_from_then() -> None:
    absences = Absences()
    absences.observe_list({"10.0.0.1"}, 10)
    for seen, now in (("ab", 20), ("a", 30), ("ab", 40)):
        absences.observe_views(views_of(seen), proved_at=now - 1, now=now)
    assert absences.gone_since == {}
    absences.observe_views(views_of("ab"), proved_at=41, now=50)
    assert absences.gone_since == {"10.0.0.2": 40}


def test_what_is_gone_for_good_is_forgotten() -> None:
    absences = Absences()
    for n in range(100):
        absences.observe_list({f"10.1.0.{n}"}, n)
    absences.observe_views(views_of("a"), proved_at=10_000, now=10_000)
    assert absences.gone_since == {}


# Whom to ask


DUAL = snapshot(member("a", addresses=("10.0.0.1", "fd00::1")))
A, B = Target("10.0.0.1", 4000, "uid-a"), Target("10.0.0.2", 4000, "uid-b")


@pytest.mark.parametrize(
    "list_, scope, self_ip, port, expected",
    [
        (listed("AB"), "all", None, 4000, [A, B]),
        (listed("AB"), "all", "10.0.0.2", 4000, [B, A]),
        (listed("AB"), "local", "10.0.0.2", 4000, [B]),
        (listed("AB"), "local", None, 4000, [Target(LOOPBACK, 4000)]),
        (listed("AB"), "local", "10.0.0.9", 4000, [Target("10.0.0.9", 4000)]),
        (listed("A"), "all", "10.0.0.9", 4000, [Target("10.0.0.9", 4000), A]),
        (listed(""), "all", None, 4000, []),
        (listed("AB"), "local", None, "hazelcast", [Target(LOOPBACK, 4000)]),
        (listed(""), "local", "10.0.0.9", "hazelcast", []),
        (snapshot(member("a"), member("b", terminating=True)), "all", None, 4000, [A]),
        (snapshot(member("a"), member("b", port=None)), "all", None, "hazelcast", [A]),
        (snapshot(member("a"), member("a", service="am")), "all", None, 4000, [A]),
        (DUAL, "local", "fd00::1", 4000, [Target("fd00::1", 4000, "uid-a")]),
    ],
)
def test_targets(list_: Snapshot, scope: Any, self_ip: str | None, port: int | str, expected: list[Target]) -> None:
    assert list(choose_targets(list_, scope, self_ip, port)) == expected


def test_not_more_than_some_are_asked() -> None:
    many = snapshot(*(member("a", address=f"10.1.{n // 250}.{n % 250}", addresses=("10.1.0.0",)) for n in range(500)))
    assert len(choose_targets(many, "all", None, 4000)) == MOST


# Confirmation and change

SPLIT = judge("AB", sees("a", "a"), sees("b", "b"))
OTHER_SPLIT = judge("ABC", sees("a", "a"), sees("b", "bc"))
MISSING_B, MISSING_C = judge("AB", sees("a", "a")), judge("AC", sees("a", "a"))
AGREED, FORMING = judge("A", sees("a", "a")), judge("Ab", sees("a", "a"))


@pytest.mark.parametrize(
    "before, after, told",
    [
        (None, AGREED, True), (SPLIT, AGREED, True), (None, FORMING, True),
        (None, SPLIT, False), (AGREED, SPLIT, False), (MISSING_B, SPLIT, False), (SPLIT, SPLIT, True),
        (SPLIT, OTHER_SPLIT, True), (MISSING_B, MISSING_B, True), (MISSING_B, MISSING_C, False),
    ],
)  # fmt: skip
def test_a_difference_is_told_when_found_twice(before: Verdict | None, after: Verdict, told: bool) -> None:
    assert confirmed(before, after) is told


def test_the_gist_leaves_out_what_only_time_changes() -> None:
    early, late = (judge("A", sees("a", "ab"), gone={"b": seconds}) for seconds in (1, 99))
    assert early != late and early.gist == late.gist
    assert SPLIT.gist != OTHER_SPLIT.gist
    assert judge("AB", off("a")).gist == judge("AB", garbled("a")).gist


# Whatever comes

NAMES = "abcdef"
STATES: tuple[State, ...] = get_args(State)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Snapshot, list[View], dict[str, float], list[str]]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    members = [member(n, serving=draw(st.booleans()), terminating=draw(st.booleans())) for n in names]
    views = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=8)):
        state = draw(st.sampled_from(STATES))
        seen = draw(st.sets(st.sampled_from(NAMES))) | {name}
        views.append(
            View(at(name), "ready", all_at("".join(sorted(seen))), at(name))
            if state == "ready"
            else View(at(name), state, why="why")
        )
    gone = draw(st.dictionaries(st.sampled_from([host_of(at(n)) for n in NAMES]), st.floats(0, NOW)))
    leaving = draw(st.lists(st.sampled_from([host_of(at(n)) for n in NAMES])))
    return snapshot(*members, stale=draw(st.booleans())), views, gone, leaving


@given(scenes())
def test_a_verdict_is_consistent_whatever_comes(
    scene: tuple[Snapshot, list[View], dict[str, float], list[str]],
) -> None:
    list_, views, gone, leaving = scene
    verdict = compare(list_, views, gone, NOW, leaving=leaving)
    ready = [view for view in views if view.state == "ready"]
    serving = {m.endpoint for m in list_.members if m.serving and not m.terminating}
    assert (verdict.verdict == "split") == (len(verdict.halves) > 1)
    assert len(ready) > 1 or not verdict.halves, "one view cannot be a split"
    assert set(verdict.missing) <= serving, "who does not serve is forming"
    assert not set(verdict.missing) & {v.asked for v in views if v.state == "joining"} - {v.asked for v in ready}
    assert all(host_of(entry.address) in gone for entry in verdict.unexpected)
    assert not {entry.address for entry in verdict.unexpected} & {m.endpoint for m in list_.members}
    if verdict.verdict == "agreed":
        assert ready and not (verdict.missing or verdict.unexpected or verdict.unknown) and not list_.stale
    if verdict.verdict in DIFFERENCES:
        assert ready, "only a ready member proves a difference"
    assert verdict_text(verdict).startswith(f"{verdict.verdict}: ")


@given(st.sets(st.sampled_from(NAMES), min_size=1), st.data())
def test_one_cluster_is_agreed_and_a_cut_through_it_is_found(names: set[str], data: st.DataObject) -> None:
    together = "".join(sorted(names))
    assert judge(together.upper(), *(sees(name, together) for name in together)).verdict == "agreed"
    half = "".join(sorted(data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1))))
    rest = "".join(name for name in together if name not in half)
    if rest:
        verdict = judge(together.upper(), *(sees(n, half) for n in half), *(sees(n, rest) for n in rest))
        assert set(summary(verdict)["halves"]) == {half, rest}


@given(st.permutations([sees("a", "ab"), sees("b", "ab"), sees("c", "c"), joining("d"), off("e")]))
def test_the_order_of_views_plays_no_part(views: Sequence[View]) -> None:
    verdict = judge("ABCDE", *views)
    assert (verdict.verdict, verdict.halves, set(verdict.missing)) == (
        "split", (all_at("ab"), all_at("c")), {at("e")},
    )  # fmt: skip


# Shown


def test_text_for_people() -> None:
    text = verdict_text(judge("ABC", sees("a", "ab"), sees("b", "ab"), sees("c", "c"), joining("d")))
    assert text.splitlines() == [
        "split: 2 clusters: 10.0.0.1:4000, 10.0.0.2:4000 | 10.0.0.3:4000",
        "  half 1: 10.0.0.1:4000, 10.0.0.2:4000",
        "  half 2: 10.0.0.3:4000",
        "  10.0.0.1:4000  sees 1 other: 10.0.0.2:4000",
        "  10.0.0.2:4000  sees 1 other: 10.0.0.1:4000",
        "  10.0.0.3:4000  sees itself alone",
        "  10.0.0.4:4000  joining: it is joining",
    ]


def test_fields_of_a_verdict() -> None:
    fields = verdict_fields(judge("A", sees("a", "ab"), gone={"b": 42}))
    assert list(fields) == ["verdict", "reason", "halves", "missing", "unexpected", "unknown", "views"]
    assert fields["unexpected"] == ({"address": at("b"), "since_seconds": 42.0},)
    assert Unexpected(at("b"), 42.0) == judge("A", sees("a", "ab"), gone={"b": 42}).unexpected[0]


@pytest.mark.parametrize("states", [("silent", "joining"), ("joining", "silent")])
def test_of_two_views_of_a_member_the_one_that_tells_more_counts(states: tuple[State, State]) -> None:
    views = [View(at("d"), state, why="why") for state in states]
    assert judge("AD", sees("a", "a"), *views).missing == ()


def test_the_clients_view_names_addresses_as_the_list_does() -> None:
    """Java writes all zeros of an IPv6 address."""
    address = SimpleNamespace(host="fd00:0:0:0:0:0:0:1", port=4000)
    assert hazelcast_probe._name(address) == "[fd00::1]:4000"
    assert hazelcast_probe._name(SimpleNamespace(host="10.0.0.1", port=4000)) == "10.0.0.1:4000"


class Followed:
    """What a verification asks of a session."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.names = "AB"

    def current(self) -> Snapshot:
        return replace(listed(self.names), source=self.source)

    def explain(self) -> tuple[Any, ...]:
        return ()


@pytest.mark.parametrize(
    ("source", "after", "verdict"),
    [
        ("endpointslices", 2.0, "unexpected"),
        ("endpoints", 2.0, "agreed"),
        ("upstream", 59.0, "agreed"),
        ("endpoints-polling", 61.0, "unexpected"),
    ],
)
def test_who_vanished_where_nobody_tells_of_terminating_may_be_terminating(
    monkeypatch: pytest.MonkeyPatch, source: str, after: float, verdict: str
) -> None:
    clock = SimpleNamespace(now=1000.0)
    followed = Followed(source)
    verification = Verification(VerifyRules("all", None, 4000, None), lambda: float(clock.now))
    monkeypatch.setattr(verification._asker, "ask", lambda targets: [sees("a", "ab")])
    assert verification.run(cast(Membership, followed)).verdict == "agreed"
    followed.names = "A"
    verification.observe(cast(Membership, followed))
    clock.now += after
    assert verification.run(cast(Membership, followed)).verdict == verdict


@pytest.mark.parametrize("source", ["endpoints", "endpoints-polling", "upstream"])
def test_who_was_never_in_a_list_is_no_pod_that_ends(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A member that died before we looked, and that Hazelcast has not given up: `agreed` would be wrong."""
    clock = SimpleNamespace(now=1000.0)
    followed = Followed(source)
    followed.names = "A"
    verification = Verification(VerifyRules("all", None, 4000, None), lambda: float(clock.now))
    monkeypatch.setattr(verification._asker, "ask", lambda targets: [sees("a", "ab")])
    verdicts = []
    for _ in range(8):
        verdicts.append(verification.run(cast(Membership, followed)).verdict)
        clock.now += 10.0
    assert verdicts == ["forming"] * 6 + ["unexpected"] * 2


@pytest.mark.parametrize(
    ("version", "asked"), [((5, 3), "d"), ((4, 0), "d"), ((3, 12), None), (None, None)], ids=["5.3", "4.0", "3.12", "?"]
)
def test_the_client_is_for_versions_that_are_known_to_take_it(
    version: tuple[int, int] | None, asked: str | None
) -> None:
    """3.12 logs a stack trace of each that tries; Open Banking's may be one."""
    assert client_cluster("d", version) == asked
