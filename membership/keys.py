"""A set of thousands of strings of which few change: a new version shares nearly all with the one it was made from."""

from collections.abc import Iterable, Iterator, Sequence, Set

_NONE: frozenset[str] = frozenset()
_SHARE = 16
"""A version may differ from what it shares by this part of it, before it has a set of its own."""
_LEAST = 32
"""Keys by which it may differ in any case: of a hundred, a sixteenth would be copied all the time."""


class Keys(Set[str]):
    """Never changes. What versions share is not touched: copying 20,000 references to strings takes a millisecond."""

    __slots__ = ("_base", "_come", "_gone")

    def __init__(self, base: Iterable[str], gone: frozenset[str] = _NONE, come: frozenset[str] = _NONE) -> None:
        self._base, self._gone, self._come = frozenset(base), gone, come

    def __contains__(self, key: object) -> bool:
        return key in self._come or key in self._base and key not in self._gone

    def __len__(self) -> int:
        return len(self._base) - len(self._gone) + len(self._come)

    def __iter__(self) -> Iterator[str]:
        yield from self._base - self._gone
        yield from self._come

    def replaced(self, gone: Iterable[str], come: Sequence[str]) -> "Keys | None":
        """With `come` in place of `gone`, which are in it; None where one is twice then."""
        away, more = set(self._gone), set(self._come)
        for key in gone:
            if key in more:
                more.discard(key)
            else:
                away.add(key)
        for key in come:
            if key in more or key in self._base and key not in away:
                return None
            more.add(key)
        if len(away) + len(more) > max(_LEAST, len(self._base) // _SHARE):
            return Keys((self._base - away) | more)
        return Keys(self._base, frozenset(away), frozenset(more))
