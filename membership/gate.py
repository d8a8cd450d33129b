"""The formation gate: when a member may start, as a function of snapshots and times.

Hazelcast members that start with lists that do not name each other form clusters of their own, and some never merge
(shared/hazelcast.md section 4). So the gate holds a start back until the list names everyone who starts together, and
lets go at once where an established member is there to join. Once open it stays open.
"""

from dataclasses import dataclass, replace
from typing import Literal

from membership.model import Member, Snapshot

BOOT_WINDOW = 90.0
"""Seconds that a Carbon server takes at most from the copy of its files to the start of its Hazelcast
(shared/carbon.md): until then it may start with a list that is older than another pod's."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """`expect` distinct addresses, unchanged for `stable` seconds; after `timeout` seconds `on_timeout` decides."""

    expect: int = 1
    stable: float = 2.0
    timeout: float = 120.0
    on_timeout: Literal["start", "fail"] = "start"
    self_ip: str | None = None
    """The own address: it must be in the list, and does not count as an established member."""


@dataclass(frozen=True, slots=True)
class GateState:
    """`open` or not, why in words, and whether the time is up."""

    open: bool
    reason: str
    timed_out: bool = False
    seconds_left: float = 0.0
    """Until the time-out; 0 once open or timed out."""
    warning: str = ""
    """What was seen after the gate had opened that makes a split possible; it stays. Empty: nothing."""
    generation: int = 0
    """Of the list that opened it; 0 while shut. A member may start with this one or a newer one, not with an older."""
    overdue: bool = False
    """The time is up and `on_timeout` is start: nothing else may hold a member back either."""


class Gate:
    """Show it every snapshot with `observe`, ask it with `state`; all times are seconds of one monotonic clock."""

    def __init__(self, rules: GateRules, started: float) -> None:
        self._rules = rules
        self._deadline = started + rules.timeout
        self._addresses: frozenset[str] = frozenset()
        self._complete_since: float | None = None
        self._complaint = "no list yet"
        self._generation = 0
        self._opened: GateState | None = None
        self._boot_ends: float | None = None

    def observe(self, snapshot: Snapshot, now: float) -> None:
        """Take the newest list. A list from a state file counts only once the time is up."""
        self.state(now)  # a stable time that was over before this list came has opened it
        self._generation = max(self._generation, snapshot.generation)
        if self._opened:
            self._watch_boot(self._opened, snapshot, now)
            return
        if not snapshot.synced:
            return
        established = self._find_established(snapshot)
        if established is not None:
            reason = f"{established.address} is serving already: there is a cluster to join"
            self._opened = GateState(True, reason, generation=snapshot.generation)
            return
        addresses = frozenset(address for member in _named(snapshot) for address in member.addresses)
        self._complaint = self._complain(addresses, snapshot)
        if self._complaint:
            self._complete_since = None
        elif self._complete_since is None or addresses != self._addresses:
            self._complete_since = now
        self._addresses = addresses

    def state(self, now: float) -> GateState:
        """Whether a member may start now."""
        if self._opened is None:
            stable_since = self._complete_since
            if stable_since is not None and now - stable_since >= self._rules.stable:
                reason = f"{len(self._addresses)} addresses, unchanged for {self._rules.stable:g} s"
                self._opened = GateState(True, reason, generation=self._generation)
                self._boot_ends = now + BOOT_WINDOW
            elif now >= self._deadline and self._rules.on_timeout == "start" and self._generation:
                reason = f"time is up after {self._rules.timeout:g} s, starting with the list as it is: {self._why}"
                self._opened = GateState(True, reason, timed_out=True, generation=self._generation)
        is_late = now >= self._deadline
        if self._opened is not None:
            return replace(self._opened, overdue=is_late and self._rules.on_timeout == "start")
        if is_late:
            return GateState(False, f"time is up after {self._rules.timeout:g} s: {self._why}", timed_out=True)
        return GateState(False, self._why, seconds_left=self._deadline - now)

    def _watch_boot(self, opened: GateState, snapshot: Snapshot, now: float) -> None:
        """Warn of more addresses than were expected while servers boot: some may have started with shorter lists."""
        if self._boot_ends is None or opened.warning:
            return
        if now >= self._boot_ends or _serving(snapshot):
            self._boot_ends = None
            return
        addresses = sorted({member.address for member in snapshot.members})
        if len(addresses) > self._rules.expect:
            warning = (
                f"{len(addresses)} addresses ({', '.join(addresses)}) and none serving yet, but expect is"
                f" {self._rules.expect}: pods that start together with lists of different lengths may form clusters"
                " that never merge. Set expect to the number of pods that are created together"
                " (1 only under OrderedReady, where pod 0 must not wait for pod 1)"
            )
            self._opened = replace(opened, warning=warning)

    @property
    def _why(self) -> str:
        return self._complaint or f"complete, and not yet unchanged for {self._rules.stable:g} s"

    def next_change(self, now: float) -> float | None:
        """When `state` may change without a new snapshot; None where it will not."""
        if self._opened:
            return None
        due = [self._deadline]
        if self._complete_since is not None:
            due.append(self._complete_since + self._rules.stable)
        return min((at for at in due if at > now), default=None)

    def _complain(self, addresses: frozenset[str], snapshot: Snapshot) -> str:
        own = self._rules.self_ip
        if own is not None and own not in addresses:
            if any(own in member.addresses and member.port is None for member in snapshot.members):
                return f"no slice of the own address {own} has the named port, so that no file names it"
            return f"the own address {own} is not in the slices yet"
        members = {member.address for member in _named(snapshot)}
        if len(members) < self._rules.expect:
            here = ", ".join(sorted(members)) or "none"
            without = sorted({member.address for member in snapshot.members if member.port is None} - members)
            more = f"; without the named port, and so in no file: {', '.join(without)}" if without else ""
            return f"{len(members)} of {self._rules.expect} expected addresses are in the slices ({here}){more}"
        return ""

    def _find_established(self, snapshot: Snapshot) -> Member | None:
        """Another member that serves already.

        v1 Endpoints call every pod ready where the Service publishes not-ready addresses. There it counts only beside
        an own entry that is not ready: this server has not started, so that a ready one proves that all look ready.
        """
        own = self._rules.self_ip
        if snapshot.source in ("endpoints", "endpoints-polling"):
            ourselves = [member for member in snapshot.members if own in member.addresses]
            if not ourselves or any(member.serving for member in ourselves):
                return None
        return next((member for member in _serving(snapshot) if own not in member.addresses), None)


def _named(snapshot: Snapshot) -> list[Member]:
    """Those that files can name and that stay: who is held back for others must find them in its file."""
    return [member for member in snapshot.members if member.port is not None and not member.terminating]


def _serving(snapshot: Snapshot) -> list[Member]:
    """Those of them that serve."""
    return [member for member in _named(snapshot) if member.serving]
