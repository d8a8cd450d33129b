"""What does it cost to be told: memory and CPU of each client, idle and for each event, and to start it?

    python -m benchmarks.cost                       8 minutes: all arms, short
    python -m benchmarks.cost --plan full           25 minutes, on a quiet machine: the figures that are quoted
    python -m benchmarks.cost --arms ours_http,client_go,kubernetes_watch

Each arm (arms/catalogue.py) in turn, in a process that is alone with a real API server and a Service of 100 endpoints:
first left alone, then shown changes. CPU and memory are those of the client's process, from /proc; what observes a
sidecar is a process of its own and does not count. Results: results/cost-PLAN.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.arms.catalogue import PROGRAMS, SIDECAR, Arm, arm
from benchmarks.arms.pod import Pod
from benchmarks.arms.running import ArmFailed, Running
from benchmarks.environments import ROOT, environment, go_program, prepare, product, python
from benchmarks.machine import busy_share, describe
from benchmarks.measures import read_usage
from benchmarks.service import NAMESPACE, SERVICE, Shape, Writer, real_service
from benchmarks.sizes import settle
from benchmarks.writing import write
from testbed.plane import ControlPlane

RESULTS = Path(__file__).parent / "results"
ARMS = (
    "ours_callback",
    "ours_http",
    "ours_file",
    "client_go",
    "kubernetes_watch",
    "kubernetes_informer",
    "kubernetes_aio",
    "lightkube",
    "kr8s",
    "kopf",
    "poll_1s",
    "poll_5s",
)
SHAPE = Shape(100)
SYNC_LIMIT = 60.0
CALM = 3.0
"""Seconds from synced until the idle measure begins: what a start leaves to be done."""
_NOT_INSTALLED_BY_US = ("pip", "setuptools", "wheel", "_distutils_hack", "distutils-precedence")


@dataclass(frozen=True, slots=True)
class Plan:
    """`starts` of each arm; the last goes on, for `idle` seconds and then for `events` changes at `rate` a second.

    `idle_sidecar` is for the one that serves nothing but HTTP: it lists every 5 minutes beside its watch.
    """

    starts: int
    idle: float
    idle_sidecar: float
    events: int
    rate: float = 16.0
    traced: int = 40


PLANS: Mapping[str, Plan] = {
    "look": Plan(starts=1, idle=15.0, idle_sidecar=15.0, events=100),
    "full": Plan(starts=5, idle=30.0, idle_sidecar=330.0, events=500, traced=200),
}


def measure_arm(plane: ControlPlane, pod: Pod, writer: Writer, one: Arm, plan: Plan, random: Random) -> dict[str, Any]:
    """One arm. Raises ArmFailed."""
    synced = []
    for _ in range(plan.starts - 1):
        writer.reset(SHAPE)
        with Running(one, pod, NAMESPACE, SERVICE) as running:
            synced.append(running.wait_synced(SHAPE.endpoints, SYNC_LIMIT))
    writer.reset(SHAPE)
    with Running(one, pod, NAMESPACE, SERVICE) as running:
        synced.append(running.wait_synced(SHAPE.endpoints, SYNC_LIMIT))
        time.sleep(CALM)
        asked, began = plane.count_requests("endpointslices"), read_usage(running.pid)
        time.sleep(plan.idle_sidecar if one.name == SIDECAR else plan.idle)
        idle, asked_idle = read_usage(running.pid), plane.count_requests("endpointslices") - asked
        write(writer, SHAPE, plan.events // 10, plan.rate, 0, random)
        time.sleep(1.0)
        before = read_usage(running.pid)
        made = write(writer, SHAPE, plan.events, plan.rate, plan.events, random)
        seen = settle(running, made)
        after = read_usage(running.pid)
    return {
        "start_to_synced_s": round(median(synced), 3),
        "idle_mib": round(idle.mib, 1),
        "idle_percent_of_a_core": round(idle.load_since(began), 3),
        "idle_s": round(idle.at - began.at),
        "requests_ended_while_idle": asked_idle,
        "cpu_s_per_1000_events": round(1000 * (after.cpu - before.cpu) / len(made), 3),
        "churn_mib": round(after.mib, 1),
        "events": len(made),
        "lost": seen.lost,
    }


def trace(pod: Pod, writer: Writer, events: int, random: Random) -> dict[str, Any]:
    """What our library allocates for an event of 100 endpoints, by tracemalloc. Raises ArmFailed."""
    writer.reset(SHAPE)
    command = [str(python("membership")), "-u", "-m", f"{PROGRAMS}.membership_traced"]
    variables = {"BENCH_EVENTS": str(events), "BENCH_NAMESPACE": NAMESPACE, "BENCH_SERVICE": SERVICE}
    path = os.pathsep.join([str(product()), str(ROOT)])
    given = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "PYTHONPATH": path, **variables}
    with subprocess.Popen(
        pod.enter(command), env={**given, **pod.variables}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if "endpoints" not in json.loads(process.stdout.readline() or "{}"):
                raise ArmFailed("the traced program told no list")
            write(writer, SHAPE, events + 5, 8.0, 0, random)
            told = json.loads(process.stdout.readline())
        finally:
            process.kill()
    kept = told["kept"] / max(1, len(told["transient"]))
    return {
        "events": len(told["transient"]),
        "transient_kib": round(median(told["transient"]) / 1024, 1),
        "kept_bytes_per_event": round(kept),
    }


def installed_mib(one: Arm) -> float:
    """What is on disk because of this client, without Python and without compiled copies of sources."""
    if one.environment == "go":
        return round(go_program(one.program).stat().st_size / 2**20, 1)
    (packages,) = environment(one.environment).glob("lib/python*/site-packages")
    folders = [packages, *([product()] if one.family == "ours" else [])]
    return round(sum(size_of(folder, _NOT_INSTALLED_BY_US) for folder in folders) / 2**20, 1)


def size_of(folder: Path, without: Sequence[str] = ()) -> int:
    """Bytes of the files in it, leaving out its entries that begin so, and every __pycache__."""
    return sum(
        path.stat().st_size
        for entry in folder.iterdir()
        if not entry.name.startswith(tuple(without))
        for path in ([entry] if entry.is_file() else entry.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    )


def measure(names: Sequence[str], plan: Plan, command: str, seed: int) -> dict[str, Any]:
    """The arms in random order."""
    random = Random(seed)
    chosen = [arm(name) for name in names]
    prepare([*(one.environment for one in chosen), "membership"])
    others, found = [busy_share()], dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, real_service(Path(name)) as (plane, pod, writer):
        for one in random.sample(chosen, len(chosen)):
            try:
                found[one.name] = measure_arm(plane, pod, writer, one, plan, random)
            except ArmFailed as failed:
                found[one.name] = {"failed": str(failed)[-500:]}
            found[one.name]["installed_mib"] = installed_mib(one)
            print(f"{one.name:20} {found[one.name]}", file=sys.stderr, flush=True)
        traced = trace(pod, writer, plan.traced, random)
    others.append(busy_share())
    ordered = {name: found[name] for name in names}
    return describe(command, others) | {"endpoints": SHAPE.endpoints, "seed": seed, "arms": ordered, "traced": traced}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", choices=sorted(PLANS), default="look")
    parser.add_argument("--arms", default=",".join(ARMS), help="comma list of arms/catalogue.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="default: results/cost-PLAN.json")
    arguments = parser.parse_args()
    command = "python -m benchmarks.cost " + " ".join(sys.argv[1:])
    found = measure(arguments.arms.split(","), PLANS[arguments.plan], command.strip(), arguments.seed)
    output = arguments.output or RESULTS / f"cost-{arguments.plan}.json"
    output.write_text(json.dumps(found, indent=1) + os.linesep)
    print(output)


if __name__ == "__main__":
    main()
