"""All areas are examined at once, each in a thread and within the time limit; none waits for another, or stops it."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from membership.doctor.catalogue import common
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.errors import MembershipError
from membership.transport import Interrupt

Examine = Callable[[Situation, Limit], Iterator[Finding]]
MARGIN = 0.3
"""Seconds before the end at which requests end, so that there is time to tell why."""


@dataclass(slots=True)
class _Round:
    """What one area has found so far."""

    area: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    findings: list[Finding] = field(default_factory=list)
    closed: bool = False

    def add(self, found: Finding) -> None:
        with self.lock:
            if not self.closed:
                self.findings.append(found)


def examine_all(examinations: Mapping[str, Examine], situation: Situation, seconds: float) -> tuple[Finding, ...]:
    """The findings of all areas, without secrets, after `seconds` at most. What is late says so."""
    interrupt = Interrupt()
    end = time.monotonic() + seconds
    limit = Limit(end - min(MARGIN, seconds / 4), interrupt)
    rounds = [_Round(area) for area in examinations]
    threads = [
        threading.Thread(target=_work, args=(round, examinations[round.area], situation, limit), daemon=True)
        for round in rounds
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for round, thread in zip(rounds, threads, strict=True):
        if thread.is_alive():
            round.add(common(round.area, "late", f"no end within {seconds:g} s"))
        with round.lock:
            round.closed = True
    interrupt.trip()
    found = (finding for round in rounds for finding in round.findings)
    return tuple(replace(one, evidence=situation.redact(one.evidence), fix=situation.redact(one.fix)) for one in found)


def _work(round: _Round, examine: Examine, situation: Situation, limit: Limit) -> None:
    try:
        for found in examine(situation, limit):
            round.add(found)
    except MembershipError as error:  # what it is based on is not there, which another area tells
        round.add(common(round.area, "skipped", str(error)))
    except PermissionError as error:  # we seldom are the server's user
        round.add(common(round.area, "denied", f"{error.filename}: {error.strerror}"))
    except Exception as error:  # one area's mistake must not cost the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        round.add(common(round.area, "bug", f"{error!r} in {where.name}, line {where.lineno} of {where.filename}"))
