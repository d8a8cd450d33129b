"""One round of verification: whom to ask from the list, their views from Hazelcast, the verdict from both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from membership.hazelcast import CLIENT_INTERVAL, Asker
from membership.session import Membership
from membership.verify import Absences, Scope, Verdict, choose_targets, compare

CONFIRM = 1.0
"""Seconds until a difference is looked at a second time; only then it is told (`verify.confirmed`)."""

NO_TERMINATING = ("endpoints", "endpoints-polling", "upstream")
"""Sources that drop a pod when its deletion begins, and do not tell that it is terminating."""
GRACE = 60.0
"""Seconds for which who vanished from one of these is taken for terminating: a pod's grace period is 30 s, and 40 with
the preStop of WSO2's charts."""


@dataclass(frozen=True, slots=True)
class VerifyRules:
    """Whom to ask: `scope`, and as in the settings `self_ip` and `port`. `cluster`: as `hazelcast.Asker` takes it."""

    scope: Scope
    self_ip: str | None
    port: int | str
    cluster: str | None


class Verification:
    """Keeps between rounds what one round cannot know: who is gone since when, and who has REST off."""

    def __init__(self, rules: VerifyRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._asker = Asker(rules.cluster, clock)
        self._absences = Absences()
        self.pause = 0.0
        """Seconds to wait at least until the next round, for the sake of those who are asked."""

    def observe(self, membership: Membership) -> frozenset[str]:
        """Take note of the list; give the hosts that Kubernetes has in a slice and not in the list."""
        snapshot = membership.current()
        listed = {address for member in snapshot.members for address in member.addresses}
        sliced = {entry.address for entry in membership.explain()}
        self._absences.observe_list(listed | sliced, self._clock())
        return frozenset(sliced - listed)

    def run(self, membership: Membership) -> Verdict:
        """Ask, and compare with the newest list there is then; takes bounded time."""
        rules = self._rules
        views = self._asker.ask(choose_targets(membership.current(), rules.scope, rules.self_ip, rules.port))
        self.pause = CLIENT_INTERVAL if any(view.way == "client" for view in views) else 0.0
        leaving, snapshot, now = self.observe(membership), membership.current(), self._clock()
        self._absences.observe_views(views, now - snapshot.age_seconds, now)
        gone_since = self._absences.gone_since
        if snapshot.source in NO_TERMINATING:
            recent = {host for host, since in gone_since.items() if now - since < GRACE}
            leaving |= recent & self._absences.vanished
            # Whom no list had yet is no pod that ends: a newcomer, until that takes too long.
            gone_since = {host: since for host, since in gone_since.items() if host not in recent}
        return compare(snapshot, views, gone_since, now, leaving=leaving)

    def close(self) -> None:
        """End a running round; from any thread."""
        self._asker.close()
