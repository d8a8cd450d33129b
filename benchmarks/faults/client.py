"""A driver's process: what it said and when, what it cost, and how it ended."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.faults.arms import Arm

_TICKS = os.sysconf("SC_CLK_TCK")


class Client:
    """Runs the arm's driver. Lines may be read while it runs, in order; use it as a context manager."""

    def __init__(self, arm: Arm, environment: dict[str, str]) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="bench-home-")
        self._log = Path(self._home.name) / "log"
        self._changed = threading.Condition()
        self._lines: list[dict[str, Any]] = []
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(arm.python), "-u", "-m", arm.driver],
                env={
                    **environment,
                    "HOME": self._home.name,
                    "PATH": os.environ.get("PATH", ""),
                    "PYTHONPATH": arm.python_path,
                },
                cwd=self._home.name,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._cpu_before = 0.0
        self._ended_at: float | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(5)
        self._home.cleanup()

    def lists(self) -> list[tuple[float, frozenset[str]]]:
        """Every list it told, with the time in seconds."""
        with self._changed:
            return [(line["ns"] / 1e9, frozenset(line["addresses"])) for line in self._lines if "addresses" in line]

    def health(self) -> list[tuple[float, str]]:
        """Its own signal of health, at each change."""
        with self._changed:
            return [(line["ns"] / 1e9, line["health"]) for line in self._lines if "health" in line]

    def believed(self) -> frozenset[str] | None:
        """The newest list; None before the first."""
        told = self.lists()
        return told[-1][1] if told else None

    def ending(self) -> tuple[float, str, str] | None:
        """When and how it ended by itself, with details; None while it runs."""
        with self._changed:
            found = next((line for line in self._lines if "ended" in line), None)
            if found is not None:
                return found["ns"] / 1e9, found["ended"], found.get("detail", "")
            if self._ended_at is not None:
                return self._ended_at, f"exits with {self._process.returncode}", self.log()[-300:]
            return None

    def wait_for(self, addresses: frozenset[str], timeout: float) -> bool:
        """Wait until it believes in these; False where it ended or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self.believed() == addresses or self.ending() is not None, max(0.0, timeout))
            return self.believed() == addresses

    def terminate(self, timeout: float) -> float | None:
        """Send SIGTERM; the seconds until it ended, None if it did not in time."""
        sent = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - sent

    def cpu_seconds(self) -> float | None:
        """User and system time so far; None once it has ended."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def log(self) -> str:
        """What it wrote on stderr."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                continue  # a client's own log
            if isinstance(line, dict) and "ns" in line:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._ended_at = time.monotonic()
            self._changed.notify_all()
