"""A result in a few words. Pure."""

from collections.abc import Mapping
from typing import Any

from benchmarks.faults.arms import Arm
from benchmarks.faults.scenarios import SCENARIOS, Kind

SOON = 1.0
"""Seconds within which a change counts as seen at once."""
MARGIN = 0.1
"""Seconds by which the stamps of two processes about one moment may differ."""
MANY = 10
"""Requests in one second from which on their rate is told, not their number."""
MUCH = 1.0
"""CPU seconds that are worth a word."""

KINDS = {scenario.name: scenario.kind for scenario in SCENARIOS}


def verdict(result: Mapping[str, Any], arm: Arm) -> str:
    """What the client did, then what it cost."""
    if "failed" in result:
        return "did not run"
    kind = KINDS[result["fault"]]
    if kind is Kind.STOP:
        words = [_stopped(result)]
    elif kind is Kind.HEALTH:
        words = [_health(result, arm)]
    else:
        words = [_list(result), *_on_the_way(result)]
    return ", ".join([*words, *_cost(result)])


def is_good(result: Mapping[str, Any], arm: Arm) -> bool:
    """Whether the client needed nobody's help: it ended with the right list and lost nobody on the way."""
    if "failed" in result:
        return False
    kind = KINDS[result["fault"]]
    if kind is Kind.STOP:
        return result["stopped_after"] is not None and not _ended_before(result)
    if kind is Kind.HEALTH:
        return any(at > 0 and signal.split()[-1] in ("stale", "503") for at, signal in result["health"])
    right = result["ended"] is None and result["right_after_fault"] is not None and result["sees_later_changes"]
    calm = result["busiest_second"] <= MANY and result["refused"] <= MANY * result["fault_seconds"]
    return bool(right and calm and not _on_the_way(result))


def _list(result: Mapping[str, Any]) -> str:
    if result["ended"] is not None:
        return str(result["ended"]["how"])
    if (seconds := result["right_after_fault"]) is not None:
        if result["right_after_change"] <= SOON:
            words = "undisturbed"
        elif seconds < -MARGIN:
            words = f"{result['right_after_change']:.1f} s late"
        else:
            words = f"recovers in {max(0.0, seconds):.1f} s"
        return words if result["sees_later_changes"] else f"{words}, then blind"
    after = f"after {result['watched_seconds'] - result['fault_seconds']:.0f} s"
    if result["old_list"]:
        words = f"still the old list {after}"
    elif result["ghosts"] and result["missing"]:
        words = f"wrong list {after}"
    elif result["ghosts"]:
        words = "ghost member stays"
    else:
        words = f"lacks members {after}" if result["first_lists"] else f"no list {after}"
    return words if result["sees_later_changes"] else f"{words}, blind"


def _on_the_way(result: Mapping[str, Any]) -> list[str]:
    if result["emptied"]:
        return ["**empties the list**"]
    return [f"lacks a member for {result['lacked']:.1f} s"] if result["lacked"] >= 0.1 else []


def _stopped(result: Mapping[str, Any]) -> str:
    if _ended_before(result):
        return str(result["ended"]["how"])
    seconds = result["stopped_after"]
    return "still there after 8 s" if seconds is None else f"ends in {seconds:.1f} s"


def _ended_before(result: Mapping[str, Any]) -> bool:
    """Whether it had ended when SIGTERM came."""
    return result["ended"] is not None and result["ended"]["after"] < result["fault_seconds"]


def _health(result: Mapping[str, Any], arm: Arm) -> str:
    if result["ended"] is not None:
        return f"{result['ended']['how']} after {result['ended']['after']:.0f} s"
    if not arm.has_health:
        return "no such signal"
    later = [f"{signal} after {at:.0f} s" for at, signal in result["health"] if at > 0]
    return ", ".join(later) or f"{result['health'][-1][1]} for all of {result['watched_seconds']:.0f} s"


def _cost(result: Mapping[str, Any]) -> list[str]:
    busiest, tried = result["busiest_second"], result["refused"]
    count = result["requests"]
    words = [f"{busiest} requests/s" if busiest > MANY else f"{count} request{'' if count == 1 else 's'}"]
    if tried:
        rate = tried / result["fault_seconds"]
        words.append(f"{rate:.0f} refused connections/s" if rate > MANY else f"{tried} refused connections")
    if (result["cpu_seconds"] or 0) >= MUCH:
        words.append(f"{result['cpu_seconds']:.1f} CPU-s")
    return words
