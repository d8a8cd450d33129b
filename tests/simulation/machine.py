"""Virtual time, and the threads, locks and events of `threading` that live in it.

Product threads run as greenlets, one at a time: whoever blocks hands over to the scheduler, which lets time pass and
wakes the next one. So a run is a function of its seed, and an hour of waiting takes no time.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet


class Blocked:
    """A greenlet that waits; it is woken once, by `Machine.wake` or by its time."""

    __slots__ = ("thread", "woken")

    def __init__(self, thread: greenlet) -> None:
        self.thread: greenlet | None = thread
        self.woken = False


class Machine:
    """The clock, and what happens next. Also stands in for the modules `time` and `threading` of the product."""

    MOST_STEPS = 4000
    """In one virtual second without an end: a loop that waits for nothing."""

    def __init__(self, start: float) -> None:
        self.now = self.started = start
        self.lag: Callable[[], float] | None = None
        """How long a thread waits for a lock that others hold; None where nobody does."""
        self.locks_held = 0
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[[Any], Any], Any]] = []
        self._order = 0
        self._scheduler = getcurrent()
        self._threads: list[greenlet] = []
        self._second, self._steps_before = start, 0

    def at(self, time: float, call: Callable[[Any], Any], argument: Any = None) -> None:
        """Let `call(argument)` happen at `time`; what is planned for one moment happens in the order of planning."""
        self._order += 1
        heappush(self._queue, (time if time > self.now else self.now, self._order, call, argument))

    def run(self, until: float) -> None:
        """Let time pass until `until`."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, call, argument = heappop(queue)
            self.steps += 1
            if self.now - self._second >= 1.0:
                self._second, self._steps_before = self.now, self.steps
            elif self.steps - self._steps_before > self.MOST_STEPS:
                raise AssertionError("spins: a loop that does not wait")
            call(argument)
        self.now = max(self.now, until)

    def block(self, until: float | None) -> bool:
        """The current thread waits to be woken, at most until `until`; whether it was woken."""
        return self.block_as(Blocked(getcurrent()), until)

    def block_as(self, blocked: Blocked, until: float | None) -> bool:
        if self.locks_held:
            raise AssertionError("blocks while it holds the lock")
        if until is not None:
            self.at(until, self._resume, blocked)
        self._scheduler.switch()
        return blocked.woken

    def wake(self, blocked: Blocked) -> None:
        if not blocked.woken:
            blocked.woken = True
            self.at(self.now, self._resume, blocked)

    def _resume(self, blocked: Blocked) -> None:
        thread, blocked.thread = blocked.thread, None
        if thread is not None:
            thread.switch()

    def start(self, target: Callable[[], None]) -> None:
        thread = greenlet(target, self._scheduler)
        self._threads.append(thread)
        self.at(self.now, self._begin, thread)

    def _begin(self, thread: greenlet) -> None:
        thread.switch()

    def end(self) -> None:
        """Whatever is still running ends here."""
        self._queue.clear()
        self.lag = None
        for thread in self._threads:
            while not thread.dead:
                thread.throw()
                self._queue.clear()

    # As `time`:

    def monotonic(self) -> float:
        return self.now

    # As `threading`:

    def RLock(self) -> None:
        """There is one lock, and nobody may block with it."""

    def Condition(self, lock: None = None) -> "Condition":
        return Condition(self)

    def Event(self) -> "Event":
        return Event(self)

    def Thread(self, *, target: Callable[[], None], name: str, daemon: bool) -> "Thread":
        return Thread(self, target)


class Condition:
    """threading.Condition of one machine. Its lock is free whenever a thread runs, for nobody may block with it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting: list[Blocked] = []

    def __enter__(self) -> bool:
        machine = self._machine
        if machine.lag is not None and not machine.locks_held:
            seconds = machine.lag()
            if seconds:
                machine.block(machine.now + seconds)
        machine.locks_held += 1
        return True

    def __exit__(self, *_: object) -> None:
        self._machine.locks_held -= 1

    def wait(self, timeout: float | None = None) -> bool:
        machine = self._machine
        held, machine.locks_held = machine.locks_held, 0
        blocked = Blocked(getcurrent())
        self._waiting.append(blocked)
        try:
            return machine.block_as(blocked, None if timeout is None else machine.now + timeout)
        finally:
            machine.locks_held = held

    def notify(self) -> None:
        """Here one thread waits at most, where only one is told."""
        self.notify_all()

    def notify_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for blocked in waiting:
            if blocked.thread is not None:
                self._machine.wake(blocked)


class Event:
    """threading.Event of one machine; nobody sets it during a run."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        self._machine.block(self._machine.now + timeout)
        return False


class Thread:
    """threading.Thread of one machine."""

    ident = 1

    def __init__(self, machine: Machine, target: Callable[[], None]) -> None:
        self._machine = machine
        self._target = target

    def start(self) -> None:
        self._machine.start(self._target)
