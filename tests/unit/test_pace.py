"""Never more than 5 requests in any second, whatever fails: design.md's "load on the server"."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from membership.pace import LIMIT, WINDOW, Pace


def send(pace: Pace, at: float) -> float:
    """Ask for leave until it is given, as the follower does; when that was."""
    for _ in range(10):
        seconds = pace.reserve(at)
        assert seconds >= 0
        if not seconds:
            return at
        at += seconds
    raise AssertionError("no leave after ten waits")


def busiest_second(times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + 0.999) for at in times)


def test_the_limit_is_five_a_second() -> None:
    assert LIMIT == 5
    assert WINDOW >= 1.0


def test_five_go_at_once_and_the_sixth_waits_for_the_second_to_pass() -> None:
    pace = Pace()
    assert [pace.reserve(10.0) for _ in range(5)] == [0.0] * 5
    assert pace.reserve(10.25) == WINDOW - 0.25
    assert pace.reserve(10.0 + WINDOW - 0.001) > 0
    assert pace.reserve(10.0 + WINDOW) == 0.0


def test_who_was_told_to_wait_has_not_used_leave() -> None:
    pace = Pace()
    for _ in range(5):
        pace.reserve(0.0)
    for _ in range(100):
        assert pace.reserve(0.5) > 0
    assert [pace.reserve(WINDOW) for _ in range(5)] == [0.0] * 5


@settings(max_examples=200, deadline=None, derandomize=True)
@given(gaps=st.lists(st.floats(0, 1.2), min_size=6, max_size=60))
def test_never_more_than_five_in_any_second(gaps: list[float]) -> None:
    pace, at, times = Pace(), 0.0, []
    for gap in gaps:
        at = send(pace, at + gap)
        times.append(at)
    assert busiest_second(times) <= 5


def test_a_burst_is_spread_over_as_few_seconds_as_the_limit_allows() -> None:
    pace, times = Pace(), [0.0]
    for _ in range(99):
        times.append(send(pace, times[-1]))
    assert times[-1] <= 100 / 5 * WINDOW
    assert all(b >= a for a, b in pairwise(times))


def test_random_load_of_many_namespaces() -> None:
    for seed in range(20):
        random, pace, times, at = Random(seed), Pace(), [], 0.0
        for _ in range(200):
            at = send(pace, at + random.choice([0.0, 0.0, 0.01, 0.3]))
            times.append(at)
        assert busiest_second(times) <= 5
