"""One namespace followed through another sidecar, and through the API server while there is no such sidecar.

For pods by the thousands: each asks a shared sidecar instead of holding a watch. It has the place of a follower and of
its book in the session.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from membership.book import MemberBook
from membership.errors import ApiError
from membership.follower import Follower, NamespaceStatus, Shared, Standing
from membership.model import Explanation, Member
from membership.peer import Answer, Peer, PeerList
from membership.policy import BACKOFF_FIRST
from membership.transport import Interrupt

log = logging.getLogger("membership")

SOURCE = "upstream"
WAIT = 1 / 9
"""Part of `stale_after` that a blocking query waits: 10 s. A quiet upstream proves its own list every 5/6 of
`stale_after`, so its age and this wait together stay below the whole."""
ANSWER = 5.0
"""Seconds that an answer may take beyond the wait."""
PAUSE = 1.0
"""Seconds until the next query after an answer that came at once and said nothing new."""
RETRY_LIMIT = 10.0
"""Seconds between tries at most: an upstream that is made anew is there within seconds."""
PATIENCE = (1 / 6, 5 / 18)
"""Parts of `stale_after` without an answer after which the API server is asked, drawn once, 15 to 25 s: pods that have
lost the same upstream do not come to the API server all at once."""
DOUBT = 1 / 3
"""Part of `stale_after` for which a list of another epoch with an older resource version is taken for that of a replica
which lags, 30 s; afterwards the API server was restored."""


@dataclass(frozen=True, slots=True)
class _Own:
    """The follower that asks the API server meanwhile. It ends with its own event, and not only with the session."""

    follower: Follower
    book: MemberBook
    interrupt: Interrupt
    stopped: threading.Event

    def end(self) -> None:
        self.stopped.set()
        self.interrupt.trip()


class UpstreamFollower:
    """`begin` makes the book and the follower of a namespace that is followed directly."""

    def __init__(
        self,
        namespace: str,
        peer: Peer,
        stale_after: float,
        random: Random,
        shared: Shared,
        begin: Callable[[Shared], tuple[Follower, MemberBook]],
    ) -> None:
        self.namespace = namespace
        self._peer = peer
        self._stale_after = stale_after
        self._random = random
        self._shared = shared
        self._begin = begin
        self._patience = stale_after * random.uniform(*PATIENCE)
        self._answered_at = shared.clock()
        self._list: PeerList | None = None
        self._proved_at: float | None = None
        self._leads = True
        self._doubted_since: float | None = None
        self._problem: ApiError | None = None
        self._own: _Own | None = None
        self._listed_once = False
        self._events = 0
        self._said: tuple[str, bool] | None = None
        self._ended = NamespaceStatus(namespace, SOURCE, False, None, "", None, (), {}, {}, 0, 0)

    def run(self) -> None:
        """The thread's whole life."""
        shared, failures = self._shared, 0
        try:
            while not shared.stopped.is_set():
                asked_at = shared.clock()
                try:
                    news = self._take(self._ask(asked_at), asked_at)
                except ApiError as error:
                    delay = self._random.uniform(0.0, min(RETRY_LIMIT, BACKOFF_FIRST * 2**failures))
                    failures = min(failures + 1, 10)
                    self._fail(error)
                else:
                    failures = 0
                    delay = 0.0 if news or shared.clock() - asked_at >= PAUSE else PAUSE
                shared.stopped.wait(delay)
        finally:
            with shared.lock:
                if self._own:
                    self._own.end()  # and kept: the last list stays readable

    # What the session reads, always under the lock.

    @property
    def listed_once(self) -> bool:
        return self._listed_once or (self._own is not None and self._own.follower.listed_once)

    @property
    def asking(self) -> str:
        return f"for the members in namespace {self.namespace}, nor has {self._peer.url}"

    @property
    def members(self) -> tuple[Member, ...]:
        if self._own and not self._leads:
            return self._own.book.members
        return self._list.members if self._list else ()

    @property
    def unknown(self) -> tuple[str, ...]:
        if self._own and not self._leads:
            return self._own.book.unknown
        return self._list.unknown_services if self._list else ()

    @property
    def found(self) -> tuple[str, ...]:
        return ()

    def explain(self) -> tuple[Explanation, ...]:
        if self._own and not self._leads:
            return self._own.book.explain()
        reason = f"{self._peer.url} has it in its list"
        return tuple(
            Explanation(address, member.namespace, member.service, "", member.name, member.uid, True, reason)
            for member in self.members
            for address in member.addresses
        )

    @property
    def standing(self) -> Standing:
        version = self._list.resource_version if self._list else ""
        if self._own is None:
            return Standing(SOURCE, self._proved_at, version, self._problem)
        own = self._own.follower.standing
        if not self._leads:
            return own
        return Standing(SOURCE, self._proved_at, version or own.resource_version, own.problem)

    @property
    def status(self) -> NamespaceStatus:
        ended, standing = self._ended, self.standing
        if self._own is None:
            status = replace(ended, watching=self._problem is None and self._list is not None)
        else:
            status = _add(self._own.follower.status, ended)
            status = replace(status, refusals=(*status.refusals, *((self._problem,) if self._problem else ())))
        return replace(
            status,
            source=standing.source,
            proved_at=standing.proved_at,
            resource_version=standing.resource_version,
            problem=standing.problem,
            events=status.events + self._events,
        )

    # What the session's timekeeper calls, under the lock.

    @property
    def next_deadline(self) -> float | None:
        return self._own.follower.next_deadline if self._own else None

    def keep_time(self, now: float) -> None:
        if self._own:
            self._own.follower.keep_time(now)

    # The steps.

    def _ask(self, asked_at: float) -> Answer:
        wait = self._stale_after * WAIT
        return self._peer.ask(self._list, wait, asked_at + wait + ANSWER, self._shared.interrupt)

    def _take(self, answer: Answer, asked_at: float) -> bool:
        """Whether there was anything new."""
        with self._shared.lock:
            now, before = self._shared.clock(), self._list
            if self._is_behind(answer.list, now):
                return False
            # The answer may have been under way for as long as it was not waited for.
            under_way = max(0.0, now - asked_at - answer.waited)
            proved_at = now - answer.age_seconds - under_way
            self._list, self._problem, self._answered_at = answer.list, None, now
            self._proved_at = proved_at if self._proved_at is None else max(self._proved_at, proved_at)
            self._listed_once = True
            if now - self._proved_at <= self._stale_after:
                self._leads = True
                self._end_own()
            news = before is None or _differ(before, answer.list)
            self._events += news
            self._judge(now)
            self._shared.changed(now)
        self._say("")
        return news

    def _is_behind(self, found: PeerList, now: float) -> bool:
        """Whether a list of another epoch is older than what we have: that of a replica which lags. For a while only,
        for a restored API server looks the same."""
        held = self.standing.resource_version
        another = self._list is None or self._list.epoch != found.epoch or not self._leads
        if not (another and held.isdigit() and found.resource_version.isdigit()):
            self._doubted_since = None
            return False
        if int(found.resource_version) >= int(held):
            self._doubted_since = None
            return False
        self._doubted_since = now if self._doubted_since is None else self._doubted_since
        return now - self._doubted_since < DOUBT * self._stale_after

    def _fail(self, error: ApiError) -> None:
        if self._shared.stopped.is_set():
            return
        with self._shared.lock:
            now = self._shared.clock()
            self._problem = error
            self._judge(now)
            self._shared.changed(now)
        self._say(type(error).__name__, error)

    def _judge(self, now: float) -> None:
        """Ask the API server where nobody has answered for long, or where who answers cannot ask it."""
        stale = self._proved_at is not None and now - self._proved_at > self._stale_after
        if self._own is None and (stale or now - self._answered_at >= self._patience):
            self._begin_own()

    def _say(self, problem: str, error: ApiError | None = None) -> None:
        """One line for each change of state; a problem of another kind is one."""
        state = (problem, self._own is not None)
        if state == self._said:
            return
        self._said = state
        if error is None and self._own is None:
            log.info("namespace %s: following %s", self.namespace, self._peer.url)
        else:
            why = error or f"{self._peer.url} has not reached the API server for long"
            what = "; the API server is asked meanwhile" if self._own else ""
            log.warning("namespace %s: %s%s", self.namespace, why, what)

    def _begin_own(self) -> None:
        stopped, interrupt = threading.Event(), Interrupt()
        shared = replace(self._shared, stopped=stopped, interrupt=interrupt, changed=self._own_changed)
        follower, book = self._begin(shared)
        self._own = _Own(follower, book, interrupt, stopped)
        threading.Thread(target=follower.run, name=f"membership-{self.namespace}-direct", daemon=True).start()

    def _own_changed(self, read_at: float) -> None:
        """Under the lock: from its first list on the direct follower counts."""
        if self._own and self._own.follower.listed_once:
            self._leads = False
        self._shared.changed(read_at)

    def _end_own(self) -> None:
        if self._own:
            counted = _add(self._own.follower.status, self._ended)
            self._ended = replace(counted, source=SOURCE, problem=None, refusals=())
            self._own.end()
            self._own = None


def _differ(before: PeerList, after: PeerList) -> bool:
    return (before.members, before.unknown_services) != (after.members, after.unknown_services)


def _add(status: NamespaceStatus, ended: NamespaceStatus) -> NamespaceStatus:
    """With what followers that have ended counted: counters never go back."""
    return replace(
        status,
        lists=_sum(status.lists, ended.lists),
        watch_restarts=_sum(status.watch_restarts, ended.watch_restarts),
        restored=status.restored + ended.restored,
        events=status.events + ended.events,
    )


def _sum(some: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    return {key: some.get(key, 0) + others.get(key, 0) for key in {**some, **others}}
