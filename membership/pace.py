"""How often requests may go out, whatever fails: a limit over all namespaces, as a function of times."""

from collections import deque

LIMIT = 5
"""Requests in any second."""


class Pace:
    """`reserve` before each request; not thread-safe."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque(maxlen=LIMIT)
        self._proven = False

    def reserve(self, now: float, *, first: bool) -> float:
        """Seconds to wait before asking again for leave; 0 when the request may go out now.

        The first requests of a namespace are exempt on a server that has proved to answer, so that following 200
        namespaces does not take 80 s to start.
        """
        if first and self._proven:
            return 0.0
        if len(self._sent) == LIMIT and now < self._sent[0] + 1.0:
            return self._sent[0] + 1.0 - now
        self._sent.append(now)
        return 0.0

    def answered(self, well: bool) -> None:
        """Tell how the newest request ended."""
        self._proven = well
