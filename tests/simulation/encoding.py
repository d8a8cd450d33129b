"""What the servers say in JSON, in protobuf: lines become frames, whole answers the object they are.

The bytes are made by FakeKube's encoder, which is held against recordings of a real kube-apiserver.
"""

import json
from functools import lru_cache
from typing import Any

from membership.testing import protobuf

TYPE = "application/vnd.kubernetes.protobuf"


@lru_cache(4096)
def frame(line: bytes) -> bytes:
    """A watch line as a frame."""
    event = json.loads(line)
    return protobuf.encode_event(event["type"], _object(event["object"]))


@lru_cache(512)
def whole(body: bytes) -> bytes | None:
    """An answer; None for what is no object of Kubernetes', which is sent as it is."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return protobuf.encode_object(value) if protobuf.known(value) else None


def _object(value: dict[str, Any]) -> bytes:
    if protobuf.known(value):
        return protobuf.encode_object(value)
    return protobuf.wrap(value["kind"], "v1", protobuf.encode_message({**value, "kind": "ConfigMap"}))
