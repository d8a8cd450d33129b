"""What is made of raw figures, and what /proc says of a process."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used until a moment; times in seconds, `at` is monotonic."""

    at: float
    cpu: float
    mib: float
    """Resident: all of it, and that which no other process shares would be less."""

    def cpu_since(self, before: "Usage") -> float:
        """CPU seconds between the two."""
        return self.cpu - before.cpu

    def load_since(self, before: "Usage") -> float:
        """The part of one core between the two, in percent."""
        return 100 * (self.cpu - before.cpu) / (self.at - before.at)


def read_usage(pid: int) -> Usage:
    """Of a process that runs, children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    # schedstat counts in nanoseconds, stat in ticks of 10 ms: an idle process needs the finer one.
    cpu = sum(_on_cpu(task) for task in Path(f"/proc/{pid}/task").iterdir())
    exact = cpu if cpu > 0 else (int(fields[11]) + int(fields[12])) / _TICKS
    return Usage(time.monotonic(), exact, resident / 1024)


def percentiles(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """p50, p90, p99 and max by nearest rank; {} of nothing."""
    ordered = sorted(values)

    def rank(part: float) -> float:
        return round(ordered[max(0, -int(-part * len(ordered) // 1) - 1)], digits)

    return {"p50": rank(0.5), "p90": rank(0.9), "p99": rank(0.99), "max": rank(1.0)} if ordered else {}


def fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(at zero, per unit) by least squares; at least two different x are needed."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("a line needs two different x")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x, slope


def busiest(times: Sequence[float], width: float) -> int:
    """The most of `times` within any span of `width`; 0 of nothing."""
    ordered = sorted(times)
    most = begin = 0
    for end, last in enumerate(ordered):
        while last - ordered[begin] >= width:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def _on_cpu(task: Path) -> float:
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError):
        return 0.0  # the thread has ended meanwhile, or the kernel keeps no such figures
