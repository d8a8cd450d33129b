"""`--push rest`: the own Hazelcast member is kept at the newest list, by REST, for as long as it runs.

Unlike a file it does not stay as it was left: it is looked at again and again (membership/push.py says when and why).
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from membership.errors import PublishError
from membership.hazelcast_rest import ask_list, give_list
from membership.push import INTERVAL, SPACING, Answer, Course, Outcome, Wanted, choose_entries, is_same
from membership.session import Membership, Publication
from membership.transport import Interrupt
from membership.verify import Target, choose_targets
from sidecar.publishers.worker import NotYet, Published, Worker

log = logging.getLogger("sidecar")

NAME = "push:rest"
SETTLE = 1.0
"""Seconds after a change of the list until the member is looked at: changes come in bursts."""
SPREAD = 2.0
"""Seconds at most that are added to it: a list given to one member is given to its whole cluster, so the first of the
sidecars may spare the others' members a warning each."""
_BUG = Outcome("failed", "", INTERVAL)
"""What counts when a look ended in an error of ours."""


@dataclass(frozen=True, slots=True)
class PushRules:
    """Who the own member is, as in the settings, and the name of its cluster."""

    self_ip: str | None
    port: int | str
    cluster: str


class HazelcastPublisher(Worker):
    """Looks at the own member, and gives it the list where it has another."""

    def __init__(
        self,
        rules: PushRules,
        membership: Membership,
        published: Published,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        # Said once: what is wrong here stays for hours, and saying it again mends nothing.
        super().__init__(NAME, membership, self._push, published, retries=False, repeat_log=math.inf)
        self._rules = rules
        self._clock = clock
        self._random = Random() if random is None else random
        self._course = Course()
        self._outcome = _BUG
        self._given_at = -math.inf
        self._interrupt = Interrupt()

    def close(self) -> None:
        self._interrupt.trip()
        super().close()

    def _next(self, publication: Publication) -> Publication | None:
        """The newest list after a pause, be it the same or not: the member may have been started anew."""
        pause = self._outcome.pause
        if self._outcome.held:
            self._stopped.wait(pause)
        elif self._mail.wait(publication, pause):
            settle = SETTLE + self._random.uniform(0, SPREAD)
            self._stopped.wait(max(settle, self._given_at + SPACING - self._clock()))
        return None if self._stopped.is_set() else self._mail.newest

    def _push(self, publication: Publication) -> bool:
        self._outcome = _BUG
        snapshot = self._membership.current()  # a list that stays as it is becomes stale, or is proved, all the same
        wanted = choose_entries(snapshot, self._rules.self_ip)
        targets = choose_targets(snapshot, "local", self._rules.self_ip, self._rules.port)
        if wanted.entries and not targets:
            wanted = Wanted(why="the own port is not known: no member of the list has it")
        self._outcome = outcome = self._course.judge(wanted, self._look(targets[0], wanted) if wanted.entries else None)
        if not snapshot.endpoints:
            return False
        if outcome.kind == "failed":
            raise PublishError(outcome.text)
        if outcome.kind == "waiting":
            raise NotYet(outcome.text)
        return True

    def _look(self, target: Target, wanted: Wanted) -> Answer:
        """Which list it has, or what came of giving it ours."""
        answer = ask_list(target, self._interrupt)
        if answer.state != "ready" or is_same(wanted.entries, answer.entries):
            return answer
        self._given_at = self._clock()
        answer = give_list(target, self._rules.cluster, wanted.entries, self._interrupt)
        if answer.given:
            log.info("output %s: gave %s the list: %s", NAME, target.name, ", ".join(wanted.entries))
        return answer
