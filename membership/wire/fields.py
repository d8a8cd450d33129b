"""Protobuf's wire format: a message is read into the fields that a table names, by their numbers.

https://protobuf.dev/programming-guides/encoding/. By hand, for of Kubernetes' messages we read twenty fields, and
nearly all of an event is bytes that we have seen before (memory.py). Unknown
fields are skipped. Anything that no encoder writes is a BadAnswer: what is cut off, a length beyond the end, groups,
and a known field of another type, as in the code that Kubernetes generates for itself.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from typing import Any, NamedTuple

from membership.errors import BadAnswer

VARINT, BYTES = 0, 2
_FIXED = {1: 8, 5: 4}
_LONGEST = 10
"""Bytes of a varint."""
_DECODE: Callable[[bytes], str] = methodcaller("decode")
"""UTF-8, without a frame of Python for each of the strings of an event."""


class Field(NamedTuple):
    """How one field is read; `many`: it may come several times, and is a list.

    Where `read` is None its place in the data is handed out, (start, end): large messages in messages are not copied.
    """

    number: int
    name: str
    type: int
    read: Callable[[Any], Any] | None
    many: bool = False


class Message:
    """The fields of one kind of message that are read; others are skipped."""

    def __init__(self, *fields: Field) -> None:
        self._by_tag = {field.number << 3 | field.type: (field.name, field.read, field.many) for field in fields}
        self._numbers = frozenset(field.number for field in fields)

    def read(self, data: bytes, at: int = 0, end: int | None = None) -> dict[str, Any]:
        """The fields that are there, by name. Of one that comes twice and is no list, the last counts.

        The message is `data[at:end]`. One loop, for the first list of 20,000 endpoints runs through it 60,000 times,
        and of an event nearly all the time is that of code which nothing has run for a while.
        """
        values: dict[str, Any] = {}
        by_tag = self._by_tag
        end = len(data) if end is None else end
        value: Any
        try:
            while at < end:
                tag = data[at]
                at += 1
                if tag > 127:
                    tag, at = _varint(data, at - 1)
                kind = tag & 7
                if kind == BYTES:
                    size = data[at]
                    at += 1
                    if size > 127:
                        size, at = _varint(data, at - 1)
                    start = at
                    at += size
                    if at > end:
                        break
                    field = by_tag.get(tag)
                    if field is not None:
                        name, read, many = field
                        value = (start, at) if read is None else read(data[start:at])
                        if many:
                            values.setdefault(name, []).append(value)
                        else:
                            values[name] = value
                        continue
                elif kind == VARINT:
                    value = data[at]
                    at += 1
                    if value > 127:
                        value, at = _varint(data, at - 1)
                    field = by_tag.get(tag)
                    if field is not None and field[1] is not None:
                        values[field[0]] = field[1](value)
                        continue
                elif kind in _FIXED:
                    at += _FIXED[kind]
                else:
                    raise BadAnswer(f"not what Kubernetes sends: a field of type {kind} at byte {at}")
                if not 8 <= tag < 2**32:
                    raise BadAnswer(f"not what Kubernetes sends: a field of number {tag >> 3} at byte {at}")
                if tag >> 3 in self._numbers:
                    raise BadAnswer(f"not what Kubernetes sends: field {tag >> 3} is of type {kind}")
        except IndexError:
            raise BadAnswer("not what Kubernetes sends: a message ends within a field") from None
        except UnicodeDecodeError as error:
            raise BadAnswer(f"not what Kubernetes sends: {error.reason} in {error.object[:40]!r}") from error
        if at > end:
            raise BadAnswer(f"not what Kubernetes sends: a field of {at - end} bytes more than there are")
        return values


def run(data: bytes, tag: int) -> tuple[list[bytes], list[int]]:
    """The fields of this one-byte tag, of bytes, that `data` begins with: their values, and the borders around them."""
    values: list[bytes] = []
    borders = [0]
    at, end = 0, len(data)
    while at < end and data[at] == tag:
        try:
            size = data[at + 1]
            at += 2
            if size > 127:
                size, at = _varint(data, at - 1)
        except IndexError:
            raise BadAnswer("not what Kubernetes sends: a message ends within a field") from None
        start = at
        at += size
        if at > end:
            raise BadAnswer(f"not what Kubernetes sends: a field of {at - end} bytes more than there are")
        values.append(data[start:at])
        borders.append(at)
    return values, borders


def text(number: int, name: str, *, many: bool = False) -> Field:
    """A string."""
    return Field(number, name, BYTES, _DECODE, many)


def optional(number: int, name: str) -> Field:
    """A string that JSON leaves out where it is empty (Go's omitempty), and protobuf does not."""
    return Field(number, name, BYTES, lambda data: _DECODE(data) or None)


def flag(number: int, name: str) -> Field:
    return Field(number, name, VARINT, bool)


def integer(number: int, name: str) -> Field:
    """An int32; negative ones come as ten bytes."""
    return Field(number, name, VARINT, _int32)


def long(number: int, name: str) -> Field:
    """An int64."""
    return Field(number, name, VARINT, lambda value: value - 2**64 if value >= 2**63 else value)


def message(number: int, name: str, read: Callable[[bytes], Any], *, many: bool = False) -> Field:
    return Field(number, name, BYTES, read, many)


def place(number: int, name: str) -> Field:
    """A message whose place is handed out: (start, end)."""
    return Field(number, name, BYTES, None)


def mapping(number: int, name: str) -> Field:
    """A map of strings: it comes as a list of pairs, for `as_dict`."""
    return Field(number, name, BYTES, PAIR.read, many=True)


def as_dict(pairs: Iterable[Mapping[str, str]] | None) -> dict[str, str] | None:
    return None if pairs is None else {pair.get("key", ""): pair.get("value", "") for pair in pairs}


def as_tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _int32(value: int) -> int:
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for index in range(_LONGEST):
        byte = data[at + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            if value >= 2**64:
                break
            return value, at + index + 1
    raise BadAnswer(f"not what Kubernetes sends: a number of more than 64 bits at byte {at}")


PAIR = Message(text(1, "key"), text(2, "value"))
"""An entry of a map of strings."""
