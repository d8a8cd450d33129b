"""The members of one Service over time: what is kept between two decisions, and for how long.

Two things are kept. The reading of each slice, so that an event costs the endpoints of the slices that changed and not
of all. And a member that vanished from the slices, or from those of one family, without ever having been seen
terminating: when the endpointslice controller moves a pod between two slices it writes them one after the other, and
the removal may come first (watch.md section 2). Such a member stays as it was for `HOLD` seconds. A list answer is the
truth at one moment: it has no holds.
"""

from bisect import insort
from collections.abc import Container, Iterable
from dataclasses import replace
from itertools import chain
from operator import attrgetter

from membership.candidates import Rules, SliceReading, rank, read_slice
from membership.members import Decision, decide, explain
from membership.model import Explanation, Member
from membership.wire import EndpointSlice

_ADDRESSES = attrgetter("addresses")
HOLD = 0.5
"""Seconds. The two writes of a move are one API call apart, milliseconds on a healthy server; the limit is 1 s."""


class Roster:
    """Current members of one Service; `known` is False while the API server has nothing of it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._decision: Decision = decide((), rules)
        self._held: dict[str, tuple[Member, float]] = {}  # uid -> (the member, until when)
        self._doomed: frozenset[str] = frozenset()  # uids seen terminating, while any slice names them
        self.members: tuple[Member, ...] = ()
        self.known = False

    def update(
        self, slices: Iterable[EndpointSlice], now: float, *, listed: bool, doomed: frozenset[str] = frozenset()
    ) -> bool:
        """Decide anew from all slices of the Service. True when members or `known` changed.

        `listed`: the slices are the whole truth of one moment, as a list answer or a v1 Endpoints object is: what is
        missing in it is gone and not on its way. Nor is anything on its way when the last slice is gone.
        `doomed`: uids seen terminating in what came and went since the last decision: they are not on their way either.
        """
        # By name; the slices made of one v1 Endpoints object share theirs, and keep their order.
        known: dict[str, list[SliceReading]] = {}
        before = self._decision
        for reading in reversed(before.readings):
            known.setdefault(reading.slice.metadata.name, []).append(reading)
        readings = tuple([self._read(slice, known.get(slice.metadata.name)) for slice in slices])
        was_known, self.known = self.known, bool(readings)
        self._decision = decide(readings, self._rules, before)
        if listed or not self.known:
            self._held, self._doomed = {}, self._decision.terminating
        else:
            self._doomed |= doomed
            self._hold(before.members, now)
        return self._compose() or was_known != self.known

    def release(self, now: float) -> bool:
        """Let go of members held long enough. True when the list changed."""
        due = [uid for uid, (_, until) in self._held.items() if until <= now]
        for uid in due:
            del self._held[uid]
        return bool(due) and self._compose()

    @property
    def release_at(self) -> float | None:
        """When `release` is due next; None while nothing is held."""
        return min((until for _, until in self._held.values()), default=None)

    def explain(self) -> tuple[Explanation, ...]:
        """Every address of every slice, and every held member."""
        rest = self._named(self._held)
        held = tuple(
            Explanation(
                address=address,
                namespace=member.namespace,
                service=member.service,
                slice="",
                name=member.name,
                uid=member.uid,
                included=True,
                reason=f"missing from the slices for less than {HOLD} s: it may be moving between two of them",
            )
            for uid, (member, _) in self._held.items()
            for address in member.addresses
            if uid not in rest or address not in rest[uid].addresses
        )
        return explain(self._decision.readings, self._decision, self._rules) + held

    def _read(self, slice: EndpointSlice, namesakes: list[SliceReading] | None) -> SliceReading:
        before = namesakes.pop() if namesakes else None
        return before if before is not None and before.slice is slice else read_slice(slice, self._rules, before)

    def _hold(self, before: Iterable[Member], now: float) -> None:
        present = self._decision.present
        there = self._named(present)
        lessened = [member for member in before if _lacks_family(there.get(member.uid or ""), member)] if there else ()
        held = self._held.items()
        held_on = {uid: each for uid, each in held if uid not in present or _lacks_family(there.get(uid), each[0])}
        for member in (*self._decision.vanished, *lessened):
            if member.uid and member.uid not in self._doomed:
                held_on.setdefault(member.uid, (member, now + HOLD))
        if held_on:
            addresses = {address for member, _ in held_on.values() for address in member.addresses}
            taken = addresses.intersection(chain.from_iterable(map(_ADDRESSES, self._decision.members)))
            taken -= {address for uid in held_on if uid in there for address in there[uid].addresses}
            held_on = {uid: each for uid, each in held_on.items() if taken.isdisjoint(each[0].addresses)}
        self._held = held_on
        self._doomed = self._decision.terminating.union(filter(present.__contains__, self._doomed))

    def _named(self, uids: Container[str]) -> dict[str, Member]:
        """What the slices say of these pods; nothing with one family, of which a held pod has lost all they said."""
        if self._rules.family != "both":
            return {}
        return {member.uid: member for member in self._decision.members if member.uid and member.uid in uids}

    def _compose(self) -> bool:
        before = self.members
        self.members = self._decision.members
        if self._held:
            members, rest = list(self.members), self._named(self._held)
            if rest:
                members = [member for member in members if member.uid not in rest]
            for uid, (member, _) in self._held.items():  # few, and a rank is parsed: not for each of 1000 others
                insort(members, _as_now(member, rest[uid]) if uid in rest else member, key=rank)
            self.members = tuple(members)
        return self.members != before


def _lacks_family(now: Member | None, before: Member) -> bool:
    """Whether this pod has lost an address, and no other came for it, as in a move within one family."""
    return now is not None and not now.terminating and set(now.addresses) < set(before.addresses)


def _as_now(held: Member, now: Member) -> Member:
    """The held member with the conditions that its other family's slices have by now."""
    return replace(held, ready=now.ready, serving=now.serving, terminating=now.terminating)
