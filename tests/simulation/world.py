"""One run of a schedule: the product as it is, on a machine, a network and a server of virtual time."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from membership import follower, kube, session
from membership.gate import Gate
from membership.kube import ApiServer, Credentials
from membership.policy import BACKOFF_LIMIT, RELIST_JITTER, RETRY_AFTER_LIMIT, SILENCE, SLOW
from membership.session import Membership
from sidecar.health import GateKeeper
from tests.simulation.cluster import Cluster, Service
from tests.simulation.history import Choice, History
from tests.simulation.machine import Machine
from tests.simulation.faults import Window
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.schedule import CHANGES, Schedule, Step
from tests.simulation.server import Servers

BUSY = 0.4
"""Seconds for which a thread of a busy machine may wait for a lock."""
ANSWER = 30.0


def bound(schedule: Schedule) -> float:
    """Seconds from the end of all faults within which the list is right, whatever came before.

    The request under way may hang until its time is up; what it was told may be a Retry-After at its limit and a
    quarter, which is longer than any backoff; a refusal by RBAC is believed for a minute; a stream that is dead
    behind a live proxy is given up as silent. Only a list tells that the server was restored: the one beside the
    stream, which may have failed and been told to wait as well.
    """
    options = schedule.setting.options
    patience = ANSWER + max(RETRY_AFTER_LIMIT * 1.25, BACKOFF_LIMIT) + SLOW[1] + SILENCE[1] * options.stale_after
    if not schedule.restores:
        return patience
    return patience + RELIST_JITTER[1] * options.relist_interval + ANSWER + RETRY_AFTER_LIMIT * 1.25


@dataclass(frozen=True)
class Report:
    """What a run came to."""

    failure: Violation | None
    steps: int
    """Of the machine."""
    seconds: float
    """Virtual."""
    requests: int
    settled_after: float
    """Seconds from the end of the faults until the list was right."""
    checks: Counter[str]
    trace: list[str]


class Observed(Membership):
    """The product's own, and the oracle looks at each of its steps."""

    oracle: Oracle

    def _compose(self, read_at: float) -> None:
        super()._compose(read_at)
        self.oracle.composed(read_at)


class World:
    """Everything there is in a run."""

    def __init__(self, schedule: Schedule) -> None:
        setting, seed = schedule.setting, schedule.seed
        self.schedule = schedule
        self.machine = Machine(1000.0)
        named = [tuple(name.split("/")) for name in setting.services]
        self.services = [Service(namespace, name) for namespace, name in named]
        choice = Choice(setting.options.ready_only, setting.options.include_terminating)
        history = History.empty(sorted({namespace for namespace, _ in named}), setting.version, choice)
        self.cluster = Cluster(self.machine, history, self.services)
        for number in range(len(self.services)):
            self.cluster.do("create", number, 0.0, 0.0)
        for number in range(setting.pods):
            self.cluster.do("start", number, 0.0, 0.0)
        self.machine.run(self.machine.now)
        self.servers = Servers(self.machine, self.cluster, setting.replicas, setting.bookmarks, Random(seed + 1))
        self.oracle = Oracle(self.machine, setting)
        protobuf = (1.0, 0.5, 0.0)[seed % 3]
        self.network = Network(self.machine, self.servers, Random(seed + 2), self.oracle, protobuf)
        self.oracle.network = self.network
        self._lag = Random(seed + 3)

    def run(self, trace: bool = False) -> Report:
        oracle, machine = self.oracle, self.machine
        oracle.trace = [] if trace else None
        failure, settled_after = None, 0.0
        gc.disable()
        try:
            with product_on(machine, self.network):
                self._begin()
                settled_after = self._play()
        except Violation as violation:
            failure = violation
        except Exception as error:
            failure = Violation("error", f"{type(error).__name__}: {error} {oracle.when}")
            failure.__cause__ = error
        finally:
            machine.end()
            # The garbage is circular, and a collection in the middle of a run would only look at what is alive.
            gc.enable()
        seconds = machine.now - machine.started
        trace_ = oracle.trace or []
        return Report(failure, machine.steps, seconds, oracle.requests, settled_after, oracle.checks, trace_)

    def _begin(self) -> None:
        setting, machine = self.schedule.setting, self.machine
        server = ApiServer("http://model", Credentials(token="t"))
        membership = Observed(
            server,
            setting.services,
            options=setting.options,
            clock=machine.monotonic,
            random=Random(self.schedule.seed),
        )
        membership.oracle = self.oracle
        self.oracle.membership = membership
        keeper = GateKeeper(Gate(setting.gate, machine.now), membership, machine.monotonic)
        self.oracle.keeper = keeper
        membership.subscribe(keeper.observe)
        membership.start()

    def _play(self) -> float:
        """All steps, the end of the faults, and what must follow. Returns how long that took."""
        machine, oracle = self.machine, self.oracle
        for step in self.schedule.steps:
            machine.run(machine.started + step.at)
            if oracle.trace is not None:
                oracle.trace.append(str(step))
            self._do(step)
        # The controllers have written what they will, and what was held back is on its way.
        network = self.network
        machine.run(max(machine.now, self.cluster.busy_until, network.black_until, network.buffered_until) + 0.1)
        self.network.heal()
        self.servers.catch_up()
        machine.lag = None
        ended = machine.now
        if oracle.trace is not None:
            oracle.trace.append(f"{ended - machine.started:9.3f} s  the faults end")
        latest, pause = ended + bound(self.schedule), 0.2
        while problem := oracle.settled():
            oracle.check("converges", machine.now < latest, "%s, %.0f s after the faults", problem, machine.now - ended)
            machine.run(min(machine.now + pause, latest))
            pause = min(pause * 1.5, 5.0)
        settled_after = machine.now - ended
        self._stay()
        return settled_after

    def _stay(self) -> None:
        """A quiet server never looks stale, and its list stays as it is. What hung before may still come to its end."""
        generation = self.oracle.membership.current().generation
        stale_after = self.schedule.setting.options.stale_after
        until = self.machine.now + 1.2 * stale_after
        while self.machine.now < until:
            self.machine.run(self.machine.now + stale_after / 10)
            snapshot = self.oracle.membership.current()
            self.oracle.check("age", not snapshot.stale, "stale at %.1f s on a quiet server", snapshot.age_seconds)
        same = generation == self.oracle.membership.current().generation
        self.oracle.check("converges", same, "new lists although nothing changed")

    def _do(self, step: Step) -> None:
        network, servers, now = self.network, self.servers, self.machine.now
        action = step.action
        if action in CHANGES:
            self.cluster.do(action, step.which, step.seconds, step.more)
        elif action == "window":
            window = Window(step.fault, step.target, now + step.seconds, step.which, int(step.more))
            network.windows.insert(0, window)
        elif action == "damage":
            network.damages.append(step.fault)
        elif action == "restore":
            servers.restore(step.which % (30 if step.which % 2 else 4) + 1, cut=step.which % 3 > 0)
        elif action == "restart":
            servers.restart(step.which)
        elif action == "lag":
            servers.replicas[step.which % len(servers.replicas)].lag = step.seconds
        elif action == "compact":
            servers.compact()
        elif action == "busy":
            self.machine.lag = self._wait_for_lock
        elif action == "black_hole":
            network.black_hole(step.seconds)
        elif action == "slow":
            network.latency = min(step.seconds, 1.9)
        elif action == "buffer":
            network.buffered_until = now + step.seconds
        else:
            plain: dict[str, Callable[[], None]] = {"cut": network.cut, "mute": network.mute, "close": network.close}
            plain[action]()

    def _wait_for_lock(self) -> float:
        return self._lag.random() * BUSY if self._lag.random() < 0.4 else 0.0


@contextmanager
def product_on(machine: Machine, network: Network) -> Iterator[None]:
    """The product's time, threads and connections are ours for a while; everything else of it is its own."""
    places: list[tuple[Any, str, Any]] = [
        (kube, "time", machine),
        (kube, "Exchange", network.connect),
        (session, "threading", machine),
        (follower, "threading", machine),
    ]
    before = [getattr(module, name) for module, name, _ in places]
    quiet = follower.log.disabled
    follower.log.disabled = True
    for module, name, ours in places:
        setattr(module, name, ours)
    try:
        yield
    finally:
        follower.log.disabled = quiet
        for (module, name, _), theirs in zip(places, before, strict=True):
            setattr(module, name, theirs)


def run(schedule: Schedule, trace: bool = False) -> Report:
    return World(schedule).run(trace)
