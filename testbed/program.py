"""A child process that cannot outlive the test runner."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process. So every child is started by
# this one thread, which lives until the interpreter exits, whichever thread of a test asked for it.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="testbed-spawner")
_ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Program:
    """`command` as a process in a session of its own, its output appended to `log_file`.

    The kernel kills it when this process dies. Start and kill as often as wanted, from one thread at a time.
    """

    def __init__(self, name: str, command: Sequence[str], log_file: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log_file = log_file
        self._command = ("setpriv", "--pdeathsig", "KILL", "--", *command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it and return at once. RuntimeError if it runs already, OSError if it cannot be started."""
        if self.pid is not None:
            raise RuntimeError(f"{self.name} runs already (pid {self.pid})")
        self._process = _spawner.submit(self._spawn).result()

    def kill(self, sig: signal.Signals = signal.SIGKILL, *, timeout: float = 90.0) -> None:
        """Send `sig`; after an ending one, return when it has ended, by SIGKILL after `timeout` seconds.

        Nothing happens if it does not run.
        """
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(sig)
        if sig not in _ENDING:
            return
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def read_log_tail(self, lines: int = 15) -> str:
        """The end of its log, each line cut at 400 characters: for error texts."""
        if not self.log_file.exists():
            return "(no log)"
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
