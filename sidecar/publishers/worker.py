"""The thread behind an output: waits for a newer list, puts it out, tries again after a failure."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from membership.errors import PublishError
from membership.session import Membership, Publication
from sidecar.publishers import PublisherStatus
from sidecar.publishers.mailbox import Mailbox

log = logging.getLogger("sidecar")

Published = Callable[[str, float], None]
"""Told the output's name, and the seconds from reading a list's bytes until it was put out."""

RETRY_FIRST, RETRY_LIMIT = 1.0, 30.0
"""Seconds between tries, doubling: a full disk or a missing mount is mended by someone, later."""
REPEAT_LOG = 60.0
"""Seconds until a problem that has not changed is logged again."""


class NotYet(Exception):
    """The list cannot be taken yet, and nothing is wrong; the text says what is waited for."""


class Worker:
    """Calls `put` with each newest list; where `retries`, again until it does not raise PublishError.

    `put` returns whether there was anything to put out; False is "kept empty".
    """

    def __init__(
        self,
        name: str,
        membership: Membership,
        put: Callable[[Publication], bool],
        published: Published,
        *,
        retries: bool = True,
        repeat_log: float = REPEAT_LOG,
    ) -> None:
        self._membership = membership
        self._put = put
        self._published = published
        self._retries = retries
        self._repeat_log = repeat_log
        self._mail = Mailbox()
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._status = PublisherStatus(name, 0, "", False, 0, 0, None)
        self._thread = threading.Thread(target=self._run, name=f"output-{name}", daemon=True)
        self._logged_at = 0.0
        self._put_out = 0
        self._put_off = 0
        self._failed_at = 0
        self.on_put: Callable[[int], None] | None = None
        """Told each generation that was put out."""

    @property
    def status(self) -> PublisherStatus:
        return self._status

    def start(self) -> None:
        self._thread.start()
        self._membership.subscribe(self._mail.put)

    def close(self) -> None:
        self._stopped.set()
        self._mail.close()
        self._thread.join(0.2)

    def wait_for(self, generation: int, timeout: float) -> None:
        """Wait until a list at least this new was put out, put off or failed, at most `timeout` seconds."""

        def dealt_with() -> bool:
            return max(self._status.generation, self._put_off, self._failed_at) >= generation

        with self._changed:
            self._changed.wait_for(dealt_with, timeout)

    def holds(self, generation: int) -> bool:
        """Whether a list at least this new was put out."""
        status = self._status
        return status.generation >= generation and not status.problem

    def _run(self) -> None:
        publication = self._mail.take(None)
        while publication is not None:
            self._put_until_newer(publication)
            publication = self._next(publication)

    def _next(self, publication: Publication) -> Publication | None:
        """Wait for the list to put out after this one; None once closed."""
        return self._mail.take(publication)

    def _put_until_newer(self, publication: Publication) -> None:
        delay, generation = RETRY_FIRST, publication.snapshot.generation
        while not self._stopped.is_set() and self._mail.newest is publication:
            try:
                wrote = self._put(publication)
            except NotYet as reason:
                self._put_off = generation
                self._note_waiting(str(reason))
                return
            except PublishError as error:
                self._note_failure(str(error), generation)
            except Exception as error:  # the boundary of this output: whatever it is must not stop the others
                log.exception("output %s: a bug", self._status.name)
                self._note_failure(repr(error), generation)
            else:
                self._note_success(publication, wrote)
                return
            if not self._retries:
                self._set(replace(self._status, generation=generation))
                return
            self._mail.wait(publication, delay)
            delay = min(delay * 2, RETRY_LIMIT)

    def _note_success(self, publication: Publication, wrote: bool) -> None:
        before, now = self._status, time.monotonic()
        if before.generation == publication.snapshot.generation and not (before.problem or before.waiting):
            return  # it was looked at again, and all is as it was
        self._set(
            replace(
                before,
                generation=publication.snapshot.generation,
                problem="",
                problem_since=None,
                put_out_at=now if wrote else before.put_out_at,
                waiting="",
                kept_empty=not wrote,
                kept_empty_times=before.kept_empty_times + (not wrote),
            )
        )
        if self._put_out != publication.snapshot.generation:  # else it was put out before, and undone by somebody
            self._put_out = publication.snapshot.generation
            self._published(before.name, now - publication.read_at)
        if not wrote:
            log.warning(
                "output %s: the list (generation %d) has no address; an empty list would make members form a cluster "
                "alone, so what was written before stays",
                before.name,
                publication.snapshot.generation,
            )
        elif before.problem:
            log.info("output %s: written again", before.name)
        if wrote and self.on_put is not None:
            self.on_put(publication.snapshot.generation)

    def _note_waiting(self, reason: str) -> None:
        before = self._status
        self._set(replace(before, problem="", problem_since=None, waiting=reason))
        if reason != before.waiting:
            log.info("output %s: waiting: %s", before.name, reason)

    def _note_failure(self, problem: str, generation: int) -> None:
        self._failed_at = generation
        before, now = self._status, time.monotonic()
        since = before.problem_since if before.problem_since is not None else now
        self._set(replace(before, problem=problem, problem_since=since, waiting="", failures=before.failures + 1))
        if problem != before.problem or now - self._logged_at >= self._repeat_log:
            self._logged_at = now
            log.error("output %s: %s", before.name, problem)

    def _set(self, status: PublisherStatus) -> None:
        with self._changed:
            self._status = status
            self._changed.notify_all()
