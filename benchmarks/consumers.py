"""Many consumers of one sidecar: when a change releases them, how long until the last is answered, and the file?"""

import json
import os
import subprocess
import sys
import threading
import time
from random import Random
from types import TracebackType
from typing import Any, Self

from benchmarks.arms.catalogue import arm
from benchmarks.arms.pod import Pod
from benchmarks.arms.running import ArmFailed, Running
from benchmarks.environments import ROOT
from benchmarks.measures import read_usage
from benchmarks.service import NAMESPACE, SERVICE, Shape, Writer
from benchmarks.sightings import match, percentiles
from benchmarks.sizes import SYNC_LIMIT, beyond, settle
from benchmarks.writing import write

SHAPE = Shape(20)
RATE = 4.0
RATE_OF_ALL = 800.0
"""Changes per second, and the most that they may be times the consumers: all ask again before the next one comes."""


class Crowd:
    """`crowd.py` in a process of its own; none of `kind` "none" or of 0 consumers."""

    def __init__(self, kind: str, port: int, count: int) -> None:
        self.count = count
        self.rounds: dict[str, dict[str, int]] = {}
        self._ready = threading.Event()
        command = [sys.executable, "-m", "benchmarks.crowd", kind, str(port), str(count)]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        if not self._ready.wait(60):
            self.__exit__(None, None, None)
            raise ArmFailed("the crowd did not gather within 60 s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            if "ready" in line:
                self._ready.set()
            else:
                # Half a second later one more list may come with the same version: a held member was let go.
                self.rounds.setdefault(line["version"], line)


def measure_consumers(pod: Pod, writer: Writer, kind: str, count: int, changes: int, random: Random) -> dict[str, Any]:
    """One crowd beside the file and a bare socket, whose bytes are where each time begins; milliseconds."""
    writer.reset(SHAPE)
    found: dict[str, Any] = {"kind": kind, "consumers": count, "changes": changes}
    with Running(arm("control_python"), pod, NAMESPACE, SERVICE) as floor:
        floor.wait_synced(SHAPE.endpoints, SYNC_LIMIT)
        with Running(arm("ours_file"), pod, NAMESPACE, SERVICE) as running:
            running.wait_synced(SHAPE.endpoints, SYNC_LIMIT)
            if not count:
                return found | _changes(writer, floor, running, None, changes, random)
            with Crowd(kind, running.port, count) as crowd:
                return found | _changes(writer, floor, running, crowd, changes, random)


def _changes(
    writer: Writer, floor: Running, running: Running, crowd: Crowd | None, changes: int, random: Random
) -> dict[str, Any]:
    rate = min(RATE, RATE_OF_ALL / crowd.count) if crowd else RATE
    write(writer, SHAPE, 3, rate, 0, random)
    time.sleep(1.5)
    before = read_usage(running.pid)
    made = write(writer, SHAPE, changes, rate, 3, random)
    seen = settle(running, made)
    after, base = read_usage(running.pid), match(made, floor.observations())
    found: dict[str, Any] = {
        "file_ms": percentiles(beyond(seen, base)),
        "cpu_ms_per_change": round(1000 * (after.cpu - before.cpu) / changes, 1),
        "resident_mib": round(after.mib, 1),
    }
    if crowd is not None:
        time.sleep(1.0)
        rounds = [(one.ns, crowd.rounds.get(str(one.change.version))) for one in base.sightings]
        for part in ("first", "middle", "last"):
            found[f"{part}_ms"] = percentiles([(each[part] - ns) / 1e6 for ns, each in rounds if each])
        found["not_seen"] = sum(each is None for _, each in rounds)
        found["overtaken"] = sum(each is not None and each["count"] < crowd.count for _, each in rounds)
    return found
