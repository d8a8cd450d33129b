"""From what a client said to what it did. Pure: times and lists in, facts out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Told: TypeAlias = Sequence[tuple[float, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Belief:
    """What the client told and what was true, each as (monotonic seconds, addresses), oldest first.

    `ending`: when, how and with which details it ended by itself. `health`: its own signal at each change.
    """

    told: Told
    truth: Told
    ending: tuple[float, str, str] | None = None
    health: Sequence[tuple[float, str]] = ()


def observe(belief: Belief, began: float, over: float, watched: float) -> dict[str, Any]:
    """The facts between the begin of the fault and the end of watching; `over` is the end of the fault.

    Seconds, rounded: `right_after_change` and `right_after_fault` until the list was right and stayed so (None: it was
    not; negative: while the fault lasted), `lacked` how long a member was missing that had been there all the time.
    """
    told = [one for one in belief.told if one[0] <= watched]
    final, true = _at(told, watched), _at(belief.truth, watched)
    assert true is not None
    changed = max(at for at, _ in belief.truth if at <= watched)
    right = _right_since(told, true) if final == true else None
    return {
        "fault_seconds": round(over - began, 2),
        "watched_seconds": round(watched - began, 2),
        "right_after_change": None if right is None else round(max(0.0, right - max(changed, began)), 2),
        "right_after_fault": None if right is None else round(right - over, 2),
        "missing": sorted(true - (final or frozenset())),
        "ghosts": sorted((final or frozenset()) - true),
        "old_list": final is not None and final == _at(belief.truth, began) and final != true,
        "emptied": any(not addresses for at, addresses in told if at > began),
        "lacked": round(_lacked(told, belief.truth, began, watched), 2),
        "first_lists": [len(addresses) for at, addresses in told[:5]],
        "ended": _ending(belief, began),
        "health": [[round(at - began, 1), signal] for at, signal in belief.health if at <= watched],
    }


def busiest_second(times: Sequence[float]) -> int:
    """The most of these times within any one second."""
    first, most = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def _at(timeline: Told, when: float) -> frozenset[str] | None:
    found = [addresses for at, addresses in timeline if at <= when]
    return found[-1] if found else None


def _right_since(told: Told, true: frozenset[str]) -> float:
    since = told[-1][0]
    for at, addresses in reversed(told):
        if addresses != true:
            break
        since = at
    return since


def _lacked(told: Told, truth: Told, began: float, watched: float) -> float:
    """How long it lacked a member that was true at every moment from `began` on."""
    truths = [addresses for at, addresses in truth if began <= at <= watched]
    before = _at(truth, began)
    always = frozenset.intersection(*truths, *([before] if before is not None else []))
    seconds = 0.0
    for number, (at, addresses) in enumerate(told):
        until = told[number + 1][0] if number + 1 < len(told) else watched
        if always - addresses:
            seconds += max(0.0, until - max(at, began))
    return seconds


def _ending(belief: Belief, began: float) -> dict[str, Any] | None:
    if belief.ending is None:
        return None
    at, how, detail = belief.ending
    return {"how": how, "detail": detail, "after": round(at - began, 2)}
