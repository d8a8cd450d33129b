"""The faults by name, and the board on which a test pins them.

A fault is matched against each request (`times` counts requests); `drop-event` and `duplicate-event` act on
events, also of watches that are open already (`times` counts events). Of the faults that answer in the
server's place the oldest matching one is used; `delay`, `drip`, `lag`, `null-lists`, `partial-list`, `gzip` and
`buffer` change the real answer and can be combined.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

MEBIBYTE: Final = 1024 * 1024
_EVERY: Final = frozenset(("list", "watch", "review", "other"))
_DATA: Final = frozenset(("list", "watch"))
_WATCH: Final = frozenset(("watch",))
_LIST: Final = frozenset(("list",))


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table: what it does, to which kinds of request, its parameters and their defaults.

    `role`: "answer" (in place of the real answer), "change" (of the real answer) or "event" (one event).
    """

    doc: str
    role: str
    kinds: frozenset[str]
    params: Mapping[str, Any]


def _row(doc: str, role: str, kinds: frozenset[str], **params: Any) -> FaultKind:
    return FaultKind(doc, role, kinds, MappingProxyType(params))


FAULTS: Final[Mapping[str, FaultKind]] = MappingProxyType(
    {
        "status": _row(
            "an HTTP error with a JSON Status", "answer", _EVERY, code=500, retry_after=None, message=None, reason=None
        ),
        "reset": _row("RST in place of an answer", "answer", _EVERY),
        "hang": _row("accepted, never answered, until cleared", "answer", _EVERY),
        "close": _row("200, then at once the clean end of the watch, with no event", "answer", _WATCH),
        "html": _row("the text/html page of a proxy", "answer", _EVERY, code=200),
        "bad-json": _row(
            "list: a body that is not JSON; watch: a complete bad line, then the real stream", "answer", _DATA
        ),
        "half-line": _row(
            "watch: half a line, then FIN (clean=True: a clean chunked end); list: a cut body",
            "answer",
            _DATA,
            clean=False,
        ),
        "huge-line": _row(
            "watch: size bytes without a newline, then FIN; list: a body of that size",
            "answer",
            _DATA,
            size=40 * MEBIBYTE,
        ),
        "redirect": _row("302 to itself", "answer", _EVERY),
        "wrong-kind": _row("list: a PodList; watch: an event of a Pod, then the real stream", "answer", _DATA),
        "expired-event": _row("in-stream ERROR 410, then the end", "answer", _WATCH),
        "expired-status": _row("HTTP 410, Status reason Expired", "answer", _DATA),
        "too-large": _row(
            "504 ResourceVersionTooLarge, for lists from a version other than empty and 0", "answer", _LIST
        ),
        "error-event": _row(
            "in-stream ERROR Status, then the end", "answer", _WATCH, code=500, message=None, retry_after=None
        ),
        "silent": _row(
            "watch accepted, headers sent, then nothing, no bookmark and no end, until cleared", "answer", _WATCH
        ),
        "buffer": _row(
            "watch: not chunked; held back (hold=False: sent at once) until the stream ends or the fault is cleared",
            "change",
            _WATCH,
            hold=True,
        ),
        "drip": _row(
            "the body in pieces of `size` bytes, `delay` seconds apart", "change", _EVERY, delay=0.001, size=1
        ),
        "delay": _row("wait before answering", "change", _EVERY, seconds=1.0),
        "lag": _row(
            "served from the state of `rvs` versions ago, as by another, slower API server; honest=False: also to a "
            "list that asks for a newer version, which a real one answers 504",
            "change",
            _DATA,
            rvs=1,
            honest=True,
        ),
        "partial-list": _row(
            "the first `items` objects only, and a token for the rest, as if pages had been asked for",
            "change",
            _LIST,
            items=1,
        ),
        "gzip": _row(
            "compressed for a client that accepts it (always=True: for any), one gzip member for each flush",
            "change",
            _DATA,
            always=False,
        ),
        "null-lists": _row("endpoints, ports and subsets are null in what is sent", "change", _DATA),
        "drop-event": _row("the next event is not sent", "event", _WATCH),
        "duplicate-event": _row("the next event is sent twice", "event", _WATCH),
    }
)


class Fault:
    """A fault in force. `left` is how often it will still strike (None: no end); `hits` how often it has."""

    def __init__(
        self,
        name: str,
        on: str,
        times: int | None,
        namespace: str | None,
        params: Mapping[str, Any],
        changed: Callable[[], None],
    ) -> None:
        self.name: Final = name
        self.on: Final = on
        self.namespace: Final = namespace
        self.params: Final = params
        self.left = times
        self.hits = 0
        self.cleared = False
        self._changed = changed

    def __repr__(self) -> str:
        return f"<Fault {self.name} on={self.on} left={self.left} hits={self.hits} cleared={self.cleared}>"

    def clear(self) -> None:
        """End it now, also for the requests it is holding. Idempotent."""
        self.cleared = True
        self._changed()

    def matches(self, kind: str, namespace: str | None, version: str) -> bool:
        """Whether it would strike such a request now."""
        return (
            not self.cleared
            and self.left != 0
            and kind in FAULTS[self.name].kinds
            and self.on in ("any", kind)
            and self.namespace in (None, namespace)
            and not (self.name == "too-large" and version.strip("0") == "")
        )


class FaultBoard:
    """All faults of one server, oldest first. Thread-safe.

    `changed` is called when one is added or cleared, `struck` when one has struck.
    """

    def __init__(self, changed: Callable[[], None], struck: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._changed = changed
        self._struck = struck

    def add(self, name: str, on: str, times: int | None, namespace: str | None, params: Mapping[str, Any]) -> Fault:
        """Pin a fault. Raises ValueError for an unknown name or parameter, or where it cannot strike."""
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(FAULTS))}")
        row = FAULTS[name]
        if on != "any" and on not in row.kinds:
            raise ValueError(f"fault {name!r} strikes on {', '.join(sorted(row.kinds))}, not on {on!r}")
        if unknown := params.keys() - row.params.keys():
            raise ValueError(f"fault {name!r} has no parameter {', '.join(sorted(unknown))}")
        fault = Fault(name, on, times, namespace, MappingProxyType({**row.params, **params}), self._changed)
        with self._lock:
            self._faults.append(fault)
        self._changed()
        return fault

    def clear(self) -> None:
        """Clear all."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.clear()

    def take(self, kind: str, namespace: str | None, version: str) -> dict[str, Fault]:
        """The faults that strike this request, by name, each counted once: all changes and one answer."""
        found: dict[str, Fault] = {}
        with self._lock:
            for fault in self._faults:
                role = FAULTS[fault.name].role
                answered = role == "answer" and answer_of(found.values()) is not None
                taken = fault.name in found or answered
                if role != "event" and not taken and fault.matches(kind, namespace, version):
                    found[fault.name] = _hit(fault)
            self._sweep()
        if found:
            self._struck()
        return found

    def take_event(self, name: str, namespace: str | None) -> bool:
        """Whether the event fault `name` strikes the next event of a watch on `namespace`."""
        if not self._faults:
            return False
        with self._lock:
            hit = next(
                (fault for fault in self._faults if fault.name == name and fault.matches("watch", namespace, "")), None
            )
            if hit is not None:
                _hit(hit)
                self._sweep()
        if hit is not None:
            self._struck()
        return hit is not None

    def _sweep(self) -> None:
        self._faults = [fault for fault in self._faults if fault.left != 0 and not fault.cleared]


def answer_of(faults: Iterable[Fault]) -> Fault | None:
    """The one fault among those taken that answers in the server's place, if any."""
    return next((fault for fault in faults if FAULTS[fault.name].role == "answer"), None)


def _hit(fault: Fault) -> Fault:
    fault.hits += 1
    if fault.left is not None:
        fault.left -= 1
    return fault
