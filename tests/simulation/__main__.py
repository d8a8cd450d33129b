"""`python -m tests.simulation`: run many seeds, replay one, or see that every mutation is caught.

--seeds 100000 [--first 0] [--jobs 2]   run so many schedules; ends with 1 if one fails, which is then made short
--seed 17 [--keep 0,3,4]                replay one, or some of its steps, and print what happens
--mutations [--seeds 2000]              each mutation until a seed finds it
"""

import argparse
import os
import sys
import time

from tests.simulation.many import simulate_all
from tests.simulation.mutations import MUTATIONS, caught_by
from tests.simulation.schedule import generate
from tests.simulation.shrink import shrink
from tests.simulation.world import bound, run

SHOWN = 5
"""Failing seeds that are made short; the others are named."""


def explain(seed: int) -> str:
    """A failing seed: what fails, how to see it again, and the shortest schedule that shows it."""
    schedule = generate(seed)
    failure = run(schedule).failure
    assert failure is not None
    kept = shrink(schedule, failure.rule)
    short = schedule.only(kept)
    again = run(short).failure
    steps = "\n".join(f"    {step}" for step in short.steps)
    numbers = ",".join(map(str, kept))
    return (
        f"seed {seed}: {failure}\n  replay: make simulate SEED={seed}\n"
        f"  {len(kept)} of its {len(schedule.steps)} steps are enough: make simulate SEED={seed} KEEP={numbers}\n"
        f"    {short.setting}\n{steps}\n    {again}"
    )


def replay(seed: int, keep: str | None) -> int:
    schedule = generate(seed)
    if keep is not None:
        schedule = schedule.only([int(number) for number in keep.split(",") if number])
    report = run(schedule, trace=True)
    print(schedule.setting, *report.trace, sep="\n")
    right = f"right {report.settled_after:.1f} s after the faults, of {bound(schedule):.0f} s"
    print(f"{sum(report.checks.values())} checks; {report.failure or right}")
    return 1 if report.failure else 0


def mutate(seeds: int) -> int:
    """Every mutation; returns how many are missed."""
    missed = 0
    for mutation in MUTATIONS:
        begun = time.monotonic()
        caught = caught_by(mutation, range(seeds))
        missed += caught is None
        text = "MISSED" if caught is None else f"seed {caught[0]}: {caught[1]}"
        print(f"{time.monotonic() - begun:6.1f} s  {mutation.mistake:58}  {text[:110]}", flush=True)
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} mutations caught")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep")
    parser.add_argument("--mutations", action="store_true")
    given = parser.parse_args()
    if given.seed is not None:
        return replay(given.seed, given.keep)
    if given.mutations:
        return 1 if mutate(given.seeds or 5000) else 0
    total = simulate_all(given.first, given.seeds or 2000, given.jobs)
    print(total)
    for seed in sorted(total.failures)[:SHOWN]:
        print(explain(seed))
    if len(total.failures) > SHOWN:
        print("and:", *sorted(total.failures)[SHOWN:])
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
