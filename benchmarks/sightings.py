"""From what was changed and what an arm told to how long each change took, and which were lost. Pure.

An arm has seen a change when it tells a list with the change's resource version or a newer one: a stream hands out
versions in order, and who is handed newer lists only never needs the older ones. Versions of one resource are compared
as numbers, which Kubernetes allows (KEP-5504).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arms.running import Observation

PARTS = (0.5, 0.9, 0.99)
STEPS = 200
"""A distribution is kept as its quantiles in steps of 1/200."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write. Times in nanoseconds of CLOCK_MONOTONIC: when it was due, sent, and answered."""

    version: int
    mark: str
    due: int
    sent: int
    answered: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """When an arm knew of a change, and when it had the bytes, if it says so."""

    change: Change
    ns: int
    read_ns: int | None
    exact: bool
    """It told a list of this very version, not only of a newer one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an arm saw of some changes. `twice`: versions told more than once; `backwards`: older ones after newer.

    Both are of the versions of these changes alone: the slices of the first list have no order.
    """

    sightings: tuple[Sighting, ...]
    lost: int
    twice: int
    backwards: int

    @property
    def overtaken(self) -> int:
        """Changes that were seen with a newer one only."""
        return sum(not one.exact for one in self.sightings)


def match(changes: Sequence[Change], observations: Iterable[Observation]) -> Seen:
    """Find each change in what the arm told, in order."""
    by_mark = {change.mark: change.version for change in changes}
    told: list[tuple[int, Observation]] = []
    for one in observations:
        version = _version(one, by_mark)
        if version is not None:
            told.append((version, one))
    ours = {change.version for change in changes}
    versions = [version for version, _ in told if version in ours]
    pending = sorted(changes, key=lambda change: change.version)
    sightings: list[Sighting] = []
    newest, backwards, at = -1, 0, 0
    for version, one in told:
        backwards += version in ours and version < newest
        newest = max(newest, version)
        while at < len(pending) and pending[at].version <= newest:
            exact = pending[at].version in versions
            sightings.append(Sighting(pending[at], one.ns, one.read_ns, exact))
            at += 1
    return Seen(tuple(sightings), len(pending) - at, len(versions) - len(set(versions)), backwards)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and max, rounded to microseconds of milliseconds; empty of nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    return {f"p{round(part * 100)}": quantile(ordered, part) for part in PARTS} | {"max": round(ordered[-1], 3)}


def distribution(values: Sequence[float]) -> list[float]:
    """The quantiles from 0 to 1 in `STEPS` steps, of which a curve is drawn."""
    ordered = sorted(values)
    return [quantile(ordered, step / STEPS) for step in range(STEPS + 1)] if ordered else []


def quantile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least this part of them does not exceed."""
    return round(ordered[max(0, math.ceil(part * len(ordered)) - 1)], 3)


def _version(one: Observation, by_mark: Mapping[str, int]) -> int | None:
    if one.version is not None:
        return int(one.version)
    return max((by_mark[mark] for mark in one.marks if mark in by_mark), default=None)
