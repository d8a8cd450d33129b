"""What must be true at every step of a run, whatever happens. It sees the product's outside and the model's inside.

    list        the published list is the model's list at the version that is reported with it, and besides only members
                that vanished without having been seen terminating, for `HOLD` seconds, and never after a list answer
    order       neither version nor list goes back, but by a list of a restored server; that is counted, and only that
    error       a step in which nothing was received changes nothing but what was held
    synced      nothing is published before every namespace was listed
    generation  +1 for each changed list, and for nothing else
    age         the time since the last proof was received, or asked for in the case of a list: never less, nor more
    retry-after is obeyed, up to a minute
    restored    a stream from before is not gone on with once a list has shown that the server was restored: the
                product cuts it and opens it anew at once
    rate        never more than 5 requests in any second, and few in a time in which all of them fail
    version     a request asks from the newest version there is, never from one that the server has called expired
    gate        open exactly when the lists published so far say so
    spin, lock  no loop without a wait, and no wait with the lock held (machine.py)
    converges   once the faults end the list is right within the bound that world.py states, and stays so

After a restore the streams go on from versions of the former history. What a server sends then cannot be told from
what belongs together, so the list is not held against the model from such an event to the next list: `mixed`, counted.
"""

import math
from collections import Counter, deque

from greenlet import getcurrent

from membership.model import Member, Snapshot
from membership.session import Membership
from sidecar.health import GateKeeper
from tests.simulation.gates import Gates
from tests.simulation.history import Shown
from tests.simulation.machine import Machine
from tests.simulation.network import Connection, Network, Watched
from tests.simulation.parts import Part
from tests.simulation.schedule import Setting
from tests.simulation.server import Mark

RATE = 5
"""Requests in any second."""
FUTILE = 30, 0.7
"""Requests of one namespace while all fail: so many, and so many more for each second."""
PATIENCE = 60
"""Seconds of a Retry-After that are obeyed at most."""
SOON = 3.0
"""Seconds within which a stream is opened anew that the product has cut itself, and one more for each namespace: the
pace and the locks of a busy machine."""
SELDOM = 4
"""Steps from one look at the gate to the next where nothing has changed."""
ONCE_MORE = 10.0
"""Seconds after a list that showed a restored server within which another may be asked for once more."""
TOLERANCE = 1e-6


class Violation(Exception):
    """A rule does not hold; `rule` is its name in the table above."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


class Oracle(Watched):
    """Watches one run."""

    def __init__(self, machine: Machine, setting: Setting) -> None:
        self._machine = machine
        self._setting = setting
        self.checks: Counter[str] = Counter()
        self.requests = 0
        self.trace: list[str] | None = None
        self.parts: dict[str, Part] = {}
        for name in sorted(setting.services):
            namespace, _, service = name.partition("/")
            known = self.parts.get(namespace)
            self.parts[namespace] = Part(namespace, (*(known.services if known else ()), service))
        self._sent: deque[float] = deque(maxlen=RATE)
        self._arrived: deque[float] = deque(maxlen=RATE)
        self._futile, self._futile_since = 0, machine.now
        self._generation = 0
        self._seen: tuple[tuple[Member, ...], tuple[str, ...]] = ((), ())
        self._gates = Gates(setting.gate, machine.now)
        self._source = ""
        self._gate: bool | None = None
        self._looks = 0
        self.network: Network
        self.membership: Membership
        self.keeper: GateKeeper

    # What goes over the network.

    def sent(self, line: Connection) -> None:
        now, part, asked = self._machine.now, self.parts[line.asked.namespace], line.asked
        self.requests += 1
        self._limit(self._sent, "sent")
        if part.thread is None:
            part.thread = getcurrent()
        own = part.thread is getcurrent()
        line.held, line.own = part.rv, own
        if self.trace is not None:
            self.trace.append(f"{now - self._machine.started:9.3f} s    asks {asked} {'' if own else 'beside'}")
        self._futile += 1
        most, each = FUTILE
        limit = len(self.parts) * (most + each * (now - self._futile_since))
        self.check("rate", self._futile <= limit, "%d requests without an answer that helps", self._futile)
        self.check("retry-after", now >= part.not_before.get(own, 0.0), "asks too soon after a Retry-After")
        if own and part.cut_at is not None:
            self.check(
                "restored",
                now - part.cut_at <= SOON + len(self.parts),
                "waits %.1f s after its own cut",
                now - part.cut_at,
            )
            part.cut_at = None
        version = asked.version
        self.check("version", version == "" or version.isdigit() and version != "0", "asks for version %r", version)
        if asked.watches:
            self.check("version", version != "" and not part.expired, "watches from %r after 410", version)
        elif own and part.recent:
            self.check("version", version == "", "lists from %r after 410 or too large", version)
        if own and version:
            self.check("version", int(version) >= part.newest, "asks from %s, and knows %d", version, part.newest)

    def arrived(self) -> None:
        self._limit(self._arrived, "arrived")

    def accepted(self, line: Connection) -> None:
        self._prove(line, self._machine.now)
        self.parts[line.asked.namespace].stream = line
        line.sure_at = self._machine.now

    def cut(self, line: Connection) -> None:
        self.parts[line.asked.namespace].cut_at = self._machine.now

    def refused(self, line: Connection, code: int, retry_after: int) -> None:
        part = self.parts[line.asked.namespace]
        if retry_after and code in (429, 503):
            part.not_before[line.own] = self._machine.now + min(retry_after, PATIENCE)
        if code in (410, 504) and line.own:
            part.recent = True
            part.expired = part.expired or code == 410 and line.asked.watches

    def received(self, line: Connection, marks: list[Mark]) -> None:
        if not line.asked.watches:
            return
        part = self.parts[line.asked.namespace]
        whole = [mark for mark in marks if mark.kind in ("whole", "doubtful")]
        if whole:
            self._prove(line, self._machine.now)
            line.history = whole[-1].history
        clean = not line.tainted and all(mark.kind in ("whole", "part") for mark in marks)
        line.sure_at = self._machine.now if whole and clean else 0.0
        # Of a stream from before a restore that was found meanwhile it says nothing of the version held since.
        if not line.tainted and line.sent_at >= part.restored_at and any(mark.kind == "expired" for mark in marks):
            part.expired = part.recent = True
        line.tainted = line.tainted or any(mark.kind in ("bad", "doubtful") for mark in marks)
        if whole and not line.tainted:
            self._helped()
            counts = line.history is part.history and line.sent_at >= part.restored_at
            if counts and not any(mark.kind == "expired" for mark in marks):
                part.newest = max(part.newest, whole[-1].rv)

    def finished(self, line: Connection) -> None:
        if line.whole is not None and line.whole.kind == "whole":
            self._helped()
            self._prove(line, line.sent_at)
            self.parts[line.asked.namespace].not_before.clear()  # a server that answers lists no longer asks to wait

    # What the product makes of it.

    def composed(self, read_at: float) -> None:
        """A step of the product is over; it is still under the lock."""
        snapshot = self.membership.current()
        line = self.network.latest.pop(getcurrent(), None)
        self._say(snapshot, line)
        if line is not None:
            part = self.parts[line.asked.namespace]
            if line.sure_at and line.asked.watches:
                part.sure = line.sure_at if part.sure is None else max(part.sure, line.sure_at)
            self._follow(part, line, snapshot.resource_versions.get(line.asked.namespace, ""), read_at)
        self._check_list(snapshot, line)
        self._check_generation(snapshot)
        self._check_age(snapshot)
        self._check_gate()

    def settled(self) -> str:
        """What is not as it should be once all is well; empty when all is."""
        snapshot = self.membership.current()
        best = "endpoints" if self._setting.options.source == "endpoints" else "endpointslices"
        if not snapshot.synced or snapshot.stale or self.membership.problem is not None:
            return f"synced {snapshot.synced}, age {snapshot.age_seconds:.1f} s, problem {self.membership.problem}"
        if snapshot.source != best:
            return f"source {snapshot.source}"
        for namespace, part in self.parts.items():
            history = self.network.history
            log = history.logs[best, namespace]
            truth = log.truth(history.rv)
            if published(snapshot, namespace) != expected(part.services, truth.members):
                return f"{namespace} is not what it should be"
            if part.stream is None or part.stream.spoilt or not part.stream.open:
                return f"the stream of {namespace} is about to end"
            if part.mixed or part.history is not history:
                return f"{namespace} comes from before the restore"
            if part.rv < log.rvs[-1]:
                return f"{namespace} is right by chance, at version {part.rv}"
        return ""

    def check(self, rule: str, holds: bool, text: str, *what: object) -> None:
        self.checks[rule] += 1
        if not holds:
            raise Violation(rule, f"{text % what} at {self._machine.now - self._machine.started:.3f} s")

    def _limit(self, times: "deque[float]", how: str) -> None:
        now = self._machine.now
        in_time = len(times) < RATE or now - times[0] >= 1.0 - TOLERANCE
        self.check("rate", in_time, "%d requests %s within a second", RATE + 1, how)
        times.append(now)

    def _helped(self) -> None:
        self._futile, self._futile_since = 0, self._machine.now

    def _prove(self, line: Connection, at: float) -> None:
        part = self.parts[line.asked.namespace]
        part.proof = at if part.proof is None else max(part.proof, at)

    def _follow(self, part: Part, line: Connection, reported: str, now: float) -> None:
        """Which version is held now, and by what."""
        mark, line.whole = line.whole, None
        rv = int(reported or 0)
        if line.asked.watches and not line.opened:
            line.opened = True
            line.former = line.sent_at < part.restored_at and int(line.asked.version) > rv
        if not line.own and part.listed_at > line.sent_at:
            # Its own list came in between: which is the later nobody can tell, and this one does not count.
            if mark is not None and mark.rv == rv:
                part.take(now, listed=True)
            return
        # It may have been decided upon before that list came, and is then asked for once more.
        once_more = line.own and now - part.restored_at < ONCE_MORE
        fits = line.own or line.asked.resource == part.resource
        if mark is not None and mark.kind == "whole" and mark.history is not None and mark.rv == rv and fits:
            self._check_restored(part, line, mark)
            once_more = line.own and now - part.restored_at < ONCE_MORE and part.restored_at < now
            same = part.holds(mark.history)
            self.check("order", not same or rv >= part.rv, "a list takes version %d back to %d", part.rv, rv)
            if line.own:
                part.newest, part.recent, part.listed_at = rv, False, now
            elif not same:
                part.newest = 0
            if not once_more:
                part.sure = line.sent_at if part.sure is None else max(part.sure, line.sent_at)
            part.expired, part.mixed = False, False
            part.history, part.resource, part.rv = mark.history, line.asked.resource, rv
            part.take(now, listed=True)
            return
        if mark is not None and mark.history is part.history and line.asked.resource == part.resource and not once_more:
            self.check("list", mark.rv < rv, "the list of version %d is ignored for %d", mark.rv, rv)
        if line.asked.watches and rv != part.rv and part.history is not None:
            self.check("order", rv > part.rv, "an event takes version %d back to %d", part.rv, rv)
            self.check(
                "restored", not line.former and line is not part.former, "goes on with a stream from before the restore"
            )
            part.mixed = part.mixed or line.history is not part.history
            since, part.rv = part.rv, rv
            part.take(now, listed=part.resource == "endpoints", since=since)

    def _check_restored(self, part: Part, line: Connection, mark: Mark) -> None:
        if part.history is not None and not part.holds(mark.history) and mark.rv < line.held:
            part.restored += 1
            part.restored_at, part.former = self._machine.now, part.stream
        counted = sum(status.restored for status in self.membership.status())
        wanted = sum(part.restored for part in self.parts.values())
        self.check("order", counted == wanted, "%d restores are counted instead of %d", counted, wanted)

    def _check_list(self, snapshot: Snapshot, line: Connection | None) -> None:
        synced = all(part.history is not None for part in self.parts.values())
        self.check("synced", snapshot.synced == synced, "synced is %s", snapshot.synced)
        if not synced:
            self.check("synced", snapshot.generation == 0 and not snapshot.members, "published before it is synced")
            return
        if line is None:
            self.checks["error"] += 1
        unknown: list[str] = []
        for namespace, part in self.parts.items():
            assert part.truth is not None
            unknown += [f"{namespace}/{name}" for name in part.services if name not in part.truth.services]
            if part.mixed:
                self.checks["mixed"] += 1
                continue
            found = published(snapshot, namespace)
            self._release(part, found)
            wanted = expected(part.services, part.shown)
            if found != wanted:
                rule = "error" if line is None else "list"
                raise Violation(
                    rule, f"{describe(found)} instead of {describe(wanted)} (version {part.rv}) {self.when}"
                )
            self.checks["list"] += 1
        mixed = any(part.mixed for part in self.parts.values())
        self.check("list", mixed or snapshot.unknown_services == tuple(unknown), "unknown: %s", unknown)

    @property
    def when(self) -> str:
        return f"at {self._machine.now - self._machine.started:.3f} s"

    def _release(self, part: Part, found: tuple[Shown, ...]) -> None:
        """Held members whose time is over may go when the timekeeper comes to it."""
        now = self._machine.now
        for uid, (shown, until) in list(part.held.items()):
            if until <= now + TOLERANCE:
                if shown not in found:
                    del part.held[uid]
                    part.show(shown.service)
                else:
                    self.check("list", now <= until + 0.5, "%s is held too long", uid)

    def _check_generation(self, snapshot: Snapshot) -> None:
        seen = (snapshot.members, snapshot.unknown_services)
        source, self._source = self._source, snapshot.source
        if snapshot.generation == self._generation:
            self.check("generation", seen == self._seen, "another list without another generation")
            if (
                snapshot.generation and snapshot.source != source
            ):  # no part of the list, but the gate asks where it is from
                self._gates.publish(snapshot, self._machine.now)
            return
        first = self._generation == 0
        changed = first or seen != self._seen
        right = changed and snapshot.generation == self._generation + 1
        self.check("generation", right, "generation %d after %d", snapshot.generation, self._generation)
        self._generation, self._seen, self._gate = snapshot.generation, seen, None
        self._gates.publish(snapshot, self._machine.now)

    def _check_age(self, snapshot: Snapshot) -> None:
        if not snapshot.synced:
            return
        proofs = [part.proof for part in self.parts.values()]
        age = self._machine.now - min(proof for proof in proofs if proof is not None)
        self.check("age", snapshot.age_seconds >= age - TOLERANCE, "%.3f s, and not %.3f", snapshot.age_seconds, age)
        sure = [part.sure for part in self.parts.values()]
        age = self._machine.now - min(-math.inf if at is None else at for at in sure)
        self.check("age", snapshot.age_seconds <= age + TOLERANCE, "%.3f s, and %.3f", snapshot.age_seconds, age)
        stale = snapshot.age_seconds > self._setting.options.stale_after
        self.check("age", snapshot.stale == stale, "stale is %s at %.1f s", snapshot.stale, snapshot.age_seconds)

    def _check_gate(self) -> None:
        wanted = self._gates.open(self._machine.now)
        self._looks += 1
        if wanted is not None and (wanted != self._gate or self._looks % SELDOM == 0):
            self._gate = wanted
            state = self.keeper.state
            self.check("gate", state.open == wanted, "open is %s: %s", state.open, state.reason)

    def _say(self, snapshot: Snapshot, line: Connection | None) -> None:
        if self.trace is not None:
            names = " ".join(
                member.address.rpartition(".")[2] + "!" * (not member.ready) for member in snapshot.members
            )
            version = ",".join(snapshot.resource_versions.values())
            what = (
                "" if line is None else f"{'watch' if line.asked.watches else 'list'} {line.asked.version or 'recent'}"
            )
            self.trace.append(
                f"{self._machine.now - self._machine.started:9.3f} s    {what:12} -> generation {snapshot.generation} "
                f"version {version} age {snapshot.age_seconds:.1f} s [{names}] {self.membership.problem or ''}"
            )


def published(snapshot: Snapshot, namespace: str) -> tuple[Shown, ...]:
    return tuple(
        Shown(
            member.service,
            int(member.address.rpartition(".")[2]),
            member.address,
            member.uid,
            member.ready,
            member.serving,
            member.terminating,
        )
        for member in snapshot.members
        if member.namespace == namespace
    )


def expected(services: tuple[str, ...], shown: dict[str, tuple[Shown, ...]]) -> tuple[Shown, ...]:
    return tuple(one for service in services for one in shown.get(service, ()))


def describe(members: tuple[Shown, ...]) -> str:
    flags = ("ready", "serving", "terminating")
    found = [
        f"{one.service}:{one.uid}={one.address}({'/'.join(f for f in flags if getattr(one, f))})" for one in members
    ]
    return "[" + ", ".join(found) + "]"
