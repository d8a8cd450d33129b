"""How often requests may go out, whatever fails: a limit over all namespaces, as a function of times."""

from dataclasses import dataclass

LIMIT = 5
"""Requests in any second. Following more namespaces than that takes a second longer to start, and no exception to
the limit had to be made: any would have been there when a failure met it."""
WINDOW = 1.05
"""Seconds for which a request counts, once it is known to have arrived."""
UNDER_WAY = 2.0
"""Seconds after which a request that is not answered is taken to have arrived: some servers never answer."""


@dataclass(slots=True, eq=False)
class Leave:
    """Leave for one request. Its second begins when the request has arrived, for on a busy machine what was let go in
    time may arrive late, and close to the next."""

    given_at: float
    arrived_at: float | None = None

    def counts_until(self, now: float) -> float:
        arrived_at = min(now, self.given_at + UNDER_WAY) if self.arrived_at is None else self.arrived_at
        return arrived_at + WINDOW


class Pace:
    """Ask `wait` first, `take` a leave when there is nothing to wait for, and tell `end` that its answer came."""

    def __init__(self) -> None:
        self._leaves: list[Leave] = []

    def wait(self, now: float) -> float:
        """Seconds to wait before asking again; 0 when a request may go out now."""
        self._leaves = [leave for leave in self._leaves if leave.counts_until(now) > now]
        over = sorted(leave.counts_until(now) for leave in self._leaves)[: max(0, len(self._leaves) - LIMIT + 1)]
        return max((until - now for until in over), default=0.0)

    def take(self, now: float) -> Leave:
        leave = Leave(now)
        self._leaves.append(leave)
        return leave

    def end(self, leave: Leave, now: float) -> None:
        """The request was answered, or failed: at the latest it has arrived by now."""
        leave.arrived_at = now
