"""How far does it carry: endpoints, Services, consumers of /members, and sidecars on one API server?

    python -m benchmarks.scale                      4 minutes: is all of it there, and roughly right?
    python -m benchmarks.scale --plan full          35 minutes, on a quiet machine: the figures that are quoted
    python -m benchmarks.scale --only consumers     one of endpoints, services, consumers, fleet

On a real control plane; our programs run as users have them (environments.py). Beyond what two cores carry there is a
model (herd.py), and what comes of it is marked as such. Results: results/scale-PLAN.json.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.arms.pod import Pod
from benchmarks.consumers import measure_consumers
from benchmarks.environments import prepare
from benchmarks.fleet import measure_fleet, measure_recovery
from benchmarks.herd import spread, stampede
from benchmarks.machine import busy_share, describe
from benchmarks.service import Shape, Writer, real_service
from benchmarks.sizes import Spread, measure_endpoints, measure_services
from testbed.plane import ControlPlane

RESULTS = Path(__file__).parent / "results"
MODELLED = (100, 1000, 10_000)
OUTAGES = (2.0, 30.0, 120.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured; `changes` for each cell."""

    endpoints: Sequence[Shape]
    endpoint_changes: int
    services: Sequence[Spread]
    service_changes: int
    crowds: Sequence[tuple[str, int]]
    crowd_changes: int
    fleets: Sequence[int]
    fleet_changes: int
    quiet: float
    recovery: int
    away: float


PLANS: Mapping[str, Plan] = {
    "look": Plan(
        endpoints=(Shape(100), Shape(20_000, 200)),
        endpoint_changes=10,
        services=(Spread(1), Spread(50)),
        service_changes=20,
        crowds=(("none", 0), ("long-poll", 1000), ("sse", 1000)),
        crowd_changes=10,
        fleets=(1, 12),
        fleet_changes=80,
        quiet=5.0,
        recovery=12,
        away=5.0,
    ),
    "full": Plan(
        endpoints=(Shape(10), Shape(100), Shape(1000, 10), Shape(5000, 50), Shape(20_000, 200)),
        endpoint_changes=150,
        services=(Spread(1), Spread(10), Spread(50), Spread(200), Spread(20, 20)),
        service_changes=200,
        crowds=(("none", 0), *((kind, count) for kind in ("long-poll", "sse") for count in (1, 100, 1000))),
        crowd_changes=240,  # p99 is the third slowest: as the second of 120 it was 114 ms one day and 229 another
        fleets=(1, 10, 20, 40),
        fleet_changes=300,
        quiet=30.0,
        recovery=40,
        away=30.0,
    ),
}


class Scale:
    """One run of a plan on one control plane."""

    def __init__(self, plane: ControlPlane, pod: Pod, writer: Writer, plan: Plan, random: Random) -> None:
        self._plane = plane
        self._pod = pod
        self._writer = writer
        self._plan = plan
        self._random = random

    def run(self, parts: Sequence[str]) -> dict[str, Any]:
        """The parts named, of `PARTS`."""
        return {name: PARTS[name](self) for name in parts}

    def endpoints(self) -> list[dict[str, Any]]:
        plan = self._plan
        return [
            _told(measure_endpoints(self._pod, self._writer, shape, plan.endpoint_changes, self._random))
            for shape in plan.endpoints
        ]

    def services(self) -> list[dict[str, Any]]:
        plan = self._plan
        return [
            _told(measure_services(self._plane, self._pod, one, plan.service_changes, self._random))
            for one in plan.services
        ]

    def consumers(self) -> list[dict[str, Any]]:
        plan = self._plan
        return [
            _told(measure_consumers(self._pod, self._writer, kind, count, plan.crowd_changes, self._random))
            for kind, count in plan.crowds
        ]

    def fleet(self) -> dict[str, Any]:
        plan = self._plan
        measured = [
            _told(
                measure_fleet(self._plane, self._pod, self._writer, count, plan.fleet_changes, plan.quiet, self._random)
            )
            for count in plan.fleets
        ]
        recovery = _told(measure_recovery(self._plane, self._pod, self._writer, plan.recovery, plan.away))
        same = [stampede(recovery["sidecars"], recovery["outage_s"], seed) for seed in range(20)]
        return {
            "measured": measured,
            "recovery": recovery,
            "the model of that recovery, 20 times": spread(same),
            "model": spread([stampede(pods, outage, 1) for outage in OUTAGES for pods in MODELLED]),
        }


PARTS: Mapping[str, Callable[[Scale], Any]] = {
    "endpoints": Scale.endpoints,
    "services": Scale.services,
    "consumers": Scale.consumers,
    "fleet": Scale.fleet,
}


def _told(found: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def measure(plan: Plan, parts: Sequence[str], command: str, seed: int) -> dict[str, Any]:
    """Run these parts and give the results."""
    prepare(["membership"])
    others = [busy_share()]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, real_service(Path(name)) as (plane, pod, writer):
        found = Scale(plane, pod, writer, plan, Random(seed)).run(parts)
    others.append(busy_share())
    return describe(command, others) | {"seed": seed, **found}


def combine(before: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of two runs: quiet if both were, with the commands of both, versions and date of the newer one."""
    commands = dict.fromkeys([*before["command"].split("; "), found["command"]])
    busy = max(before["busy_with_other_work"], found["busy_with_other_work"], key=max)
    quiet = before["quiet"] and found["quiet"]
    return {**before, **found, "command": "; ".join(commands), "quiet": quiet, "busy_with_other_work": busy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", choices=sorted(PLANS), default="look")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="repeatable; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="default: results/scale-PLAN.json; with --only those parts of it")
    arguments = parser.parse_args()
    command = "python -m benchmarks.scale " + " ".join(sys.argv[1:])
    output = arguments.output or RESULTS / f"scale-{arguments.plan}.json"
    found = measure(PLANS[arguments.plan], arguments.only or list(PARTS), command.strip(), arguments.seed)
    if arguments.only and output.exists():
        found = combine(json.loads(output.read_text()), found)
    output.write_text(json.dumps(found, indent=1) + os.linesep)
    print(output)


if __name__ == "__main__":
    main()
