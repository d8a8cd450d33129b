"""The reflector's promises (design.md), row by row, in virtual time and with a seeded Random.

`World` asks the reflector for its next request, letting time pass while it waits, and answers as a server would.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from membership import errors
from membership.pace import Pace
from membership.policy import RULES, Cause, Delay, Policy, Step
from membership.reflector import List, Reflector, Wait, Watch
from membership.store import Store
from membership.wire import EndpointSlice, Event, Listing, Resource
from tests.unit.slices import bookmark, event, item, piece, pod

SLICES, ENDPOINTS = Resource.ENDPOINTSLICES, Resource.ENDPOINTS
SEEDS = range(60)
ONE = piece(pod("10.0.0.1", "a"), rv=5, name="one")
TWO = piece(pod("10.0.0.2", "b"), rv=6, name="two")
IS = frozenset({"is"})

Request = List | Watch


class World:
    """A reflector, its store and its time."""

    def __init__(self, seed: int = 1, start: float = 5000.0, **policy: Any) -> None:
        self.now = start
        self.store = Store(["is"])
        self.reflector = Reflector(self.store, Policy(**policy), Random(seed), start)
        self.waited = 0.0

    def ask(self) -> Request:
        """The next request, when its time has come; `waited` is how long that took."""
        begun = self.now
        while isinstance(action := self.reflector.next(self.now), Wait):
            assert action.until > self.now, "a wait that is over"
            self.now = action.until
        self.waited = self.now - begun
        return action

    def ask_list(self) -> List:
        action = self.ask()
        assert isinstance(action, List), action
        return action

    def ask_watch(self) -> Watch:
        action = self.ask()
        assert isinstance(action, Watch), action
        return action

    def answer(self, asked: List, rv: str, *slices: EndpointSlice) -> frozenset[str]:
        return self.reflector.listed(asked, Listing(rv, tuple(map(item, slices))), self.now, self.now)

    def open(self) -> Watch:
        """Ask, which must be for a watch, and accept it."""
        asked = self.ask_watch()
        assert self.reflector.opened(asked, self.now)
        return asked

    def fail(self, error: errors.ApiError) -> None:
        self.reflector.failed(error, self.now)

    def end(self, cause: Cause = Cause.ENDED, after: float = 0.0) -> None:
        self.now += after
        self.reflector.ended(cause, self.now)

    def verify(self, rv: str, *slices: EndpointSlice, asked: List | None = None) -> tuple[frozenset[str], bool]:
        """The answer to a verification; without `asked`, to one that is asked for now."""
        asked = asked or self.reflector.verification()
        assert asked.resource_version == "", "a verification asks for the most recent version"
        return self.reflector.verified(asked, Listing(rv, tuple(map(item, slices))), self.now, self.now)

    @property
    def names(self) -> set[str]:
        return {slice.metadata.name for slice in self.store.slices("is")}


def listed(seed: int = 1, rv: str = "10", *slices: EndpointSlice, **policy: Any) -> World:
    """A world with its first list, about to watch."""
    world = World(seed, **policy)
    world.answer(world.ask_list(), rv, *(slices or (ONE,)))
    return world


def watching(seed: int = 1, **policy: Any) -> World:
    """A world on a stream that has been healthy for an hour, so that no earlier failure counts."""
    world = listed(seed, **policy)
    world.open()
    world.now += 3600
    return world


def listing(seed: int = 1) -> World:
    """A world that has a list, of version 10, and is about to relist from it."""
    world = watching(seed)
    world.fail(errors.BadAnswer("broken line"))
    world.now += 100.0
    assert world.ask_list().resource_version == "10"
    return world


STATES: dict[Step, Callable[[int], World]] = {Step.WATCH: watching, Step.LIST: listing}


def every_error() -> list[type[errors.ApiError]]:
    def below(kind: type[errors.ApiError]) -> list[type[errors.ApiError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in below(child))]

    return [kind for kind in below(errors.ApiError) if kind is not errors.ApiError]


# First list, relist, watch


def test_the_first_list_asks_for_the_most_recent_version_at_once() -> None:
    world = World()
    asked = world.ask_list()
    assert (asked.resource, asked.resource_version, asked.cause, world.waited) == (SLICES, "", Cause.START, 0.0)


def test_the_first_list_asks_for_it_until_there_is_one() -> None:
    world = World()
    for _ in range(5):
        assert world.ask_list().resource_version == ""
        world.fail(errors.Unreachable("refused"))


def test_before_the_first_list_there_is_nothing() -> None:
    reflector = World().reflector
    assert not reflector.listed_once and reflector.proved_at is None and reflector.resource_version == ""


def test_a_list_is_followed_by_a_watch_from_its_version_at_once() -> None:
    world = listed(1, "10", ONE, TWO)
    asked = world.ask_watch()
    assert (asked.resource, asked.resource_version, world.waited) == (SLICES, "10", 0.0)
    assert world.reflector.listed_once and world.names == {"one", "two"}


def test_a_list_replaces_and_tells_whose_slices_changed() -> None:
    world = listed(1, "10", ONE)
    world.open()
    world.fail(errors.Expired("410"))
    assert world.answer(world.ask_list(), "20", TWO) == {"is"}
    assert world.names == {"two"}


def test_timeout_seconds_are_uniform_between_240_and_300() -> None:
    found = [listed(seed).ask_watch().timeout_seconds for seed in range(600)]
    assert (min(found), max(found)) == (240, 300)
    assert 266 < sum(found) / len(found) < 274


@pytest.mark.parametrize("stale_after", [90.0, 30.0])
def test_silence_is_two_thirds_to_five_sixths_of_stale_after(stale_after: float) -> None:
    found = [listed(seed, stale_after=stale_after).ask_watch().silence for seed in range(300)]
    assert stale_after * 2 / 3 <= min(found) < stale_after * 0.68
    assert stale_after * 0.82 < max(found) <= stale_after * 5 / 6


def test_a_watch_is_not_waited_for_longer_than_a_silent_stream() -> None:
    for stale_after in (90.0, 9.0):
        asked = listed(stale_after=stale_after).ask_watch()
        assert 0 < asked.answer_timeout <= asked.silence


# Progress


def test_every_event_and_bookmark_moves_the_version() -> None:
    world = watching()
    assert world.reflector.received(event("ADDED", TWO, 11), world.now) == {"is"}
    assert world.reflector.resource_version == "11"
    assert world.reflector.received(bookmark(15), world.now) == frozenset()
    assert world.reflector.resource_version == "15"
    assert world.reflector.received(event("DELETED", TWO, 16), world.now) == {"is"}
    world.end(after=5)
    assert world.ask_watch().resource_version == "16"


def test_an_unchanged_object_changes_nothing_but_the_version() -> None:
    world = watching()
    assert world.reflector.received(event("MODIFIED", ONE, 12), world.now) == frozenset()
    assert world.reflector.resource_version == "12" and world.names == {"one"}


def test_events_are_counted_and_bookmarks_are_not() -> None:
    world = watching()
    world.reflector.received(event("ADDED", TWO, 11), world.now)
    world.reflector.received(bookmark(12), world.now)
    assert world.reflector.events == 1


# Ends without an error


@pytest.mark.parametrize("cause", [Cause.ENDED, Cause.QUIET, Cause.RESTORED])
def test_after_a_clean_end_the_watch_goes_on_from_the_last_version_at_once(cause: Cause) -> None:
    world = watching()
    world.reflector.received(bookmark(33), world.now)
    world.end(cause, after=70)
    assert world.ask_watch().resource_version == "33" and world.waited == 0.0
    assert world.reflector.watch_restarts == {cause: 1}


def test_a_stream_that_ends_within_a_second_without_an_event_backs_off() -> None:
    waits = []
    for seed in SEEDS:
        world = listed(seed)
        world.open()
        world.end(after=0.9)
        assert world.ask_watch().resource_version == "10"
        assert world.reflector.watch_restarts == {Cause.SHORT: 1}
        waits.append(world.waited)
    assert 0 < max(waits) <= 0.2


@pytest.mark.parametrize("cause", [Cause.ENDED, Cause.QUIET])
def test_a_short_stream_is_only_one_that_the_server_ended(cause: Cause) -> None:
    world = listed()
    world.open()
    world.end(cause, after=1.0)
    assert cause in world.reflector.watch_restarts


def test_a_short_stream_with_an_event_is_no_short_stream() -> None:
    world = listed()
    world.open()
    world.reflector.received(bookmark(11), world.now)
    world.end(after=0.1)
    world.ask_watch()
    assert world.waited == 0.0 and Cause.SHORT not in world.reflector.watch_restarts


def test_streams_that_always_end_at_once_are_asked_for_ever_more_slowly() -> None:
    """The naive client sends 1000 requests a second (watch.md F4)."""
    world, requests = listed(), 0
    end = world.now + 600
    while world.now < end:
        serve_short_streams(world)
        requests += 1
    assert requests < 100


def serve_short_streams(world: World) -> Request:
    """One request, answered: a list as it was, a watch with an accepted stream that is over at once."""
    asked = world.ask()
    if isinstance(asked, List):
        world.answer(asked, "10", ONE)
    else:
        world.reflector.opened(asked, world.now)
        world.end()
    return asked


@pytest.mark.parametrize("cause", [Cause.ENDED, Cause.CUT])
def test_streams_that_bring_nothing_lead_to_a_list(cause: Cause) -> None:
    """An accepted watch that is over at once proves nothing for long: a list tells whether the server is there."""
    world = listed()
    kinds = []
    for _ in range(6):
        asked = world.ask()
        kinds.append(type(asked))
        if isinstance(asked, Watch):
            world.reflector.opened(asked, world.now)
            world.end(cause, after=0.1)
    assert kinds == [*[Watch] * 5, List]
    assert world.reflector.source == "endpointslices", "a list, and the next watch at once"


@pytest.mark.parametrize("good", ["an event", "a minute"])
def test_a_good_stream_between_them_begins_the_count_anew(good: str) -> None:
    world = listed()
    for number in range(20):
        world.open()
        if number % 5 == 4 and good == "an event":
            world.reflector.received(bookmark(11 + number), world.now)
        world.end(after=60 if number % 5 == 4 and good == "a minute" else 0.1)
    assert isinstance(world.ask(), Watch)


def test_error_events_in_a_row_lead_to_a_list() -> None:
    world = listed()
    for _ in range(3):
        world.open()
        world.fail(errors.ServerFault("500 in the stream"))
    assert world.ask_list().resource_version == "10"


def test_where_the_next_streams_bring_nothing_either_it_is_polled() -> None:
    for seed in SEEDS:
        world = listed(seed)
        for _ in range(20):
            if not world.reflector.lists["poll"]:
                serve_short_streams(world)
        assert world.reflector.source == "endpointslices-polling" and "watch" in world.reflector.refusals
        since = world.now
        while isinstance(asked := world.ask(), List):
            world.answer(asked, "10", ONE)
            assert world.reflector.problem is None
        assert world.now - since <= 75
        world.reflector.opened(asked, world.now)
        world.reflector.received(bookmark(12), world.now)
        assert (world.reflector.source, world.reflector.refusals) == ("endpointslices", {})


def test_a_stream_that_is_cut_is_opened_anew_from_the_last_version() -> None:
    waits = []
    for seed in SEEDS:
        world = watching(seed)
        world.reflector.received(bookmark(12), world.now)
        world.end(Cause.CUT)
        assert world.ask_watch().resource_version == "12"
        waits.append(world.waited)
    assert 0.1 < max(waits) <= 0.2


# Errors: the table of design.md


@dataclass(frozen=True)
class Expected:
    """What follows an error: the next step, its version ("10" is the last, "" the most recent), and the delay."""

    step: Step
    version: str
    shortest: float
    longest: float


AT_ONCE, BACKOFF, SLOW = (0.0, 0.0), (0.0, 0.2), (30.0, 60.0)
KEEP, RECENT = "10", ""
PROMISES: dict[tuple[Step, type[errors.ApiError]], Expected] = {
    (Step.WATCH, errors.Unreachable): Expected(Step.WATCH, KEEP, *BACKOFF),
    (Step.WATCH, errors.Silent): Expected(Step.WATCH, KEEP, *BACKOFF),
    (Step.WATCH, errors.Throttled): Expected(Step.WATCH, KEEP, *BACKOFF),
    (Step.WATCH, errors.ServerFault): Expected(Step.WATCH, KEEP, *BACKOFF),
    (Step.WATCH, errors.Unauthorized): Expected(Step.WATCH, KEEP, *AT_ONCE),
    (Step.WATCH, errors.Expired): Expected(Step.LIST, RECENT, *AT_ONCE),
    (Step.WATCH, errors.TooLarge): Expected(Step.LIST, RECENT, *AT_ONCE),
    (Step.WATCH, errors.NotFound): Expected(Step.LIST, KEEP, *AT_ONCE),
    (Step.WATCH, errors.BadAnswer): Expected(Step.LIST, KEEP, *BACKOFF),
    (Step.WATCH, errors.Rejected): Expected(Step.LIST, RECENT, *BACKOFF),
    (Step.WATCH, errors.Forbidden): Expected(Step.LIST, RECENT, 9.0, 11.0),  # lists and polls
    (Step.LIST, errors.Unreachable): Expected(Step.LIST, KEEP, *BACKOFF),
    (Step.LIST, errors.Silent): Expected(Step.LIST, KEEP, *BACKOFF),
    (Step.LIST, errors.Throttled): Expected(Step.LIST, KEEP, *BACKOFF),
    (Step.LIST, errors.ServerFault): Expected(Step.LIST, KEEP, *BACKOFF),
    (Step.LIST, errors.Unauthorized): Expected(Step.LIST, KEEP, *AT_ONCE),
    (Step.LIST, errors.Expired): Expected(Step.LIST, RECENT, *AT_ONCE),
    (Step.LIST, errors.TooLarge): Expected(Step.LIST, RECENT, *AT_ONCE),
    (Step.LIST, errors.BadAnswer): Expected(Step.LIST, KEEP, 0.0, 0.4),  # the second failure: doubled
    (Step.LIST, errors.Rejected): Expected(Step.LIST, RECENT, *BACKOFF),
    (Step.LIST, errors.Forbidden): Expected(Step.LIST, KEEP, 0.1, 0.5),  # it was allowed before: in doubt
    (Step.LIST, errors.NotFound): Expected(Step.LIST, KEEP, 0.1, 0.5),
}
SECOND_FAILURE = 0.4
"""`listing` has one failure behind it, so its backoff has doubled once."""


def _id(row: tuple[Step, type[errors.ApiError]]) -> str:
    return f"{row[0].value}: {row[1].__name__}"


@pytest.mark.parametrize("row", list(PROMISES), ids=_id)
def test_what_follows_an_error(row: tuple[Step, type[errors.ApiError]]) -> None:
    (step, kind), expected = row, PROMISES[row]
    longest = SECOND_FAILURE if step is Step.LIST and expected.longest == 0.2 else expected.longest
    waits = []
    for seed in SEEDS:
        world = STATES[step](seed)
        world.fail(kind("why"))
        asked = world.ask()
        assert isinstance(asked, List) == (expected.step is Step.LIST)
        assert asked.resource_version == expected.version
        assert world.names == {"one"}, "nothing is emptied by an error"
        assert expected.shortest <= world.waited <= longest
        waits.append(world.waited)
    middle = (expected.shortest + longest) / 2
    assert longest == 0 or min(waits) < middle < max(waits), "jitter over the whole range"


def test_every_error_in_every_step_has_a_promise() -> None:
    assert {(step, kind) for step in Step for kind in every_error()} == set(PROMISES)


@pytest.mark.parametrize("source", ["auto", "endpointslices", "endpoints"])
def test_any_sequence_of_errors_leads_to_a_request_and_recovers(source: str) -> None:
    """Every pair of step and cause that can occur has a rule; and once the faults end the list is right again."""
    kinds = every_error()
    for seed in range(40):
        random, world = Random(seed), World(seed, source=source)
        rv, requests, begun = 10, 0, world.now
        for _ in range(120):
            asked = world.ask()
            requests += 1
            dice = random.random()
            if dice < 0.6:
                world.fail(random.choice(kinds)("x", retry_after=random.choice([None, None, 3.0])))
            elif isinstance(asked, List):
                rv += 1
                world.answer(asked, str(rv), ONE)
            elif world.reflector.opened(asked, world.now):
                world.end(random.choice([Cause.ENDED, Cause.CUT, Cause.QUIET]), after=random.choice([0.0, 5.0, 70.0]))
            assert world.names <= {"one"}
            assert not world.reflector.listed_once or world.names == {"one"}
        assert requests / (world.now - begun) < 5
        for _ in range(10):
            asked = world.ask()
            if isinstance(asked, Watch):
                break
            rv += 1
            world.answer(asked, str(rv), TWO)
        assert isinstance(asked, Watch) and world.reflector.opened(asked, world.now)
        assert world.names == {"two"} or world.reflector.resource_version == str(rv)
        assert world.reflector.problem is None


def test_the_rules_name_no_version_to_keep_where_it_is_gone() -> None:
    for (step, cause), rule in RULES.items():
        assert rule.keep_version == (
            cause not in (Cause.EXPIRED, Cause.TOO_LARGE, Cause.OUTDATED, Cause.REJECTED)
        ), step
        assert rule.delay is not Delay.NONE or cause in (Cause.ENDED, Cause.QUIET, Cause.RESTORED), (step, cause)


def test_lists_and_restarts_are_counted_by_reason() -> None:
    world = watching()
    world.fail(errors.BadAnswer("broken line"))
    world.ask_list()
    assert world.reflector.watch_restarts == {"bad-answer": 1}
    assert world.reflector.lists == {"start": 1, "bad-answer": 1}


def test_an_error_is_the_problem_until_the_next_answer() -> None:
    world = watching()
    error = errors.ServerFault("500")
    world.fail(error)
    assert world.reflector.problem is error
    world.open()
    assert world.reflector.problem is None
    world.fail(errors.BadAnswer("x"))
    world.answer(world.ask_list(), "20", ONE)
    assert world.reflector.problem is None


# Backoff


def fail_often(world: World, times: int, error: errors.ApiError | None = None) -> list[float]:
    waits = []
    for _ in range(times):
        world.fail(error or errors.Unreachable("refused"))
        world.ask()
        waits.append(world.waited)
    return waits


def test_backoff_doubles_from_200_ms_to_30_s_with_full_jitter() -> None:
    runs = [fail_often(watching(seed), 14) for seed in range(200)]
    for number, waits in enumerate(zip(*runs, strict=True)):
        ceiling = min(30.0, 0.2 * 2**number)
        assert max(waits) <= ceiling
        assert min(waits) < 0.1 * ceiling and max(waits) > 0.9 * ceiling, f"failure {number + 1}"


def test_before_the_first_list_backoff_ends_at_5_s() -> None:
    runs = [fail_often(World(seed), 12) for seed in range(200)]
    for number, waits in enumerate(zip(*runs, strict=True)):
        ceiling = min(5.0, 0.2 * 2**number)
        assert 0.9 * ceiling < max(waits) <= ceiling, f"failure {number + 1}"


def test_backoff_stays_at_its_limit_in_a_long_outage() -> None:
    world = watching()
    begun = world.now
    waits = fail_often(world, 300)
    assert max(waits[-100:]) > 25 and sum(waits[-100:]) / 100 > 10
    assert world.now - begun > 3600


def test_backoff_starts_again_after_a_stream_of_60_s() -> None:
    for seed in SEEDS:
        world = watching(seed)
        fail_often(world, 10)
        world.reflector.opened(world.ask_watch(), world.now)
        world.end(Cause.CUT, after=60.0)
        world.ask()
        assert world.waited <= 0.2


def test_backoff_does_not_start_again_after_a_shorter_one() -> None:
    waits = []
    for seed in SEEDS:
        world = watching(seed)
        fail_often(world, 10)
        world.reflector.opened(world.ask_watch(), world.now)
        world.end(Cause.CUT, after=59.0)
        world.ask()
        waits.append(world.waited)
    assert max(waits) > 15


def test_backoff_does_not_start_again_because_a_list_came() -> None:
    waits = []
    for seed in SEEDS:
        world = World(seed)
        fail_often(world, 10)
        world.answer(world.ask_list(), "10", ONE)
        world.ask()
        waits += fail_often(world, 1)
    assert max(waits) > 15


def test_an_hour_of_healthy_quiet_streams_resets_the_backoff() -> None:
    waits = []
    for seed in SEEDS:
        world = watching(seed, stale_after=45.0)
        fail_often(world, 10)
        for _ in range(100):
            asked = world.open()
            world.end(Cause.QUIET, after=asked.silence)
        world.ask_watch()
        waits += fail_often(world, 1)
    assert max(waits) <= 0.2


def test_an_hour_of_healthy_polling_resets_the_backoff() -> None:
    waits = []
    for seed in SEEDS:
        world = watching(seed)
        fail_often(world, 10)
        for _ in range(200):
            asked = world.ask()
            if isinstance(asked, Watch):
                world.fail(errors.Forbidden("watch"))
            else:
                world.answer(asked, "10", ONE)
        while isinstance(world.ask(), Watch):
            world.fail(errors.Forbidden("watch"))
        waits += fail_often(world, 1)
    assert max(waits) <= 0.2


# Eager retries


@pytest.mark.parametrize(
    "error",
    [errors.Unauthorized, errors.Expired, errors.TooLarge, errors.NotFound],
    ids=lambda kind: str(kind.__name__),
)
def test_a_retry_without_delay_comes_once_and_then_backs_off(error: type[errors.ApiError]) -> None:
    second = []
    for seed in SEEDS:
        world = watching(seed, source="endpointslices")
        world.fail(error("x"))
        asked = world.ask()
        assert world.waited == 0.0
        if isinstance(asked, List):  # the list works, and the watch fails again
            world.answer(asked, "10", ONE)
            world.ask_watch()
        world.fail(error("x"))
        world.ask()
        second.append(world.waited)
    assert 0.1 < max(second) <= 0.2


@pytest.mark.parametrize("error", [errors.Unauthorized, errors.Expired, errors.TooLarge, errors.NotFound])
def test_an_answer_that_repeats_does_not_become_a_loop(error: type[errors.ApiError]) -> None:
    """The naive clients send 200 to 800 requests a second (watch.md F10, F12)."""
    world, times = watching(), list[float]()
    end = world.now + 600
    while world.now < end:
        asked = world.ask()
        times.append(world.now)
        if isinstance(asked, Watch):
            world.fail(error("x"))
        else:
            world.answer(asked, "10", ONE)
    assert len(times) < 250
    assert all(sum(1 for other in times if at <= other < at + 1) <= 12 for at in times)


def test_a_401_is_no_problem_until_the_retry_with_the_token_read_anew_fails_too() -> None:
    world = watching()
    world.fail(errors.Unauthorized("401"))
    assert world.reflector.problem is None
    world.ask_watch()
    world.fail(errors.Unauthorized("401"))
    assert isinstance(world.reflector.problem, errors.Unauthorized)


def test_a_410_is_never_followed_by_the_same_version() -> None:
    world = watching()
    for _ in range(20):
        world.fail(errors.Expired("410"))
        asked = world.ask_list()
        assert asked.resource_version == ""
        world.answer(asked, str(int(world.reflector.resource_version) + 5), ONE)
        assert world.ask_watch().resource_version == world.reflector.resource_version


def test_a_410_of_the_list_asks_for_the_most_recent_version() -> None:
    world = listing()
    world.fail(errors.Expired("410"))
    assert world.ask_list().resource_version == ""


# Retry-After


@pytest.mark.parametrize("step", list(Step), ids=lambda step: str(step.value))
@pytest.mark.parametrize("error", [errors.Throttled, errors.ServerFault], ids=["429", "5xx"])
@pytest.mark.parametrize(
    "asked, shortest, longest", [(1, 1, 2.0), (5, 5, 6.25), (60, 60, 75), (3600, 60, 75), (-5, 0, 1)]
)
def test_retry_after_is_obeyed_up_to_60_s_with_jitter_on_top(
    step: Step, error: type[errors.ApiError], asked: float, shortest: float, longest: float
) -> None:
    waits = []
    for seed in SEEDS:
        world = STATES[step](seed)
        world.fail(error("x", retry_after=asked))
        world.ask()
        waits.append(world.waited)
    assert shortest <= min(waits) and max(waits) <= longest
    assert max(waits) - min(waits) > 0.5 * (longest - shortest), "who was told the same does not come back together"


def test_the_longer_of_retry_after_and_backoff_counts() -> None:
    waits = []
    for seed in SEEDS:
        world = watching(seed)
        fail_often(world, 10)
        world.fail(errors.Throttled("429", retry_after=1))
        world.ask()
        waits.append(world.waited)
    assert max(waits) > 15 and min(waits) >= 1


# Watches that fail although the server answers


def test_watches_that_fail_in_a_row_lead_to_a_list() -> None:
    """A proxy that cannot stream: the list keeps the truth."""
    for error in (errors.ServerFault("502"), errors.Silent("no answer")):
        world = watching()
        kinds = []
        for _ in range(8):
            world.fail(error)
            asked = world.ask()
            kinds.append(type(asked))
            if isinstance(asked, List):
                assert asked.resource_version == "10"
                break
        assert kinds[-1] is List and kinds.count(Watch) >= 2


def test_a_list_behind_a_proxy_that_cannot_stream_is_never_stale() -> None:
    """Each watch is held back for 15 s, and each list comes: polls keep it fresh, and say that they do."""
    for seed in range(20):
        world = watching(seed)
        end, oldest = world.now + 3600, 0.0
        world.reflector.received(bookmark(11), world.now)
        while world.now < end:
            asked = world.ask()
            oldest = max(oldest, world.now - (world.reflector.proved_at or 0))
            if isinstance(asked, List):
                world.answer(asked, "11", ONE)
            else:
                world.now += asked.answer_timeout
                world.fail(errors.Silent("no answer in time"))
        assert oldest < 90
        assert world.reflector.source == "endpointslices-polling"


def test_connections_that_fail_in_a_row_never_lead_to_a_list() -> None:
    world = watching()
    for _ in range(50):
        world.fail(errors.Unreachable("refused"))
        assert world.ask_watch().resource_version == "10"


# Fallback between resources


@pytest.mark.parametrize("error", [errors.Forbidden, errors.NotFound])
def test_where_slices_are_refused_endpoints_are_listed_and_watched(error: type[errors.ApiError]) -> None:
    world = World()
    world.ask_list()
    refusal = error("no slices")
    world.fail(refusal)
    asked = world.ask_list()
    assert (asked.resource, asked.resource_version, world.waited) == (ENDPOINTS, "", 0.0)
    world.answer(asked, "10", ONE)
    assert world.ask_watch().resource is ENDPOINTS
    assert (world.reflector.source, world.reflector.whole_truth) == ("endpoints", True)
    assert world.reflector.problem is None and world.reflector.refusals == {"slices": refusal}


def on_endpoints(seed: int = 1) -> World:
    world = World(seed)
    world.ask_list()
    world.fail(errors.Forbidden("no slices"))
    world.answer(world.ask_list(), "10", ONE)
    return world


def test_slices_are_asked_for_again_within_30_to_60_s_and_used_when_granted() -> None:
    for seed in SEEDS:
        world = on_endpoints(seed)
        since = world.now
        watch = world.open()
        assert watch.timeout_seconds <= 61
        world.end(after=watch.timeout_seconds)
        asked = world.ask_list()
        assert (asked.resource, asked.resource_version, asked.cause) == (SLICES, "", Cause.PROBE)
        assert 30 <= world.now - since <= 62
        world.answer(asked, "20", TWO)
        assert world.ask_watch().resource is SLICES and world.names == {"two"}
        assert (world.reflector.source, world.reflector.refusals) == ("endpointslices", {})


def test_slices_that_are_still_refused_leave_the_endpoints_watch_where_it_was() -> None:
    world = on_endpoints()
    for _ in range(5):
        watch = world.open()
        world.reflector.received(bookmark(int(world.reflector.resource_version) + 1), world.now)
        world.end(after=watch.timeout_seconds)
        last = world.reflector.resource_version
        assert world.ask_list().resource is SLICES
        world.fail(errors.Forbidden("no slices"))
        asked = world.ask_watch()
        assert (asked.resource, asked.resource_version, world.waited) == (ENDPOINTS, last, 0.0)
        assert world.names == {"one"} and world.reflector.problem is None
        assert world.reflector.source == "endpoints"


def poll_until_slices_are_asked_for(world: World) -> None:
    while (asked := world.ask()).resource is ENDPOINTS:
        if isinstance(asked, List):
            world.answer(asked, "11", ONE)
        else:
            world.fail(errors.Forbidden("may not watch"))


def watch_until_slices_are_asked_for(world: World) -> None:
    world.end(after=world.open().timeout_seconds)
    assert world.ask_list().resource is SLICES


@pytest.mark.parametrize("go_on", [watch_until_slices_are_asked_for, poll_until_slices_are_asked_for])
@pytest.mark.parametrize("error", every_error(), ids=lambda kind: str(kind.__name__))
def test_a_fallback_that_works_goes_on_whatever_the_question_for_slices_brings(
    error: type[errors.ApiError], go_on: Callable[[World], None]
) -> None:
    world = on_endpoints()
    for _ in range(3):
        since = world.now
        go_on(world)
        assert 25 <= world.now - since <= 75
        world.fail(error("not now", retry_after=3.0))
        assert world.names == {"one"} and world.reflector.problem is None
        assert world.reflector.source.startswith("endpoints")
        begun = world.now
        while isinstance(action := world.reflector.next(world.now), Wait):
            world.now = action.until
        assert action.resource is ENDPOINTS and 3.0 <= world.now - begun <= 4.0, "Retry-After"
        assert isinstance(action, Watch) == (go_on is watch_until_slices_are_asked_for)


def test_a_fallback_that_knows_nothing_of_a_service_does_not_empty_it() -> None:
    """Its controller may be switched off, and a refusal must never empty what slices gave."""
    for seed in SEEDS:
        world = watching(seed)
        world.fail(errors.Expired("410"))
        proved_at = world.reflector.proved_at
        for _ in range(3):
            while (asked := world.ask_list()).resource is SLICES:
                world.fail(errors.Forbidden("may not list slices"))
            assert world.answer(asked, "90") == frozenset()
            assert world.names == {"one"} and world.reflector.source == "endpointslices"
            problem = world.reflector.problem
            assert isinstance(problem, errors.Forbidden) and "v1 Endpoints know nothing of is" in str(problem)
            assert world.ask_list().resource is SLICES and 30 <= world.waited <= 60
        assert world.reflector.proved_at == proved_at, "it grows stale, and says so"
        world.answer(world.ask_list(), "95", TWO)
        assert world.names == {"two"} and world.reflector.problem is None


def test_a_fallback_of_which_a_service_is_empty_is_taken() -> None:
    world = watching()
    world.fail(errors.Expired("410"))
    while (asked := world.ask_list()).resource is SLICES:
        world.fail(errors.Forbidden("may not list slices"))
    assert world.answer(asked, "90", piece(rv=90, name="is")) == IS
    assert world.names == {"is"} and world.reflector.source == "endpoints"


def test_where_both_are_refused_both_are_named_and_asked_for_every_30_to_60_s() -> None:
    for seed in SEEDS:
        world = World(seed)
        for _ in range(4):
            assert world.ask_list().resource is SLICES
            world.fail(errors.Forbidden("may not list slices"))
            assert world.ask_list().resource is ENDPOINTS
            world.fail(errors.Forbidden("may not list endpoints"))
            assert isinstance(world.reflector.problem, errors.Forbidden)
            assert "slices" in str(world.reflector.problem) and "endpoints" in str(world.reflector.problem)
            world.ask()
            assert 30 <= world.waited <= 60


def test_rights_that_are_lost_altogether_stay_the_problem() -> None:
    """403: named in log, /readyz and exit code."""
    world = on_endpoints()
    world.open()
    world.now += 100
    refused, missing = 0, 0
    for _ in range(40):
        world.fail(errors.Forbidden("nothing is allowed"))
        refused += 1
        world.ask()
        missing += refused > 4 and world.reflector.problem is None
    assert not missing, f"{missing} of {refused - 4} times without a problem"


@pytest.mark.parametrize("error", [errors.Forbidden, errors.NotFound])
def test_a_refusal_of_what_was_allowed_is_not_believed_at_once(error: type[errors.ApiError]) -> None:
    """A balancer without a server behind it says 404, a server that has no Roles yet 403: both pass."""
    for seed in SEEDS:
        world = listing(seed)
        begun = world.now
        world.fail(error("no"))
        for _ in range(4):
            asked = world.ask_list()
            assert asked.resource is SLICES and 0.1 <= world.waited <= 0.5
            assert isinstance(world.reflector.problem, error)
            world.fail(error("no"))
        world.answer(world.ask_list(), "12", TWO)
        assert world.reflector.source == "endpointslices" and world.now - begun < 2.5
        world.open()
        world.now += 3600
        world.fail(errors.BadAnswer("another time"))
        world.ask_list()
        world.fail(error("no"))
        assert world.ask_list().resource is SLICES, "each time is a time of its own"


@pytest.mark.parametrize("error", [errors.Forbidden, errors.NotFound])
def test_a_refusal_that_goes_on_is_believed(error: type[errors.ApiError]) -> None:
    for seed in SEEDS:
        world = listing(seed)
        begun, asked = world.now, None
        while asked is None or asked.resource is SLICES:
            world.fail(error("no"))
            asked = world.ask_list()
        assert 2.5 <= world.now - begun <= 3.0 and world.names == {"one"}


def test_a_list_of_slices_takes_the_place_of_endpoints_also_where_those_are_newer() -> None:
    """A verification of Endpoints that comes while slices are asked for must not be kept beside them."""
    world = on_endpoints()
    watch = world.open()
    verification = world.reflector.verification()
    world.end(after=watch.timeout_seconds)
    asked = world.ask_list()
    assert asked.resource is SLICES
    world.verify("25", ONE, asked=verification)
    world.answer(asked, "20", TWO)
    assert world.reflector.source == "endpointslices" and world.names == {"two"}
    assert world.ask_watch().resource_version == "20"


@pytest.mark.parametrize("error", [errors.Forbidden, errors.NotFound])
@pytest.mark.parametrize("source, resource", [("endpointslices", SLICES), ("endpoints", ENDPOINTS)])
def test_a_source_that_was_named_does_not_fall_back(
    source: str, resource: Resource, error: type[errors.ApiError]
) -> None:
    for seed in SEEDS:
        world = World(seed, source=source)
        for _ in range(4):
            assert world.ask_list().resource is resource
            refusal = error("no")
            world.fail(refusal)
            assert world.reflector.problem is refusal
            world.ask()
            assert 30 <= world.waited <= 60


def test_the_named_source_endpoints_is_listed_and_watched() -> None:
    world = listed(source="endpoints")
    asked = world.ask_watch()
    assert asked.resource is ENDPOINTS and asked.timeout_seconds >= 240, "there is nothing to go back to"
    assert world.reflector.source == "endpoints"


# Polling


@pytest.mark.parametrize("interval", [10.0, 3.0])
def test_where_watch_is_forbidden_it_lists_at_the_poll_interval(interval: float) -> None:
    for seed in SEEDS:
        world = listed(seed, poll_interval=interval)
        world.ask_watch()
        refusal = errors.Forbidden("may not watch")
        world.fail(refusal)
        asked = world.ask_list()
        assert (asked.resource_version, asked.cause) == ("", Cause.POLL)
        assert 0.9 * interval <= world.waited <= 1.1 * interval
        world.answer(asked, "11", TWO)
        assert world.names == {"two"} and world.reflector.source == "endpointslices-polling"
        assert world.reflector.problem is None and world.reflector.refusals == {"watch": refusal}
        assert world.reflector.verify_at is None, "every poll is a verification"


def test_watch_is_asked_for_again_every_30_to_60_s_and_used_when_granted() -> None:
    for seed in SEEDS:
        world = listed(seed)
        world.ask_watch()
        for granted in (False, False, True):
            world.fail(errors.Forbidden("may not watch"))
            since = world.now
            while isinstance(asked := world.ask(), List):
                world.answer(asked, "11", ONE)
            assert 30 <= world.now - since <= 60 + 11
            assert world.reflector.source == "endpointslices-polling"
            if granted:
                assert world.reflector.opened(asked, world.now)
        assert (world.reflector.source, world.reflector.refusals) == ("endpointslices", {})
        assert world.reflector.verify_at is not None


def test_polling_endpoints_says_so() -> None:
    world = on_endpoints()
    world.ask_watch()
    world.fail(errors.Forbidden("may not watch"))
    assert world.reflector.source == "endpoints-polling"


def test_polling_endpoints_asks_for_slices_again() -> None:
    world = on_endpoints()
    since, asked = world.now, None
    while asked is None or asked.resource is ENDPOINTS:
        asked = world.ask()
        if isinstance(asked, Watch):
            world.fail(errors.Forbidden("may not watch"))
        elif asked.resource is ENDPOINTS:
            world.answer(asked, "11", ONE)
        assert world.now - since < 75
    assert isinstance(asked, List) and world.now - since >= 30


# Proofs and ages


def test_a_list_proves_from_when_it_was_asked_for() -> None:
    world = World()
    asked = world.ask_list()
    world.reflector.listed(asked, Listing("10", ()), 5001.0, 5004.0)
    assert world.reflector.proved_at == 5001.0


def test_an_accepted_watch_an_event_and_a_bookmark_prove() -> None:
    world = listed()
    world.now += 1
    world.open()
    assert world.reflector.proved_at == world.now
    for what in (event("ADDED", TWO, 11), bookmark(12)):
        world.now += 5
        world.reflector.received(what, world.now)
        assert world.reflector.proved_at == world.now


def test_no_failure_and_no_end_proves() -> None:
    world = watching()
    before = world.reflector.proved_at
    for kind in every_error():
        world.fail(kind("x"))
        world.ask()
        world.now += 1
    assert world.reflector.proved_at == before


def test_an_old_verification_does_not_make_the_proof_older() -> None:
    world = watching()
    world.reflector.received(bookmark(11), world.now)
    asked = world.reflector.verification()
    world.reflector.verified(asked, Listing("11", (item(ONE),)), world.now - 20, world.now)
    assert world.reflector.proved_at == world.now


# Verification


def test_the_first_verification_comes_after_5_min_and_half_of_it_at_most() -> None:
    waits = []
    for seed in range(300):
        world = listed(seed)
        assert world.reflector.verify_at is not None
        waits.append(world.reflector.verify_at - world.now)
    assert 150 <= min(waits) < 160 and 440 < max(waits) <= 450


def test_each_verification_plans_the_next_one() -> None:
    world = watching()
    for _ in range(5):
        world.verify("10", ONE)
        assert world.reflector.verify_at is not None
        assert 150 <= world.reflector.verify_at - world.now <= 450
    assert world.reflector.lists["periodic"] == 5


def test_a_verification_that_runs_is_not_asked_for_again() -> None:
    world = watching()
    world.reflector.verification()
    assert world.reflector.verify_at is None


def test_a_verification_that_failed_comes_again_and_leaves_the_stream_alone() -> None:
    for seed in SEEDS:
        world = watching(seed)
        world.reflector.verification()
        world.reflector.verification_failed(errors.ServerFault("500"), world.now)
        assert world.reflector.verify_at is not None
        assert 30 <= world.reflector.verify_at - world.now <= 60
        assert world.names == {"one"} and world.reflector.problem is None


def test_a_verification_that_was_told_to_wait_waits() -> None:
    world = watching()
    world.reflector.verification()
    world.reflector.verification_failed(errors.Throttled("429", retry_after=60), world.now)
    assert world.reflector.verify_at is not None and world.reflector.verify_at - world.now >= 60


def test_verified_equal_changes_nothing() -> None:
    world = watching()
    assert world.verify("10", ONE) == (frozenset(), False)
    assert world.reflector.resource_version == "10" and world.reflector.restored == 0


def test_verified_equal_but_different_is_healed() -> None:
    """A bug of ours, or of the stream: the list is truth."""
    world = watching()
    assert world.verify("10", TWO) == (IS, False)
    assert world.names == {"two"} and world.reflector.restored == 0


def test_verified_ahead_replaces_and_the_stream_goes_on() -> None:
    world = watching()
    assert world.verify("20", TWO) == (IS, False)
    assert world.names == {"two"} and world.reflector.resource_version == "20"


def test_a_stream_that_a_list_overtook_does_not_go_back_in_time() -> None:
    world = watching()
    world.verify("20", TWO)
    older = piece(pod("10.0.0.9", "z"), rv=15, name="two")
    for late in (event("MODIFIED", older), event("DELETED", TWO, 20), bookmark(18)):
        assert world.reflector.received(late, world.now) == frozenset()
        assert world.reflector.resource_version == "20" and world.names == {"two"}
    assert TWO in world.store.slices("is")
    assert world.reflector.received(event("ADDED", ONE, 21), world.now) == {"is"}
    assert world.reflector.resource_version == "21" and world.names == {"one", "two"}


def test_what_comes_late_on_an_overtaken_stream_proves_nevertheless() -> None:
    world = watching()
    world.verify("20", TWO)
    world.now += 5
    world.reflector.received(bookmark(15), world.now)
    assert world.reflector.proved_at == world.now


def test_verified_behind_the_stream_changes_nothing() -> None:
    world = watching()
    asked = world.reflector.verification()
    world.reflector.received(event("ADDED", TWO, 30), world.now)
    assert world.verify("20", ONE, asked=asked) == (frozenset(), False)
    assert world.names == {"one", "two"} and world.reflector.resource_version == "30"
    assert world.reflector.restored == 0


def test_verified_older_than_what_we_held_is_a_restored_server() -> None:
    world = watching()
    assert world.verify("3", TWO) == (IS, True)
    assert world.names == {"two"} and world.reflector.restored == 1
    world.end(Cause.RESTORED)
    assert world.open().resource_version == "3" and world.waited == 0.0
    assert world.reflector.received(event("ADDED", ONE, 4), world.now) == {"is"}, "nothing is held against it"


def test_a_watch_asked_for_before_the_restore_was_found_is_opened_anew() -> None:
    world = listed()
    asked = world.ask_watch()
    world.verify("3", TWO)
    assert not world.reflector.opened(asked, world.now)
    world.end(Cause.RESTORED)
    assert world.ask_watch().resource_version == "3"


def test_a_watch_asked_for_before_a_list_overtook_it_does_not_go_back_in_time() -> None:
    world = listed()
    asked = world.ask_watch()
    world.verify("20", TWO)
    assert world.reflector.opened(asked, world.now)
    assert world.reflector.received(event("DELETED", TWO, 20), world.now) == frozenset()
    assert world.names == {"two"}


def test_verified_with_versions_that_do_not_compare_replaces_and_opens_anew() -> None:
    world = listed(1, "abc")
    world.open()
    assert world.verify("xyz", TWO) == (IS, True)
    assert world.names == {"two"} and world.reflector.restored == 0
    world.end(Cause.RESTORED)
    assert world.ask_watch().resource_version == "xyz"


def test_a_watch_whose_version_does_not_compare_with_a_list_beside_it_hears_events() -> None:
    world = listed(1, "abc")
    asked = world.ask_watch()
    world.verify("xyz", ONE)
    if not world.reflector.opened(asked, world.now):
        world.end(Cause.RESTORED)
        world.open()
    assert world.reflector.received(event("ADDED", TWO, "uvw"), world.now) == {"is"}


def test_verified_for_a_resource_that_is_not_used_any_more_is_ignored() -> None:
    world = on_endpoints()
    world.open()
    asked = replace(world.reflector.verification(), resource=SLICES)
    assert world.verify("50", TWO, asked=asked) == (frozenset(), False)
    assert world.names == {"one"}


# Lists that are older than what we hold


def test_a_relist_that_is_older_than_asked_for_is_asked_for_again_as_the_most_recent() -> None:
    world = watching()
    world.fail(errors.BadAnswer("x"))
    assert world.answer(world.ask_list(), "5", TWO) == frozenset()
    assert world.names == {"one"} and world.reflector.restored == 0
    asked = world.ask_list()
    assert (asked.resource_version, asked.cause, world.waited) == ("", Cause.OUTDATED, 0.0)


@pytest.mark.parametrize("told", [bookmark(9), event("DELETED", ONE, 9)], ids=["bookmark", "object"])
def test_a_stream_that_goes_back_is_never_taken(told: Event) -> None:
    """A restored server, or another one behind the same address: only a list tells what there is."""
    world = watching()
    with pytest.raises(errors.Expired, match="goes back from version 10 to 9") as raised:
        world.reflector.received(told, world.now)
    assert world.reflector.resource_version == "10" and world.names == {"one"}
    assert world.reflector.proved_at != world.now, "no proof of what is held"
    world.fail(raised.value)
    asked = world.ask_list()
    assert asked.resource_version == "" and world.waited == 0.0
    world.answer(asked, "9", TWO)
    assert world.names == {"two"} and world.reflector.restored == 1


def test_a_stream_that_repeats_a_version_goes_on() -> None:
    world = watching()
    assert world.reflector.received(bookmark(10), world.now) == frozenset()


def test_a_most_recent_list_that_is_older_is_a_restored_server() -> None:
    world = watching()
    world.fail(errors.Expired("410"))
    assert world.answer(world.ask_list(), "5", TWO) == {"is"}
    assert world.names == {"two"} and world.reflector.restored == 1
    assert world.ask_watch().resource_version == "5"


def test_a_most_recent_list_that_is_newer_or_equal_is_no_restore() -> None:
    for rv in ("10", "11"):
        world = watching()
        world.fail(errors.Expired("410"))
        world.answer(world.ask_list(), rv, TWO)
        assert world.reflector.restored == 0


def test_a_slow_list_that_a_verification_overtook_is_no_restore() -> None:
    world = watching()
    world.fail(errors.Expired("410"))
    slow = world.ask_list()
    world.verify("20", TWO)
    world.answer(slow, "15", ONE)
    assert world.reflector.restored == 0
    assert world.names == {"two"}, "went back in time"


def test_a_restore_that_a_verification_found_first_is_counted_once_and_listed_anew() -> None:
    """Found by tests/simulation: which of the two answers is the later one nobody can tell, so it is asked again."""
    world = watching()
    world.fail(errors.Expired("410"))
    slow = world.ask_list()
    assert world.verify("5", TWO) == (IS, True)
    assert world.answer(slow, "4", ONE) == frozenset()
    assert world.names == {"two"} and world.reflector.restored == 1
    asked = world.ask_list()
    assert (asked.resource_version, asked.held) == ("", "5")
    assert world.answer(asked, "6", ONE) == {"is"} and world.reflector.restored == 1


def test_a_list_asked_for_before_a_verification_came_does_not_go_back_in_time() -> None:
    """Found by tests/simulation: after a restore the verification may happen to be of the version that was held."""
    world = watching()
    world.fail(errors.Expired("410"))
    slow, sent_at = world.ask_list(), world.now
    world.now += 1.0
    assert world.verify("10", TWO) == (IS, False)
    assert world.reflector.listed(slow, Listing("8", (item(ONE),)), sent_at, world.now) == frozenset()
    assert world.names == {"two"} and world.ask_list().resource_version == ""


def test_a_verification_asked_for_before_our_own_list_came_does_not_count() -> None:
    """Found by tests/simulation: the list went back in time, and the restore was counted twice."""
    world = watching()
    asked, sent_at = world.reflector.verification(), world.now
    world.fail(errors.Expired("410"))
    world.now += 1.0
    assert world.answer(world.ask_list(), "6", TWO) == {"is"} and world.reflector.restored == 1
    assert world.reflector.verified(asked, Listing("5", (item(ONE),)), sent_at, world.now) == (frozenset(), False)
    assert world.names == {"two"} and world.reflector.restored == 1
    assert world.reflector.verify_at is not None, "it is asked for again"


# Load


@pytest.mark.parametrize("error", every_error(), ids=lambda kind: str(kind.__name__))
def test_no_failure_leads_to_more_than_5_requests_in_any_second(error: type[errors.ApiError]) -> None:
    """Reflector and pace together, 20 namespaces; each request fails at once."""
    pace, times = Pace(), list[float]()
    worlds = [World(seed) for seed in range(20)]
    now = worlds[0].now
    due = {number: now for number in range(20)}
    while len(times) < 300 and now < 5600.0:
        number = min(due, key=lambda candidate: due[candidate])
        world, now = worlds[number], max(now, due[number])
        action = world.reflector.next(now)
        if isinstance(action, Wait):
            due[number] = action.until
        elif wait := pace.wait(now):
            due[number] = now + wait
        else:
            pace.end(pace.take(now), now)
            times.append(now)
            world.reflector.failed(error("x"), now)
            due[number] = now
    assert len(times) > 20
    assert all(sum(1 for other in times[at : at + 10] if other < times[at] + 0.999) <= 5 for at in range(len(times)))


def test_on_recovery_sidecars_do_not_come_together() -> None:
    """A thousand lose the same server at once: the first retries are spread over the whole delay."""
    waits = []
    for seed in range(1000):
        world = watching(seed)
        world.fail(errors.Unreachable("refused"))
        world.ask()
        waits.append(world.waited)
    tenths = [sum(1 for wait in waits if tenth <= wait * 50 < tenth + 1) for tenth in range(10)]
    assert min(tenths) > 60, tenths


@pytest.mark.parametrize("step", ["list", "watch"])
@pytest.mark.parametrize("fault", [errors.Unreachable, errors.Silent, errors.ServerFault, errors.Throttled])
def test_a_403_of_a_server_that_was_away_just_now_is_asked_again_soon(fault: type[errors.ApiError], step: str) -> None:
    """A kube-apiserver that has just started answers 403 until it has read its Roles."""
    for seed in SEEDS:
        world = World(seed) if step == "list" else watching(seed)
        world.ask()
        world.fail(fault("away"))
        world.ask()
        world.fail(errors.Forbidden("not yet"))
        asked = world.ask()
        assert world.waited <= 0.5
        assert asked.resource is SLICES and isinstance(asked, List if step == "list" else Watch)
        assert isinstance(world.reflector.problem, errors.Forbidden)


def test_a_doubt_ends_with_a_good_stream() -> None:
    """Else the next 404 of a balancer, however late, would be believed at once."""
    world = watching()
    world.fail(errors.Unreachable("away"))
    world.ask_watch()
    world.fail(errors.Forbidden("not yet"))
    world.open()
    world.now += 100
    world.fail(errors.Expired("410"))
    assert world.ask_list().resource is SLICES
    world.fail(errors.NotFound("no server behind the balancer"))
    assert world.ask_list().resource is SLICES and world.waited <= 0.5


def test_a_403_long_after_a_fault_is_believed() -> None:
    world = World(source="endpointslices")
    world.ask()
    world.fail(errors.Unreachable("away"))
    world.now += 31
    world.ask()
    world.fail(errors.Forbidden("no"))
    world.ask()
    assert world.waited >= 30


def test_a_403_that_goes_on_is_believed_though_the_server_was_away() -> None:
    for seed in SEEDS:
        world = World(seed, source="endpointslices")
        world.ask()
        world.fail(errors.Unreachable("away"))
        world.ask()
        begun, waited = world.now, list[float]()
        while world.now - begun < 10:
            world.fail(errors.Forbidden("no"))
            world.ask()
            waited.append(world.waited)
        assert 30 <= waited[-1] <= 60
        assert sum(waited[:-1]) <= 3.0  # the doubt, and the last delay begun in it
