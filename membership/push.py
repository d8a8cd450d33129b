"""Which list the own Hazelcast member is to be given by REST, and when to look at it again. Decides, and asks nobody.

The rules, each measured on real members (shared/hazelcast.md, section 1):

- Never an empty list: the member would store it, though it answers 500. Only addresses that Hazelcast takes, for
  it stores anything else as well.
- Only a list that the API server has proved, and only when it names the own member: whoever was taken out of the
  Service must not be joined to the others, and a list that is out of date must not replace a newer one.
- Only where the member has another list. Each time it is given one the member logs a warning.
- A member that joins later has the list it was started with, so each member is looked at for ever, and not once.
- A member that is not ready gets nothing. With REST off it closes the connection, and some versions log a stack
  trace each time: it is asked a second time, for it may just have been ending, and then seldom. So is one that refuses
  the cluster's name.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from membership.model import Snapshot, join_host_port

State = Literal["ready", "joining", "silent", "off", "refused", "unknown"]
Kind = Literal["in place", "given", "waiting", "failed"]

SINCE = (5, 2)
"""The first Hazelcast that can be given a list."""
INTERVAL = 10.0
"""Seconds between looks at a member that has the list. It costs the member two GETs, which it does not log."""
WAITING = 2.0
"""Seconds between looks at a member that is not ready: nothing is logged there, and every second until it has the list
is one until it can meet the others."""
SPACING = 5.0
"""Seconds between two lists at least. The member reads them at its next merge run, and logs each."""
LONGEST = 300.0
"""Seconds until a member is asked again at the latest; at once that long where asking makes it log."""
CONTESTED = 3
"""So often the same list is given before it is said that somebody else must be changing it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The list that the member should have; without `entries`, `why` there is none to give."""

    entries: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a member said to a question for its list, or to a new one. `state` as in `verify.View`; refused: 403."""

    state: State
    entries: tuple[str, ...] = ()
    """Its list as it stands; only where ready."""
    why: str = ""
    """Why there is none."""
    given: bool = False
    """It was given this list just now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one look, and how many seconds to leave the member alone."""

    kind: Kind
    text: str
    pause: float
    held: bool = False
    """Even a new list does not shorten the pause."""


def choose_entries(snapshot: Snapshot, self_ip: str | None) -> Wanted:
    """The entries for the member at `self_ip` (None: not known, then whether it is in the list is not looked at)."""
    if snapshot.generation == 0:
        return Wanted(why="there is no list yet")
    if snapshot.stale or not snapshot.synced:
        return Wanted(why="the list is stale, and another sidecar may know a newer one")
    entries = make_entries(snapshot.endpoints)
    if not entries:
        return Wanted(why="the list has no address")
    if self_ip is not None and not any(self_ip in member.addresses for member in snapshot.members):
        return Wanted(why=f"the own address {self_ip} is not in the list: it is not a member of these Services")
    return Wanted(entries)


def make_entries(endpoints: Iterable[str]) -> tuple[str, ...]:
    """Those that are `IPV4:PORT` or `[IPV6]:PORT`, each once and in one way of writing."""
    return tuple(dict.fromkeys(entry for endpoint in endpoints if (entry := _normalise(endpoint)) is not None))


def is_same(entries: Sequence[str], listed: Iterable[str]) -> bool:
    """Whether the member has just these, in whatever order. An entry without a port is another: it stands for three."""
    return set(entries) == {_normalise(entry) or entry for entry in listed}


class Course:
    """Keeps between looks what a single one cannot tell: what was tried how often."""

    def __init__(self) -> None:
        self._entries: tuple[str, ...] = ()
        self._given = 0
        self._failed = 0
        self._off = 0

    def judge(self, wanted: Wanted, answer: Answer | None) -> Outcome:
        """`answer` is the last word of the member; None where there was nothing to give and it was not asked."""
        if answer is None:
            return Outcome("waiting", wanted.why, WAITING)
        if wanted.entries != self._entries:
            self._entries, self._given = wanted.entries, 0
        self._off = self._off + 1 if answer.state == "off" else 0
        self._failed = self._failed + 1 if answer.state == "unknown" else 0
        match answer.state:
            case "ready" if answer.given:
                return self._note_given()
            case "ready":
                self._given = 0
                return Outcome("in place", "it has the list", INTERVAL)
            case "joining" | "silent":
                return Outcome("waiting", answer.why, WAITING)
            case "off" if self._off == 1:
                return Outcome("waiting", answer.why, INTERVAL, held=True)
            case "off" | "refused":
                return Outcome("failed", answer.why, LONGEST, held=True)
            case _:
                return Outcome("failed", answer.why, _doubled(self._failed))

    def _note_given(self) -> Outcome:
        self._given += 1
        pause, count = _doubled(self._given), len(self._entries)
        if self._given < CONTESTED:
            return Outcome("given", f"it was given the list, {count} members", pause)
        text = f"it was given the same list {self._given} times: somebody else gives it another one"
        return Outcome("failed", text, pause)


def _doubled(times: int) -> float:
    """INTERVAL after the first time, doubling up to LONGEST."""
    return float(min(INTERVAL * 2 ** min(times - 1, 10), LONGEST))


def _normalise(endpoint: str) -> str | None:
    match = re.fullmatch(r"\[?([0-9a-fA-F.:]+)\]?:([0-9]{1,5})", endpoint)
    if match is None or not 1 <= int(match[2]) <= 65535:
        return None
    try:
        address = ipaddress.ip_address(match[1])
    except ValueError:
        return None
    written = join_host_port(str(address), int(match[2]))
    return written if (address.version == 6) == endpoint.startswith("[") else None
