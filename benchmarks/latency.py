"""From a change on the API server to the hands of a program: how long, for every client?

    make bench                                  6 minutes: all arms at 100 endpoints, the main ones at 1000
    make bench-full                             2 hours and a half of it: the figures that are quoted
    python -m benchmarks.latency --fake         a quick look, on a FakeKube
    python -m benchmarks.latency --plan look --arms ours_callback,kr8s --endpoints 1000 --rate 4

The arms (arms/catalogue.py) take turns in random order, each block with a fresh process that is alone with the server,
or with a Service of its own beside others (`together` of plans.py). Three of them are controls: bare sockets that only
stamp, in Python and in Go. A change is correlated with what an arm tells by its resource version, all times are
CLOCK_MONOTONIC. Results: results/latency-PLAN.json.
"""

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.arms.catalogue import ARMS, arm
from benchmarks.arms.pod import Pod
from benchmarks.arms.running import ArmFailed, Running
from benchmarks.environments import prepare
from benchmarks.machine import busy_share, describe
from benchmarks.plans import PLANS, Cell
from benchmarks.service import SERVICE, ServiceWriter, Shape, fake_service, real_service
from benchmarks.sightings import Change, Seen, distribution, match, percentiles
from benchmarks.writing import write_in_turn

RESULTS = Path(__file__).parent / "results"
SYNC_LIMIT = 60.0
SETTLE = 2.0
"""Seconds after the last change; what a watching arm has not told by then is lost. Habits have theirs (Arm.delay)."""


@dataclass(slots=True)
class Tally:
    """What the blocks of one arm gave."""

    seen: list[Seen] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    rounds: list[dict[str, float]] = field(default_factory=list)
    synced: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    resident_mib: float = 0.0
    failed: str = ""

    def take(self, changes: Sequence[Change], seen: Seen, cpu_seconds: float, resident_mib: float) -> None:
        """One block more."""
        self.seen.append(seen)
        self.changes += changes
        self.rounds.append(percentiles(_latencies([seen])))
        self.cpu_seconds += cpu_seconds
        self.resident_mib = max(self.resident_mib, resident_mib)

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """An arm that fails in here has failed, and the run goes on."""
        try:
            yield
        except ArmFailed as failed:
            self.failed = str(failed)[-500:]


class Bench:
    """Runs the cells of a plan, one block after the other."""

    def __init__(self, pod: Pod, writer: ServiceWriter, random: Random) -> None:
        self._pod = pod
        self._writers = [writer]
        self._random = random
        self._next = 0

    def run(self, cell: Cell) -> dict[str, Any]:
        """All blocks of the cell; one entry for each arm."""
        tallies: dict[str, Tally] = defaultdict(Tally)
        for number in range(cell.blocks):
            names = [name for name in self._random.sample(cell.arms, len(cell.arms)) if not tallies[name].failed]
            for at in range(0, len(names), cell.together):
                group = {name: tallies[name] for name in names[at : at + cell.together]}
                self._block(cell, group)
                for name, tally in group.items():
                    print(f"{cell.name}, block {number + 1}: {_told(name, tally)}", file=sys.stderr, flush=True)
        return {
            "name": cell.name,
            **{key: value for key, value in asdict(cell).items() if key != "arms"},
            "arms": {one.name: summarize(tallies[one.name]) for one in ARMS if one.name in tallies},
        }

    def _block(self, cell: Cell, group: Mapping[str, Tally]) -> None:
        """One block of each of these arms, at the same time. One that fails is left out of what the others do."""
        while len(self._writers) < len(group):
            self._writers.append(self._writers[0].beside(len(self._writers)))
        with ExitStack() as stack:
            started = []
            for (name, tally), writer in zip(group.items(), self._writers, strict=False):
                writer.reset(cell.shape)
                with tally.noting_failure():
                    running = stack.enter_context(Running(arm(name), self._pod, writer.namespace, SERVICE))
                    tally.synced.append(running.wait_synced(cell.shape.endpoints, SYNC_LIMIT))
                    started.append((running, writer, tally))
            if not started:
                return
            writers = [writer for _, writer, _ in started]
            self._write(writers, cell, cell.warm_up)
            before = [running.cpu_seconds() for running, _, _ in started]
            made = self._write(writers, cell, cell.changes)
            for (running, _, tally), cpu, changes in zip(started, before, made, strict=True):
                with tally.noting_failure():
                    seen = self._settle(running, changes)
                    running.check()
                    tally.take(changes, seen, running.cpu_seconds() - cpu, running.resident_mib())

    def _write(self, writers: Sequence[ServiceWriter], cell: Cell, count: int) -> list[list[Change]]:
        first, self._next = self._next, self._next + count
        return write_in_turn(writers, cell.shape, count, cell.rate, first, self._random)

    def _settle(self, running: Running, changes: Sequence[Change]) -> Seen:
        until = time.monotonic() + SETTLE + running.arm.delay
        while (seen := match(changes, running.observations())).lost and time.monotonic() < until:
            time.sleep(0.1)
        return seen


def summarize(tally: Tally) -> dict[str, Any]:
    """Percentiles in milliseconds since the PATCH was sent, and what was lost, overtaken, told twice."""
    if tally.failed:
        return {"failed": tally.failed}
    latencies = _latencies(tally.seen)
    sightings = [one for seen in tally.seen for one in seen.sightings]
    read = [(one.read_ns - one.change.sent) / 1e6 for one in sightings if one.read_ns is not None]
    return {
        "changes": len(tally.changes),
        "lost": sum(seen.lost for seen in tally.seen),
        "overtaken": sum(seen.overtaken for seen in tally.seen),
        "told_twice": sum(seen.twice for seen in tally.seen),
        "backwards": sum(seen.backwards for seen in tally.seen),
        "seen_ms": percentiles(latencies),
        "since_answer_ms": percentiles([(one.ns - one.change.answered) / 1e6 for one in sightings]),
        **({"bytes_at_socket_ms": percentiles(read)} if read else {}),
        "patch_answered_ms": percentiles([(one.answered - one.sent) / 1e6 for one in tally.changes]),
        "sent_late_ms": percentiles([(one.sent - one.due) / 1e6 for one in tally.changes]),
        "blocks_ms": tally.rounds,
        "start_to_synced_s": round(sorted(tally.synced)[len(tally.synced) // 2], 3),
        "cpu_s_per_1000_changes": round(1000 * tally.cpu_seconds / len(tally.changes), 2),
        "resident_mib": round(tally.resident_mib, 1),
        "quantiles_ms": distribution(latencies),
    }


def _latencies(blocks: Sequence[Seen]) -> list[float]:
    return [(one.ns - one.change.sent) / 1e6 for seen in blocks for one in seen.sightings]


def _told(name: str, tally: Tally) -> str:
    return f"{name:20} " + (f"FAILED {tally.failed}" if tally.failed else str(tally.rounds[-1]))


def measure(cells: Sequence[Cell], command: str, *, fake: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Run these cells and give the results of each, with where and how it was made under `run`."""
    prepare(arm(name).environment for cell in cells for name in cell.arms)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        others = busy_share()
        if fake:
            pod, writer = stack.enter_context(fake_service(Path(name)))
        else:
            _, pod, writer = stack.enter_context(real_service(Path(name)))
        bench = Bench(pod, writer, Random(seed))
        for cell in cells:
            found = bench.run(cell)
            after = busy_share()
            yield {"run": describe(command, [others, after]) | {"seed": seed}, **found}
            others = after


def keep(output: Path, cell: Mapping[str, Any]) -> None:
    """Put a cell into the file, in place of the one of the same name."""
    cells = json.loads(output.read_text())["cells"] if output.exists() else []
    names = [one["name"] for one in cells]
    if cell["name"] in names:
        cells[names.index(cell["name"])] = cell
    else:
        cells.append(cell)
    output.write_text(json.dumps({"cells": cells}, indent=1) + "\n")


def chosen_cells(arguments: argparse.Namespace) -> list[Cell]:
    """The plan's, with what the command line says otherwise."""
    cells = []
    for cell in PLANS[arguments.plan]:
        if arguments.only and cell.name != arguments.only:
            continue
        if arguments.arms:
            cell = replace(cell, arms=tuple(arguments.arms.split(",")))
        if arguments.endpoints:
            cell = replace(cell, shape=Shape(arguments.endpoints, arguments.slices))
        cell = replace(cell, rate=arguments.rate or cell.rate)
        cell = replace(cell, arms=_fitting(cell, arguments.fake), together=arguments.together or cell.together)
        cells.append(replace(cell, changes=arguments.changes or cell.changes, blocks=arguments.blocks or cell.blocks))
    return cells


def _fitting(cell: Cell, fake: bool) -> tuple[str, ...]:
    """Those that carry so many endpoints, and find on a FakeKube what they need."""
    return tuple(
        name for name in cell.arms if arm(name).most_endpoints >= cell.shape.endpoints and (arm(name).fake or not fake)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", choices=sorted(PLANS), default="look")
    parser.add_argument("--only", default="", metavar="CELL", help="a cell by its name; the others keep their results")
    parser.add_argument("--arms", default="", help="comma list of arms/catalogue.py; default: the plan's")
    parser.add_argument("--endpoints", type=int, default=0)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0, help="changes per second")
    parser.add_argument("--changes", type=int, default=0, help="in a block")
    parser.add_argument("--blocks", type=int, default=0)
    parser.add_argument("--together", type=int, default=0, help="arms at a time, each with a Service of its own")
    parser.add_argument("--fake", action="store_true", help="on a FakeKube")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="default: results/latency-PLAN.json; none for look and --fake")
    arguments = parser.parse_args()
    command = f"python -m benchmarks.latency {shlex.join(sys.argv[1:])}"
    kept = arguments.plan in ("bench", "full") and not arguments.fake
    output = arguments.output or (RESULTS / f"latency-{arguments.plan}.json" if kept else None)
    for cell in measure(chosen_cells(arguments), command, fake=arguments.fake, seed=arguments.seed):
        if output is not None:
            keep(output, cell)
        for name, one in cell["arms"].items():
            print(f"{cell['name']:30} {name:20} {one.get('failed') or one['seen_ms']} lost {one.get('lost')}")


if __name__ == "__main__":
    main()
