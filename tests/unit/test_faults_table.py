"""docs/faults.md is what the results render to, and the results are judged by rules that these tests hold."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.environments import REQUIREMENTS
from benchmarks.faults.arms import ARMS
from benchmarks.faults.claims import CLAIMS
from benchmarks.faults.observed import Belief, Told, busiest_second, observe
from benchmarks.faults.scenarios import NOT_DRIVEN, SCENARIOS
from benchmarks.faults.table import PAGE, RESULTS, render
from benchmarks.faults.verdict import is_good, verdict
from tests.faults.catalogue import CATALOGUE
from tests.real.mistakes import MISTAKES, ROOT
from tests.real.mistakes import RESULTS as SEEN

ARM = {arm.name: arm for arm in ARMS}
OURS, INFORMER = ARM["membership_library"], ARM["kubernetes_informer"]
PAIRS = [(scenario.name, arm.name) for scenario in SCENARIOS for arm in ARMS]


def test_the_page_is_made_from_the_results() -> None:
    assert PAGE.read_text() == render(json.loads(RESULTS.read_text())), "run: python -m benchmarks.faults --table-only"


def test_every_fault_was_run_with_every_client() -> None:
    results = json.loads(RESULTS.read_text())["results"]
    assert [(one["fault"], one["arm"]) for one in results] == PAIRS
    assert [one for one in results if "failed" in one] == []
    assert sum(one["lists_from_zero"] for one in results) == 0, "F21 could be driven: see NOT_DRIVEN"


def test_every_failure_mode_is_driven_or_named() -> None:
    driven = {int(re.sub(r"\D", "", scenario.mode)) for scenario in SCENARIOS}
    named = {int(name.split()[0][1:]) for name in NOT_DRIVEN}
    assert driven | named == set(range(1, 33)) and not driven & named
    assert len(SCENARIOS) >= 20


def test_names_are_those_of_the_code() -> None:
    assert {(claim.fault, claim.arm) for claim in CLAIMS} <= set(PAIRS)
    assert {arm.environment for arm in ARMS} <= {path.stem for path in REQUIREMENTS.glob("*.txt")}
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_every_test_on_the_real_control_plane_was_seen_to_fail() -> None:
    """Edits that still fit, each seen by its test, and one for each test that the catalogue names."""
    seen = json.loads(SEEN.read_text())
    assert [key for key, said in seen.items() if not said] == []
    assert seen.keys() <= {mistake.key for mistake in MISTAKES}
    broken = {test for mistake in MISTAKES for test in (mistake.test, mistake.begins)}
    assert {test for fault in CATALOGUE for test in fault.real} <= broken
    for edit in (edit for mistake in MISTAKES for edit in mistake.edits):
        assert edit.made(ROOT) != (ROOT / edit.file).read_text()


def timeline(*points: tuple[float, str]) -> Told:
    """`(1.0, "ab")`: at second 1 the members a and b."""
    return [(at, frozenset(members)) for at, members in points]


TRUTH = timeline((0, "abc"), (11, "acd"))
"""The fault lasts from 10 to 14; the change comes at 11."""


def seen(told: Told, truth: Told = TRUTH, watched: float = 20.0, **more: Any) -> dict[str, Any]:
    facts = observe(Belief(told, truth, **more), 10.0, 14.0, watched)
    cost = {"requests": 2, "busiest_second": 1, "refused": 0, "cpu_seconds": 0.1}
    return {"fault": "500", "sees_later_changes": True, "stopped_after": None} | facts | cost


JUDGED = [
    ("undisturbed", timeline((1, "abc"), (11.2, "acd")), True),
    ("1.5 s late", timeline((1, "abc"), (12.5, "acd")), True),
    ("recovers in 0.7 s", timeline((1, "abc"), (14.7, "acd")), True),
    ("recovers in 2.0 s", timeline((1, "abc"), (12, "acd"), (13, "abc"), (16, "acd")), True),
    ("recovers in 1.0 s, lacks a member for 2.5 s", timeline((1, "abc"), (12.5, "ad"), (15, "acd")), False),
    ("recovers in 1.0 s, **empties the list**", timeline((1, "abc"), (12.5, ""), (15, "acd")), False),
    ("still the old list after 6 s", timeline((1, "abc")), False),
    ("ghost member stays", timeline((1, "abc"), (15, "abcd")), False),
    ("wrong list after 6 s, lacks a member for 5.0 s", timeline((1, "abc"), (15, "bcd")), False),
    ("lacks members after 6 s, lacks a member for 5.0 s", timeline((1, "abc"), (15, "cd")), False),
    ("no list after 6 s", timeline(), False),
]


@pytest.mark.parametrize("words, told, good", JUDGED, ids=[row[0] for row in JUDGED])
def test_a_list_is_judged_by_when_it_was_right_and_stayed_so(words: str, told: Told, good: bool) -> None:
    result = seen(told)
    assert verdict(result, OURS) == f"{words}, 2 requests"
    assert is_good(result, OURS) is good


def test_what_was_told_after_the_watching_counts_for_nothing() -> None:
    assert verdict(seen(timeline((1, "abc"), (15, "acd"), (21, ""))), OURS) == "recovers in 1.0 s, 2 requests"


def test_a_client_that_recovers_and_then_sees_nothing_is_not_good() -> None:
    result = seen(timeline((1, "abc"), (15, "acd"))) | {"sees_later_changes": False}
    assert verdict(result, OURS) == "recovers in 1.0 s, then blind, 2 requests" and not is_good(result, OURS)


def test_an_exception_is_the_verdict_however_right_the_list() -> None:
    result = seen(timeline((1, "abc"), (11.2, "acd")), ending=(16.0, "raises ReadError", "gone"))
    assert verdict(result, OURS) == "raises ReadError, 2 requests" and not is_good(result, OURS)
    assert result["ended"]["after"] == 6.0


@pytest.mark.parametrize(
    "cost, words, good",
    [
        ({"requests": 1}, "1 request", True),
        ({"requests": 900, "busiest_second": 300, "cpu_seconds": 3.96}, "300 requests/s, 4.0 CPU-s", False),
        ({"refused": 4}, "2 requests, 4 refused connections", True),
        ({"refused": 2400}, "2 requests, 600 refused connections/s", False),
    ],
)
def test_what_it_cost_is_told(cost: dict[str, Any], words: str, good: bool) -> None:
    result = seen(timeline((1, "abc"), (11.2, "acd"))) | cost
    assert verdict(result, OURS) == f"undisturbed, {words}" and is_good(result, OURS) is good


def test_a_stop_is_judged_by_its_time() -> None:
    result = seen(timeline((1, "abc"))) | {"fault": "SIGTERM", "stopped_after": 0.12}
    assert verdict(result, OURS) == "ends in 0.1 s, 2 requests" and is_good(result, OURS)
    assert verdict(result | {"stopped_after": None}, OURS).startswith("still there after 8 s")
    assert not is_good(result | {"stopped_after": None}, OURS)
    assert is_good(result | {"ended": {"how": "exits with 0", "after": 4.1}}, OURS), "SIGTERM came after 4.0 s"
    early = result | {"ended": {"how": "raises ReadError", "after": 1.0}}
    assert verdict(early, OURS) == "raises ReadError, 2 requests" and not is_good(early, OURS)


@pytest.mark.parametrize(
    "health, words, good",
    [
        ([(5.0, "not stale"), (101.0, "stale")], "stale after 91 s", True),
        ([(5.0, "/healthz 200")], "/healthz 200 for all of 10 s", False),
    ],
)
def test_health_is_judged_by_whether_it_tells(health: Sequence[tuple[float, str]], words: str, good: bool) -> None:
    watched = 110.0 if good else 20.0
    result = seen(timeline((1, "abc")), watched=watched, health=health) | {"fault": "health"}
    assert verdict(result, OURS) == f"{words}, 2 requests" and is_good(result, OURS) is good
    assert verdict(result, INFORMER).startswith("no such signal")


def test_a_case_that_did_not_run_is_told() -> None:
    assert verdict({"fault": "500", "failed": "no mount"}, OURS) == "did not run"
    assert not is_good({"fault": "500", "failed": "no mount"}, OURS)


@pytest.mark.parametrize("times, most", [([], 0), ([1.0], 1), ([1.0, 1.5, 1.99, 2.0, 2.2], 4), ([1.0, 2.0, 3.0], 1)])
def test_the_busiest_second_is_any_second(times: list[float], most: int) -> None:
    assert busiest_second(times) == most
