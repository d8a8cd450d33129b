"""What the API server's bytes say: list answers and watch events become slices and events, in JSON or in protobuf.

    objects.py   what is handed out: slices, listings, events; nothing behind this package knows more
    codec.py     the rules that hold in both codecs; json.py and protobuf.py read the bytes, shapes.py what is no slice
    framing.py   from a stream to whole frames
    fields.py    protobuf's wire format; memory.py, what need not be decoded again

Null lists and unknown fields are fine; anything that is no answer of Kubernetes' is an ApiError, whatever bytes come.
"""

from membership.errors import ApiError
from membership.wire import codec
from membership.wire.codec import Codec, decode_event, decode_list
from membership.wire.json import Json
from membership.wire.memory import Seen
from membership.wire.objects import (
    SERVICE_NAME_LABEL,
    Conditions,
    Endpoint,
    EndpointSlice,
    Event,
    EventType,
    Item,
    Listing,
    Metadata,
    OwnerReference,
    Port,
    Resource,
    TargetRef,
    newer,
    number,
)
from membership.wire.protobuf import MAGIC, MEDIA_TYPE, Protobuf

LISTS = f"{MEDIA_TYPE}, application/json"
"""The Accept header of a list; the answer's Content-Type says which of the two it is."""
WATCHES = f"{MEDIA_TYPE};stream=watch, application/json"

__all__ = [
    "LISTS",
    "SERVICE_NAME_LABEL",
    "WATCHES",
    "Codec",
    "Conditions",
    "Endpoint",
    "EndpointSlice",
    "Event",
    "EventType",
    "Item",
    "Json",
    "Listing",
    "Metadata",
    "OwnerReference",
    "Port",
    "Protobuf",
    "Resource",
    "Seen",
    "TargetRef",
    "codec_of",
    "decode_event",
    "decode_list",
    "decode_status",
    "is_named",
    "is_page",
    "newer",
    "number",
]


def codec_of(content_type: str | None, seen: Seen, body: bytes = b"") -> Codec:
    """The codec of an answer with this Content-Type: JSON unless that, or how a whole `body` begins, says protobuf."""
    is_protobuf = _media_type(content_type) == MEDIA_TYPE or body.startswith(MAGIC)
    return Protobuf(seen) if is_protobuf else Json()


def is_named(content_type: str | None) -> bool:
    """Whether it is one of the two; a proxy may have taken it away, or put another in its place."""
    return _media_type(content_type) in (MEDIA_TYPE, "application/json")


def is_page(content_type: str | None) -> bool:
    """Whether it is something for people, which no API server sends: a proxy's."""
    return _media_type(content_type) == "text/html"


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def decode_status(body: bytes, code: int) -> ApiError:
    """The error behind an answer with HTTP status `code`, in whichever codec it came."""
    return codec.decode_status(Protobuf(Seen()) if body.startswith(MAGIC) else Json(), body, code)
