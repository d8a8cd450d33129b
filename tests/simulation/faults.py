"""What may happen to requests and lines, by name."""

import re
from dataclasses import dataclass
from random import Random

from tests.simulation.encoding import frame
from tests.simulation.server import BAD, Mark, Request

PAGE = b"<html><body>502 Bad Gateway</body></html>"

STATUSES: dict[str, tuple[int, str]] = {
    "401": (401, "Unauthorized"),
    "403": (403, "Forbidden"),
    "404": (404, "NotFound"),
    "410": (410, "Expired"),
    "422": (422, "Invalid"),
    "429": (429, "TooManyRequests"),
    "500": (500, "InternalError"),
    "503": (503, "ServiceUnavailable"),
}
BODIES: dict[str, tuple[int, bytes]] = {
    "gateway": (502, PAGE),
    "page": (200, PAGE),
    "nothing": (200, b""),
    "braces": (200, b"{}"),
    "wrong-kind": (200, b'{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[]}'),
    "no-version": (200, b'{"kind":"EndpointSliceList","metadata":{},"items":[]}'),
    "redirect": (302, b""),
}
"""Answers from something that is not the API server, or is not well."""
IN_STREAM = {"error-500": 500, "error-410": 410, "error-429": 429, "error-403": 403}
FAULTS = (
    *("refused", "reset", "silent", "half", "stuck", "504", "close", "not-http", "slow", "late", "outdated"),
    *STATUSES,
    *BODIES,
    *IN_STREAM,
)
STRAY = b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"x","resourceVersion":"7"}}}\n'
UNVERSIONED = b'{"type":"MODIFIED","object":{"kind":"Endpoints","metadata":{"name":"x"},"addressType":"IPv4"}}\n'
_SEEN = re.compile(rb"k8s\x00|ADDED|MODIFIED|DELETED|BOOKMARK|10\.\d+\.\d+\.\d+")
DAMAGES = ("byte", "newline", "cut-line", "page", "type", "kind", "no-version")


@dataclass(eq=False)
class Window:
    """A time in which requests fail in one way."""

    fault: str
    target: str
    """any, list, watch, endpointslices or endpoints."""
    until: float
    times: int
    """Requests it hits at most."""
    number: int
    """Seconds of a Retry-After, or of a delay."""

    def hits(self, request: Request, now: float) -> bool:
        if now >= self.until or self.times <= 0:
            return False
        target = self.target
        return target == "any" or target == ("watch" if request.watches else "list") or target == request.resource


def damaged(line: bytes, mark: Mark, how: str, random: Random, *, protobuf: bool) -> tuple[bytes, Mark]:
    """A line or frame in which a fault can be seen: no reader can tell a wrong digit from a right one."""
    if how == "type":
        line = line.replace(b'"type":"', b'"type":"NOT', 1)
        return frame(line) if protobuf else line, BAD
    if how in ("kind", "no-version"):
        line = STRAY if how == "kind" else UNVERSIONED
        return frame(line) if protobuf else line, BAD
    return _damaged_frame(frame(line), how, random) if protobuf else _damaged_line(line, mark, how, random)


def _damaged_line(line: bytes, mark: Mark, how: str, random: Random) -> tuple[bytes, Mark]:
    if how == "byte":
        place = random.randrange(len(line))
        return line[:place] + b"\xff" + line[place + 1 :], Mark("doubtful", mark.history, mark.rv)
    if how == "newline":
        return line[:-1], BAD
    if how == "cut-line":
        return line[: random.randrange(1, len(line) - 1)], BAD
    return PAGE + b"\n" + line, BAD


def _damaged_frame(data: bytes, how: str, random: Random) -> tuple[bytes, Mark]:
    """`byte` strikes where a reader looks: elsewhere a length may become another, and nothing tells."""
    message = data[4:]
    if how == "byte":
        seen = random.choice(list(_SEEN.finditer(message)))
        place = random.randrange(*seen.span())
        message = message[:place] + b"\xff" + message[place + 1 :]
        return len(message).to_bytes(4, "big") + message, BAD
    if how == "newline":  # the next frame's first byte is taken for this one's last
        return (len(message) + 1).to_bytes(4, "big") + message, BAD
    if how == "cut-line":
        message = message[: random.randrange(1, len(message) - 1)]
        return len(message).to_bytes(4, "big") + message, BAD
    return PAGE + data, BAD
