"""When the formation gate must be open, from all lists published so far: contract.md, written a second time."""

import math

from membership.gate import GateRules
from membership.model import Snapshot

EDGE = 1e-6


class Gates:
    """Every list since the start, and what follows."""

    def __init__(self, rules: GateRules, started: float) -> None:
        self._rules = rules
        self._deadline = started + rules.timeout
        self._opened_at = math.inf
        self._addresses: frozenset[str] = frozenset()
        self._since = math.inf
        """Since when the list has been complete and the same; infinite while it is not."""
        self._any = False

    def publish(self, snapshot: Snapshot, now: float) -> None:
        self._settle(now)
        self._any = True
        members = [member for member in snapshot.members if member.port is not None and not member.terminating]
        addresses = frozenset(member.address for member in members)
        own = self._rules.self_ip
        for member in members:
            if member.serving and member.address != own and self._tells_apart(snapshot):
                self._opened_at = min(self._opened_at, now)
        complete = len(addresses) >= self._rules.expect and (own is None or own in addresses)
        if not complete:
            self._since = math.inf
        elif self._since == math.inf or addresses != self._addresses:
            self._since = now
        self._addresses = addresses

    def _tells_apart(self, snapshot: Snapshot) -> bool:
        """v1 Endpoints may call everyone ready; not where they call us, who have not started, not ready."""
        ours = [member.serving for member in snapshot.members if member.address == self._rules.self_ip]
        return "endpointslices" in snapshot.source or ours == [False] * max(1, len(ours))

    def open(self, now: float) -> bool | None:
        """None at the very moment at which it turns."""
        self._settle(now)
        edges = (self._since + self._rules.stable, self._deadline)
        return None if any(abs(now - edge) < EDGE for edge in edges) else self._opened_at <= now

    def _settle(self, now: float) -> None:
        if now >= self._since + self._rules.stable:
            self._opened_at = min(self._opened_at, self._since + self._rules.stable)
        if now >= self._deadline and self._rules.on_timeout == "start" and self._any:
            self._opened_at = min(self._opened_at, now)
