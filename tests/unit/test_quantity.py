"""Durations: which are taken, and that a text of any length is refused at once."""

import time

import pytest

from membership.quantity import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2), ("1m30s", 90), ("1.5h", 5400), ("0s", 0), ("1000000000000h", 3.6e15)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1.s", ".5s", "5S", "5s ", "\u0665s", "1e3s", "2s3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1" * 60_000, "1s" * 20_000 + "1", "1." * 30_000, "1" * 60_000 + "s"])
def test_a_long_text_is_refused_at_once(text: str) -> None:
    """Python holds its lock while it matches: minutes of it, for a query that anybody may send, stop everything."""
    began = time.monotonic()
    with pytest.raises(ValueError) as raised:
        parse_duration(text)
    assert time.monotonic() - began < 1.0 and len(str(raised.value)) < 200
