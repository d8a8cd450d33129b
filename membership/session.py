"""The live member list: one follower thread per namespace, and the newest snapshot for whoever asks.

Followers change their own part under one lock; `_compose` then makes the whole list, and a list that differs from the
one before is the next generation. Readers never make a follower wait: they take the newest list when they are ready.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from random import Random
from types import TracebackType
from typing import Self

from membership.book import DefinitionBook, MemberBook, joined
from membership.candidates import FAMILIES, Rules
from membership.errors import ApiError, Forbidden, MembershipTimeout, SettingsError, Unauthorized
from membership.follower import Follower, NamespaceStatus, Shared, Standing
from membership.kube import ApiServer
from membership.model import Explanation, Member, ServiceDefinition, Snapshot
from membership.names import EVERY, parse_services
from membership.pace import Pace
from membership.policy import Policy
from membership.peer import Peer
from membership.quantity import LONGEST
from membership.transport import Address, Interrupt
from membership.upstream import UpstreamFollower

log = logging.getLogger("membership")

SOURCES = ("endpointslices", "endpoints", "endpointslices-polling", "endpoints-polling", "upstream", "state")
"""Where namespaces differ, `Snapshot.source` is the last of these that is in use."""
FALLBACK_AFTER = 1.0
"""Seconds a start without an answer lasts before a list kept from an earlier run is handed out."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to follow; the defaults are those of the settings of the same names. Times in seconds, 24 days at most."""

    family: str = "ipv4"
    ready_only: bool = False
    include_terminating: bool = False
    source: str = "auto"
    poll_interval: float = 10.0
    stale_after: float = 90.0
    relist_interval: float = 300.0
    upstream: Address | None = None
    """Take the list from the sidecar at this address, and from the API server while that does not answer."""
    definitions: bool = False
    """Follow what the Services say of themselves as well, for formats that need it: list and watch of `services`."""

    def rules(self, port: int | str) -> Rules:
        """What makes an endpoint a member, with this member port or name of one."""
        return Rules(port, self.family, self.ready_only, self.include_terminating)


@dataclass(frozen=True, slots=True)
class Fallback:
    """The last good list of an earlier run, handed out (stale, source "state") until the API server has answered."""

    members: tuple[Member, ...]
    unknown_services: tuple[str, ...]
    age_seconds: float
    found: tuple[str, ...] = ()
    """The Services of namespaces of which every one is followed."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A new list, and the monotonic time at which the bytes that made it were read."""

    snapshot: Snapshot
    read_at: float
    definitions: tuple[ServiceDefinition, ...] | None = None
    """Of the Services that there are; None while not all were listed, or where they are not followed."""


@dataclass(frozen=True, slots=True)
class _List:
    """What a generation stands for."""

    members: tuple[Member, ...] = ()
    unknown: tuple[str, ...] = ()
    definitions: tuple[ServiceDefinition, ...] | None = None
    found: tuple[str, ...] = ()
    """The Services of namespaces of which `EVERY` one is followed."""


class Membership:
    """Follows Services and keeps their member list. Use it in a `with` block, or call `start` and `close`.

    `services` are names, `namespace/name` where the namespace is not `server.namespace`; `port` is the member port, or
    the name of the slice port that holds it. Raises SettingsError for names that cannot be Services, and for options
    that cannot be.
    """

    def __init__(
        self,
        server: ApiServer,
        services: Iterable[str],
        port: int | str = 4000,
        *,
        options: Options = Options(),
        fallback: Fallback | None = None,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        named = parse_services(services, server.namespace)
        random = Random() if random is None else random
        times = ("poll_interval", "stale_after", "relist_interval")
        problems = [f"{name} is longer than {LONGEST:.0f} s" for name in times if getattr(options, name) > LONGEST]
        if options.family not in FAMILIES:
            problems.append(f"family {options.family!r} is none of {', '.join(FAMILIES)}")
        if problems:
            raise SettingsError(problems)
        rules = options.rules(port)
        policy = Policy(options.source, options.poll_interval, options.stale_after, options.relist_interval)
        lock = threading.RLock()
        self._lock = threading.Condition(lock)
        self._due = threading.Condition(lock)
        """For the timekeeper alone, who sleeps until `_sleeps_until`: nearly all changes plan nothing."""
        self._sleeps_until = -math.inf
        self._stopped = threading.Event()
        self._interrupt = Interrupt()
        self._clock = clock
        self._stale_after = options.stale_after
        self._fallback = fallback
        self._started_at = clock()
        self._epoch = f"{random.getrandbits(64):016x}"
        self._services = tuple(f"{namespace}/{name}" for namespace, name in named if name != EVERY)
        self._server = server
        self._threads: list[threading.Thread] = []
        self._subscribers: list[Callable[[Publication], None]] = []
        self._list = _List()
        self._generation = 0
        self._read_at = 0.0
        self._synced = False
        shared = Shared(server, self._lock, clock, Pace(), self._interrupt, self._stopped, self._compose)
        by_namespace: dict[str, list[str]] = {}
        for namespace, name in named:
            by_namespace.setdefault(namespace, []).append(name)
        named_there = sorted(by_namespace.items())
        self._books: list[MemberBook | UpstreamFollower] = []
        self._followers: list[Follower | UpstreamFollower] = []
        for namespace, names in named_there:
            direct = partial(_follow, namespace, names, rules, policy, random)
            if options.upstream:
                peer = Peer(options.upstream, namespace, tuple(sorted(names)), rules)
                both = UpstreamFollower(namespace, peer, options.stale_after, random, shared, direct)
                self._followers.append(both)
                self._books.append(both)
            else:
                follower, book = direct(shared)
                self._followers.append(follower)
                self._books.append(book)
        defined = named_there if options.definitions else []
        self._definitions = [DefinitionBook(names) for _, names in defined]
        self._definers = [
            Follower(namespace, book, replace(policy, source="services"), random, shared)
            for (namespace, _), book in zip(defined, self._definitions, strict=True)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to follow, in threads of our own."""
        if self._threads:
            return
        self._started_at = self._clock()
        for kind, followers in (("membership", self._followers), ("membership-services", self._definers)):
            for follower in followers:
                name = f"{kind}-{follower.namespace}"
                self._threads.append(threading.Thread(target=follower.run, name=name, daemon=True))
        self._threads.append(threading.Thread(target=self._keep_time, name="membership-time", daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop following, within a second whatever the network does. The last list stays readable."""
        self._stopped.set()
        self._interrupt.trip()
        with self._lock:
            self._lock.notify_all()
            self._due.notify_all()
        deadline = time.monotonic() + 0.5
        for thread in self._threads:
            # One may sit in a DNS query, which nothing can interrupt; it is a daemon and ends by itself.
            thread.join(max(0.0, deadline - time.monotonic()))

    def current(self) -> Snapshot:
        """The newest list, at once; before the first one a snapshot of generation 0, not synced, without members."""
        with self._lock:
            return self._snapshot()

    def wait(self, minimum: int = 1, timeout: float | None = None, *, refusal_is_final: bool = False) -> Snapshot:
        """Wait until the list is synced and has at least `minimum` members; `timeout` in seconds, None is for ever.

        Raises MembershipTimeout, whose `cause` is the API server's last error where there was one. Permissions may be
        granted while we wait; where `refusal_is_final`, Unauthorized and Forbidden are raised at once instead.
        """
        until = math.inf if timeout is None else self._clock() + timeout
        with self._lock:
            while not (self._synced and len(self._list.members) >= minimum):
                problem = self._problem()
                if refusal_is_final and isinstance(problem, (Forbidden, Unauthorized)):
                    raise problem
                remaining = until - self._clock()
                if remaining <= 0 or self._stopped.is_set():
                    raise self._timeout(minimum, timeout)
                self._lock.wait(None if remaining == math.inf else min(remaining, LONGEST))
            return self._snapshot()

    def changes(self) -> Iterator[Snapshot]:
        """The list now, and again whenever it changed: always the newest, never a backlog. Ends with `close`."""
        seen = 0
        while self.wait_newer(seen) and not self._stopped.is_set():
            snapshot = self.current()
            seen = snapshot.generation
            yield snapshot

    def wait_newer(self, generation: int, timeout: float | None = None) -> bool:
        """Wait for a newer list than `generation`, at most `timeout` seconds or 24 days; whether there is one, or none
        will be.
        """
        timeout = None if timeout is None else min(timeout, LONGEST)
        with self._lock:
            return self._lock.wait_for(lambda: self._generation > generation or self._stopped.is_set(), timeout)

    def subscribe(self, callback: Callable[[Publication], None]) -> None:
        """Call back for each new list, on the thread that read it: `callback` must return at once."""
        with self._lock:
            self._subscribers.append(callback)
            if self._generation:
                callback(self._publication())

    def explain(self) -> tuple[Explanation, ...]:
        """Every address of every slice, in the list or not, and why."""
        with self._lock:
            return tuple(entry for book in self._books for entry in book.explain())

    def status(self) -> tuple[NamespaceStatus, ...]:
        """How each namespace is followed, sorted by name; then how its Services are, where they are followed."""
        with self._lock:
            return tuple(follower.status for follower in (*self._followers, *self._definers))

    @property
    def problem(self) -> ApiError | None:
        """What keeps a namespace from being followed at this moment; None while all is well."""
        with self._lock:
            return self._problem()

    def _problem(self) -> ApiError | None:
        problems = (follower.standing.problem for follower in self._followers)
        return next((problem for problem in problems if problem), None)

    def requests_by_code(self) -> dict[str, int]:
        """Requests to the API server so far, by HTTP status; "error" counts those that got none."""
        return self._server.requests.by_code()

    def dead_threads(self) -> tuple[str, ...]:
        """Names of our threads that are gone although nobody closed us: a bug; always empty otherwise."""
        if self._stopped.is_set():
            return ()
        started = (thread for thread in self._threads if thread.ident is not None)
        return tuple(thread.name for thread in started if not thread.is_alive())

    def now(self) -> float:
        """The clock that `Publication.read_at` was read from."""
        return self._clock()

    def wait_definitions(self, timeout: float) -> Publication:
        """Wait until the Services are known, too. Raises what keeps them from it, or MembershipTimeout."""
        until = self._clock() + timeout
        with self._lock:
            while self._list.definitions is None:
                problem = next((one.status.problem for one in self._definers if one.status.problem), None)
                if isinstance(problem, (Forbidden, Unauthorized)):
                    raise problem
                remaining = until - self._clock()
                if remaining <= 0 or self._stopped.is_set():
                    raise MembershipTimeout(f"no list of Services within {timeout:g} s", problem)
                self._lock.wait(min(remaining, LONGEST))
            return self._publication()

    def _publication(self) -> Publication:
        return Publication(self._snapshot(), self._read_at, self._list.definitions)

    def _compose(self, read_at: float) -> None:
        """Under the lock, after every step of a follower: is there a new list? None once we are being closed."""
        if self._stopped.is_set():
            return
        if not self._synced:
            self._synced = all(follower.listed_once for follower in self._followers)
        if self._synced:
            self._publish(
                _List(
                    joined([book.members for book in self._books]),
                    tuple(chain.from_iterable([book.unknown for book in self._books])),
                    self._defined(),
                    tuple(chain.from_iterable([book.found for book in self._books])),
                ),
                read_at,
            )
        elif self._fallback is not None and (read_at >= self._started_at + FALLBACK_AFTER or self._problem()):
            kept = self._fallback
            self._publish(_List(kept.members, kept.unknown_services, found=kept.found), read_at)
        self._lock.notify_all()
        if self._next_due() < self._sleeps_until:
            self._due.notify()

    def _defined(self) -> tuple[ServiceDefinition, ...] | None:
        if not self._definers or not all(definer.listed_once for definer in self._definers):
            return None
        return tuple(definition for book in self._definitions for definition in book.definitions)

    def _publish(self, list_: _List, read_at: float) -> None:
        if self._generation and list_ == self._list:
            return
        self._list = list_
        self._generation += 1
        self._read_at = read_at
        if self._subscribers:
            publication = self._publication()
            for subscriber in self._subscribers:
                subscriber(publication)

    def _snapshot(self) -> Snapshot:
        standings = [follower.standing for follower in self._followers]
        age, source = self._age(standings), self._source(standings)
        return Snapshot(
            generation=self._generation,
            epoch=self._epoch,
            synced=self._synced,
            stale=source == "state" or age > self._stale_after,
            age_seconds=age,
            source=source,
            services=(*self._services, *self._list.found),
            unknown_services=self._list.unknown,
            resource_versions={
                follower.namespace: standing.resource_version
                for follower, standing in zip(self._followers, standings)
                if standing.resource_version
            },
            members=self._list.members,
        )

    def _age(self, standings: list[Standing]) -> float:
        now = self._clock()
        if not self._synced:
            return math.inf if self._fallback is None else self._fallback.age_seconds + now - self._started_at
        return max([math.inf if proved_at is None else now - proved_at for _, proved_at, _, _ in standings])

    def _source(self, standings: list[Standing]) -> str:
        if not self._synced and self._generation:
            return "state"
        return max([standing.source for standing in standings], key=SOURCES.index)

    def _timeout(self, minimum: int, timeout: float | None) -> MembershipTimeout:
        problem = self._problem()
        here = f"{len(self._list.members)} of at least {minimum} members" if self._synced else "no list"
        within = "before closing" if timeout is None or self._stopped.is_set() else f"within {timeout:g} s"
        why = str(problem or "")
        if not self._synced and problem is None:
            asked = ", ".join(follower.asking for follower in self._followers if not follower.listed_once)
            why = f"{self._server.url} has not answered {asked}"
        return MembershipTimeout(f"{here} {within}" + (f": {why}" if why else ""), problem)

    def _keep_time(self) -> None:
        """What is due at a time and not at an answer: held members, verifications, the fallback."""
        with self._lock:
            while not self._stopped.is_set():
                now = self._clock()
                for follower in (*self._followers, *self._definers):
                    follower.keep_time(now)
                if self._fallback_due() <= now:
                    self._compose(now)
                self._sleeps_until = self._next_due()
                self._due.wait(None if self._sleeps_until == math.inf else max(0.0, self._sleeps_until - self._clock()))

    def _next_due(self) -> float:
        """When there is something to do that no answer brings; infinite while nothing is planned."""
        due = self._fallback_due()
        for follower in (*self._followers, *self._definers):
            if (at := follower.next_deadline) is not None and at < due:
                due = at
        return due

    def _fallback_due(self) -> float:
        waits = self._fallback is not None and not self._synced and not self._generation
        return self._started_at + FALLBACK_AFTER if waits else math.inf


def _follow(
    namespace: str, names: Iterable[str], rules: Rules, policy: Policy, random: Random, shared: Shared
) -> tuple[Follower, MemberBook]:
    """What follows the Services of one namespace at the API server itself."""
    book = MemberBook(namespace, names, rules)
    return Follower(namespace, book, policy, random, shared), book
