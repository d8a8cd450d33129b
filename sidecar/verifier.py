"""`--verify`: asks Hazelcast now and then whether it sees the members that Kubernetes has, and keeps the last verdict.

A thread beside everything else: it reads the list, changes nothing, and nothing waits for it.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from membership.render.verdict import verdict_fields
from membership.session import Membership
from membership.verification import CONFIRM, Verification, VerifyRules
from membership.verify import Verdict, confirmed
from sidecar.log import format_time

log = logging.getLogger("sidecar")

SETTLE = 1.0
"""Seconds after a change of the list until members are asked: changes come in bursts."""
OFF = Verdict("unknown", "no Hazelcast member has been asked: --verify is off")
NOT_YET = Verdict("unknown", "no Hazelcast member has been asked yet")
_LEVELS = {"split": logging.ERROR, "missing": logging.WARNING, "unexpected": logging.WARNING}


class Verifier:
    """Runs with `start`, until `close`; `interval` in seconds."""

    def __init__(
        self,
        rules: VerifyRules,
        interval: float,
        membership: Membership,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scope = rules.scope
        self._interval = interval
        self._membership = membership
        self._clock = clock
        self._verification = Verification(rules, clock)
        self._stopped = threading.Event()
        self._told: tuple[Verdict, float | None] = (NOT_YET, None)
        self._newest: Verdict | None = None
        self._thread = threading.Thread(target=self._run, name="verifier", daemon=True)

    def fields(self) -> Mapping[str, object]:
        """What `/verify` answers."""
        verdict, told_at = self._told
        return describe(verdict, self._scope, None if told_at is None else self._clock() - told_at)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop asking. The thread ends when the session is closed, which wakes it; `join` then."""
        self._stopped.set()
        self._verification.close()

    def join(self) -> None:
        self._thread.join(0.2)

    def _run(self) -> None:
        generation, due = 0, self._clock() + self._interval
        while not self._stopped.is_set():
            changed = self._membership.wait_newer(generation, max(0.0, due - self._clock()))
            if self._stopped.is_set():
                return
            try:
                if changed:
                    # At once: from now on an address counts as gone.
                    generation = self._membership.current().generation
                    self._verification.observe(self._membership)
                    due = min(due, self._clock() + SETTLE)
                elif generation == 0:
                    due = self._clock() + self._interval
                else:
                    due = self._round() + self._clock()
            except Exception:  # the boundary of this thread: a bug here must not be one of the list
                log.exception("verify: a bug")
                self._tell(Verdict("unknown", "verification failed by a bug, which the log names"))
                due = self._clock() + self._interval

    def _round(self) -> float:
        """Ask everyone, tell the verdict; seconds until the next round."""
        before, self._newest = self._newest, self._verification.run(self._membership)
        if not confirmed(before, self._newest):
            return CONFIRM
        if not self._stopped.is_set():
            self._tell(self._newest)
        return max(self._interval, self._verification.pause)

    def _tell(self, verdict: Verdict) -> None:
        before, self._told = self._told[0], (verdict, self._clock())
        if before is NOT_YET or before.gist != verdict.gist:
            log.log(_LEVELS.get(verdict.verdict, logging.INFO), "verify: %s: %s", verdict.verdict, verdict.reason)


def describe(verdict: Verdict, scope: str, age: float | None) -> Mapping[str, object]:
    """The fields of `/verify`: those of the verdict, who was asked, and when it was found."""
    fields = verdict_fields(verdict)
    return {
        "verdict": fields.pop("verdict"),
        "reason": fields.pop("reason"),
        "scope": scope,
        "checked_at": None if age is None else format_time(time.time() - age),
        "age_seconds": None if age is None else round(age, 3),
        **fields,
    }
