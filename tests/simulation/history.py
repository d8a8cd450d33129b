"""What the API server stores: every object at every resource version, and the member list that is true at each.

The rules by which members follow from slices are written here a second time, from the documents and for the model's
few fields only, so that a mistake in members.py is not also the oracle's.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Shown(NamedTuple):
    """A member as far as the model knows it; sorts by service, then address."""

    service: str
    rank: int
    address: str
    uid: str | None
    ready: bool
    serving: bool
    terminating: bool


class Place(NamedTuple):
    """An endpoint of a slice."""

    address: str
    uid: str | None
    ready: bool
    serving: bool
    terminating: bool


class Piece(NamedTuple):
    """One stored object: an EndpointSlice, or an Endpoints object."""

    rv: int
    service: str
    owner: str
    created: int
    places: tuple[Place, ...]
    body: bytes


class Write(NamedTuple):
    """One change of one object, and its watch line."""

    rv: int
    line: bytes


@dataclass(frozen=True)
class Choice:
    """Which members are asked for: the options of the same names."""

    ready_only: bool = False
    include_terminating: bool = False

    def takes(self, shown: Shown) -> bool:
        if self.ready_only:
            return shown.serving and not shown.terminating
        return self.include_terminating or not shown.terminating


class Truth:
    """What follows from all objects of one kind in one namespace at one version."""

    def __init__(self, pieces: dict[str, Piece], choice: Choice) -> None:
        self.pieces = pieces
        self.services: dict[str, list[Piece]] = {}
        for piece in sorted(pieces.values(), key=lambda piece: piece.rv):
            self.services.setdefault(piece.service, []).append(piece)
        self.members = {name: tuple(sorted(members(name, found, choice))) for name, found in self.services.items()}

    def named(self, service: str) -> set[str]:
        """The uids that any slice names."""
        return {place.uid or "" for piece in self.services.get(service, ()) for place in piece.places}

    def dying(self, service: str) -> set[str]:
        """Those that any slice calls terminating."""
        pieces = self.services.get(service, ())
        return {place.uid for piece in pieces for place in piece.places if place.uid and place.terminating}


def members(service: str, oldest_first: list[Piece], choice: Choice) -> list[Shown]:
    """The members of a Service by watch.md section 2, from slices in the order of their last change."""
    owners = [piece for piece in oldest_first if piece.owner]
    owner = max(owners, key=lambda piece: (piece.created, piece.rv)).owner if owners else ""
    latest: dict[str, Place] = {}
    for piece in oldest_first:
        if piece.owner in ("", owner):
            for place in piece.places:
                latest.pop(place.uid or place.address, None)
                latest[place.uid or place.address] = place
    holders: dict[str, Place] = {}
    for place in latest.values():
        rival = holders.get(place.address)
        if rival is None or worth(place) >= worth(rival):
            holders[place.address] = place
    found = [Shown(service, int(place.address.rpartition(".")[2]), *place) for place in holders.values()]
    return [shown for shown in found if choice.takes(shown)]


def worth(place: Place) -> tuple[bool, bool, bool]:
    return not place.terminating, place.serving, place.ready


@dataclass
class Log:
    """All versions of the objects of one kind in one namespace."""

    choice: Choice
    rvs: list[int] = field(default_factory=lambda: [0])
    states: list[dict[str, Piece]] = field(default_factory=lambda: [{}])
    writes: list[Write] = field(default_factory=lambda: [Write(0, b"")])
    truths: list[Truth | None] = field(default_factory=lambda: [None])

    def put(self, name: str, piece: Piece | None, rv: int, body: bytes) -> None:
        """Store an object, or delete it (`piece` None); `body` is its JSON at `rv`."""
        before = self.states[-1]
        after = dict(before)
        if piece is None:
            after.pop(name, None)
        else:
            after[name] = piece
        kind = b"DELETED" if piece is None else b"MODIFIED" if name in before else b"ADDED"
        self.rvs.append(rv)
        self.states.append(after)
        self.writes.append(Write(rv, b'{"type":"%s","object":%s}\n' % (kind, body)))
        self.truths.append(None)

    def since(self, rv: int, until: int) -> list[Write]:
        return self.writes[bisect_right(self.rvs, rv) : bisect_right(self.rvs, until)]

    def at(self, rv: int) -> dict[str, Piece]:
        return self.states[bisect_right(self.rvs, rv) - 1]

    def truth(self, rv: int) -> Truth:
        index = bisect_right(self.rvs, rv) - 1
        truth = self.truths[index]
        if truth is None:
            truth = self.truths[index] = Truth(self.states[index], self.choice)
        return truth

    def until(self, rv: int) -> "Log":
        """The same, restored to what it was at `rv`."""
        end = bisect_right(self.rvs, rv)
        return Log(self.choice, self.rvs[:end], self.states[:end], self.writes[:end], self.truths[:end])


class History:
    """One life of the server's store: a restore from a backup begins another, which uses the same numbers again."""

    def __init__(self, logs: dict[tuple[str, str], Log], rv: int) -> None:
        self.logs = logs
        """By resource and namespace."""
        self.rv = rv

    @classmethod
    def empty(cls, namespaces: Iterable[str], rv: int, choice: Choice) -> "History":
        kinds = ("endpointslices", "endpoints")
        return cls({(kind, namespace): Log(choice) for kind in kinds for namespace in namespaces}, rv)

    def restored(self, rv: int) -> "History":
        return History({key: log.until(rv) for key, log in self.logs.items()}, rv)
