"""Objects, global resource versions and the ring of events, like etcd's behind an API server's cache."""

from __future__ import annotations

import bisect
import copy
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from . import protobuf
from .objects import RESOURCES, Json, derive_uid

FIRST_VERSION: Final = 100
Key: TypeAlias = tuple[str, str, str]  # resource, namespace, name


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Stored:
    """One version of one object. `value` is never changed once it is here: threads share it."""

    key: Key
    version: int
    value: Json

    @cached_property
    def item(self) -> bytes:
        """As an item of a list: without kind and apiVersion, as the real server sends it."""
        return encode({name: part for name, part in self.value.items() if name not in ("kind", "apiVersion")})

    @cached_property
    def full(self) -> bytes:
        """With kind and apiVersion, as a GET or a watch sends it."""
        return encode(self.value)

    @cached_property
    def message(self) -> bytes:
        """In protobuf, without kind and apiVersion."""
        return protobuf.encode_message(self.value)

    def at(self, version: int) -> Stored:
        """The same content with another resource version: how a deletion shows the last state."""
        metadata = {**self.value["metadata"], "resourceVersion": str(version)}
        return Stored(self.key, version, {**self.value, "metadata": metadata})


@dataclass(frozen=True)
class Event:
    """One write. `new` is None for a deletion, `old` is None for a creation."""

    number: int
    version: int
    old: Stored | None
    new: Stored | None

    @property
    def key(self) -> Key:
        stored = self.new or self.old
        assert stored is not None
        return stored.key

    @cached_property
    def tombstone(self) -> Stored:
        """The last state with the version of this event. Only for events with `old`."""
        assert self.old is not None
        return self.old.at(self.version)


@dataclass(frozen=True)
class Checkpoint:
    """An etcd backup: opaque, made by `History.checkpoint`."""

    version: int
    objects: Mapping[Key, Stored]


class History:
    """The store. Every write gives the next version of one counter shared by all objects.

    `on_change` is called after it. All methods may be called from any thread; `lock` (re-entrant) may be held
    to make several calls one step.
    """

    def __init__(self, on_change: Callable[[], None], capacity: int = 100_000) -> None:
        self.lock: Final = threading.RLock()
        self._on_change = on_change
        self._capacity = capacity
        self._version = FIRST_VERSION
        self._oldest = FIRST_VERSION
        self._objects: dict[Key, Stored] = {}
        self._events: list[Event] = []
        self._number = 0
        self._created = 0
        self.expired_as_status = False

    @property
    def version(self) -> int:
        """The newest version."""
        with self.lock:
            return self._version

    @property
    def oldest(self) -> int:
        """The oldest version a watch can start from."""
        with self.lock:
            return self._oldest

    def get(self, resource: str, namespace: str, name: str) -> Stored | None:
        """The newest state of one object."""
        with self.lock:
            return self._objects.get((resource, namespace, name))

    def put(self, resource: str, value: Json) -> Stored:
        """Create or replace an object (copied). Raises ValueError if it has no metadata.name."""
        kind = RESOURCES[resource]
        value = {"kind": kind.kind, "apiVersion": kind.api_version, **copy.deepcopy(value)}
        metadata = value.setdefault("metadata", {})
        if not metadata.get("name"):
            raise ValueError("metadata.name is required")
        namespace = metadata.setdefault("namespace", "default")
        key = (resource, namespace, metadata["name"])
        with self.lock:
            old = self._objects.get(key)
            if old is None:
                self._created += 1
                metadata.setdefault("uid", derive_uid(f"{key}#{self._created}"))
                metadata.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            else:
                before = old.value["metadata"]
                metadata.setdefault("uid", before["uid"])
                metadata.setdefault("creationTimestamp", before["creationTimestamp"])
            if resource == "endpointslices":
                generation = 0 if old is None else old.value["metadata"]["generation"]
                metadata.setdefault("generation", generation + 1)
            metadata["resourceVersion"] = str(self._version + 1)
            stored = Stored(key, self._version + 1, value)
            self._objects[key] = stored
            self._record(old, stored)
        self._on_change()
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> int:
        """Delete an object and return the version of the deletion. Raises KeyError if there is none."""
        with self.lock:
            old = self._objects.pop((resource, namespace, name))
            self._record(old, None)
            version = self._version
        self._on_change()
        return version

    def objects(self, resource: str, namespace: str | None, as_of: int | None = None) -> tuple[list[Stored], int]:
        """All objects of a resource (namespace None: everywhere) in order, and the version they are from.

        `as_of`: the state at that earlier version, as far back as the ring reaches.
        """
        with self.lock:
            state, version = self._objects, self._version
            if as_of is not None and as_of < version:
                state = dict(state)
                for event in reversed(self._events):
                    if event.version <= as_of:
                        break
                    if event.old is None:
                        state.pop(event.key, None)
                    else:
                        state[event.key] = event.old
                version = as_of
            found = [key for key in state if key[0] == resource and namespace in (None, key[1])]
            return [state[key] for key in sorted(found)], version

    def position(self, version: int) -> int:
        """The number of the last event that a watch from `version` does not want."""
        with self.lock:
            first = bisect.bisect_right(self._events, version, key=lambda event: event.version)
            return self._events[first].number - 1 if first < len(self._events) else self._number

    def since(self, position: int, up_to: int | None = None) -> list[Event]:
        """The events after the one numbered `position`, in order, of versions up to `up_to`.

        Raises LookupError if the ring no longer holds the next one: the watcher was too slow.
        """
        with self.lock:
            if not self._events or position >= self._number:
                return []
            first = position + 1 - self._events[0].number
            if first < 0:
                raise LookupError(position)
            found = self._events[first:]
        return found if up_to is None else [event for event in found if event.version <= up_to]

    def compact(self, version: int | None = None, as_status: bool = False) -> None:
        """Let no new watch start from before `version` (None: now). Open watches still get all events."""
        with self.lock:
            self.expired_as_status = as_status
            wanted = self._version if version is None else version
            self._oldest = max(self._oldest, min(wanted, self._version))

    def checkpoint(self) -> Checkpoint:
        """A backup of all objects and the version."""
        with self.lock:
            return Checkpoint(self._version, dict(self._objects))

    def restore(self, backup: Checkpoint) -> None:
        """Go back to `backup`. As in a restarted API server the ring is empty: older versions are too old."""
        with self.lock:
            self._objects = dict(backup.objects)
            self._version = self._oldest = backup.version
            self._events = []
        self._on_change()

    def _record(self, old: Stored | None, new: Stored | None) -> None:
        self._version += 1
        self._number += 1
        self._events.append(Event(self._number, self._version, old, new))
        if len(self._events) > 2 * self._capacity:
            del self._events[: self._capacity]
            self._oldest = max(self._oldest, self._events[0].version - 1)
