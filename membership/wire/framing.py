"""From the bytes of a stream to whole frames: lines for JSON, length and message for protobuf."""

from typing import Protocol

from membership.errors import BadAnswer

LIMIT = 32 * 2**20
"""Bytes of one frame, as transport.py has it for one answer. An object is at most about 1.5 MiB."""
_PREFIX = 4
_MIB = 2**20


class Framing(Protocol):
    """Takes the bytes of one stream as they come; what the end of the stream cuts off is never handed out."""

    def feed(self, got: bytes) -> list[bytes]:
        """The frames that are whole now. Raises BadAnswer for one of more than LIMIT bytes."""


class Lines:
    """One JSON object in each line; empty lines are skipped."""

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._tail_size = 0

    def feed(self, got: bytes) -> list[bytes]:
        head, newline, rest = got.rpartition(b"\n")
        found: list[bytes] = []
        if newline:
            lines = b"".join((*self._tail, head)).split(b"\n")
            self._tail, self._tail_size = [rest], len(rest)
            found = [line for line in lines if line.strip()]
        else:
            self._tail.append(got)
            self._tail_size += len(got)
        if self._tail_size > LIMIT:
            raise BadAnswer(f"a line is longer than {LIMIT // _MIB} MiB")
        return found


class Frames:
    """Four bytes of length, the highest first, before each message.

    k8s.io/apimachinery/pkg/util/framer: kube-apiserver's and client-go's own framing. A length beyond the limit is
    seen before its bytes are there; what is not a frame at all, such as a proxy's page, names such a length.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = _PREFIX

    def feed(self, got: bytes) -> list[bytes]:
        self._parts.append(got)
        self._size += len(got)
        if self._size < self._wanted:
            return []
        data = b"".join(self._parts)
        found: list[bytes] = []
        at = 0
        while len(data) - at >= _PREFIX:
            size = int.from_bytes(data[at : at + _PREFIX], "big")
            if size > LIMIT:
                raise BadAnswer(f"a frame is longer than {LIMIT // _MIB} MiB, or it is none: {data[at:at + 40]!r}")
            end = at + _PREFIX + size
            if end > len(data):
                self._keep(data[at:], _PREFIX + size)
                return found
            found.append(data[at + _PREFIX : end])
            at = end
        self._keep(data[at:], _PREFIX)
        return found

    def _keep(self, rest: bytes, wanted: int) -> None:
        self._parts, self._size, self._wanted = [rest], len(rest), wanted
