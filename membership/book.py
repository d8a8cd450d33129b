"""What a follower keeps of one namespace: the members of its Services, or what these Services say of themselves."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from membership.candidates import Rules
from membership.model import Explanation, Member, ServiceDefinition
from membership.names import EVERY
from membership.reflector import Store as AnyStore
from membership.roster import Roster
from membership.store import Store
from membership.wire import Event, EventType, Item


class Book(Protocol):
    """Kept by a follower, under its session's lock."""

    @property
    def services(self) -> tuple[str, ...]:
        """The names asked for."""

    @property
    def store(self) -> AnyStore: ...

    @property
    def release_at(self) -> float | None:
        """When `release` is due next."""

    def update(self, touched: frozenset[str], now: float, *, listed: bool, passed: Sequence[Item] = ()) -> None:
        """Take over what changed in the store; `listed`: it is the whole truth of one moment.

        `passed`: what was in the store since the last update, and may be there no more.
        """

    def release(self, now: float) -> bool:
        """Let go of what was held long enough; whether that changed anything."""


def joined(parts: Sequence[tuple[Member, ...]]) -> tuple[Member, ...]:
    """All in a row; one alone is not copied."""
    return parts[0] if len(parts) == 1 else tuple(chain.from_iterable(parts))


class MemberBook:
    """The members of some Services of one namespace, or of `EVERY` one."""

    def __init__(self, namespace: str, services: Iterable[str], rules: Rules) -> None:
        self._namespace = namespace
        self._rules = rules
        self.services = tuple(sorted(services))
        self._every = EVERY in self.services
        self._rosters = {} if self._every else {service: Roster(rules) for service in self.services}
        self.store = Store(self.services)

    @property
    def members(self) -> tuple[Member, ...]:
        return joined([roster.members for roster in self._rosters.values()])

    @property
    def found(self) -> tuple[str, ...]:
        """Where `EVERY` one is followed: those that there are."""
        return tuple(f"{self._namespace}/{name}" for name in self._rosters) if self._every else ()

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple([f"{self._namespace}/{name}" for name, roster in self._rosters.items() if not roster.known])

    def explain(self) -> tuple[Explanation, ...]:
        return tuple(entry for roster in self._rosters.values() for entry in roster.explain())

    @property
    def release_at(self) -> float | None:
        planned = (roster.release_at for roster in self._rosters.values())
        return min((at for at in planned if at is not None), default=None)

    def update(self, touched: frozenset[str], now: float, *, listed: bool, passed: Sequence[Item] = ()) -> None:
        doomed = frozenset(chain.from_iterable(map(_terminating, passed)))
        if self._every:
            self._rosters.update({name: Roster(self._rules) for name in touched - self._rosters.keys()})
        for service, roster in self._rosters.items():
            if service in touched or listed and roster.release_at is not None:
                roster.update(self.store.slices(service), now, listed=listed, doomed=doomed)
        if self._every:
            self._rosters = {name: roster for name, roster in sorted(self._rosters.items()) if roster.known}

    def release(self, now: float) -> bool:
        return any([roster.release(now) for roster in self._rosters.values()])


def _terminating(item: Item) -> Iterator[str]:
    """The uids of the pods that it calls so."""
    for endpoint in chain.from_iterable(slice.endpoints or () for slice in item.slices):
        conditions, target = endpoint.conditions, endpoint.target_ref
        if conditions and conditions.terminating and target and target.uid:
            yield target.uid


class DefinitionBook:
    """What some Services of one namespace say of themselves. Its own store: a Service is one object."""

    release_at: float | None = None

    def __init__(self, services: Iterable[str]) -> None:
        self.services = tuple(sorted(services))
        self._every = EVERY in self.services
        self._definitions: dict[str, ServiceDefinition] = {}

    @property
    def store(self) -> AnyStore:
        return self

    @property
    def definitions(self) -> tuple[ServiceDefinition, ...]:
        return tuple(self._definitions[name] for name in sorted(self._definitions))

    def replace(self, items: Iterable[Item]) -> frozenset[str]:
        before = self._definitions
        self._definitions = {item.name: item.definition for item in items if item.definition and self._follows(item)}
        names = before.keys() | self._definitions.keys()
        return frozenset(name for name in names if before.get(name) != self._definitions.get(name))

    def apply(self, event: Event) -> frozenset[str]:
        item = event.item
        if item is None or item.definition is None or not self._follows(item):
            return frozenset()
        before = self._definitions.get(item.name)
        if event.type is EventType.DELETED:
            self._definitions.pop(item.name, None)
        else:
            self._definitions[item.name] = item.definition
        return frozenset() if before == self._definitions.get(item.name) else frozenset((item.name,))

    def missing(self, items: Iterable[Item]) -> frozenset[str]:
        return frozenset(self._definitions) - {item.name for item in items}

    def update(self, touched: frozenset[str], now: float, *, listed: bool, passed: Sequence[Item] = ()) -> None:
        """Nothing is made of a definition."""

    def release(self, now: float) -> bool:
        return False

    def _follows(self, item: Item) -> bool:
        return self._every or item.name in self.services
