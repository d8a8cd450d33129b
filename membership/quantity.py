"""Durations and booleans, as users write them."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)(ms|s|m|h)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
"""Bounded: of a text of n digits `[0-9]+` tries n of each length, and holds up every thread while it does."""
LONGEST = 576 * 3600.0
"""Seconds of a time that may be set, 24 days. Python gives poll() the time-out of a socket in 32 bits: of 2**32 ms and
a little more only the little is waited for. Locks take 292 years."""
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parse_duration(text: str) -> float:
    """`500ms`, `2s`, `5m`, `1m30s` in seconds; ValueError for anything else."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a duration such as 500ms, 2s or 5m")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def is_boolean(text: str) -> bool:
    return text.strip().lower() in _WORDS


def parse_boolean(text: str) -> bool:
    """true, false, 1, 0, yes, no in any case; ValueError for anything else."""
    try:
        return _WORDS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is none of true, false, 1, 0, yes, no") from None
