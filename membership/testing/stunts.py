"""What the faults that answer in the server's place do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from . import status
from .api import Site
from .connection import Connection, Cut
from .encoding import JSON, Encoding, asked
from .faults import MEBIBYTE, Fault
from .messages import Answer, Message, json_answer, status_answer
from .objects import Json
from .watching import Stream

Opening: TypeAlias = Callable[[Stream], bool]

_PAGE: Final = (
    b"<html>\r\n<head><title>Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>Bad Gateway</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n"
    b"</html>\r\n"
)
_POD: Final[Mapping[str, object]] = MappingProxyType(
    {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "stray", "namespace": "default"}, "spec": {}, "status": {}}
)


def stand_in(fault: Fault, site: Site, message: Message) -> Answer | None:
    """The whole answer of `fault`; None where it is none that can be given whole, see `perform`."""
    version = message.query.get("resourceVersion", "")
    match fault.name:
        case "status":
            return _status(fault)
        case "html":
            return Answer(int(fault.params["code"]), _PAGE, "text/html")
        case "redirect":
            return Answer(302, b"", "text/plain", {"Location": message.target})
        case "expired-status":
            return status_answer(status.too_old(version or "0", site.history.version))
        case "too-large":
            return status_answer(status.too_large(version, min(site.history.version, int(version) - 1)))
        case "bad-json":
            encoding = asked(message, protobuf=site.protobuf)
            return Answer(200, encoding.bad_list, encoding.type)
        case "wrong-kind":
            return json_answer(
                200,
                {
                    "kind": "PodList",
                    "apiVersion": "v1",
                    "metadata": {"resourceVersion": str(site.history.version)},
                    "items": [{"metadata": _POD["metadata"], "spec": {}, "status": {}}],
                },
            )
    return None


def perform(fault: Fault, connection: Connection, answered: Callable[[int], None]) -> None:
    """Do what is no answer: returns when the real answer may follow, raises Cut when nothing may.

    `answered` is told the HTTP status as soon as there is one.
    """
    if fault.name == "reset":
        raise Cut("reset")
    if fault.name == "hang":
        while not fault.cleared:
            connection.wait(None)
    elif fault.name == "half-line":
        answered(200)
        body = b'{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceV'
        connection.send(Answer(200, body).head(length=10 * len(body), last=True) + body)
        raise Cut("close")
    elif fault.name == "huge-line":
        answered(200)
        size = int(fault.params["size"])
        connection.send(Answer(200, b"").head(length=size))
        for block in _huge(size, JSON):
            connection.send(block)


def opening_of(fault: Fault | None, site: Site, connection: Connection) -> Opening:
    """What a watch sends before its real stream, or in its place."""
    return (lambda stream: True) if fault is None else (lambda stream: _open(fault, site, connection, stream))


def is_opening(fault: Fault, kind: str) -> bool:
    """Whether `fault` strikes within a stream that has begun, not before."""
    return kind == "watch" and fault.name in (
        "close",
        "bad-json",
        "half-line",
        "huge-line",
        "wrong-kind",
        "expired-event",
        "error-event",
        "silent",
    )


def _open(fault: Fault, site: Site, connection: Connection, stream: Stream) -> bool:
    match fault.name:
        case "bad-json":
            stream.write_raw(stream.encoding.bad)
            return True
        case "wrong-kind":
            metadata = {"name": "stray", "namespace": "default", "resourceVersion": str(site.history.version)}
            stream.write_event("ADDED", {**_POD, "metadata": metadata})
            return True
        case "silent":
            while not fault.cleared:
                connection.wait(None)
            return True
        case "expired-event":
            stream.write_event("ERROR", status.too_old(stream.asked or "0", site.history.version))
        case "error-event":
            code = int(fault.params["code"])
            stream.write_event("ERROR", status.failure(code, fault.params["message"]))
        case "half-line" if fault.params["clean"]:
            stream.write_raw(stream.encoding.half)
        case "half-line":
            raise Cut("half")
        case "huge-line":
            for block in _huge(int(fault.params["size"]), stream.encoding):
                stream.write_raw(block)
            raise Cut("close")
    return False


def _status(fault: Fault) -> Answer:
    code, seconds = int(fault.params["code"]), fault.params["retry_after"]
    details: Json | None = None if not isinstance(seconds, int) else {"retryAfterSeconds": seconds}
    body = status.failure(code, fault.params["message"], reason=fault.params["reason"], details=details)
    return json_answer(code, body, **({} if seconds is None else {"Retry_After": str(seconds)}))


def _huge(size: int, encoding: Encoding) -> list[bytes]:
    """`size` bytes of one event that never ends, in blocks that share their memory."""
    start = encoding.huge(size)
    filler = b"x" * MEBIBYTE
    blocks, rest = divmod(size - len(start), MEBIBYTE)
    return [start, *([filler] * blocks), *([filler[:rest]] if rest else [])]
