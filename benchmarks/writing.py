"""Changes at times that wait for nobody: an open loop, so that who is slow is not spared the next change."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

from benchmarks.service import Shape, Writer, mark
from benchmarks.sightings import Change

UNDER_WAY = 16
"""Changes that may be under way at once."""
JITTER = (0.5, 1.5)
"""Of the mean interval, uniform: in step with nothing, as the server's bookmarks and our clients' polls are."""


def intervals(rate: float, random: Random) -> Iterator[float]:
    """Seconds between changes, for ever; `rate` a second on average."""
    while True:
        yield random.uniform(*JITTER) / rate


def write(writer: Writer, shape: Shape, count: int, rate: float, first: int, random: Random) -> list[Change]:
    """Make `count` changes, slice after slice; the first one has number `first`, and no number is used twice."""
    return write_in_turn([writer], shape, count, rate, first, random)[0]


def write_in_turn(
    writers: Sequence[Writer], shape: Shape, count: int, rate: float, first: int, random: Random
) -> list[list[Change]]:
    """`count` changes by each of the writers, `rate` a second by each; the changes of each.

    The writers take turns, so that no two changes are closer than `JITTER` allows for all of them.
    """
    due = time.monotonic()
    pace = intervals(rate * len(writers), random)
    with ThreadPoolExecutor(UNDER_WAY) as pool:
        pending: list[list[Future[Change]]] = [[] for _ in writers]
        for number in range(first, first + count):
            for writer, ours in zip(writers, pending, strict=True):
                due += next(pace)
                time.sleep(max(0.0, due - time.monotonic()))
                ours.append(pool.submit(_change, writer, number % shape.slices, mark(number), int(due * 1e9)))
        return [[one.result() for one in ours] for ours in pending]


def _change(writer: Writer, target: int, new: str, due: int) -> Change:
    sent = time.monotonic_ns()
    version = writer.change(target, new, None)
    return Change(int(version), new, due, sent, time.monotonic_ns())
