"""Never more than 5 requests in any second, whatever fails: design.md's "load on the server"."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from membership.pace import LIMIT, UNDER_WAY, WINDOW, Pace


def send(pace: Pace, at: float, takes: float = 0.0) -> float:
    """Ask for leave until it is given, as the follower does, for a request that is answered at once or later."""
    for _ in range(10):
        seconds = pace.wait(at)
        assert seconds >= 0
        if not seconds:
            pace.end(pace.take(at), at + takes)
            return at
        at += seconds
    raise AssertionError("no leave after ten waits")


def busiest_second(times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + 1.0) for at in times)


def test_the_limit_is_five_a_second() -> None:
    assert LIMIT == 5 and WINDOW >= 1.0


def test_five_go_at_once_and_the_sixth_waits_for_the_second_to_pass() -> None:
    pace = Pace()
    assert [send(pace, 10.0) for _ in range(5)] == [10.0] * 5
    assert abs(pace.wait(10.25) - (WINDOW - 0.25)) < 1e-9
    assert pace.wait(10.0 + WINDOW - 0.001) > 0
    assert pace.wait(10.0 + WINDOW) == 0.0


def test_who_was_told_to_wait_has_not_used_leave() -> None:
    pace = Pace()
    for _ in range(5):
        send(pace, 0.0)
    for _ in range(100):
        assert pace.wait(0.5) > 0
    assert [send(pace, WINDOW) for _ in range(5)] == [WINDOW] * 5


def test_the_second_begins_when_a_request_has_arrived() -> None:
    pace = Pace()
    for _ in range(5):
        send(pace, 0.0, takes=0.5)
    assert pace.wait(WINDOW) > 0
    assert pace.wait(0.5 + WINDOW) == 0.0


def test_requests_that_are_never_answered_do_not_keep_others_for_ever() -> None:
    pace = Pace()
    for _ in range(5):
        pace.take(0.0)
    assert pace.wait(UNDER_WAY) > 0
    assert pace.wait(UNDER_WAY + WINDOW) == 0.0


@settings(max_examples=100, deadline=None)
@given(moves=st.lists(st.tuples(st.floats(0, 1.2), st.floats(0, 1.9), st.floats(0, 1)), min_size=6, max_size=60))
def test_never_more_than_five_arrive_in_any_second(moves: list[tuple[float, float, float]]) -> None:
    """However long each is under way, wherever in that time it arrives."""
    pace, at, arrivals = Pace(), 0.0, []
    for gap, takes, part in moves:
        at = send(pace, at + gap, takes)
        arrivals.append(at + takes * part)
    assert busiest_second(arrivals) <= 5


def test_a_burst_is_spread_over_as_few_seconds_as_the_limit_allows() -> None:
    pace, times = Pace(), [0.0]
    for _ in range(99):
        times.append(send(pace, times[-1]))
    assert times[-1] <= 100 / 5 * WINDOW
    assert all(b >= a for a, b in pairwise(times))


def test_random_load_of_many_namespaces() -> None:
    for seed in range(20):
        random, pace, times, at = Random(seed), Pace(), list[float](), 0.0
        for _ in range(200):
            at = send(pace, at + random.choice([0.0, 0.0, 0.01, 0.3]))
            times.append(at)
        assert busiest_second(times) <= 5
