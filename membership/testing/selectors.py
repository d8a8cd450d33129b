"""Label and field selectors as the API server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from .objects import Json

Selector: TypeAlias = Callable[[Json], bool]

_COMMAS: Final = re.compile(r",(?![^(]*\))")
_SET: Final = re.compile(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)")
_EQUALITY: Final = re.compile(r"([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)")
_EXISTS: Final = re.compile(r"(!?)\s*([^\s=!(),]+)")


def parse_label_selector(text: str) -> Selector:
    """A test for objects: `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`, joined by commas.

    Raises ValueError for anything else.
    """
    terms = [_label_term(term.strip()) for term in _COMMAS.split(text) if term.strip()]
    return lambda value: all(term(value["metadata"].get("labels") or {}) for term in terms)


def parse_field_selector(text: str) -> Selector:
    """A test for objects: `metadata.name`, `metadata.namespace` with `=`, `==`, `!=`, else ValueError."""
    terms = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        match = _EQUALITY.fullmatch(term)
        if match is None:
            raise ValueError(f"invalid field selector: {term!r}")
        field, operator, wanted = match.groups()
        if field not in ("metadata.name", "metadata.namespace"):
            raise ValueError(f'field label not supported: "{field}"')
        terms.append((field.removeprefix("metadata."), wanted, operator != "!="))
    return lambda value: all((value["metadata"][field] == wanted) is equal for field, wanted, equal in terms)


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.fullmatch(term):
        key, operator, values = match.groups()
        allowed = {value.strip() for value in values.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in allowed
        return lambda labels: labels.get(key) not in allowed
    if match := _EQUALITY.fullmatch(term):
        key, operator, wanted = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != wanted
        return lambda labels: labels.get(key) == wanted
    if match := _EXISTS.fullmatch(term):
        negated, key = match.groups()
        return lambda labels: (key in labels) is not bool(negated)
    raise ValueError(f"unable to parse requirement: {term!r}")
