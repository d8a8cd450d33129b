"""A sidecar in each of many pods, and one API server: what do they cost it, and how do they come back after it?

All talk to the server through one TCP proxy, which notes when each connection was made: a request is a connection of
its own. What was sent to a sidecar is told by the kernel (`ss`), TLS and all.
"""

import os
import re
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from benchmarks.arms.pod import Pod
from benchmarks.arms.running import ArmFailed
from benchmarks.environments import ROOT, product, python
from benchmarks.measures import Usage, busiest, read_usage
from benchmarks.service import NAMESPACE, SERVICE, Shape, Writer
from benchmarks.writing import write
from testbed.plane import ControlPlane
from testbed.proxy import Proxy

SHAPE = Shape(10)
RATE = 10.0
TOGETHER = 4
"""Sidecars that are started at a time, so that a start is not slowed down by all the others."""
LIMIT = 120.0
_RECEIVED = re.compile(r"bytes_received:(\d+)")


class Fleet:
    """`count` sidecars of one Service, without files and HTTP, all ready. Use it as a context manager."""

    def __init__(self, pod: Pod, proxy: Proxy, count: int, plane: ControlPlane) -> None:
        self.count = count
        self._plane = plane
        self._proxy = proxy
        self._pod = replace(pod, url=proxy.url)
        self._folder = tempfile.TemporaryDirectory(prefix="bench-fleet-")
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for number in range(self.count):
                self._start(number)
                if number % TOGETHER == TOGETHER - 1 or number == self.count - 1:
                    self._wait_asked(2 * (number + 1))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._folder.cleanup()

    def wait_watching(self, count: int, timeout: float) -> None:
        """Until the server has so many watches open. ArmFailed after `timeout` seconds."""
        until = time.monotonic() + timeout
        while (opened := self._plane.open_watches("endpointslices")) < count:
            if time.monotonic() > until:
                raise ArmFailed(f"{opened} of {count} sidecars watch after {timeout:g} s")
            time.sleep(0.25)  # the server's metrics are long: asked more often, they would be what it is busy with

    def received(self) -> int:
        """Bytes that all of them were sent on connections that are open now."""
        pids = {process.pid for process in self._processes}
        found = subprocess.run(["ss", "-tinpHO", "state", "established"], capture_output=True, text=True, check=True)
        lines = [line for line in found.stdout.splitlines() if _owner(line) in pids]
        return sum(int(amount) for line in lines for amount in _RECEIVED.findall(line))

    def usage(self) -> list[Usage]:
        """Of each of them."""
        return [read_usage(process.pid) for process in self._processes]

    def _wait_asked(self, requests: int) -> None:
        """Until so many were made: a list and a watch for each."""
        until = time.monotonic() + LIMIT
        while len(self._proxy.accepted) < requests:
            if time.monotonic() > until:
                raise ArmFailed(f"{len(self._proxy.accepted)} of {requests} requests after {LIMIT:g} s")
            time.sleep(0.01)

    def _start(self, number: int) -> None:
        command = [str(python("membership")), "-m", "sidecar", "--services", f"{NAMESPACE}/{SERVICE}", "--http", "off"]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": self._folder.name,
            "PYTHONPATH": os.pathsep.join([str(product()), str(ROOT)]),
            **self._pod.variables,
        }
        with Path(self._folder.name, f"log-{number}").open("wb") as log:
            started = subprocess.Popen(
                self._pod.enter(command), env=environment, cwd=self._folder.name, stdout=log, stderr=log
            )
        self._processes.append(started)


def measure_fleet(
    plane: ControlPlane, pod: Pod, writer: Writer, count: int, changes: int, quiet: float, random: Random
) -> dict[str, Any]:
    """What `count` sidecars cost the server: to start, in `quiet` seconds without changes, and for each change."""
    writer.reset(SHAPE)
    port = int(plane.url.rpartition(":")[2])
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(port))
        server = server_pid(plane)
        before = read_usage(server)
        fleet = stack.enter_context(Fleet(pod, proxy, count, plane))
        time.sleep(0.5)
        started, asked = read_usage(server), len(proxy.accepted)
        fleet.wait_watching(count, LIMIT)
        time.sleep(2.0)
        began, sidecars = read_usage(server), fleet.usage()
        time.sleep(quiet)
        idle, sidecars_idle, bytes_before = read_usage(server), fleet.usage(), fleet.received()
        made = write(writer, SHAPE, changes, RATE, 0, random)
        time.sleep(2.0)
        after, sidecars_after = read_usage(server), fleet.usage()
        # What the server does by itself goes on meanwhile.
        alone = (idle.cpu - began.cpu) / (idle.at - began.at)
        starts = started.cpu - before.cpu - alone * (started.at - before.at)
        writes = after.cpu - idle.cpu - alone * (after.at - idle.at)
        return {
            "sidecars": count,
            "requests_to_start": asked,
            "server_cpu_ms_per_start": round(1000 * starts / count, 1),
            "server_mib": round(after.mib, 1),
            "server_idle_percent": round(idle.load_since(began), 2),
            "requests_while_quiet": len(proxy.accepted) - asked,
            "sidecar_idle_percent": _worst([now.load_since(then) for then, now in zip(sidecars, sidecars_idle)]),
            "sidecar_mib": _worst([one.mib for one in sidecars_after]),
            "changes": len(made),
            "server_cpu_ms_per_change": round(1000 * writes / len(made), 3),
            "bytes_per_change_and_sidecar": round((fleet.received() - bytes_before) / len(made) / count),
        }


def measure_recovery(plane: ControlPlane, pod: Pod, writer: Writer, count: int, away: float) -> dict[str, Any]:
    """The server is killed and started after `away` seconds: when do they come back, and how many at once?

    It listens some two seconds before it answers: who comes in that time waits for it and is not refused.
    """
    writer.reset(SHAPE)
    port = int(plane.url.rpartition(":")[2])
    with Proxy(port) as proxy, Fleet(pod, proxy, count, plane) as fleet:
        fleet.wait_watching(count, LIMIT)
        time.sleep(2.0)
        asked, killed = len(proxy.accepted), time.monotonic()
        plane.kill("kube-apiserver")
        time.sleep(away)
        plane.start_component("kube-apiserver")
        _await_port(port)
        ready, at_ready = time.monotonic(), read_usage(server_pid(plane))
        plane.wait_ready()
        fleet.wait_watching(count, LIMIT)
        spent = read_usage(server_pid(plane))
        times = list(proxy.accepted[asked:])
        later = [at for at in times if at >= ready]
        return {
            "sidecars": count,
            "outage_s": round(ready - killed, 2),
            "all_back_s": round(max(0.0, times[-1] - ready), 2),
            "refused_per_sidecar": round((len(times) - len(later)) / count, 1),
            "requests_after": len(later),
            "busiest_100_ms": busiest(later, 0.1),
            "busiest_second": busiest(later, 1.0),
            "busiest_second_of_the_outage": busiest([at for at in times if at < ready], 1.0),
            "server_cpu_s_until_back": round(spent.cpu - at_ready.cpu, 2),
        }


def _await_port(port: int) -> None:
    """Until it takes connections: the first watches are accepted before the server calls itself ready."""
    until = time.monotonic() + LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise ArmFailed(f"nothing listens on port {port} after {LIMIT:g} s") from None
            time.sleep(0.005)


def server_pid(plane: ControlPlane) -> int:
    """The process of this control plane's API server."""
    directory = os.fsencode(str(plane.directory))
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended
            if words[1:2] == [b"kube-apiserver"] and any(directory in word for word in words):
                return int(folder.name)
    raise ArmFailed("the API server does not run")


def _owner(line: str) -> int | None:
    found = re.search(r"pid=(\d+)", line)
    return int(found[1]) if found else None


def _worst(values: list[float]) -> float:
    return round(max(values), 3)
