"""Patches the `clustering` table of a deployment.toml.

WSO2's config-mapper renders Carbon's files from it at each boot. It is the user's file, with `$secret{}`, `$ref{}`,
`$env{}` and comments in it, so it is not written anew: values are replaced where they stand, missing keys are added
where the table is, in whichever of TOML's ways it is written. What an older scheme left (`properties.*`,
`KUBERNETES_*`) stays: under wka nothing reads it, and the way back to it stays open.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from membership.errors import RenderError
from membership.render.setup import Source
from membership.wso2.clustering import Clustering
from membership.wso2.splices import Splice, apply_splices, line_of
from membership.wso2.toml_spans import Header, Pair, Value, scan

TABLE = "clustering"
BYTE_ORDER_MARK = "\ufeff"
EXPECTED = "expected a deployment.toml"


def patch_deployment_toml(source: Source, clustering: Clustering) -> bytes:
    """The patched bytes; the same bytes where all is set already. Raises RenderError with file and line."""
    whole = _decode(source)
    text = whole.removeprefix(BYTE_ORDER_MARK)
    document = _parse(text, source.name)
    places = _find_places(text)
    old = _clustering_table(document, places, text, source.name)
    new = _wanted(clustering, old)
    for key in new:
        _check_type(key, old.get(key), places, text, source.name)
    changed = {key: value for key, value in new.items() if key not in old or old[key] != value}
    patched = apply_splices(text, _splices(text, places, old, changed))
    # The places come from a scanner of our own: what it gets wrong must not reach a server.
    if _parse(patched, source.name) != {**document, TABLE: {**old, **new}}:
        raise RenderError("cannot be patched without changing something else; please report this file", source.name)
    return (whole[: len(whole) - len(text)] + patched).encode()


@dataclass(slots=True)
class _Places:
    """Where the table and its keys are. At most one of `inline`, `dotted` and `headed` has something."""

    values: dict[str, Value] = field(default_factory=dict)
    """Values of the table's own keys."""
    lines: dict[str, int] = field(default_factory=dict)
    """Offsets of the first statements about each of its keys; "" for the table itself."""
    inline: Value | None = None
    """`clustering = {...}`."""
    dotted: Pair | None = None
    """The last `clustering.key = ...` at top level."""
    headed: Header | Pair | None = None
    """The last statement of `[clustering]`: its header, or a pair."""
    subtable: Header | None = None
    """The first `[clustering.something]`."""


def _find_places(text: str) -> _Places:
    places = _Places()
    table: tuple[str, ...] = ()
    for statement in scan(text):
        if isinstance(statement, Header):
            table = statement.key
            if table == (TABLE,):
                places.headed = statement
            elif table[0] == TABLE:
                places.subtable = places.subtable or statement
            _note(places, table, statement.start)
        elif (key := (*table, *statement.key))[0] == TABLE:
            _note(places, key, statement.start, statement.value)
            if key == (TABLE,):
                places.inline = statement.value
                for pair in statement.value.pairs:
                    _note(places, (TABLE, *pair.key), pair.start, pair.value)
            elif table == (TABLE,):
                places.headed = statement
            elif not table:
                places.dotted = statement
    return places


def _note(places: _Places, key: tuple[str, ...], start: int, value: Value | None = None) -> None:
    if key[0] == TABLE:
        places.lines.setdefault("", start)
        if len(key) > 1:
            places.lines.setdefault(key[1], start)
        if len(key) == 2 and value is not None:
            places.values[key[1]] = value


def _wanted(clustering: Clustering, old: dict[str, Any]) -> dict[str, Any]:
    """The keys to set, in the order in which missing ones are added."""
    # Carbon's own files quote the port; a user's bare number says the same and stays one.
    port = clustering.local_port if type(old.get("local_member_port")) is int else str(clustering.local_port)
    wanted = {
        "membership_scheme": "wka",
        "domain": clustering.domain,
        "local_member_host": clustering.local_host,
        "local_member_port": port,
        "members": [str(member) for member in clustering.members],
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _splices(text: str, places: _Places, old: dict[str, Any], changed: dict[str, Any]) -> list[Splice[str]]:
    splices: list[Splice[str]] = []
    missing: dict[str, Any] = {}
    for key, value in changed.items():
        place = places.values.get(key)
        if place is None:
            missing[key] = value
        elif isinstance(value, list) and isinstance(old[key], list):
            splices += _replace_items(text, place, old[key], value)
        else:
            splices.append(Splice(place.start, place.end, _literal(value)))
    return splices + ([_add(text, places, missing)] if missing else [])


def _replace_items(text: str, array: Value, old: Sequence[Any], new: Sequence[str]) -> list[Splice[str]]:
    """One by one, so that comments and line breaks between the items stay."""
    items, commas, kept = array.items, array.commas, min(len(old), len(new))
    splices = [
        Splice(item.start, item.end, _literal(value))
        for item, before, value in zip(items, old, new)  # the longer one's rest follows
        if before != value
    ]
    if len(new) > len(old):
        added = [_literal(value) for value in new[kept:]]
        if not items:
            splices.append(Splice(array.start + 1, array.start + 1, ", ".join(added)))
        else:
            last = items[-1]
            space = text[_before_space(text, last.start) : last.start]
            separator = "," + (space if len(items) > 1 or "\n" in space else " ")
            splices.append(Splice(last.end, last.end, "".join(separator + value for value in added)))
    for item in items[kept:]:
        # The line break before it may end a comment; it goes only where another one follows before the bracket.
        begin = _before_space(text, item.start)
        if "\n" not in text[item.end : array.end]:
            begin = item.start - len(text[begin : item.start].rpartition("\n")[2])
        splices.append(Splice(begin, item.end, ""))
    if len(old) > len(new):
        # Each item takes the comma behind it along; the last one may have none, and then takes the one before.
        trailing = len(commas) == len(items)
        splices += [Splice(comma, comma + 1, "") for comma in (commas[kept:] if trailing else commas[kept - 1 :])]
    return splices


def _add(text: str, places: _Places, missing: dict[str, Any]) -> Splice[str]:
    """New keys, where the table is."""
    eol = "\r\n" if re.match(r"[^\n]*\r\n", text) else "\n"
    pairs = [f"{key} = {_literal(value)}" for key, value in missing.items()]
    if places.inline is not None:
        some = places.inline.pairs
        at = some[-1].value.end if some else places.inline.start + 1
        return Splice(at, at, (", " if some else "") + ", ".join(pairs))
    if places.headed is not None:
        return _add_below(text, places.headed, pairs, eol)
    if places.dotted is not None:
        return _add_below(text, places.dotted, [f"{TABLE}.{pair}" for pair in pairs], eol)
    table = eol.join((f"[{TABLE}]", *pairs, ""))
    if places.subtable is not None:  # above its subtables, where people and old parsers look for it
        at = text.rfind("\n", 0, places.subtable.start) + 1
        return Splice(at, at, table + eol)
    gap = "" if not text else eol if text.endswith("\n") else eol * 2
    return Splice(len(text), len(text), gap + table)


def _add_below(text: str, statement: Header | Pair, pairs: Sequence[str], eol: str) -> Splice[str]:
    """At the end of the statement's last line, so behind its comment."""
    end = statement.end if isinstance(statement, Header) else statement.value.end
    at = re.compile(r"[^\r\n]*").match(text, end).end()  # type: ignore[union-attr]  # it matches nothing, too
    indent = text[_before_space(text, statement.start) : statement.start].rpartition("\n")[2]
    return Splice(at, at, "".join(f"{eol}{indent}{pair}" for pair in pairs))


def _before_space(text: str, at: int) -> int:
    """The start of the white space that ends at `at`."""
    while at > 0 and text[at - 1] in " \t\r\n":
        at -= 1
    return at


def _literal(value: str | int | Sequence[str]) -> str:
    """JSON's strings are TOML's, once they hold no DEL (which settings refuse)."""
    return json.dumps(value, ensure_ascii=False)


def _decode(source: Source) -> str:
    try:
        return source.content.decode()
    except UnicodeDecodeError as error:
        line = line_of(source.content, error.start)
        raise RenderError(f"not UTF-8; {EXPECTED}, which is", source.name, line) from error


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=str)  # text: nan differs from itself
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(place[1]) if place and place[1] else line_of(text, len(text))
        problem = str(error)[: place.start()] if place else str(error)
        raise RenderError(f"not TOML: {problem}; {EXPECTED}", name, line) from error
    except RecursionError as error:
        raise RenderError(f"values are nested too deep; {EXPECTED}", name) from error


def _clustering_table(document: dict[str, Any], places: _Places, text: str, name: str) -> dict[str, Any]:
    table = document.get(TABLE, {})
    if isinstance(table, dict):
        return table
    kind = "an array of tables" if isinstance(table, list) else "a value"
    line = line_of(text, places.lines[""])
    raise RenderError(f"{TABLE} is {kind}; expected a table: [{TABLE}]", name, line)


def _check_type(key: str, value: Any, places: _Places, text: str, name: str) -> None:
    items = value if isinstance(value, list) and key == "members" else [value]
    if any(isinstance(item, dict | list) for item in items):
        line = line_of(text, places.lines[key])
        expected = 'an array of "host:port"' if key == "members" else "a text"
        raise RenderError(f"{TABLE}.{key} holds tables or arrays; expected {expected}", name, line)
