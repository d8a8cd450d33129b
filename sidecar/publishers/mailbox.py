"""Where the reader leaves a list for a thread, in no time and waking no other: the newest, and no backlog."""

import time
from queue import Empty, SimpleQueue

from membership.session import Publication

LATER = 0.05
"""Seconds that log and history leave a new list to the outputs: one thread at a time has the interpreter, and what
compares or words a list would keep who writes it waiting, at 20,000 endpoints for 20 ms."""


class Mailbox:
    """Any thread may put and close; one thread waits. A queue in C wakes it: a Condition is 40 lines of Python."""

    def __init__(self) -> None:
        self.newest: Publication | None = None
        self.closed = False
        self._again = False
        self._signal = SimpleQueue[None]()

    def put(self, publication: Publication) -> None:
        self.newest = publication
        self._wake()

    def repeat(self) -> None:
        """The newest list is to be taken once more."""
        self._again = True
        self._wake()

    def close(self) -> None:
        """Nobody waits any more."""
        self.closed = True
        self._wake()

    def wait(self, after: Publication | None, timeout: float | None = None) -> bool:
        """Wait for another list than `after`, at most `timeout` seconds; whether there is one. False once closed."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.newest is after and not self.closed and not self._again:
            try:
                self._signal.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except Empty:
                return False
        self._again = False
        return not self.closed

    def take(self, after: Publication | None) -> Publication | None:
        """Wait for another list than `after`; None once closed."""
        return self.newest if self.wait(after) else None

    def _wake(self) -> None:
        # One signal is enough: who takes it looks at the newest list afterwards, never before.
        if self._signal.empty():
            self._signal.put(None)
