"""`--on-change`: a command for each new list, one at a time, the newest list next."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

from membership.errors import PublishError
from membership.model import Snapshot
from membership.session import Membership, Publication
from sidecar.publishers.worker import Published, Worker

log = logging.getLogger("sidecar")

NAME = "on-change"
LONGEST_VARIABLE = 128 * 1024
"""Bytes of a variable, its name and its end: MAX_ARG_STRLEN, https://man7.org/linux/man-pages/man2/execve.2.html"""
FILES_FIRST = 10.0
"""Seconds to wait for the files; one that hangs longer must not keep the command from running."""
GRACE = 2.0
"""Seconds between asking a command to end and ending it."""


class HookPublisher(Worker):
    """Runs `command` after `files` are written, could not be, or hang; again when such a one is written after all.

    What failed is not run again for the same list.
    """

    def __init__(
        self,
        command: Sequence[str],
        timeout: float,
        environ: Mapping[str, str],
        files: Sequence[Worker],
        membership: Membership,
        published: Published,
    ) -> None:
        super().__init__(NAME, membership, self._call, published, retries=False)
        self._command = tuple(command)
        self._timeout = timeout
        self._environ = dict(environ)
        self._files = tuple(files)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._ran = 0  # the generation that it was run for last
        self._ran_early = False  # before all files had it
        self._groups: set[int] = set()
        self._told_too_long = False
        for file in files:
            file.on_put = self._run_again

    def close(self) -> None:
        with self._lock:
            self._closing = True
            if self._process is not None:
                _signal(self._process, signal.SIGTERM)
        super().close()
        with self._lock:
            if self._process is not None:
                _signal(self._process, signal.SIGKILL)

    def _call(self, publication: Publication) -> bool:
        snapshot, deadline = publication.snapshot, time.monotonic() + FILES_FIRST
        for file in self._files:
            file.wait_for(snapshot.generation, max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._ran = snapshot.generation
            self._ran_early = not all(file.holds(snapshot.generation) for file in self._files)
        process = self._start(self._environ | self._variables(snapshot))
        if process is None:
            return True
        try:
            code = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGTERM)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                pass
            raise PublishError(f"{self._command[0]} was ended: it took longer than {self._timeout:g} s") from None
        finally:
            # What it left behind in its process group would overlap with the next run.
            _signal(process, signal.SIGKILL)
            process.wait()
            with self._lock:
                self._process = None
            self._reap(process.pid)
        if code:
            raise PublishError(f"{self._command[0]} ended with {code}")
        return True

    def _run_again(self, generation: int) -> None:
        """A file holds this list now. The command was run without it, or will be with it."""
        with self._lock:
            again = self._ran_early and generation <= self._ran
        if again:
            self._mail.repeat()

    def _reap(self, group: int) -> None:
        """Wait for what the command left behind: as the first process of a container we are its parent now.

        What is not gone yet is waited for after the next run.
        """
        self._groups.add(group)
        for one in list(self._groups):
            try:
                while os.waitpid(-one, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                self._groups.discard(one)

    def _variables(self, snapshot: Snapshot) -> dict[str, str]:
        """What is told of the list; nobody is named where the system has no room for so long a variable."""
        members = ",".join(snapshot.endpoints)
        if len(f"MEMBERSHIP_MEMBERS={members}") >= LONGEST_VARIABLE:
            if not self._told_too_long:
                log.warning("on-change: MEMBERSHIP_MEMBERS is left out: %d members are too long", len(snapshot.members))
            self._told_too_long = True
            return {"MEMBERSHIP_GENERATION": str(snapshot.generation)}
        return {"MEMBERSHIP_GENERATION": str(snapshot.generation), "MEMBERSHIP_MEMBERS": members}

    def _start(self, environ: Mapping[str, str]) -> "subprocess.Popen[bytes] | None":
        """None when closing. In a session of its own, so that its children can be ended with it."""
        with self._lock:
            if self._closing:
                return None
            try:
                # Its standard output goes where our log goes: ours has no other use.
                self._process = subprocess.Popen(
                    self._command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
                )
            except OSError as error:
                raise PublishError(f"{self._command[0]} cannot be run: {error.strerror or error}") from error
            return self._process


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """To the whole process group."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
