"""Does every arm work here? Each is started beside one Service, waited for, and shown a few changes.

python -m benchmarks.arms                       all, on the real control plane; root, or user namespaces
python -m benchmarks.arms --fake ours_file kr8s these, on a FakeKube
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.arms.catalogue import ARMS, Arm, arm
from benchmarks.arms.pod import Pod
from benchmarks.arms.running import ArmFailed, Running
from benchmarks.environments import prepare
from benchmarks.service import NAMESPACE, SERVICE, Shape, Writer, fake_service, mark, real_service

CHANGES = 10
SETTLE = 1.0


def try_arm(one: Arm, pod: Pod, writer: Writer, shape: Shape) -> str:
    """What it saw, in words. Raises ArmFailed."""
    writer.reset(shape)
    with Running(one, pod, NAMESPACE, SERVICE) as running:
        synced = running.wait_synced(shape.endpoints, 60)
        made: dict[str, str] = {}
        for number in range(CHANGES):
            made[mark(number)] = writer.change(0, mark(number), None)
            time.sleep(0.1)
        until = time.monotonic() + SETTLE + one.delay
        while (found := len(_versions(running, made) & set(made.values()))) < CHANGES and time.monotonic() < until:
            running.check()
            time.sleep(0.1)
        memory, cpu = running.resident_mib(), running.cpu_seconds()
    return f"synced {synced:.2f} s, saw {found} of {CHANGES}, {memory:.1f} MiB, {cpu:.2f} CPU-s"


def _versions(running: Running, made: Mapping[str, str]) -> set[str | None]:
    seen = running.observations()
    return {one.version for one in seen} | {made.get(name) for one in seen for name in one.marks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of catalogue.py; default: all")
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--endpoints", type=int, default=100)
    arguments = parser.parse_args()
    chosen = [arm(name) for name in arguments.names] or list(ARMS)
    prepare(one.environment for one in chosen)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        if arguments.fake:
            pod, writer = stack.enter_context(fake_service(Path(name)))
        else:
            _, pod, writer = stack.enter_context(real_service(Path(name)))
        for one in chosen:
            if arguments.fake and not one.fake:
                continue
            try:
                told = try_arm(one, pod, writer, Shape(arguments.endpoints))
            except ArmFailed as failed:
                told = f"FAILED {failed}"
            print(f"{one.name:20} {told}", flush=True)


if __name__ == "__main__":
    main()
