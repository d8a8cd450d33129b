"""A model: how many requests thousands of sidecars make when their API server was away and comes back. Pure.

Not a formula for the backoff but the product's own state machine, one for each pod, in virtual time: a server that
refuses until it is back, and then accepts each watch at once. What a real server needs for that many is worked out
beside it, from what one watch was measured to cost.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.measures import busiest
from membership.errors import Unreachable
from membership.pace import Pace
from membership.policy import Cause, Policy
from membership.reflector import List, Reflector, Wait
from membership.store import Store
from membership.wire import Listing


@dataclass(frozen=True, slots=True)
class Herd:
    """What came of one outage; times in seconds since the server went away."""

    pods: int
    outage: float
    attempts: tuple[float, ...]
    """Every request of every pod, refused or not."""
    recovered: tuple[float, ...]
    """When each pod's watch was accepted."""

    @property
    def refused_per_pod(self) -> float:
        return (len(self.attempts) - len(self.recovered)) / self.pods

    @property
    def busiest_second(self) -> int:
        """Requests in the busiest second once the server is back."""
        return busiest([at for at in self.attempts if at >= self.outage], 1.0)

    @property
    def busiest_tenth(self) -> int:
        """The same for 100 ms."""
        return busiest([at for at in self.attempts if at >= self.outage], 0.1)

    def back_after(self, part: float) -> float:
        """Seconds after the server's return by which this part of the pods is watching again."""
        ordered = sorted(self.recovered)
        return max(0.0, ordered[max(0, round(part * len(ordered)) - 1)] - self.outage)


def stampede(pods: int, outage: float, seed: int) -> Herd:
    """All `pods` watch; at 0 every stream is cut at once, and the server refuses connections for `outage` seconds."""
    random, attempts, recovered = Random(seed), list[float](), list[float]()
    waiting = [(0.0, number, _watching(Random(random.getrandbits(64)))) for number in range(pods)]
    heapq.heapify(waiting)
    while waiting:
        now, number, (reflector, pace) = heapq.heappop(waiting)
        action = reflector.next(now)
        if isinstance(action, Wait):
            heapq.heappush(waiting, (action.until, number, (reflector, pace)))
        elif (seconds := pace.wait(now)) > 0:
            heapq.heappush(waiting, (now + seconds, number, (reflector, pace)))
        else:
            pace.end(pace.take(now), now)
            attempts.append(now)
            if now >= outage:
                recovered.append(now)
            else:
                reflector.failed(Unreachable("refused"), now)
                heapq.heappush(waiting, (now, number, (reflector, pace)))
    return Herd(pods, outage, tuple(attempts), tuple(recovered))


def quiet_requests(pods: int, namespaces: int = 1, *, policy: Policy = Policy()) -> dict[str, float]:
    """Requests per second of a quiet cluster: lists that verify, and watches opened anew.

    A stream on which nothing comes, not even a bookmark, is opened anew after 2/3 to 5/6 of `stale_after`; where
    anything changes in that time, it lives for its own 240 to 300 seconds.
    """
    followers = pods * namespaces
    return {
        "lists": followers / policy.relist_interval,
        "watches, nothing changes": followers / (policy.stale_after * 0.75),
        "watches, something changes every minute": followers / 270,
    }


def _watching(random: Random) -> tuple[Reflector, Pace]:
    """A reflector whose stream has been open for an hour, and is cut now."""
    reflector = Reflector(Store(("is",)), Policy(), random, -3600.0)
    action = reflector.next(-3600.0)
    assert isinstance(action, List)
    reflector.listed(action, Listing("1", ()), -3600.0, -3600.0)
    watch = reflector.next(-3600.0)
    assert not isinstance(watch, List | Wait)
    reflector.opened(watch, -3600.0)
    reflector.ended(Cause.CUT, 0.0)
    return reflector, Pace()


def spread(herds: Sequence[Herd]) -> list[dict[str, float]]:
    """The figures of each, as they are kept in results."""
    return [
        {
            "pods": herd.pods,
            "outage_s": round(herd.outage, 1),
            "refused_per_pod": round(herd.refused_per_pod, 1),
            "busiest_100_ms": herd.busiest_tenth,
            "busiest_second": herd.busiest_second,
            "half_back_s": round(herd.back_after(0.5), 2),
            "99_percent_back_s": round(herd.back_after(0.99), 2),
            "all_back_s": round(herd.back_after(1.0), 2),
        }
        for herd in herds
    ]
