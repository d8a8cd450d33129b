"""HTTP/1.1 messages: reading a request from a connection, building answers, and the log of requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from .connection import Connection, Cut
from .history import encode
from .objects import Json

JSON_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came. Header names are in lower case; of repeated names the last counts."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the request log.

    `time` is monotonic, in seconds. `kind` is `list`, `watch`, `review` or `other` (single objects, /version,
    ...). `status` is 0 until an answer has begun, and for requests that never get one.
    """

    time: float
    method: str
    path: str
    query: Mapping[str, str]
    kind: str
    resource: str | None
    namespace: str | None
    headers: Mapping[str, str]
    status: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    value: object = None
    """What a JSON body says, where that may be said in another encoding as well."""

    def head(self, *, length: int | None = None, last: bool = False) -> bytes:
        """Status line and headers; `length` where the Content-Length is to be another than the body's."""
        lines = [
            f"Content-Length: {len(self.body) if length is None else length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return head(self.status, self.content_type, lines, last)


def head(status: int, content_type: str, lines: list[str], last: bool) -> bytes:
    """The bytes before a body; `last` announces that the connection ends after it."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    return "\r\n".join(
        (
            f"HTTP/1.1 {status} {phrase}",
            f"Content-Type: {content_type}",
            *lines,
            *(("Connection: close",) if last else ()),
            "",
            "",
        )
    ).encode("latin-1")


def json_answer(status: int, value: object, **headers: str) -> Answer:
    """An answer with a JSON body."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, encode(value) + b"\n", headers=named, value=value)


def status_answer(status: Json) -> Answer:
    """The answer for a failed Status, with Retry-After where its details say so."""
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    return json_answer(status["code"], status, **({} if not seconds else {"Retry_After": str(seconds)}))


def read_message(connection: Connection) -> Message:
    """The next request. Raises Cut("close") for one that is not HTTP/1.1 as a Kubernetes client sends it."""
    start, *lines = connection.read_until(b"\r\n\r\n").decode("latin-1").rstrip("\r\n").split("\r\n")
    try:
        method, target, _ = start.split(" ")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        size = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise Cut("close") from error
    if headers.get("connection", "").lower() == "close":
        connection.last = True
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Message(method, target, unquote(url.path), query, headers, connection.read_exactly(size))


class RequestLog:
    """All requests in order of arrival. Thread-safe; `changed` is called after each entry and each status."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._entries: list[Request] = []
        self._tokens: list[str] = []
        self._changed = changed

    def add(self, request: Request) -> int:
        """Note a request; the index for `settle`."""
        with self._lock:
            self._entries.append(request)
            if "authorization" in request.headers:
                self._tokens.append(request.headers["authorization"])
            index = len(self._entries) - 1
        self._changed()
        return index

    def settle(self, index: int, status: int) -> None:
        """Note the status it was answered with."""
        with self._lock:
            self._entries[index] = replace(self._entries[index], status=status)
        self._changed()

    def entries(self) -> list[Request]:
        """A copy."""
        with self._lock:
            return list(self._entries)

    def tokens(self) -> list[str]:
        """All Authorization headers, a copy."""
        with self._lock:
            return list(self._tokens)
