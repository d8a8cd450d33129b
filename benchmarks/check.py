"""Has it become slower? Ratios of a fresh short run beside those of the committed results, which fail beyond a bound.

    make bench-check            3 minutes; exit 1 and the rows that are beyond their bound

Times are the machine's, ratios within one run are ours. Each arm counts with the best of its short blocks: what else
goes on here makes a block slower and never faster.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.latency import RESULTS, measure
from benchmarks.plans import PLANS

BASES = ("latency-full.json", "latency-bench.json")
"""The first of these that there is is compared with."""
SEED = 7


@dataclass(frozen=True, slots=True)
class Ratio:
    """`arm` over `other` in a figure of the results; fails above `bound` times the committed ratio."""

    arm: str
    other: str
    figure: str
    bound: float


RATIOS = (
    Ratio("ours_callback", "control_python", "p50", 1.25),
    Ratio("ours_file", "control_python", "p50", 1.25),
    Ratio("ours_http", "control_python", "p50", 1.25),
    Ratio("ours_callback", "client_go", "p50", 1.25),
    Ratio("ours_callback", "kubernetes_watch", "cpu", 1.35),
    Ratio("ours_file", "kubernetes_watch", "cpu", 1.35),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    ratio: Ratio
    committed: float
    fresh: float

    @property
    def holds(self) -> bool:
        return self.fresh <= self.committed * self.ratio.bound

    def __str__(self) -> str:
        times, verdict = self.fresh / self.committed, "ok" if self.holds else "SLOWER"
        name = f"{self.ratio.arm} / {self.ratio.other}, {self.ratio.figure}"
        return (
            f"{name:45} {self.committed:6.2f} -> {self.fresh:6.2f}  x{times:4.2f} (bound {self.ratio.bound}) {verdict}"
        )


def compare(committed: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[Row]:
    """All ratios; the arguments are the arms of one cell. Raises KeyError where one lacks an arm or it failed."""
    return [Row(ratio, _value(committed, ratio), _value(fresh, ratio)) for ratio in RATIOS]


def _value(arms: Mapping[str, Any], ratio: Ratio) -> float:
    return _figure(arms[ratio.arm], ratio.figure) / _figure(arms[ratio.other], ratio.figure)


def _figure(one: Mapping[str, Any], figure: str) -> float:
    if figure == "cpu":
        return float(one["cpu_s_per_1000_changes"])
    return min(float(block[figure]) for block in one["blocks_ms"])


def main() -> None:
    cells = PLANS["check"]
    path = next(RESULTS / name for name in BASES if (RESULTS / name).exists())
    committed = next(cell for cell in json.loads(path.read_text())["cells"] if cell["name"] == cells[0].name)
    (fresh,) = measure(cells, "make bench-check", fake=False, seed=SEED)
    rows = compare(committed["arms"], fresh["arms"])
    before, now = (cell["run"]["busy_with_other_work"] for cell in (committed, fresh))
    print(f"against {path.name}; others were using {before} of the cores then, and {now} now")
    for row in rows:
        print(row)
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
