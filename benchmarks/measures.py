"""What a process has used, as /proc tells, and what is made of many raw figures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used until a moment; `at` is monotonic, times in seconds."""

    at: float
    cpu: float
    mib: float
    """Resident now."""

    def load_since(self, before: "Usage") -> float:
        """The part of one core since then, in percent."""
        return 100 * (self.cpu - before.cpu) / (self.at - before.at)


def read_usage(pid: int) -> Usage:
    """Of a process whose threads stay: the nanoseconds of each, for the sums in `stat` are in steps of 10 ms, and an
    idle process uses less than that in a minute. OSError where it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return Usage(time.monotonic(), sum(map(_on_cpu, Path(f"/proc/{pid}/task").iterdir())), resident / 1024)


def fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the line through the points begins and how it rises, by least squares. ValueError without two x."""
    mean_x = sum(x for x, _ in points) / max(1, len(points))
    mean_y = sum(y for _, y in points) / max(1, len(points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("a line needs two different x")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x, slope


def busiest(times: Sequence[float], width: float) -> int:
    """The most of `times` that lie within a span of `width`; 0 of nothing."""
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
    except FileNotFoundError:
        return 0.0  # this thread has ended meanwhile
