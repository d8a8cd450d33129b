"""A failing schedule made short: steps are left out for as long as the same rule fails."""

from collections.abc import Sequence

from tests.simulation.schedule import Schedule
from tests.simulation.world import run


def shrink(schedule: Schedule, rule: str) -> list[int]:
    """The numbers of the steps that are needed for `rule` to fail: none of them can be left out alone."""

    def fails(numbers: Sequence[int]) -> bool:
        failure = run(schedule.only(numbers)).failure
        return failure is not None and failure.rule == rule

    kept = list(range(len(schedule.steps)))
    size = max(1, len(kept) // 2)
    while True:
        start, before = 0, len(kept)
        while start < len(kept):
            fewer = kept[:start] + kept[start + size :]
            if fails(fewer):
                kept = fewer
            else:
                start += size
        if size == 1 and len(kept) == before:
            return kept
        size = max(1, size // 2)
