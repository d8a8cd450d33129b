"""Where the keys and values of a TOML text are.

The standard library's tomllib says what a text means, not where; tomlkit, which keeps the text, refuses a byte order
mark, ends inserted lines with LF in a CRLF file, adds a newline at the end, and puts a new key below the comment that
stands above the next table (all seen with 0.15.2). So this finds places only. It expects text that tomllib has accepted
and is no judge of it. TOML 1.0: https://toml.io/en/v1.0.0
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

Key = tuple[str, ...]
"""The parts of a dotted key."""

_STRING = (
    r'"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand right before the closing ones
    r"|'''[\s\S]*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY_PART = re.compile(rf"[A-Za-z0-9_-]+|{_STRING}")
_SCALAR = re.compile(rf"{_STRING}|[^,\]}}#\r\n]*[^,\]}}#\r\n \t]")


@dataclass(frozen=True, slots=True)
class Value:
    """A value's place; `items` of an array, `pairs` of an inline table, and the offsets of the commas in either."""

    start: int
    end: int
    items: tuple["Value", ...] = ()
    pairs: tuple["Pair", ...] = ()
    commas: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """`key = value`, the key as written there: relative to the table around it."""

    key: Key
    start: int
    value: Value


@dataclass(frozen=True, slots=True)
class Header:
    """`[key]` or `[[key]]`."""

    key: Key
    start: int
    end: int


def scan(text: str) -> Iterator[Header | Pair]:
    """The statements of a text without a byte order mark, in their order."""
    scanner = _Scanner(text)
    while scanner.peek(_BLANK):
        yield scanner.header() if text[scanner.at] == "[" else scanner.pair()


class _Scanner:
    """Reads from `at` on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def peek(self, skip: re.Pattern[str]) -> str:
        """The next character after what `skip` matches; "" at the end."""
        self._take(skip)
        return self._text[self.at : self.at + 1]

    def header(self) -> Header:
        start = self.at
        self._take(re.compile(r"\[\[?"))
        key = self._key()
        self._take(re.compile(r"[ \t]*\]\]?"))
        return Header(key, start, self.at)

    def pair(self) -> Pair:
        start, key = self.at, self._key()
        self._take(re.compile(r"[ \t]*=[ \t]*"))
        return Pair(key, start, self._value())

    def _key(self) -> Key:
        parts = []
        while True:
            self._take(_SPACE)
            part = self._take(_KEY_PART)
            parts.append(next(iter(tomllib.loads(f"{part} = 0"))))  # quotes and escapes are tomllib's business
            if self.peek(_SPACE) != ".":
                return tuple(parts)
            self.at += 1

    def _value(self) -> Value:
        start = self.at
        if self._text[start] not in "[{":
            self._take(_SCALAR)
            return Value(start, self.at)
        self.at += 1
        items: list[Value] = []
        pairs: list[Pair] = []
        commas: list[int] = []
        while (next := self.peek(_BLANK)) not in "]}":
            if next == ",":
                commas.append(self.at)
                self.at += 1
            elif self._text[start] == "[":
                items.append(self._value())
            else:
                pairs.append(self.pair())
        self.at += 1
        return Value(start, self.at, tuple(items), tuple(pairs), tuple(commas))

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self.at)
        if match is None:
            raise AssertionError(f"TOML that this scanner does not know, at offset {self.at}")
        self.at = match.end()
        return match[0]
