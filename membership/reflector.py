"""The list+watch state machine, without I/O: what to ask the API server next, and when.

The shell (follower.py) asks `next` what to do, does it, and tells what came of it: `listed`, `opened`, `received`,
`ended` or `failed`. List is truth, watch is a hint: a list replaces the store, whatever is doubtful leads to a list,
and the store is never emptied by an error. What follows what is a table, policy.py. Modelled on client-go's Reflector,
with the holes closed that watch.md section 3 names.

All times are seconds of one monotonic clock, given by the caller.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from membership import errors
from membership.policy import (
    BACKOFF_FIRST,
    BACKOFF_LIMIT,
    FIRST_LIST_LIMIT,
    CAUSES,
    DOUBT,
    DOUBT_DELAY,
    Cause,
    Delay,
    EAGER_GAP,
    FAULTS,
    FAULTS_BEFORE_LIST,
    FRESH_START,
    HEALTHY,
    Policy,
    RELIST_JITTER,
    RETRY_AFTER_LIMIT,
    RULES,
    SHORT_BEFORE_LIST,
    SHORT_STREAM,
    SILENCE,
    SLOW,
    Step,
    WATCH_ANSWER,
    WATCH_TIMEOUT,
)
from membership.wire import Event, Item, Listing, Resource, newer


@dataclass(frozen=True, slots=True)
class List:
    """Ask for the whole list; an empty version means: the most recent one there is."""

    resource: Resource
    resource_version: str
    cause: Cause
    held: str
    """The newest version known when asking: an answer older than this is from a server gone back in time."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Ask for the changes since a version.

    Give up when it is not accepted within `answer_timeout` seconds, and on a stream silent for `silence` seconds.
    """

    resource: Resource
    resource_version: str
    timeout_seconds: int
    answer_timeout: float
    silence: float


@dataclass(frozen=True, slots=True)
class Wait:
    until: float


Action = List | Watch | Wait


class Store(Protocol):
    """What is kept of the API server's objects; `replace` and `apply` return the Services that they changed."""

    def replace(self, items: Iterable[Item]) -> frozenset[str]: ...

    def apply(self, event: Event) -> frozenset[str]: ...

    def missing(self, items: Iterable[Item]) -> frozenset[str]:
        """The Services of which something is kept, and of which these say nothing."""


class Reflector:
    """Keeps `store` equal to what the API server has, for one namespace."""

    def __init__(self, store: Store, policy: Policy, random: Random, now: float) -> None:
        self._store = store
        self._policy = policy
        self._random = random
        self._step = Step.LIST
        self._cause = Cause.START
        self._not_before = now
        self._consistent = True  # the next list asks for the most recent version
        self._failures = 0
        self._faults = 0  # watches in a row that brought nothing
        self._lists_for_faults = 0  # in a row as well
        self._eager: dict[Cause, float] = {}
        self._healthy_since: float | None = None
        self._faulty_at = -math.inf
        self._doubted_since: float | None = None
        self._opened_at: float | None = None
        self._events_in_stream = 0
        self._overtaken_by: str | None = None
        self._watch_again_at: float | None = None
        self._slices_again_at: float | None = None
        self._holds: Resource | None = None  # whose list the store holds
        self._listed_at = self._verified_at = now
        self.resource = Resource.ENDPOINTSLICES if policy.source == "auto" else Resource(policy.source)
        self.resource_version = ""
        self.proved_at: float | None = None
        self.problem: errors.ApiError | None = None
        self.refusals: dict[str, errors.ApiError] = {}
        self.verify_at: float | None = None
        self.lists: Counter[str] = Counter()
        self.watch_restarts: Counter[str] = Counter()
        self.restored = 0
        self.events = 0

    @property
    def listed_once(self) -> bool:
        return self._holds is not None

    @property
    def source(self) -> str:
        """As in `/members`: the resource the list comes from, and `-polling` where it is not watched."""
        resource = self._holds or self.resource
        return f"{resource.value}-polling" if self._watch_again_at is not None else resource.value

    @property
    def whole_truth(self) -> bool:
        """Whether one event tells all of a Service: so it is with v1 Endpoints, one object for each Service."""
        return self._holds is Resource.ENDPOINTS

    def next(self, now: float) -> Action:
        """What to do now."""
        if now < self._not_before:
            return Wait(self._not_before)
        if self._slices_again_at is not None and now >= self._slices_again_at and self._step is Step.WATCH:
            self._step, self._cause = Step.LIST, Cause.PROBE
            self.resource, self._consistent = Resource.ENDPOINTSLICES, True
        if self._step is Step.LIST:
            version = "" if self._consistent else self.resource_version
            self.lists[self._cause] += 1
            return List(self.resource, version, self._cause, self.resource_version)
        timeout = self._random.randint(*WATCH_TIMEOUT)
        if self._slices_again_at is not None:
            timeout = max(1, min(timeout, int(self._slices_again_at - now) + 1))
        silence = self._policy.stale_after * self._random.uniform(*SILENCE)
        return Watch(self.resource, self.resource_version, timeout, min(WATCH_ANSWER, silence), silence)

    def listed(self, asked: List, listing: Listing, sent_at: float, now: float) -> frozenset[str]:
        """A list came. Returns the Services whose slices changed.

        The proof dates from when it was asked for: what changed while the answer was on its way may not be in it.
        """
        another = self._holds not in (None, asked.resource)  # what is held is of the other resource: it all goes
        if another and asked.resource is Resource.ENDPOINTS and (lost := self._store.missing(listing.items)):
            # Its controller may be switched off (KEP-4974), and a refusal of slices must not empty what they gave.
            self._give_up_fallback(f"v1 Endpoints know nothing of {', '.join(sorted(lost))}", Cause.FORBIDDEN, now)
            return frozenset()
        if newer(asked.held, listing.resource_version):
            overtaken = self.resource_version != asked.held or self._verified_at > sent_at
            if asked.resource_version or overtaken:
                # Older than what it was told to be at least: not from the server that gave us our version. Or a
                # verification came in between, and which of the two answers is of the restored server nobody can tell.
                self._follow(Step.LIST, Cause.OUTDATED, now)
                return frozenset()
            self.restored += 1
        self._holds = asked.resource
        self._doubted_since = None
        if asked.resource is Resource.ENDPOINTSLICES:
            self._slices_again_at = None
            self.refusals.pop("slices", None)
        self.problem = None
        self._consistent = False
        self._prove(sent_at)
        self._healthy_since = now if self._healthy_since is None else self._healthy_since
        self._plan_verification(now)
        if self._watch_again_at is not None and now < self._watch_again_at:
            self._poll(now)
        else:
            self._step, self._not_before = Step.WATCH, now
        behind = self.resource_version != asked.held and newer(self.resource_version, listing.resource_version)
        if behind and not another:
            return frozenset()  # a verification was faster, and holds a newer list
        self._listed_at = now
        self.resource_version = listing.resource_version
        return self._store.replace(listing.items)

    def opened(self, asked: Watch, now: float) -> bool:
        """The server accepted the watch. False where it must be opened anew, from the version we hold by now.

        That is when a verification ended between asking and accepting, and found a restored server.
        """
        self._opened_at, self._events_in_stream = now, 0
        self._watch_again_at = None
        self.refusals.pop("watch", None)
        self.problem = None
        self._prove(now)
        self._healthy_since = now if self._healthy_since is None else self._healthy_since
        if self.verify_at is None:
            self._plan_verification(now)
        self._overtaken_by = None if asked.resource_version == self.resource_version else self.resource_version
        return not newer(asked.resource_version, self.resource_version)

    def received(self, event: Event, now: float) -> frozenset[str]:
        """An event came. Returns the Services whose slices changed.

        Raises Expired, and takes nothing, where it is older than what is held: versions of one stream only grow, so the
        server was restored to an older state or is another one, and what is held must be listed anew.
        """
        held = self.resource_version
        self._events_in_stream += 1
        if self._overtaken_by is None and newer(held, event.resource_version):
            raise errors.Expired(f"the watch goes back from version {held} to {event.resource_version}")
        self._prove(now)
        if self._overtaken_by is not None:
            if newer(event.resource_version, self._overtaken_by) is False:
                return frozenset()  # a list that came beside the stream has it already
            self._overtaken_by = None
        self.resource_version = event.resource_version
        if event.item is None:
            return frozenset()
        self.events += 1
        return self._store.apply(event)

    def ended(self, cause: Cause, now: float) -> None:
        """The stream is over without an error: `ENDED` by the server, `QUIET` or `RESTORED` by ourselves, or `CUT`."""
        useless = self._brought_nothing(now)
        if cause is Cause.ENDED and useless:
            cause = Cause.SHORT
        self._note_fault(cause, now)
        self.watch_restarts[cause] += 1
        self._opened_at = None
        step = Step.WATCH
        if useless and cause in (Cause.SHORT, Cause.CUT):
            why = errors.Unreachable("each watch is accepted and ends at once without an event")
            step = self._count_useless(cause, why, now)
        self._follow(step, cause, now)

    def failed(self, error: errors.ApiError, now: float) -> None:
        """The action of `next`, or the stream it opened, failed."""
        cause = CAUSES[type(error)]
        before, self.problem = self.problem, error
        useless = False
        if self._step is Step.WATCH:
            useless = self._brought_nothing(now) and cause in (Cause.SERVER_FAULT, Cause.SILENT)
            self.watch_restarts[cause] += 1
            self._opened_at = None
        self._note_fault(cause, now)
        if cause in (Cause.FORBIDDEN, Cause.NOT_FOUND) and self._doubts(cause, now):
            self._not_before = now + self._random.uniform(*DOUBT_DELAY)
            return
        if self._step is Step.LIST and self._cause is Cause.PROBE:
            self._end_probe(error, cause, now)
            self.problem = before
            return
        if cause is Cause.FORBIDDEN or cause is Cause.NOT_FOUND and self._step is Step.LIST:
            self._refused(error, cause, now, before)
            return
        step = self._count_useless(cause, error, now) if useless else self._step
        self._follow(step, cause, now, error.retry_after)
        if cause is Cause.UNAUTHORIZED and self._not_before <= now:
            self.problem = before  # the token may have been replaced: the retry tells

    def verification(self) -> List:
        """The list to ask for beside the stream when `verify_at` has come."""
        self.lists[Cause.PERIODIC] += 1
        self.verify_at = None
        return List(self.resource, "", Cause.PERIODIC, self.resource_version)

    def verified(self, asked: List, listing: Listing, sent_at: float, now: float) -> tuple[frozenset[str], bool]:
        """The list asked for beside the stream came.

        Returns the Services whose slices changed, and whether the stream must be opened anew. A most recent list that
        is older than what we held when asking means that the server was restored from a backup; from then on it is
        silent on our stream until its versions have caught up (kubernetes/kubernetes#107457), so only a list tells.
        """
        self._plan_verification(now)
        if asked.resource is not self._holds or self._listed_at > sent_at:
            return frozenset(), False  # the reader's own list came in between, and which is the later nobody can tell
        self._prove(sent_at)
        restored = newer(asked.held, listing.resource_version)
        behind = newer(self.resource_version, listing.resource_version)
        if restored:
            self.restored += 1
        elif behind:
            return frozenset(), False  # the stream was faster than this answer
        reopen = restored is not False
        self._overtaken_by = None if reopen else listing.resource_version
        self._verified_at = now
        self.resource_version = listing.resource_version
        return self._store.replace(listing.items), reopen

    def verification_failed(self, error: errors.ApiError, now: float) -> None:
        """The stream goes on; the list is asked for again later."""
        usual = self._policy.relist_interval * self._random.uniform(*RELIST_JITTER)
        soon = min(self._random.uniform(*SLOW), usual)
        self.verify_at = now + max(soon, self._obey(error.retry_after))

    def _note_fault(self, cause: Cause, now: float) -> None:
        if cause in FAULTS:
            self._faulty_at, self._doubted_since = now, None

    def _brought_nothing(self, now: float) -> bool:
        """Whether the watch that is over was not accepted, or ended within a second without an event.

        Any other stream is a good one: what came before it counts no more.
        """
        if self._opened_at is None or not self._events_in_stream and now - self._opened_at < SHORT_STREAM:
            return True
        self._faults = self._lists_for_faults = 0
        self._doubted_since = None
        return False

    def _count_useless(self, cause: Cause, why: errors.ApiError, now: float) -> Step:
        """One more watch that brought nothing: what to ask for next. A list after some, and then polls."""
        self._faults += 1
        # One that is held back has cost `WATCH_ANSWER`: a list must not grow old by three of them each time.
        again = self._watch_again_at is not None or cause is Cause.SILENT and self._lists_for_faults
        many = SHORT_BEFORE_LIST if cause in (Cause.SHORT, Cause.CUT) else FAULTS_BEFORE_LIST
        if self._faults < (1 if again else many):
            return Step.WATCH
        self._faults = 0
        self._lists_for_faults += 1
        if self._lists_for_faults > 1:
            self.refusals["watch"] = why
            self._watch_again_at = now + self._random.uniform(*SLOW)
        return Step.LIST

    def _doubts(self, cause: Cause, now: float) -> bool:
        """Whether a refusal may be that of a server which has only just started, or of something in front of it."""
        listed_before = self._step is Step.LIST and self._holds is self.resource
        fresh = cause is Cause.FORBIDDEN and now - self._faulty_at < FRESH_START
        if not listed_before and not fresh:
            return False
        if self._doubted_since is None:
            self._doubted_since = now
        return now - self._doubted_since < DOUBT

    def _refused(self, error: errors.ApiError, cause: Cause, now: float, before: errors.ApiError | None) -> None:
        """RBAC or an old server does not allow this: the next best way, and a date to ask again.

        A problem (`before`) stays one until the next best way has worked.
        """
        again = now + self._random.uniform(*SLOW)
        if self._step is Step.WATCH:
            self.refusals["watch"] = error
            self.problem = None
            self._watch_again_at = again
            self._poll(now)
            return
        if self._policy.source != "auto":
            self._follow(Step.LIST, cause, now, error.retry_after)
            return
        if self.resource is Resource.ENDPOINTSLICES:
            self.refusals["slices"] = error
            self._slices_again_at = again
            self.resource = Resource.ENDPOINTS
            self.problem = before
            self._consistent = True
            self._step, self._cause = Step.LIST, cause
            self._not_before = now + self._delay(Delay.EAGER, cause, now)
            return
        self._give_up_fallback(f"nor does the fallback work: {error}", cause, now, error.retry_after)

    def _give_up_fallback(self, why: str, cause: Cause, now: float, retry_after: float | None = None) -> None:
        """Slices are asked for again later; what is held of them, if anything, stays."""
        slices = self.refusals["slices"]
        self.problem = type(slices)(f"{slices}; {why}")
        self.resource = Resource.ENDPOINTSLICES
        self._consistent = True
        self._follow(Step.LIST, cause, now, retry_after)

    def _end_probe(self, error: errors.ApiError, cause: Cause, now: float) -> None:
        """Slices were asked for beside a fallback that works, and did not come: the fallback goes on."""
        if cause in (Cause.FORBIDDEN, Cause.NOT_FOUND):
            self.refusals["slices"] = error
        self._slices_again_at = now + self._random.uniform(*SLOW)
        self.resource = Resource.ENDPOINTS
        self._step = Step.WATCH if self._watch_again_at is None else Step.LIST
        self._cause, self._not_before = Cause.POLL, now + self._obey(error.retry_after)

    def _plan_verification(self, now: float) -> None:
        self.verify_at = now + self._policy.relist_interval * self._random.uniform(*RELIST_JITTER)

    def _poll(self, now: float) -> None:
        self.verify_at = None  # every poll is one
        self._step, self._cause, self._consistent = Step.LIST, Cause.POLL, True
        self._not_before = now + self._policy.poll_interval * self._random.uniform(0.9, 1.1)
        if self._slices_again_at is not None and now >= self._slices_again_at:
            self._cause, self.resource, self._not_before = Cause.PROBE, Resource.ENDPOINTSLICES, now

    def _follow(self, step: Step, cause: Cause, now: float, retry_after: float | None = None) -> None:
        rule = RULES[step, cause]
        self._step, self._cause = rule.step, cause
        if not rule.keep_version:
            self._consistent = True
        delay = self._delay(rule.delay, cause, now)
        self._not_before = now + max(delay, self._obey(retry_after))

    def _delay(self, delay: Delay, cause: Cause, now: float) -> float:
        if delay is Delay.NONE:
            return 0.0
        if delay is Delay.SLOW:
            return self._random.uniform(*SLOW)
        if delay is Delay.EAGER and now - self._eager.get(cause, -EAGER_GAP) >= EAGER_GAP:
            self._eager[cause] = now
            return 0.0
        if self._healthy_since is not None and now - self._healthy_since >= HEALTHY:
            self._failures = 0
        self._healthy_since = None
        limit = BACKOFF_LIMIT if self.listed_once else FIRST_LIST_LIMIT
        ceiling = min(limit, BACKOFF_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        return self._random.uniform(0.0, ceiling)

    def _obey(self, retry_after: float | None) -> float:
        """Retry-After with jitter on top, so that all who were told the same do not come back together."""
        if retry_after is None:
            return 0.0
        wanted = min(max(retry_after, 0.0), RETRY_AFTER_LIMIT)
        return wanted + self._random.uniform(0.0, max(1.0, wanted / 4))

    def _prove(self, at: float) -> None:
        self.proved_at = at if self.proved_at is None else max(self.proved_at, at)
