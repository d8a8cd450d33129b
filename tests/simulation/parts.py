"""What the oracle knows of one namespace: the version that the product holds, and so what it must publish."""

from dataclasses import dataclass, field

from greenlet import greenlet

from tests.simulation.history import History, Shown, Truth
from tests.simulation.network import Connection

HOLD = 0.5
"""Seconds for which a member stays that vanished without having been seen terminating."""


@dataclass(eq=False)
class Part:
    """What the oracle knows of one namespace."""

    namespace: str
    services: tuple[str, ...]
    history: History | None = None
    resource: str = ""
    rv: int = 0
    truth: Truth | None = None
    mixed: bool = False
    held: dict[str, tuple[Shown, float]] = field(default_factory=dict)
    doomed: dict[str, set[str]] = field(default_factory=dict)
    shown: dict[str, tuple[Shown, ...]] = field(default_factory=dict)
    """What must be published: truth and held."""
    proof: float | None = None
    thread: greenlet | None = None
    newest: int = 0
    """The newest version that its own thread has received for certain."""
    expired: bool = False
    recent: bool = False
    """The next list must ask for the most recent version."""
    listed_at: float = 0.0
    """When its own thread has last taken a list."""
    restored: int = 0
    restored_at: float = 0.0
    former: Connection | None = None
    """The stream that was open when a list has shown a restored server."""
    sure: float | None = None
    """The newest proof that must count by now."""
    stream: Connection | None = None
    cut_at: float | None = None
    """When the product itself cut the stream, until it asks again."""
    not_before: dict[bool, float] = field(default_factory=dict)
    """What the server's Retry-After says, to its own thread (True) and beside it."""

    def holds(self, history: History | None) -> bool:
        """Whether all that is held is of this history: nothing is that events of another have changed since."""
        return self.history is history and not self.mixed

    def take(self, now: float, *, listed: bool, since: int | None = None) -> None:
        """Version `rv` is held from now on: what must be shown, by the documents of roster.py and no code of it.

        `since`: the version held before, where events told all that was in between.
        """
        assert self.history is not None
        before, log = self.truth, self.history.logs[self.resource, self.namespace]
        self.truth = truth = log.truth(self.rv)
        passed = [] if since is None else [log.truth(write.rv) for write in log.since(since, self.rv)[:-1]]
        for service in self.services:
            pieces = truth.services.get(service)
            held = {uid: kept for uid, kept in self.held.items() if kept[0].service == service}
            if before is not None and before.services.get(service) == pieces and not (listed and held):
                continue
            found = truth.members.get(service, ())
            dying = truth.dying(service)
            doomed = self.doomed.get(service, set()).union(*(one.dying(service) for one in passed))
            for uid in held:
                del self.held[uid]
            if listed or pieces is None:
                self.doomed[service] = dying
            else:
                named, taken = truth.named(service), {shown.address for shown in found}
                for shown in self.shown.get(service, ()):
                    pod = shown.uid
                    if pod and pod not in named and shown.address not in taken:
                        if pod in held:
                            self.held[pod] = held[pod]
                        elif pod not in doomed:
                            self.held[pod] = (shown, now + HOLD)
                self.doomed[service] = (doomed & named) | dying
            self.show(service)

    def show(self, service: str) -> None:
        assert self.truth is not None
        held = [shown for shown, _ in self.held.values() if shown.service == service]
        self.shown[service] = tuple(sorted([*self.truth.members.get(service, ()), *held], key=order))


def order(shown: Shown) -> int:
    return shown.rank
