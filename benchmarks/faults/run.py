"""One case: one client, one fault, what was seen. And all cases, some at a time, each in namespaces of its own.

python -m benchmarks.faults.run "refused" kr8s_watch      prints one result; needs root or user namespaces
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.environments import ROOT
from benchmarks.faults.acts import LATER
from benchmarks.faults.arms import ARMS, Arm
from benchmarks.faults.client import Client
from benchmarks.faults.observed import Belief, busiest_second, observe
from benchmarks.faults.scenarios import SCENARIOS, Kind, Scenario
from benchmarks.faults.stage import Stage, enter, refused_connections
from benchmarks.faults.verdict import verdict

START_LIMIT = 40.0
SETTLE = 1.2
"""Seconds a stream has been open when the fault comes: a shorter one would be a fault of its own."""
BUSY, QUIET = 3, 10
"""How many cases run at a time: of those that end soon, and of those that mostly wait."""
LONG = 30.0
CASE_LIMIT = 900


def run_case(scenario: Scenario, arm: Arm) -> dict[str, Any]:
    """Run it; what was seen, as `docs/faults.md` is made of. Raises RuntimeError where the client never started."""
    with Stage(arm) as stage:
        if scenario.before is not None:
            scenario.before(stage)
        environment = stage.environment | {"BENCH_NAMESPACE": "wso2", "BENCH_SERVICE": "is"}
        with Client(arm, environment) as client:
            if scenario.kind is not Kind.START:
                _await_start(stage, client)
            result = _drive(scenario, stage, client)
            result["lists_from_zero"] = sum(
                one.kind == "list" and one.query.get("resourceVersion") == "0" for one in stage.kube.requests
            )
            if os.environ.get("BENCH_DEBUG"):
                print(client.log()[-3000:], file=sys.stderr)
    return {"fault": scenario.name, "arm": arm.name} | result


def _await_start(stage: Stage, client: Client) -> None:
    if not client.wait_for(stage.truth[-1][1], START_LIMIT):
        raise RuntimeError(f"no list at the start: {client.believed()} {client.ending()} {client.log()[-2000:]}")
    stage.kube.wait_for_watch(timeout=START_LIMIT)
    time.sleep(SETTLE)


def _drive(scenario: Scenario, stage: Stage, client: Client) -> dict[str, Any]:
    refused, cpu, began = refused_connections(), client.cpu_seconds(), time.monotonic()
    scenario.act(stage)
    over = time.monotonic()
    wanted = stage.truth[-1][1]
    stopped: float | None = None
    later: bool | None = None
    if scenario.kind is Kind.STOP:
        stopped = client.terminate(scenario.window)
    elif scenario.kind is Kind.HEALTH:
        time.sleep(scenario.window)
    elif client.wait_for(wanted, over + scenario.window - time.monotonic()):
        time.sleep(0.5)
    watched = time.monotonic()
    cpu_after = client.cpu_seconds()
    if scenario.kind in (Kind.RECOVER, Kind.START) and client.ending() is None:
        before_later = stage.truth[-1][1]
        stage.write(LATER)
        later = client.wait_for(stage.truth[-1][1], scenario.later)
        if not later:  # seen, though the list is not right
            later = bool((stage.truth[-1][1] - before_later) & (client.believed() or frozenset()))
    belief = Belief(client.lists(), stage.truth, client.ending(), client.health())
    requests = [one.time for one in stage.kube.requests if began <= one.time <= watched]
    return observe(belief, began, over, watched) | {
        "requests": len(requests),
        "busiest_second": busiest_second(requests),
        "refused": refused_connections() - refused,
        "cpu_seconds": None if cpu is None or cpu_after is None else round(cpu_after - cpu, 2),
        "sees_later_changes": later,
        "stopped_after": None if stopped is None else round(stopped, 2),
        "log": client.log()[-400:] if client.ending() else "",
    }


def run_all(scenarios: Iterable[Scenario], arms: Iterable[Arm]) -> list[dict[str, Any]]:
    """Every pair, those that wait long beside the others. A case that fails to run has `failed` in its result."""
    longest_first = sorted(scenarios, key=lambda scenario: -scenario.window)
    with ThreadPoolExecutor(QUIET) as quiet, ThreadPoolExecutor(BUSY) as busy:
        futures = [
            (quiet if scenario.window > LONG else busy).submit(_run_apart, scenario, arm)
            for scenario in longest_first
            for arm in arms
        ]
        return [future.result() for future in futures]


def _run_apart(scenario: Scenario, arm: Arm) -> dict[str, Any]:
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--net"]
    command = [*unshare, sys.executable, "-m", "benchmarks.faults.run", scenario.name, arm.name]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=CASE_LIMIT)
        result: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        failed = done.stderr[-2000:]
    except subprocess.TimeoutExpired:
        result, failed = {}, f"not over within {CASE_LIMIT} s"
    if not result:
        result = {"fault": scenario.name, "arm": arm.name, "failed": failed}
    print(f"{scenario.mode:5} {arm.title:20} {verdict(result, arm)}", file=sys.stderr, flush=True)
    return result


def main(name: str, arm_name: str) -> None:
    enter()
    scenario = next(one for one in SCENARIOS if one.name == name)
    arm = next(one for one in ARMS if one.name == arm_name)
    print(json.dumps(run_case(scenario, arm)))


if __name__ == "__main__":
    main(*sys.argv[1:])
