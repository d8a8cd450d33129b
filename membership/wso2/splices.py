"""A patch is a list of splices, so every byte outside them stays by construction."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import AnyStr, Generic


@dataclass(frozen=True, slots=True)
class Splice(Generic[AnyStr]):
    """Put `new` where `start` to `end` was; an insertion where both are the same."""

    start: int
    end: int
    new: AnyStr


def apply_splices(text: AnyStr, splices: Iterable[Splice[AnyStr]]) -> AnyStr:
    """Splices do not overlap; several at one place follow each other in the order given."""
    parts, at = [], 0
    for splice in sorted(splices, key=lambda splice: splice.start):
        if splice.start < at:
            raise AssertionError(f"splices overlap at {splice.start}")
        parts += [text[at : splice.start], splice.new]
        at = splice.end
    parts.append(text[at:])
    return text[:0].join(parts)


def line_of(text: AnyStr, offset: int) -> int:
    """The line, from 1, that this offset is in."""
    newline = b"\n" if isinstance(text, bytes) else "\n"
    return text.count(newline, 0, offset) + 1
