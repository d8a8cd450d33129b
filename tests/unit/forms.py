"""The two forms in which Kubernetes' objects come: what is asserted of one is asserted of both.

The bytes of protobuf are made by FakeKube's encoder, which shares nothing with the decoder under test and is itself
held against recordings of a real kube-apiserver (test_wire_recorded.py).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from membership.errors import ApiError
from membership.testing import protobuf
from membership.wire import Codec, Event, EventType, Json, Listing, Protobuf, Resource, Seen, decode_event, decode_list


@dataclass(frozen=True)
class Form:
    """One of them: objects given as JSON dicts become bytes, and what the product reads of those."""

    name: str

    @property
    def codec(self) -> Codec:
        return Json() if self.name == "json" else Protobuf(Seen())

    def list(self, items: Iterable[dict[str, Any]] | None, kind: str = "EndpointSlice", **metadata: Any) -> bytes:
        """A list answer: its items name no kind, as in a real one."""
        if items is not None:
            items = [{key: item[key] for key in item if key not in ("kind", "apiVersion")} for item in items]
        metadata = {"resourceVersion": "42", **metadata}
        return self.object({"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": items})

    def object(self, value: dict[str, Any]) -> bytes:
        """An answer that is one object, such as a Status."""
        return json.dumps(value).encode() if self.name == "json" else _object(value)

    def event(self, type: str, object: Any) -> bytes:
        """One frame of a watch, without what parts it from the next."""
        if self.name == "json":
            return json.dumps({"type": type, "object": object}).encode()
        return protobuf.encode_event(type, _object(object) if object else b"")[4:]

    def decode_list(self, body: bytes, resource: Resource) -> Listing:
        return decode_list(self.codec, body, resource)

    def decode_event(self, frame: bytes, resource: Resource) -> Event:
        return decode_event(self.codec, frame, resource)


JSON, PROTOBUF = Form("json"), Form("protobuf")
FORMS = pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])


def _object(value: dict[str, Any]) -> bytes:
    """Of an object without a kind: a message of which only the metadata are there."""
    if protobuf.known(value):
        return protobuf.encode_object(value)
    bare = protobuf.encode_message({**value, "kind": "ConfigMap"})
    return protobuf.wrap(value.get("kind", ""), "v1", bare)


def frames(form: Form, stream: bytes) -> list[bytes]:
    """The frames of a recorded stream."""
    return form.codec.framing().feed(stream)


def assert_same_list(as_json: bytes, as_protobuf: bytes, resource: Resource) -> Listing:
    """Both codecs read the same list; which."""
    listing = PROTOBUF.decode_list(as_protobuf, resource)
    assert listing == JSON.decode_list(as_json, resource)
    return listing


def assert_same_stream(as_json: bytes, as_protobuf: bytes, resource: Resource) -> list[Event]:
    """Both codecs read the same; which events there are. Bookmarks come when the server likes."""
    told, others = (
        [_outcome(form, frame, resource) for frame in frames(form, stream)]
        for form, stream in ((JSON, as_json), (PROTOBUF, as_protobuf))
    )
    for one, other in zip(
        (outcome for outcome in told if not _is_bookmark(outcome)),
        (outcome for outcome in others if not _is_bookmark(outcome)),
        strict=True,
    ):
        if isinstance(one, ApiError) and isinstance(other, ApiError):
            assert_same_errors(one, other)
        else:
            assert one == other
    return [outcome for outcome in others if isinstance(outcome, Event)]


def _is_bookmark(outcome: Event | ApiError) -> bool:
    return isinstance(outcome, Event) and outcome.type is EventType.BOOKMARK


def assert_same_errors(one: ApiError, other: ApiError) -> None:
    assert (type(one), str(one), one.retry_after) == (type(other), str(other), other.retry_after)


def _outcome(form: Form, frame: bytes, resource: Resource) -> Event | ApiError:
    try:
        return form.decode_event(frame, resource)
    except ApiError as error:
        return error
