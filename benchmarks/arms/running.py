"""One arm's processes: started, waited for, asked what they saw and what they cost, and ended."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.arms.catalogue import PROGRAMS, Arm
from benchmarks.arms.pod import Pod
from benchmarks.environments import ROOT, go_program, product, python
from testbed.members import CLUSTER, Members
from testbed.ports import find_free_ports

HAZELCAST = "5.3.6"
_TICKS = os.sysconf("SC_CLK_TCK")
_COREFILE = """cluster.local:%(port)d {
    bind 127.0.0.1
    errors
    kubernetes cluster.local {
        ttl %(ttl)s
    }
%(cache)s}
"""


class ArmFailed(Exception):
    """It did not start, or has ended; the text says which, with the end of its log."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One line of an arm: at `ns` (CLOCK_MONOTONIC) it knew this version, or these marks, and so many endpoints.

    `read_ns`: when the bytes were there, where the client tells.
    """

    ns: int
    version: str | None
    endpoints: int
    marks: tuple[str, ...] = ()
    read_ns: int | None = None


class Running:
    """Starts the arm for one Service of the pod's API server. Use it as a context manager.

    `pid` is the client's process (the sidecar or CoreDNS, not what observes it); `port` is where a server listens.
    """

    def __init__(self, arm: Arm, pod: Pod, namespace: str, service: str) -> None:
        self.arm = arm
        (self.port,) = find_free_ports(1, "127.0.0.1")
        self.started = time.monotonic()
        self._home = tempfile.TemporaryDirectory(prefix="bench-arm-")
        self._folder = Path(self._home.name)
        self._lines, self._log = self._folder / "lines", self._folder / "log"
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": self._home.name,
            "PYTHONPATH": os.pathsep.join([*([str(product())] if arm.family == "ours" else []), str(ROOT)]),
            "BENCH_LINES": "versions",
            "BENCH_NAMESPACE": namespace,
            "BENCH_SERVICE": service,
            **pod.variables,
            **arm.variables,
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()
        self.hazelcast_port = 0
        memory = "/dev/shm" if arm.output == "file" else None
        self._shared = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-shared-", dir=memory)))
        try:
            self.pid = self._start(pod.enter(self._command()), writes=not arm.is_server)
            if arm.is_server:
                self._await_port(self.port)
                observer = [sys.executable, "-m", f"{PROGRAMS}.{arm.observer}", self._observed()]
                self.observer_pid = self._start(observer, writes=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._stack.close()
        self._home.cleanup()

    @property
    def file(self) -> Path:
        """Where the sidecar keeps its file of `lines`."""
        return self._shared / "members.txt"

    def wait_synced(self, endpoints: int, timeout: float) -> float:
        """Wait until it knows so many endpoints; the seconds since its start. ArmFailed after `timeout` seconds."""
        until = time.monotonic() + timeout
        while not (seen := [one for one in self.observations() if one.endpoints == endpoints]):
            if time.monotonic() > until:
                raise ArmFailed(f"{self.arm.name}: not synced within {timeout:g} s: {self.log()}")
            self.check()
            time.sleep(0.01)
        return seen[0].ns / 1e9 - self.started

    def check(self) -> None:
        """Raises ArmFailed if one of its processes has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise ArmFailed(f"{self.arm.name}: ended with {process.returncode}: {self.log()}")

    def observations(self) -> list[Observation]:
        """Everything it told so far, in order."""
        found = []
        for text in self._lines.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # a client's own log
            if isinstance(line, dict) and "endpoints" in line:
                found.append(_observation(line))
        return found

    def log(self) -> str:
        """The end of what its processes wrote on stderr."""
        return self._log.read_text(errors="replace")[-2000:]

    def cpu_seconds(self) -> float:
        """User and system time of the client so far, 10 ms at best."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mib(self) -> float:
        """Resident memory of the client now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def _command(self) -> list[str]:
        arm, service = self.arm, f"{self._environment['BENCH_NAMESPACE']}/{self._environment['BENCH_SERVICE']}"
        if arm.program == "sidecar":
            command = [str(python(arm.environment)), "-m", "sidecar", "--services", service, "--log-level", "error"]
            command += ["--http", f"127.0.0.1:{self.port}"]
            return command + self._output()
        if arm.program == "coredns":
            ttl = arm.variables["BENCH_TTL"]
            corefile = self._folder / "Corefile"
            # kubeadm's Corefile has `ttl 30` and `cache 30`; the plugin's own default is 5 s, without a cache.
            cache = "    cache 30\n" if ttl == "30" else ""
            corefile.write_text(_COREFILE % {"port": self.port, "ttl": ttl, "cache": cache})
            return [str(go_program("dns")), "-quiet", "-conf", str(corefile)]
        if arm.environment == "go":
            return [str(go_program(arm.program))]
        return [str(python(arm.environment)), "-u", "-m", f"{PROGRAMS}.{arm.program}"]

    def _output(self) -> list[str]:
        if self.arm.output in ("file", "file on disk"):
            return ["--out", f"lines:{self.file}"]
        if self.arm.output == "push":
            hazelcast = self._stack.enter_context(Members(self._folder / "hazelcast", HAZELCAST))
            # The own member of a pod is found on its loopback address, the port of the Service.
            hazelcast.start("own", [], write=True, properties={"hazelcast.socket.bind.any": "true"})
            self._await_port(hazelcast.port)
            self.hazelcast_port = hazelcast.port
            push = ["--push", "rest", "--hazelcast-version", HAZELCAST, "--cluster-name", CLUSTER]
            return [*push, "--port", str(hazelcast.port)]
        return []

    def _observed(self) -> str:
        if self.arm.output == "push":
            return str(self.hazelcast_port)
        return str(self.file if self.arm.output else self.port)

    def _start(self, command: Sequence[str], *, writes: bool) -> int:
        with self._lines.open("ab") as lines, self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=lines if writes else log,
                stderr=log,
            )
        self._processes.append(process)
        return process.pid

    def _await_port(self, port: int) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                self.check()
                if time.monotonic() > until:
                    raise ArmFailed(f"{self.arm.name}: does not listen: {self.log()}") from None
                time.sleep(0.01)


def _observation(line: dict[str, Any]) -> Observation:
    return Observation(
        line["ns"], line.get("version"), line["endpoints"], tuple(line.get("marks", ())), line.get("read")
    )
