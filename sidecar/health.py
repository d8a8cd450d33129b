"""Health, derived from what is the case at the moment of asking; nothing here is ever set.

Each check names its condition, and has an age and a limit where there are any. `/readyz` fails on those that are
required; the others are said, and change nothing: a full disk must not take the pod out of its Service.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from membership.follower import NamespaceStatus
from membership.gate import Gate, GateState
from membership.model import Snapshot
from membership.session import Membership, Publication
from sidecar.publishers import PublisherStatus


@dataclass(frozen=True, slots=True)
class Check:
    """One condition."""

    name: str
    ok: bool
    text: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """The answer of a probe."""

    name: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks if check.required)

    def text(self, *, verbose: bool) -> str:
        """As kube-apiserver words it: `[+]` well, `[-]` failed, and `[!]` not well but not required."""
        lines = [f"[{_mark(check)}]{check.name}: {check.text}" for check in self.checks if verbose or not check.ok]
        verdict = f"{self.name} check {'passed' if self.ok else 'failed'}" if lines else "ok"
        return "\n".join((*lines, verdict)) + "\n"


class GateKeeper:
    """The gate, shown every list as it comes and the newest one when asked; safe to ask from any thread."""

    def __init__(self, gate: Gate, membership: Membership, clock: Callable[[], float] = time.monotonic) -> None:
        self._gate = gate
        self._membership = membership
        self._clock = clock
        self._lock = threading.Lock()

    def observe(self, publication: Publication) -> None:
        with self._lock:
            self._gate.observe(publication.snapshot, self._clock())

    @property
    def state(self) -> GateState:
        # A list that did not change may have become synced, which no publication tells.
        snapshot = self._membership.current()
        with self._lock:
            now = self._clock()
            self._gate.observe(snapshot, now)
            return self._gate.state(now)


def check_live(membership: Membership) -> Report:
    """Whether this process works at all. The API server plays no part: its outage must not restart every pod."""
    dead = membership.dead_threads()
    return Report("livez", (Check("threads", not dead, f"ended by a bug: {', '.join(dead)}" if dead else "all run"),))


def check_ready(
    membership: Membership, outputs: Sequence[PublisherStatus], stale_after: float, verdict: Check
) -> Report:
    """Whether the list may be relied on: synced and not stale. `verdict` is said as it is."""
    snapshot, statuses = membership.current(), membership.status()
    checks = [
        Check("synced", snapshot.synced, "every Service was listed" if snapshot.synced else _unsynced(membership)),
        Check("fresh", not snapshot.stale, f"proved {_age(snapshot.age_seconds)}, limit {stale_after:g} s"),
    ]
    checks += [_check_namespace(status, membership.now(), stale_after) for status in statuses]
    checks.append(_check_services(snapshot))
    checks.append(_check_ports(snapshot))
    checks += [_check_output(output) for output in outputs]
    checks.append(verdict)
    return Report("readyz", tuple(checks))


def check_started(gate: GateState, files: Sequence[PublisherStatus]) -> Report:
    """Whether a member may start: the gate is open, and each file that an entrypoint may copy now has its list.

    The gate may open with the very list that it shows a member to join in, before a file of it is written; a server
    that is started then takes what its image has, and is a cluster of its own. An output that fails holds it back for
    no longer than the gate's own time; with `--on-timeout fail` for good, as a gate that never opens does.
    """
    text = gate.reason if gate.open or gate.timed_out else f"{gate.reason}; {gate.seconds_left:.0f} s left"
    checks = [Check("formation gate", gate.open, text)]
    if gate.warning:
        checks.append(Check("boot window", False, gate.warning, required=False))
    if gate.open:
        checks += [_check_written(output, gate) for output in files]
    return Report("startupz", tuple(checks))


def _check_namespace(status: NamespaceStatus, now: float, limit: float) -> Check:
    mode = "watching" if status.watching else "polling" if status.source.endswith("-polling") else "not watching"
    age = math.inf if status.proved_at is None else now - status.proved_at
    text = f"source {status.source}, {mode}, resource version {status.resource_version or 'none'}"
    text += f", proved {_age(age)}, limit {limit:g} s"
    if status.problem:
        text += f"; {status.problem}"
    for refusal in status.refusals:
        text += f"; done without: {refusal}"
    well = status.problem is None and not status.refusals and age <= limit
    what = "services of namespace" if status.source.startswith("services") else "namespace"
    return Check(f"{what} {status.namespace}", well, text, required=False)


def _check_services(snapshot: Snapshot) -> Check:
    names = ", ".join(snapshot.unknown_services)
    text = f"the API server has no slices of {names}" if names else "the API server has slices of each"
    return Check("services", not names, text, required=False)


def _check_ports(snapshot: Snapshot) -> Check:
    names = ", ".join(member.address for member in snapshot.members if member.port is None)
    text = f"without the named port, left out of addresses: {names}" if names else "each member has one"
    return Check("ports", not names, text, required=False)


def _unsynced(membership: Membership) -> str:
    problem = membership.problem
    return f"not every Service was listed yet: {problem or 'no answer so far'}"


def _check_output(output: PublisherStatus) -> Check:
    if output.problem:
        since = 0.0 if output.problem_since is None else time.monotonic() - output.problem_since
        text = f"{output.problem} (for {since:.0f} s, {output.failures} tries)"
        return Check(f"output {output.name}", False, text, required=False)
    if output.waiting:
        return Check(f"output {output.name}", True, f"waiting: {output.waiting}", required=False)
    if output.kept_empty:
        text = "the list has no address; what was written before stays, for an empty list makes members start alone"
        return Check(f"output {output.name}", False, text, required=False)
    if output.put_out_at is None:
        return Check(f"output {output.name}", True, "nothing written yet", required=False)
    done = f"generation {output.generation} written {_age(time.monotonic() - output.put_out_at)}"
    return Check(f"output {output.name}", True, done, required=False)


def _check_written(output: PublisherStatus, gate: GateState) -> Check:
    unwritten = output.kept_empty and output.put_out_at is None
    if output.generation >= gate.generation and not unwritten:
        return Check(f"output {output.name}", True, f"generation {output.generation} written")
    text = output.problem or f"generation {gate.generation}, which opened the gate, is not written yet"
    if unwritten:
        text = "nothing is written yet, for the list has no address"
    return Check(f"output {output.name}", False, text, required=not gate.overdue)


def _age(seconds: float) -> str:
    return "never" if seconds == math.inf else f"{seconds:.1f} s ago"


def _mark(check: Check) -> str:
    return "+" if check.ok else "-" if check.required else "!"
