"""A bell: whoever changes something rings it, whoever waits for something looks again at each ring."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Bell:
    """Wakes the waiters of the test's side. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def ring(self) -> None:
        """Let all waiters look again."""
        with self._condition:
            self._condition.notify_all()

    def wait_for(self, predicate: Callable[[], object], timeout: float, what: str) -> None:
        """Wait until `predicate()` is true. Raises TimeoutError with `what`."""
        with self._condition:
            if not self._condition.wait_for(predicate, timeout):
                raise TimeoutError(f"not within {timeout} s: {what}")
