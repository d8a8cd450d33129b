"""The network drops every packet and says nothing: when does each client notice, and when is its list true again?

    python -m benchmarks.blackhole                  3 minutes, root and iproute2: bounded at 60 s
    python -m benchmarks.blackhole --bound 1000     the figures that are quoted: the kernel gives up after 15 minutes

Each client runs in a network namespace of its own, all at the same time; the API server is on their node. Once all
watch and have seen a change, every packet between them and the node is dropped, no link goes down, and the Service is
changed again. A client has noticed when it gives up a connection that was open then: the kernel tells, whatever the
client says of itself. After the bound packets go through again. Results: results/blackhole.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arms.catalogue import arm
from benchmarks.arms.pod import Pod
from benchmarks.arms.running import ArmFailed, Running
from benchmarks.environments import prepare
from benchmarks.machine import busy_share, describe
from benchmarks.service import NAMESPACE, SERVICE, Shape, Writer, mark, real_service
from benchmarks.sightings import Change, match
from testbed import pods
from testbed.pods import Network

RESULTS = Path(__file__).parent / "results"
ARMS = (
    "ours_callback",
    "client_go",
    "kubernetes_watch",
    "kubernetes_informer",
    "kubernetes_aio",
    "lightkube",
    "kr8s",
    "kopf",
    "poll_1s",
)
SHAPE = Shape(10)
IDLE = 25.0
"""Seconds until what is not needed any more is closed: aiohttp keeps the connection of its list for 15 s."""
START_LIMIT = 60.0
EVERY = 0.1
AFTERWARDS = 60.0
"""Seconds after the packets go through again in which a list must become true."""
_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True)
class NetworkPod(Pod):
    """A pod whose processes are in a network namespace."""

    namespace: str = ""

    def enter(self, command: Sequence[str]) -> list[str]:
        return pods.enter(self.namespace, Pod.enter(self, command))


def measure(names: Sequence[str], bound: float, command: str) -> dict[str, Any]:
    """All at the same time; seconds."""
    chosen = [arm(name) for name in names]
    prepare(one.environment for one in chosen)
    others = [busy_share()]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        network = stack.enter_context(Network.claim())
        plane, pod, writer = stack.enter_context(real_service(folder, bind=network.node))
        writer.reset(SHAPE)
        running: dict[str, Running] = {}
        for one in chosen:
            inside = NetworkPod(pod.account, pod.url, network.add(one.name.replace("_", "-")).namespace)
            running[one.name] = stack.enter_context(Running(one, inside, NAMESPACE, SERVICE))
        for each in running.values():
            each.wait_synced(SHAPE.endpoints, START_LIMIT)
        time.sleep(IDLE)
        found = _cut(network, running, writer, int(plane.url.rpartition(":")[2]), bound)
    others.append(busy_share())
    return describe(command, others) | {"bound_s": bound, "arms": found}


def _cut(
    network: Network, running: Mapping[str, Running], writer: Writer, port: int, bound: float
) -> dict[str, dict[str, Any]]:
    """Drop packets for `bound` seconds; who gave up a connection meanwhile, and whose list became true afterwards."""
    held = {name: _connections(each, port) for name, each in running.items()}
    # All have just heard of the server: what they count in silence begins now, for each.
    writer.change(0, mark(0), None)
    time.sleep(1.0)
    network.cut(list(network))
    began = time.monotonic()
    writer.change(0, mark(1), mark(0))
    noticed: dict[str, float] = {}
    while (now := time.monotonic()) < began + bound:
        for name in running.keys() - noticed.keys():
            if held[name] - _connections(running[name], port):
                noticed[name] = round(now - began, 1)
        time.sleep(EVERY)
    last = Change(int(writer.change(0, mark(2), mark(1))), mark(2), 0, 0, 0)
    network.mend(list(network))
    mended = time.monotonic()
    while _waiting(running, last) and time.monotonic() < mended + AFTERWARDS:
        time.sleep(EVERY)
    return {
        name: {
            "connections": len(held[name]),
            "noticed_s": noticed.get(name),
            "true_after_mending_s": _true_again(each, last, mended),
            "ended": _ending(each),
        }
        for name, each in running.items()
    }


def established(table: str, port: int) -> frozenset[int]:
    """The local ports of connections to `port` that are open, from /proc/PID/net/tcp."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return frozenset(
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == _ESTABLISHED and int(row[2].rpartition(":")[2], 16) == port
    )


def _connections(running: Running, port: int) -> frozenset[int]:
    """None of a process that has ended."""
    try:
        return established(Path(f"/proc/{running.pid}/net/tcp").read_text(), port)
    except OSError:
        return frozenset()


def _waiting(running: Mapping[str, Running], last: Change) -> bool:
    return any(not _ending(each) and match([last], each.observations()).lost for each in running.values())


def _true_again(running: Running, last: Change, mended: float) -> float | None:
    seen = match([last], running.observations()).sightings
    return round(seen[0].ns / 1e9 - mended, 1) if seen else None


def _ending(running: Running) -> str:
    """How its process ended; "" while it runs."""
    try:
        running.check()
    except ArmFailed as failed:
        return str(failed)[-300:]
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bound", type=float, default=60.0, help="seconds without packets")
    parser.add_argument("--arms", default=",".join(ARMS), help="comma list of arms/catalogue.py")
    parser.add_argument("--output", type=Path, default=RESULTS / "blackhole.json")
    arguments = parser.parse_args()
    command = "python -m benchmarks.blackhole " + " ".join(sys.argv[1:])
    found = measure(arguments.arms.split(","), arguments.bound, command.strip())
    arguments.output.write_text(json.dumps(found, indent=1) + os.linesep)
    for name, each in found["arms"].items():
        print(f"{name:20} {each}")


if __name__ == "__main__":
    main()
