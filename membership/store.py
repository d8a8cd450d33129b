"""The slices of one namespace as the API server last told them, whole objects only.

As kube-proxy's EndpointSliceCache does, an object replaces its predecessor and members are computed anew from all
slices: per-endpoint deltas would have to guess what a move between two slices means.
"""

from collections.abc import Iterable

from membership.names import EVERY
from membership.wire import EndpointSlice, Event, EventType, Item

_NONE: frozenset[str] = frozenset()


class Store:
    """Objects by name, for the followed Services of one namespace: these, or `EVERY` one."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = tuple(services)
        self._every = EVERY in self._services
        self._items: dict[str, Item] = {}

    def replace(self, items: Iterable[Item]) -> frozenset[str]:
        """Take a whole list: what it does not name is gone. Returns the Services whose slices differ from before."""
        before, self._items = self._items, {}
        for item in map(self._followed, items):
            if item.slices:
                self._items[item.name] = item
        names = [name for name in before.keys() | self._items.keys() if before.get(name) != self._items.get(name)]
        return _NONE.union(*(_services(before.get(name)) | _services(self._items.get(name)) for name in names))

    def apply(self, event: Event) -> frozenset[str]:
        """Take one event. Returns the Services whose slices changed: none for an object sent again as it was."""
        if event.item is None:
            return _NONE
        item = self._followed(event.item)
        before = self._items.get(item.name)
        if event.type is EventType.DELETED or not item.slices:
            # Without slices: its label now names another Service. A server says DELETED then, a filter may not.
            self._items.pop(item.name, None)
            return _services(before)
        if before == item:
            return _NONE
        self._items[item.name] = item
        return _services(before) | _services(item)

    def missing(self, items: Iterable[Item]) -> frozenset[str]:
        """The Services of which there are slices here, and none in `items`."""
        return _NONE.union(*map(_services, self._items.values())) - _NONE.union(*map(_services, items))

    def slices(self, service: str) -> tuple[EndpointSlice, ...]:
        """The slices labelled with this Service's name; none at all means that the server has nothing of it."""
        return tuple([slice for item in self._items.values() for slice in item.slices if slice.service == service])

    def _followed(self, item: Item) -> Item:
        slices = tuple([slice for slice in item.slices if self._follows(slice)])
        return item if len(slices) == len(item.slices) else Item(item.name, slices)

    def _follows(self, slice: EndpointSlice) -> bool:
        return bool(slice.service) if self._every else slice.service in self._services


def _services(item: Item | None) -> frozenset[str]:
    return _NONE if item is None else frozenset([slice.service for slice in item.slices])
