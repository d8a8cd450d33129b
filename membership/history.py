"""What changed from list to list: who joined, who left, who became something else. Bounded, oldest first."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from itertools import compress, count
from operator import is_not

from membership.model import Member, Snapshot
from membership.quantity import parse_duration

LIMIT = 1000
"""Changes that are kept. A rolling update of three pods makes about ten."""
NAMED = 50
"""Members that a change names in each of its three groups; `unnamed` counts the others. The first list of a Service
with thousands of endpoints would otherwise be as large as all other changes together."""


@dataclass(frozen=True, slots=True)
class Party:
    """One member in a change."""

    service: str
    """namespace/name"""
    endpoint: str
    """`host:port`, or the address alone where the member has no port."""
    name: str | None
    """The pod's."""
    became: Mapping[str, tuple[object, object]] | None = None
    """Field: before and after. Of a member that was there before and is another now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one list to a newer one: to the next one, unless lists came faster than they could be compared."""

    at: datetime
    """In UTC, by the clock of this machine."""
    epoch: str
    generation: int
    """Of the newer list."""
    source: str
    members: int
    """How many the newer list has."""
    joined: tuple[Party, ...] = ()
    left: tuple[Party, ...] = ()
    altered: tuple[Party, ...] = ()
    unnamed: int = 0
    """Members that joined, left or were altered, and are not named."""
    unknown_services: tuple[str, ...] = ()


class History:
    """The last changes, of one or several epochs. One thread adds; others may read at any time."""

    def __init__(self, kept: Iterable[Change] = (), limit: int = LIMIT) -> None:
        self._limit = limit
        self._changes = tuple(kept)[-limit:]

    @property
    def changes(self) -> tuple[Change, ...]:
        return self._changes

    def add(self, change: Change) -> None:
        self._changes = (*self._changes, change)[-self._limit :]

    def since(self, start: int | datetime | None, epoch: str) -> tuple[Change, ...]:
        """Changes after a generation of this epoch, or from a time on; all of them for None.

        As with the index of a blocking query, a generation that is larger than the newest one is of another epoch: all
        changes of this epoch come then.
        """
        if start is None:
            return self._changes
        if isinstance(start, datetime):
            return tuple(change for change in self._changes if change.at >= start)
        of_epoch = [change for change in self._changes if change.epoch == epoch]
        if of_epoch and start > of_epoch[-1].generation:
            start = 0
        return tuple(change for change in of_epoch if change.generation > start)


def parse_since(text: str, now: datetime) -> int | datetime:
    """A generation (`7`), a time (`2026-11-21T12:00:00Z`) or how long ago (`15m`). ValueError for anything else."""
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # an unquoted + in a query is a space
        return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:80]!r} is no generation, no time such as 2026-11-21T12:00:00Z, no duration") from None


def compare(before: Snapshot | None, after: Snapshot, at: datetime) -> Change:
    """How `after` differs from `before`; from no list at all, everybody joined.

    A member is the same one as long as its Service and its pod's uid are; its address stands in for a uid that is not
    known. A pod of a StatefulSet that is made anew under its old name has left and joined.
    """
    earlier_members, later_members = _differing(() if before is None else before.members, after.members)
    old, new = _by_identity(earlier_members), _by_identity(later_members)
    joined = [_name(member) for key, member in new.items() if key not in old]
    left = [_name(member) for key, member in old.items() if key not in new]
    altered = []
    for key, member in new.items():
        earlier = old.get(key, member)
        if earlier is not member and (became := _differ(earlier, member)):
            altered.append(_name(member, became))
    return Change(
        at=at,
        epoch=after.epoch,
        generation=after.generation,
        source=after.source,
        members=len(after.members),
        joined=tuple(joined[:NAMED]),
        left=tuple(left[:NAMED]),
        altered=tuple(altered[:NAMED]),
        unnamed=sum(max(0, len(group) - NAMED) for group in (joined, left, altered)),
        unknown_services=after.unknown_services,
    )


def _differing(before: Sequence[Member], after: Sequence[Member]) -> tuple[Sequence[Member], Sequence[Member]]:
    """Both without what they begin and end with alike: a member that is as it was is the same object."""
    shorter = min(len(before), len(after))
    start = next(compress(count(), map(is_not, before, after)), shorter)
    end = next(compress(count(), map(is_not, reversed(before), reversed(after))), shorter)
    end = min(end, shorter - start)
    return before[start : len(before) - end], after[start : len(after) - end]


def _by_identity(members: Iterable[Member]) -> dict[tuple[str, str, str], Member]:
    return {(member.namespace, member.service, member.uid or member.address): member for member in members}


def _name(member: Member, became: Mapping[str, tuple[object, object]] | None = None) -> Party:
    return Party(f"{member.namespace}/{member.service}", member.endpoint or member.address, member.name, became)


def _differ(before: Member, after: Member) -> dict[str, tuple[object, object]]:
    pairs = ((field.name, getattr(before, field.name), getattr(after, field.name)) for field in fields(Member))
    return {name: (old, new) for name, old, new in pairs if old != new}
