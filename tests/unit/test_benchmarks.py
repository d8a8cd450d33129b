"""What the benchmarks make of raw sightings, what their page promises, and that it is made of what was measured."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import check, page
from benchmarks.arms.catalogue import ARMS, PROGRAMS, arm
from benchmarks.arms.running import Observation
from benchmarks.environments import GO_SOURCES, REQUIREMENTS, ROOT, pinned
from benchmarks.pages import Reached, goals, latency
from benchmarks.plans import PLANS
from benchmarks.service import Shape, mark, slices
from benchmarks.sightings import Change, distribution, match, percentiles, quantile
from benchmarks.svg import Axis, Line, chart, round_down, round_up
from benchmarks.writing import intervals, write_in_turn

CHANGES = [Change(10 * n, f"10.1.0.{n}", n * 1000, n * 1000 + 5, n * 1000 + 9) for n in (1, 2, 3)]
"""Versions 10, 20, 30, sent at 1005, 2005 and 3005 ns."""


def told(ns: int, version: int | None = None, *marks: str) -> Observation:
    return Observation(ns, None if version is None else str(version), 100, marks)


def test_a_change_is_seen_with_its_version_or_with_a_newer_one() -> None:
    seen = match(CHANGES, [told(500, 7), told(1100, 10), told(3100, 30)])
    assert [(one.change.version, one.ns, one.exact) for one in seen.sightings] == [
        (10, 1100, True),
        (20, 3100, False),
        (30, 3100, True),
    ]
    assert (seen.lost, seen.overtaken, seen.twice, seen.backwards) == (0, 1, 0, 0)


def test_what_is_never_told_is_lost() -> None:
    seen = match(CHANGES, [told(1100, 10), told(2100, 25)])
    assert [one.change.version for one in seen.sightings] == [10, 20] and seen.lost == 1


def test_versions_told_twice_and_older_ones_are_counted() -> None:
    first_list = [told(100, 7), told(101, 5), told(102, 5)]
    seen = match(CHANGES, [*first_list, told(1100, 20), told(1200, 10), told(1300, 20), told(3100, 30)])
    assert (seen.lost, seen.twice, seen.backwards) == (0, 1, 1)
    assert seen.sightings[0].ns == 1100, "the first sighting counts"


def test_a_list_without_a_version_is_known_by_the_newest_mark_in_it() -> None:
    seen = match(CHANGES, [told(1100, None, "10.1.0.1"), told(2100), told(3100, None, "10.1.0.2", "10.1.0.3")])
    assert [one.ns for one in seen.sightings] == [1100, 3100, 3100] and seen.lost == 0


def test_answers_of_overlapping_changes_may_come_in_any_order() -> None:
    seen = match(CHANGES[::-1], [told(1100, 10), told(2100, 20), told(3100, 30)])
    assert [one.ns - one.change.sent for one in seen.sightings] == [95, 95, 95]


def test_percentiles_are_measured_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert percentiles(values) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert percentiles([]) == {} and distribution([]) == []
    assert quantile([1.0], 0.99) == 1.0
    curve = distribution(values)
    assert len(curve) == 201 and curve == sorted(curve) and (curve[0], curve[-1]) == (1, 100)


def test_changes_come_at_the_rate_and_in_no_rhythm() -> None:
    gaps = list(islice(intervals(16, Random(1)), 4000))
    assert sum(gaps) == pytest.approx(4000 / 16, rel=0.02)
    assert min(gaps) >= 0.5 / 16 and max(gaps) <= 1.5 / 16
    assert len({round(gap, 4) for gap in gaps}) > 500


class Recorded:
    """A writer that keeps when it was asked for which change."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def reset(self, shape: Shape) -> None:
        self.asked.clear()

    def change(self, number: int, mark: str, before: str | None) -> str:
        self.asked.append((mark, number))
        return str(len(self.asked))


def test_the_changes_of_several_services_take_turns_and_keep_their_distance() -> None:
    writers = [Recorded(), Recorded(), Recorded()]
    made = write_in_turn(writers, Shape(20, 2), count=20, rate=100, first=7, random=Random(1))
    wanted = [(mark(number), number % 2) for number in range(7, 27)]
    assert [sorted(writer.asked) for writer in writers] == [sorted(wanted)] * 3
    in_order = [change for turn in zip(*made, strict=True) for change in turn]
    assert [change.mark for change in in_order] == [mark(number) for number in range(7, 27) for _ in writers]
    gaps = [(after.due - before.due) / 1e9 for before, after in pairwise(in_order)]
    assert min(gaps) >= 0.5 / 300 and max(gaps) <= 1.5 / 300 + 1e-6
    assert all(change.sent >= change.due for change in in_order), "none is sent before it is due"


@pytest.mark.parametrize("shape", sorted({cell.shape for plan in PLANS.values() for cell in plan}, key=str))
def test_the_slices_of_a_shape_are_such_as_the_api_takes(shape: Shape) -> None:
    bodies = list(slices(shape))
    addresses = [address for body in bodies for one in body["endpoints"] for address in one["addresses"]]
    assert len(bodies) == shape.slices and len(set(addresses)) == len(addresses) == shape.endpoints
    assert max(len(body["endpoints"]) for body in bodies) <= 1000
    assert not [address for address in addresses if address.startswith("10.1.")], "these are marks"
    assert all(0 < int(part) < 256 for address in addresses for part in address.split(".")[-1:])


def test_no_two_changes_have_the_same_mark() -> None:
    marks = [mark(number) for number in range(62_500)]
    assert len(set(marks)) == len(marks)
    assert all(max(map(int, name.split("."))) <= 255 for name in marks)


def test_every_arm_has_a_program_and_an_environment_of_its_own() -> None:
    programs = ROOT / PROGRAMS.replace(".", "/")
    for one in ARMS:
        assert one.observer == "" or (programs / f"{one.observer}.py").exists()
        if one.environment == "go":
            assert (GO_SOURCES / {"coredns": "dns"}.get(one.program, one.program) / "main.go").exists()
        else:
            assert (REQUIREMENTS / f"{one.environment}.txt").exists()
            assert one.program == "sidecar" or (programs / f"{one.program}.py").exists()
    assert len({one.name for one in ARMS}) == len(ARMS)
    for name in ("kubernetes", "kr8s", "lightkube", "kopf"):
        assert re.fullmatch(r"[\d.]+", pinned(name)[name])


def test_every_plan_has_the_controls_beside_its_arms() -> None:
    for plan in PLANS.values():
        for cell in plan:
            assert {"control_python", "control_go"} <= set(cell.arms) <= {one.name for one in ARMS}
            assert len(set(cell.arms)) == len(cell.arms)
            assert all(arm(name).most_endpoints >= cell.shape.endpoints for name in cell.arms)
    assert all(cell.changes * cell.blocks >= 1000 for cell in PLANS["full"])
    assert all({"ours_callback", "client_go", "kubernetes_watch"} <= set(cell.arms) for cell in PLANS["full"])
    assert set(PLANS["full"][0].arms) == {one.name for one in ARMS}, "everyone is seen a thousand times somewhere"
    assert {cell.shape.endpoints for cell in PLANS["full"]} == {10, 100, 1000, 5000}
    assert {cell.rate for cell in PLANS["full"]} >= {1, 4, 16}


def test_the_page_is_made_from_the_results() -> None:
    text, pictures = page.compose(page.read_results(), page.CHANGES.read_text() if page.CHANGES.exists() else "")
    assert page.PAGE.read_text() == text, "run: python -m benchmarks.page"
    assert {path.name: path.read_text() for path in page.PICTURES.glob("*.svg")} == pictures


def test_a_page_without_results_names_what_is_missing() -> None:
    text, pictures = page.compose(dict.fromkeys(page.read_results()))
    assert text.count("| not run |") == len(goals.GOALS) and not pictures
    assert "Not run yet" in text


def arms(**p50: float) -> dict[str, Any]:
    """A cell in which every part of an arm's distribution is the same."""
    return {
        name: {
            "seen_ms": {"p50": ms, "p90": ms, "p99": ms, "max": ms},
            "blocks_ms": [{"p50": ms * 3}, {"p50": ms}],
            "cpu_s_per_1000_changes": ms / 10,
        }
        for name, ms in p50.items()
    }


AS_WANTED = {
    "control_python": 10.0, "control_go": 9.5, "ours_callback": 10.5, "client_go": 10.5, "kubernetes_watch": 15.0,
    "ours_file": 12.5, "ours_http": 12.5,
}  # fmt: skip


def reached(hundred: Mapping[str, float], thousand: Mapping[str, float]) -> dict[str, Reached]:
    cells = [
        {"name": "100 endpoints, 16/s", "arms": arms(**hundred), "run": {"quiet": True}},
        {"name": "1000 endpoints, 4/s", "arms": arms(**thousand), "run": {"quiet": False}},
    ]
    return latency.reached({"latency-full.json": None, "latency-bench.json": {"cells": cells}})


def test_goals_that_are_reached_and_such_that_are_not() -> None:
    thousand = {"control_python": 70.0, "ours_callback": 72.0, "client_go": 73.0, "kubernetes_watch": 120.0}
    assert {key: one.holds for key, one in reached(AS_WANTED, thousand).items()} == dict.fromkeys(
        ("p50-100", "p99-100", "ahead-100", "file", "http", "p50-1000", "added-1000"), True
    )
    assert not reached(AS_WANTED, thousand)["p50-1000"].quiet
    slow = AS_WANTED | {"ours_callback": 15.1, "ours_file": 12.6, "ours_http": 12.6}
    thousand |= {"ours_callback": 74.0}
    assert not any(one.holds for one in reached(slow, thousand).values())


def test_a_goal_says_when_the_machine_was_busy() -> None:
    table = goals.render({"file": Reached("1.2", True, quiet=False), "http": Reached("1.3", False)})
    assert "| 1.2 | holds, on a busy machine |" in table and "| 1.3 | **falls short** |" in table


def test_a_goal_that_nobody_set_is_not_shown() -> None:
    with pytest.raises(KeyError):
        goals.render({"no such goal": Reached("1", True)})


def failing(fresh: Mapping[str, float]) -> Sequence[tuple[str, str]]:
    rows = check.compare(arms(**AS_WANTED), arms(**fresh))
    return sorted({(row.ratio.arm, row.ratio.other) for row in rows if not row.holds})


def test_the_check_looks_at_ratios_and_not_at_times() -> None:
    assert failing({name: ms * 5 for name, ms in AS_WANTED.items()}) == []
    assert failing(AS_WANTED | {"ours_callback": 12.9}) == []
    assert failing(AS_WANTED | {"ours_file": 15.7}) == [("ours_file", "control_python")]
    slower = failing(AS_WANTED | {"ours_callback": 13.3})
    assert slower == [("ours_callback", name) for name in ("client_go", "control_python")]


def test_committed_results_have_every_ratio_of_the_check() -> None:
    path = next(page.RESULTS / name for name in check.BASES if (page.RESULTS / name).exists())
    cell = next(cell for cell in json.loads(path.read_text())["cells"] if cell["name"] == PLANS["check"][0].name)
    rows = check.compare(cell["arms"], cell["arms"])
    assert all(row.holds and row.fresh > 0 for row in rows) and len(rows) == len(check.RATIOS)


def test_a_chart_is_an_svg_with_its_lines_inside() -> None:
    lines = [Line("a < b", [(0.5, 0.0), (20.0, 1.0), (9999.0, 1.0)], "#000", dashed=True, dots=True)]
    text = chart("t & u", Axis("x", 1, 1000, log=True), Axis("y", 0, 1, percent=True), lines)
    tree = ElementTree.fromstring(text)
    words = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"t & u", "a < b", "x", "y", "1", "1,000", "0%", "100%"} <= set(words)
    path = next(node.attrib["d"] for node in tree.iter() if node.attrib.get("stroke-dasharray"))
    numbers = [float(number) for number in re.findall(r"[\d.]+", path)]
    assert max(numbers[::2]) <= 900 - 250 and min(numbers[::2]) >= 64, "values beyond an axis are drawn at its end"


def test_axes_end_at_round_numbers() -> None:
    assert [round_up(value) for value in (1.1, 5, 70, 999)] == [2, 5, 100, 1000]
    assert [round_down(value) for value in (1.1, 5, 70, 999)] == [1, 5, 50, 500]
