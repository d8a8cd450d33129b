"""Compares each list with the one before, and keeps what changed: in memory, and in the file of `--history`."""

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from membership.errors import PublishError
from membership.history import LIMIT, Change, History, compare
from membership.history_file import HistoryFile, read_history
from membership.model import Snapshot
from membership.session import Publication
from sidecar.publishers import PublisherStatus
from sidecar.publishers.mailbox import LATER, Mailbox

log = logging.getLogger("sidecar")

RETRY = 10.0
"""Seconds between tries to write what could not be written."""
BACKLOG = 64
"""Lists that wait to be compared. Where more come, the oldest are skipped, and a change spans several generations."""


def load_history(path: Path | None) -> list[Change]:
    """What earlier runs kept; nothing, with a warning, where the file cannot be read."""
    try:
        return read_history(path) if path and path.exists() else []
    except OSError as error:
        log.warning("history file %s is not read, and begun anew: %s", path, error.strerror or error)
        return []


class Historian:
    """Takes every list, on a thread of its own: comparing thousands of members must not delay who reads the next.

    Outputs come before it (`LATER`), and who asks for the history has all that there is, compared there and then.
    """

    def __init__(self, path: Path | None) -> None:
        self._history = History(load_history(path))
        self._file = HistoryFile(path) if path else None
        self._mail = Mailbox()
        self._waiting: deque[Publication] = deque(maxlen=BACKLOG)
        self._lock = threading.Lock()
        self._before: Snapshot | None = None
        self._unwritten: list[Change] = []
        self._status = PublisherStatus(f"history:{path}", 0, "", False, 0, 0, None)
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    @property
    def status(self) -> PublisherStatus | None:
        """How the file fares; None where there is none."""
        return self._status if self._file else None

    def start(self) -> None:
        self._thread.start()

    def put(self, publication: Publication) -> None:
        """Returns at once."""
        self._waiting.append(publication)
        self._mail.put(publication)

    def close(self) -> None:
        """Stop once everything that was put is written."""
        self._mail.close()
        self._thread.join(0.4)

    def read(self) -> History:
        """With every list that was put."""
        with self._lock:
            while self._waiting:
                self._compare(self._waiting.popleft())
        return self._history

    def _run(self) -> None:
        seen, closed = None, False
        while not closed:
            if self._mail.wait(seen, RETRY if self._unwritten else None):
                seen = self._mail.newest
                time.sleep(LATER)
            closed = self._mail.closed  # asked before the last look, which then misses nothing
            self.read()
            if self._file and self._unwritten:
                self._write(self._file)

    def _compare(self, publication: Publication) -> None:
        at = time.time() - (time.monotonic() - publication.read_at)
        change = compare(self._before, publication.snapshot, datetime.fromtimestamp(at, timezone.utc))
        self._before = publication.snapshot
        self._history.add(change)
        if self._file:
            self._unwritten = [*self._unwritten, change][-LIMIT:]

    def _write(self, file: HistoryFile) -> None:
        with self._lock:
            changes, kept = self._unwritten, self._history.changes
        before, now, generation = self._status, time.monotonic(), changes[-1].generation
        try:
            file.add(changes, kept)
        except PublishError as error:
            since = now if before.problem_since is None else before.problem_since
            self._status = replace(before, problem=str(error), problem_since=since, failures=before.failures + 1)
            if str(error) != before.problem:
                log.error("output %s: %s", before.name, error)
        else:
            with self._lock:
                self._unwritten = [change for change in self._unwritten if change.generation > generation]
            self._status = replace(before, generation=generation, problem="", problem_since=None, put_out_at=now)
            if before.problem:
                log.info("output %s: written again", before.name)
