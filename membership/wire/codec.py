"""What holds of list answers and watch events in any codec: the same rules, in the same order, the same errors."""

from collections.abc import Iterable
from typing import Any, Protocol

from membership.errors import ApiError, BadAnswer
from membership.wire.framing import Framing
from membership.wire.objects import Event, EventType, Listing, Metadata, Resource, Struct
from membership.wire.shapes import Object, Status, error_of, item_of

import msgspec

_TYPES = {type.value: type for type in EventType}


class ListMetadata(Struct, frozen=True):
    resource_version: str = ""
    continue_: str | None = msgspec.field(name="continue", default=None)


class Codec(Protocol):
    """Reads the bytes of one encoding. Raises BadAnswer for what is not of it, or misses what Kubernetes demands."""

    def framing(self) -> Framing:
        """Cuts a new stream into the frames that `envelope` takes."""

    def list(self, body: bytes, resource: Resource) -> tuple[ListMetadata, Iterable[Object]]:
        """A whole list of this kind and no other."""

    def envelope(self, frame: bytes) -> tuple[str, Any]:
        """The type of a watch event, and its object for one of the methods below."""

    def object(self, raw: Any, resource: Resource) -> Object:
        """An object of this kind and no other."""

    def bookmark(self, raw: Any) -> Metadata:
        """The metadata of an object of any kind."""

    def status(self, raw: Any) -> tuple[Status, bytes]:
        """A Status, and the bytes to show where it is none. Never raises: a Status without kind is none."""


def decode_list(codec: Codec, body: bytes, resource: Resource) -> Listing:
    """A LIST answer.

    Raises BadAnswer unless `body` is the whole list of just this kind, with a resource version: anything less, such as
    the `{}` of a confused proxy, would read as "no members at all", and the first page of a list, which we never ask
    for, as "no more than these".
    """
    metadata, objects = codec.list(body, resource)
    if not metadata.resource_version:
        raise BadAnswer(f"the {resource.kind}List has no resourceVersion")
    if metadata.continue_:
        raise BadAnswer(f"the {resource.kind}List is only the first page of a list that was asked for whole")
    return Listing(metadata.resource_version, tuple(map(item_of, objects)))


def decode_event(codec: Codec, frame: bytes, resource: Resource) -> Event:
    """One frame of a watch stream.

    Raises BadAnswer for what is no watch event of this kind, and for an ERROR event the error that its Status names:
    Expired for 410, Throttled for 429 and so on.
    """
    type, raw = codec.envelope(frame)
    if type == "ERROR":
        raise decode_status(codec, raw, 500)
    if type == EventType.BOOKMARK:
        return Event(EventType.BOOKMARK, _version(codec.bookmark(raw)), None)
    known = _TYPES.get(type)
    if known is None:
        raise BadAnswer(f"unknown watch event type {type[:40]!r}")
    object = codec.object(raw, resource)
    return Event(known, _version(object.metadata), item_of(object))


def decode_status(codec: Codec, raw: Any, code: int) -> ApiError:
    """The error behind an answer with HTTP status `code`, or behind an ERROR event, whose own code then counts."""
    status, shown = codec.status(raw)
    return error_of(status, code, shown)


def demand_kind(found: str, expected: str) -> None:
    """Raises BadAnswer for another."""
    if found != expected:
        raise BadAnswer(f"the answer is of kind {found[:40]!r}, not {expected!r}")


def _version(metadata: Metadata) -> str:
    if not metadata.resource_version:
        raise BadAnswer("the watch sent an object without a resourceVersion")
    return metadata.resource_version
