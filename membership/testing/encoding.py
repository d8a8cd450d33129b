"""JSON and protobuf as FakeKube sends them, and which of them a request asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from . import protobuf
from .history import Stored, encode
from .messages import JSON_TYPE, Answer, Message
from .objects import Json, ResourceType

PROTOBUF_TYPE: Final = "application/vnd.kubernetes.protobuf"


class Encoding(Protocol):
    """What is sent, in one of the two."""

    @property
    def type(self) -> str:
        """The Content-Type of a whole answer."""

    @property
    def stream_type(self) -> str:
        """That of a watch."""

    @property
    def half(self) -> bytes:
        """The first bytes of an event."""

    @property
    def bad(self) -> bytes:
        """An event that is whole and cannot be read."""

    @property
    def bad_list(self) -> bytes:
        """A list that cannot be read."""

    def list(self, resource: ResourceType, metadata: Json, items: Iterable[Stored]) -> bytes: ...

    def event(self, name: str, stored: Stored) -> bytes: ...

    def event_of(self, name: str, value: Json) -> bytes:
        """An event of any object."""

    def huge(self, size: int) -> bytes:
        """The first bytes of an event of `size` bytes, which `x` may follow."""


class _JsonEncoding:
    type = stream_type = JSON_TYPE
    half = b'{"type":"MODIFIED","object":{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","'
    bad = b'{"type":"MODIFIED","object":{"metadata":{"name":}}\n'
    bad_list = b'{"kind":"EndpointSliceList","items":[{]}\n'

    def list(self, resource: ResourceType, metadata: Json, items: Iterable[Stored]) -> bytes:
        start = encode({"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata})
        return start[:-1] + b',"items":[' + b",".join(stored.item for stored in items) + b"]}\n"

    def event(self, name: str, stored: Stored) -> bytes:
        return b'{"type":"' + name.encode() + b'","object":' + stored.full + b"}\n"

    def event_of(self, name: str, value: Json) -> bytes:
        return b'{"type":"' + name.encode() + b'","object":' + encode(value) + b"}\n"

    def huge(self, size: int) -> bytes:
        return b'{"type":"MODIFIED","object":{"metadata":{"annotations":{"huge":"'[:size]


class _ProtobufEncoding:
    type = PROTOBUF_TYPE
    stream_type = f"{PROTOBUF_TYPE};stream=watch"
    half = b"\x00\x00\x01\x00\n\x08MODIFIED\x12\xf3\x01\n\xf0\x01k8s\x00\n\x24\n\x13discovery.k8s.io/v1"
    bad = b"\x00\x00\x00\x0c\n\x08MODIFIED\x12\x7f"
    bad_list = protobuf.MAGIC + b"\n\x28\n\x13discovery.k8s.io/v1\x12\x11EndpointSliceList\x12\x7f"

    def list(self, resource: ResourceType, metadata: Json, items: Iterable[Stored]) -> bytes:
        message = protobuf.encode_list(metadata, [stored.message for stored in items])
        return protobuf.wrap(f"{resource.kind}List", resource.api_version, message)

    def event(self, name: str, stored: Stored) -> bytes:
        kind = stored.value
        return protobuf.encode_event(name, protobuf.wrap(kind["kind"], kind["apiVersion"], stored.message))

    def event_of(self, name: str, value: Json) -> bytes:
        return protobuf.encode_event(name, protobuf.encode_object(value))

    def huge(self, size: int) -> bytes:
        return max(0, size - 4).to_bytes(4, "big") + b"\n\x08MODIFIED"


JSON: Final[Encoding] = _JsonEncoding()
PROTOBUF: Final[Encoding] = _ProtobufEncoding()


def asked(message: Message, *, protobuf: bool) -> Encoding:
    """The first that a request's Accept header names; JSON where it names neither, or `protobuf` is not served."""
    accepted = [part.partition(";")[0].strip() for part in message.headers.get("accept", "").split(",")]
    wanted = next((one for one in accepted if one in (JSON_TYPE, PROTOBUF_TYPE)), JSON_TYPE)
    return PROTOBUF if protobuf and wanted == PROTOBUF_TYPE else JSON


def encoded(answer: Answer, encoding: Encoding) -> Answer:
    """An answer that stands for an object, in this encoding; others, such as /version, are what they are."""
    if encoding is JSON or not protobuf.known(answer.value):
        return answer
    assert isinstance(answer.value, dict)
    return Answer(answer.status, protobuf.encode_object(answer.value), encoding.type, answer.headers)
