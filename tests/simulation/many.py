"""Many seeds, in several processes. Not in __main__, of which a process that is spawned knows nothing."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.schedule import generate
from tests.simulation.world import bound, run

CHUNK = 50
"""Seeds that a process takes at once."""


@dataclass
class Total:
    """What many runs came to."""

    seeds: int = 0
    steps: int = 0
    requests: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    """The largest part of its bound that a list took to be right."""
    checks: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Total") -> None:
        self.seeds += other.seeds
        self.steps += other.steps
        self.requests += other.requests
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.checks.update(other.checks)
        self.failures.update(other.failures)

    def __str__(self) -> str:
        checks = sum(self.checks.values()) - self.checks["mixed"]
        each = ", ".join(f"{name} {count}" for name, count in self.checks.most_common())
        return (
            f"{self.seeds} schedules, {self.seconds / 86400:.1f} days of virtual time, {self.requests} requests, "
            f"{self.steps} steps, {checks} checks, {len(self.failures)} failed\n"
            f"slowest to be right again: {self.slowest:.0%} of the bound\nchecks: {each}"
        )


def simulate(seeds: range) -> Total:
    """Run these."""
    total = Total(seeds=len(seeds))
    for seed in seeds:
        schedule = generate(seed)
        report = run(schedule)
        total.steps += report.steps
        total.requests += report.requests
        total.seconds += report.seconds
        total.slowest = max(total.slowest, report.settled_after / bound(schedule))
        total.checks.update(report.checks)
        if report.failure is not None:
            total.failures[seed] = str(report.failure)
    return total


def simulate_all(first: int, count: int, jobs: int) -> Total:
    """Run many, in several processes, with a line of progress."""
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    total, begun = Total(), time.monotonic()
    for done in results(chunks, jobs):
        total.add(done)
        show_progress(total, count, time.monotonic() - begun)
    print(file=sys.stderr)
    return total


def results(chunks: list[range], jobs: int) -> Iterator[Total]:
    if jobs == 1:
        yield from map(simulate, chunks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(simulate, chunk) for chunk in chunks]):
            yield done.result()


def show_progress(total: Total, count: int, seconds: float) -> None:
    part = total.seeds / count
    bar = "#" * int(part * 40)
    rate = total.seeds / max(seconds, 0.001)
    left = (count - total.seeds) / rate
    text = f"\r[{bar:40}] {total.seeds}/{count}  {rate:.0f}/s  {left:.0f} s left  {len(total.failures)} failed "
    if sys.stderr.isatty() or total.seeds == count or total.seeds % (CHUNK * 40) == 0:
        print(text, end="", file=sys.stderr, flush=True)
