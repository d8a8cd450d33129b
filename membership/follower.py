"""One namespace followed by one thread: does what the reflector says and tells it what came of it."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import NamedTuple

from membership.book import Book
from membership.errors import ApiError, Expired, Silent, Unreachable
from membership.kube import ApiServer, Stream
from membership.pace import Leave, Pace
from membership.policy import SHORT_STREAM, Cause, Policy
from membership.reflector import List, Reflector, Wait, Watch
from membership.transport import Interrupt
from membership.wire import Event, Item, Listing, Seen

log = logging.getLogger("membership")

REPEAT_LOG = 60.0
"""Seconds after which a problem that lasts is logged again, with the number of tries."""


class Standing(NamedTuple):
    """What a snapshot says of one namespace; as in `NamespaceStatus`, and made for every list."""

    source: str
    proved_at: float | None
    resource_version: str
    problem: ApiError | None


@dataclass(frozen=True, slots=True)
class NamespaceStatus:
    """How one namespace is followed at this moment."""

    namespace: str
    source: str
    watching: bool
    """A stream is open."""
    proved_at: float | None
    """Monotonic seconds; None before the first proof."""
    resource_version: str
    problem: ApiError | None
    """What keeps it from being followed at all; None while all is well."""
    refusals: tuple[ApiError, ...]
    """What is done without: watching, or EndpointSlices."""
    lists: dict[str, int]
    watch_restarts: dict[str, int]
    restored: int
    events: int


@dataclass(frozen=True, slots=True)
class Shared:
    """What the followers of one session share. `lock` guards every reflector, store and roster."""

    server: ApiServer
    lock: threading.Condition
    clock: Callable[[], float]
    pace: Pace
    interrupt: Interrupt
    stopped: threading.Event
    changed: Callable[[float], None]
    """Called under the lock after every step, with the time at which its bytes were read."""


class Follower:
    """Keeps `book` as the API server has it, for one namespace, until `shared.stopped` is set."""

    def __init__(self, namespace: str, book: Book, policy: Policy, random: Random, shared: Shared) -> None:
        self.namespace = namespace
        self._book = book
        self._reflector = Reflector(book.store, policy, random, shared.clock())
        self._shared = shared
        self._stream: Stream | None = None
        self._seen = Seen()
        self._reported = ""  # the state last logged
        self._trouble = ("", 0.0, 0)  # the problem last logged, when, and how often it came since
        self._well_since: float | None = None  # None while there is a problem
        self._verifying = False

    def run(self) -> None:
        """The thread's whole life."""
        shared = self._shared
        while not shared.stopped.is_set():
            with shared.lock:
                action = self._reflector.next(shared.clock())
            if isinstance(action, Wait):
                shared.stopped.wait(max(0.0, action.until - shared.clock()))
            elif leave := self._await_leave():
                self._list(action, leave) if isinstance(action, List) else self._watch(action, leave)

    # What the session reads, always under the lock.

    @property
    def listed_once(self) -> bool:
        return self._reflector.listed_once

    @property
    def asking(self) -> str:
        """What is asked for until the first list has come."""
        return f"list {self._reflector.resource.qualified} in namespace {self.namespace}"

    @property
    def standing(self) -> Standing:
        reflector = self._reflector
        return Standing(reflector.source, reflector.proved_at, reflector.resource_version, reflector.problem)

    @property
    def status(self) -> NamespaceStatus:
        reflector = self._reflector
        return NamespaceStatus(
            namespace=self.namespace,
            source=reflector.source,
            watching=self._stream is not None,
            proved_at=reflector.proved_at,
            resource_version=reflector.resource_version,
            problem=reflector.problem,
            refusals=tuple(reflector.refusals.values()),
            lists=dict(reflector.lists),
            watch_restarts=dict(reflector.watch_restarts),
            restored=reflector.restored,
            events=reflector.events,
        )

    # What the session's timekeeper calls, under the lock.

    @property
    def next_deadline(self) -> float | None:
        """When `keep_time` has something to do; None when nothing is planned."""
        planned = [self._book.release_at]
        if not self._verifying:
            planned.append(self._reflector.verify_at)
        return min((at for at in planned if at is not None), default=None)

    def keep_time(self, now: float) -> None:
        """Release held members, and start the list that verifies the stream, when either is due."""
        if self._book.release(now):
            self._shared.changed(now)
        due = self._reflector.verify_at
        if due is not None and due <= now and not self._verifying:
            self._verifying = True
            threading.Thread(target=self._verify, name=f"membership-verify-{self.namespace}", daemon=True).start()

    # The steps.

    def _list(self, action: List, leave: Leave) -> None:
        shared, sent_at = self._shared, self._shared.clock()
        try:
            with self._ending(leave):
                listing = shared.server.list(
                    action.resource,
                    self.namespace,
                    self._book.services,
                    action.resource_version,
                    shared.interrupt,
                    self._seen,
                )
        except ApiError as error:
            self._fail(error)
            return
        with shared.lock:
            now = shared.clock()
            restored = self._reflector.restored
            self._update(self._reflector.listed(action, listing, sent_at, now), now, listed=self._holds(listing))
        self._report_restored(restored)
        self._report()

    def _watch(self, action: Watch, leave: Leave) -> None:
        shared = self._shared
        try:
            with self._ending(leave):
                stream = shared.server.watch(
                    action.resource,
                    self.namespace,
                    self._book.services,
                    action.resource_version,
                    action.timeout_seconds,
                    action.answer_timeout,
                    shared.interrupt,
                    self._seen,
                )
                accepted_at = shared.clock()  # before any wait for the lock: the age must never understate
        except ApiError as error:
            self._fail(error)
            return
        try:
            with shared.lock:
                wanted = self._reflector.opened(action, accepted_at)
                self._stream = stream if wanted else None
                shared.changed(shared.clock())
            if not stream.chunked:
                log.warning(
                    "namespace %s: the watch is not sent in chunks; something between here and %s may be holding "
                    "changes back",
                    self.namespace,
                    shared.server.url,
                )
            self._report()
            self._read(stream, action.silence) if wanted else self._end(Cause.RESTORED)
        finally:
            with shared.lock:
                self._stream = None
            stream.close()

    def _read(self, stream: Stream, silence: float) -> None:
        """Until the stream is over, one batch of frames after the other."""
        shared = self._shared
        while True:
            proved_at = self._reflector.proved_at or 0.0
            events: list[Event] = []
            failure: ApiError | None = None
            try:
                frames = stream.read(proved_at + silence)
                read_at = shared.clock()
                for frame in frames or ():
                    events.append(stream.decode(frame))
            except Silent:
                self._end(Cause.QUIET)
                return
            except Unreachable as error:
                log.debug("namespace %s: %s", self.namespace, error)
                # Cut by our own verification it is no fault, and nothing is waited for.
                self._end(Cause.CUT if self._stream is stream else Cause.RESTORED)
                return
            except ApiError as error:
                failure, read_at = error, shared.clock()  # what came before it counts, else it would come for ever
            with shared.lock:
                if self._stream is not stream:
                    break  # a verification replaced what this stream would go on from
                touched: list[frozenset[str]] = []
                try:
                    for event in events:
                        touched.append(self._reflector.received(event, read_at))
                except Expired as error:
                    failure = error
                # Without those that a list beside the stream has overtaken: these touch nothing.
                passed = [event.item for event, services in zip(events, touched) if event.item and services][:-1]
                services, whole_truth = frozenset(chain.from_iterable(touched)), self._reflector.whole_truth
                self._update(services, read_at, listed=whole_truth, passed=passed)
            if failure is not None:
                self._fail(failure)
                return
            if frames is None:
                self._end(Cause.ENDED)
                return
        self._end(Cause.RESTORED)

    def _verify(self) -> None:
        """A consistent list beside the stream: finds what a stream cannot tell, such as a restored server."""
        shared = self._shared
        leave = self._await_leave()
        if leave is None:
            return
        with shared.lock:
            asked = self._reflector.verification()
        sent_at = shared.clock()
        try:
            with self._ending(leave):
                services, interrupt = self._book.services, shared.interrupt
                listing = shared.server.list(asked.resource, self.namespace, services, "", interrupt, self._seen)
        except ApiError as error:
            with shared.lock:
                now = shared.clock()
                self._reflector.verification_failed(error, now)
                self._verifying = False
                shared.changed(now)  # the timekeeper knows of no later time yet, and a quiet stream tells it of none
            log.debug("namespace %s: verification failed: %s", self.namespace, error)
            return
        with shared.lock:
            now, restored = shared.clock(), self._reflector.restored
            touched, reopen = self._reflector.verified(asked, listing, sent_at, now)
            self._verifying = False
            self._update(touched, now, listed=self._holds(listing))
            if reopen and self._stream is not None:
                stale, self._stream = self._stream, None
                stale.cut()
        self._report_restored(restored)

    def _holds(self, listing: Listing) -> bool:
        """Whether this list is what the store holds now; one that the stream has overtaken says nothing of it."""
        return self._reflector.resource_version == listing.resource_version

    def _update(self, touched: frozenset[str], now: float, *, listed: bool, passed: Sequence[Item] = ()) -> None:
        self._book.update(touched, now, listed=listed, passed=passed)
        self._shared.changed(now)

    def _fail(self, error: ApiError) -> None:
        if self._shared.stopped.is_set():
            return
        with self._shared.lock:
            now = self._shared.clock()
            self._reflector.failed(error, now)
            self._shared.changed(now)
        self._report()

    def _end(self, cause: Cause) -> None:
        if self._shared.stopped.is_set():
            return
        with self._shared.lock:
            self._reflector.ended(cause, self._shared.clock())

    def _await_leave(self) -> Leave | None:
        """Wait until a request may go out; None when stopped meanwhile."""
        shared = self._shared
        while not shared.stopped.is_set():
            with shared.lock:
                now = shared.clock()
                seconds = shared.pace.wait(now)
                if seconds <= 0:
                    return shared.pace.take(now)
            shared.stopped.wait(min(seconds, 0.05))
        return None

    @contextmanager
    def _ending(self, leave: Leave) -> Iterator[None]:
        """Around a request, until the head of its answer is there."""
        try:
            yield
        finally:
            with self._shared.lock:
                self._shared.pace.end(leave, self._shared.clock())

    def _report(self) -> None:
        """One log line for each change of state, and one a minute while a problem lasts.

        A server that accepts each watch and then fails it is well for moments only: that is no change of state.
        """
        with self._shared.lock:
            status, now = self.status, self._shared.clock()
            if status.problem is None and not self.listed_once:
                return  # nothing is known yet, neither good nor bad
        text = str(status.problem or "")
        kind = type(status.problem).__name__ if status.problem else f"{status.source} {status.watching}"
        reported, well_since = self._reported, self._well_since
        if status.problem:
            self._well_since = None
            known, since, times = self._trouble
            relapse = well_since is not None and now - well_since < SHORT_STREAM
            lasts = kind == known and (kind == reported or relapse)
            if lasts and now - since < REPEAT_LOG:
                self._trouble = (known, since, times + 1)
                return
            self._reported, self._trouble = kind, (kind, now, 0)
            again = f" (and {times} times before)" if lasts and times else ""
            log.warning("namespace %s: %s%s", self.namespace, text, again)
            return
        self._well_since = now if well_since is None else well_since
        self._reported = kind
        if kind == reported:
            return
        how = "watching" if status.watching else "polling" if status.source.endswith("-polling") else "listed"
        why = "".join(f"; {refusal}" for refusal in status.refusals)
        level = logging.WARNING if status.refusals else logging.INFO
        log.log(level, "namespace %s: %s %s%s", self.namespace, how, status.source.removesuffix("-polling"), why)

    def _report_restored(self, before: int) -> None:
        if self._reflector.restored > before:
            log.warning(
                "namespace %s: the API server was restored to an older state (resource version %s): its list counts",
                self.namespace,
                self._reflector.resource_version,
            )
