"""How often requests may go out, whatever fails: a limit over all namespaces, as a function of times."""

from collections import deque

LIMIT = 5
"""Requests in any second. Following more namespaces than that takes a second longer to start, and no exception to
the limit had to be made: any would have been there when a failure met it."""
WINDOW = 1.25
"""Seconds that `LIMIT` requests are spread over: what leaves on time may arrive late, and closer to the next."""


class Pace:
    """`reserve` before each request; not thread-safe."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque(maxlen=LIMIT)

    def reserve(self, now: float) -> float:
        """Seconds to wait before asking for leave again; 0 when the request may go out now."""
        if len(self._sent) == LIMIT and now < self._sent[0] + WINDOW:
            return self._sent[0] + WINDOW - now
        self._sent.append(now)
        return 0.0
