"""What the simulation says in 15 seconds, and that it can say something else. `make simulate` runs it at length."""

import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from membership import follower, kube, session, transport
from membership.session import Options
from tests.simulation.faults import FAULTS
from tests.simulation.many import simulate
from tests.simulation.mutations import MUTATIONS, Edit, caught_by
from tests.simulation.schedule import WEIGHTS, Schedule, Step, generate
from tests.simulation.shrink import shrink
from tests.simulation.world import run

SEEDS = 3000
LEAST = {
    "list": 150_000,
    "age": 150_000,
    "rate": 90_000,
    "version": 60_000,
    "order": 45_000,
    "retry-after": 30_000,
    "gate": 15_000,
    "converges": 6_000,
    "error": 600,
    "restored": 3_000,
    "synced": 30_000,
    "generation": 30_000,
}
"""Checks that so many schedules come to: a simulation in which nothing happens finds nothing."""
QUICK = 120
"""Seeds in which the mistakes below must show; `make simulate MUTATIONS=1` tries all of them with more."""
WELL_KNOWN = (
    "watch again from an expired version",
    "list from an expired version",
    'trust version "0"',
    "drop a bookmark's version",
    "empty the store on an error",
    "never back off",
    "wait for ever on a silent stream",
    "count the age from a list's answer",
    "an error proves the list",
    "never verify the stream",
    "ignore the list of a restored server",
    "take a verification that the stream has overtaken",
    "take events that a verification has overtaken",
    "read the clock after the lock",
    "a list does not replace",
    "deletions are ignored",
    "compare versions as text",
    "no removal hold",
    "hold what a list does not name",
    "publish before every namespace was listed",
    "no pace",
    "the gate does not wait for a stable list",
)


def test_nothing_that_must_be_true_is_ever_false() -> None:
    total = simulate(range(SEEDS))
    assert not total.failures, "\n".join(f"make simulate SEED={seed}: {text}" for seed, text in total.failures.items())
    assert total.seeds == SEEDS and total.requests > 10 * SEEDS
    for rule, least in LEAST.items():
        assert total.checks[rule] > least, rule
    assert total.checks["mixed"] < total.checks["list"] / 10, "too much is let pass after a restore"
    assert 0.1 < total.slowest <= 1.0


def test_many_run_in_several_processes() -> None:
    """As `make simulate` does: a process that is spawned must find what it is to run."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "120", "--jobs", "2"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("120 schedules, ") and "120/120" in done.stderr


def test_everything_that_can_happen_does() -> None:
    steps = [step for seed in range(SEEDS) for step in generate(seed).steps]
    assert {step.action for step in steps} == set(WEIGHTS)
    assert {step.fault for step in steps if step.action == "window"} == set(FAULTS)


def test_a_seed_is_the_same_run_every_time() -> None:
    for seed in range(20):
        assert run(generate(seed), trace=True) == run(generate(seed), trace=True)


@pytest.mark.parametrize("mistake", WELL_KNOWN)
def test_a_mistake_is_caught(mistake: str) -> None:
    (mutation,) = [mutation for mutation in MUTATIONS if mutation.mistake == mistake]
    assert caught_by(mutation, range(QUICK)) is not None


def test_a_list_that_the_stream_has_overtaken_ends_no_hold() -> None:
    """Pods come and go every second, and the lists beside the stream come 1.5 s late: rare in a schedule of chance."""
    options = Options(relist_interval=3.0, stale_after=9.0)
    setting = replace(generate(0).setting, services=("wso2/is",), options=options, replicas=1, pods=3)
    late = Step(2.0, "window", 1000, 100.0, 0, "late", "list")
    changes = [Step(3.0 + 0.5 * n, "gone" if n % 2 else "start", n) for n in range(30)]
    schedules = [Schedule(seed, setting, (late, *changes)) for seed in range(10)]
    for schedule in schedules:
        assert run(schedule).failure is None
    (mistake,) = [mutation for mutation in MUTATIONS if "overtaken ends what is held" in mutation.mistake]
    with mistake.made():
        failures = [failure for schedule in schedules if (failure := run(schedule).failure)]
    assert len(failures) > 3 and {failure.rule for failure in failures} == {"list"}


def test_who_terminates_and_is_gone_in_one_read_is_not_held() -> None:
    """What stands in between holds the stream's bytes for a second: rare in a schedule of chance."""
    setting = replace(generate(0).setting, services=("wso2/is",), options=Options(), replicas=1, pods=4)
    schedules = []
    for pod in range(4):
        ends = [Step(5.1, "terminate", pod), Step(5.2, "gone", pod), Step(5.3, "start", 0), Step(5.4, "ready", 1)]
        schedules.append(Schedule(pod, setting, (Step(5.0, "buffer", seconds=1.0), *ends)))
    for schedule in schedules:
        assert run(schedule).failure is None
    (mistake,) = [mutation for mutation in MUTATIONS if "gone in one read" in mutation.mistake]
    with mistake.made():
        failures = [run(schedule).failure for schedule in schedules]
    assert {failure and failure.rule for failure in failures} == {"list"}


def test_every_edit_fits_the_source_and_every_name_is_there_once() -> None:
    assert max(Counter(mutation.mistake for mutation in MUTATIONS).values()) == 1
    for mutation in MUTATIONS:
        assert not isinstance(mutation, Edit) or mutation.fits == 1, mutation.mistake


def test_a_failing_schedule_is_made_short() -> None:
    (mutation,) = [mutation for mutation in MUTATIONS if mutation.mistake == "deletions are ignored"]
    caught = caught_by(mutation, range(QUICK))
    assert caught is not None
    schedule = generate(caught[0])
    with mutation.made():
        failure = run(schedule).failure
        assert failure is not None
        kept = shrink(schedule, failure.rule)
        again = run(schedule.only(kept)).failure
        assert again is not None and again.rule == failure.rule
        assert len(kept) <= 4 < len(schedule.steps)
        for left_out in kept:
            fewer = run(schedule.only([number for number in kept if number != left_out])).failure
            assert fewer is None or fewer.rule != failure.rule
    assert run(schedule).failure is None


def test_afterwards_the_product_has_its_own_time_and_network_again() -> None:
    run(generate(0))
    assert kube.__dict__["Exchange"] is transport.Exchange
    assert kube.__dict__["time"] is time
    assert session.__dict__["threading"] is follower.__dict__["threading"] is threading
