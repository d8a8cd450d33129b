"""The API servers: several caches that lag behind the store, and what they answer to list and watch.

After watch.md section 1: a watch from a version that is gone from the ring of history gets 410, one from a version yet
to come is accepted and silent until that has passed, also after a restore; a list of the most recent version is
consistent, one of "at least this version" is what a cache has, or 504 where it has less; bookmarks tell the version.
"""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from tests.simulation.cluster import Cluster
from tests.simulation.history import History
from tests.simulation.machine import Machine

RESTORED = 60.0
"""Seconds from one restore to the next, at least."""
PATIENCE = 3.0
"""Seconds for which a list waits for a cache that is behind."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    resource: str
    namespace: str
    version: str
    timeout: int | None
    """Of a watch; None for a list."""

    @property
    def watches(self) -> bool:
        return self.timeout is not None


class Line(Protocol):
    """A connection, as the server sees it."""

    @property
    def open(self) -> bool: ...

    def respond(self, status: int, headers: dict[str, str], body: bytes, mark: "Mark") -> None:
        """A whole answer; `mark` says what it proves."""

    def accept(self) -> None:
        """The head of a stream."""

    def send(self, data: bytes, mark: "Mark") -> None: ...

    def finish(self) -> None: ...

    def fail(self, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """What bytes say: of a whole line or list the history and the version at which it is true."""

    kind: str = "bad"
    """whole: a line or a list; part: of a line whose rest follows; expired: a 410; doubtful: damaged, and maybe where
    nobody looks; bad: no line of a server's."""
    history: History | None = None
    rv: int = 0


BAD, PART, EXPIRED = Mark(), Mark("part"), Mark("expired")


class Watcher:
    """One accepted watch."""

    def __init__(self, request: Request, line: Line, history: History, cursor: int, ends: float) -> None:
        self.key = request.resource, request.namespace
        self.line = line
        self.history = history
        self.told = history
        """What its lines belong to: after a restore to none, for it goes on in one from where it was in another."""
        self.cursor = cursor
        self.ends = ends

    def tell(self, view: int) -> None:
        """What a cache that is at `view` knows since the cursor."""
        if view > self.cursor and self.line.open:
            for write in self.history.logs[self.key].since(self.cursor, view):
                self.line.send(write.line, Mark("whole", self.told, write.rv))
            self.cursor = view


class Replica:
    """One API server's watch cache."""

    def __init__(self, rv: int) -> None:
        self.view = rv
        self.oldest = rv
        """Watches from an older version are refused: the ring of history begins here."""
        self.lag = 0.0
        self.watchers: list[Watcher] = []

    def reach(self, rv: int) -> None:
        if rv > self.view:
            self.view = rv
            self.watchers = [watcher for watcher in self.watchers if watcher.line.open]
            for watcher in self.watchers:
                watcher.tell(rv)

    def restart(self) -> list[Watcher]:
        """Its ring begins anew; returns the watches that end by it."""
        self.oldest = self.view
        ended, self.watchers = self.watchers, []
        return ended


class Servers:
    """All replicas behind one address."""

    def __init__(self, machine: Machine, cluster: Cluster, replicas: int, bookmarks: float, random: Random) -> None:
        self._machine = machine
        self._cluster = cluster
        self._bookmarks = bookmarks
        self._random = random
        self._next_restore = 0.0
        self.replicas = [Replica(cluster.history.rv) for _ in range(replicas)]
        cluster.committed = self._committed

    @property
    def history(self) -> History:
        return self._cluster.history

    def _committed(self) -> None:
        history, now = self._cluster.history, self._machine.now
        for replica in self.replicas:
            if replica.lag:
                self._machine.at(now + replica.lag, self._reach, (replica, history, history.rv))
            else:
                replica.reach(history.rv)

    def _reach(self, what: tuple[Replica, History, int]) -> None:
        replica, history, rv = what
        if history is self._cluster.history:
            replica.reach(rv)

    def catch_up(self) -> None:
        for replica in self.replicas:
            replica.lag = 0.0
            replica.reach(self._cluster.history.rv)

    def compact(self) -> None:
        for replica in self.replicas:
            replica.oldest = replica.view

    def restore(self, back: int, cut: bool) -> None:
        """The store becomes what it was `back` versions ago. Streams are cut, or filter by the version they had.

        Not twice within a time in which answers may be under way: who gets them cannot tell their order.
        """
        if self._machine.now < self._next_restore:
            return
        self._next_restore = self._machine.now + RESTORED
        rv = max(1, self._cluster.history.rv - back)
        self._cluster.restore(rv)
        for replica in self.replicas:
            replica.view = replica.oldest = rv
            for watcher in replica.watchers:
                watcher.history, watcher.told = self._cluster.history, History({}, 0)
                watcher.tell(rv)
            for watcher in replica.restart() if cut else ():
                watcher.line.finish()

    def restart(self, which: int) -> None:
        """One of them; it ends its streams first, or does not get to it."""
        for watcher in self.replicas[which % len(self.replicas)].restart():
            if which % 2:
                watcher.line.finish()
            else:
                watcher.line.fail("reset by peer")

    def answer(self, request: Request, line: Line, outdated: int = 0) -> None:
        """`outdated`: a list that asks for at least a version gets one that is older by so many."""
        replica = self.replicas[self._random.randrange(len(self.replicas))]
        if request.watches:
            self._watch(request, line, replica)
        elif outdated and request.version:
            self._list(request, line, Replica(max(1, int(request.version) - outdated)))
        elif request.version == "":
            replica.reach(self._cluster.history.rv)
            self._list(request, line, replica)
        elif int(request.version) <= replica.view:
            self._list(request, line, replica)
        else:
            self._machine.at(self._machine.now + PATIENCE, self._answer_late, (request, line, replica))

    def _answer_late(self, what: tuple[Request, Line, Replica]) -> None:
        request, line, replica = what
        if int(request.version) <= replica.view:
            self._list(request, line, replica)
        else:
            line.respond(504, {}, too_large(self._random.random() < 0.5), BAD)

    def _list(self, request: Request, line: Line, replica: Replica) -> None:
        history = self._cluster.history
        pieces = history.logs[request.resource, request.namespace].at(replica.view)
        kind = b"EndpointSlice" if request.resource == "endpointslices" else b"Endpoints"
        items = b",".join(piece.body for piece in pieces.values())
        body = b'{"kind":"%sList","metadata":{"resourceVersion":"%d"},"items":%s}'
        found = b"[%s]" % items if items or self._random.random() < 0.5 else b"null"
        line.respond(200, {}, body % (kind, replica.view, found), Mark("whole", history, replica.view))

    def _watch(self, request: Request, line: Line, replica: Replica) -> None:
        history, now = self._cluster.history, self._machine.now
        if request.version in ("", "0"):
            # The old way: what there is comes as events first, and not in the order of its versions.
            cursor = replica.view
            line.accept()
            for piece in history.logs[request.resource, request.namespace].at(cursor).values():
                line.send(b'{"type":"ADDED","object":%s}\n' % piece.body, Mark("whole", history, piece.rv))
        else:
            cursor = int(request.version)
            if cursor < replica.oldest:
                if self._random.random() < 0.5:
                    line.respond(410, {}, status(410, "Expired", "too old resource version"), BAD)
                    return
                line.accept()
                body = b'{"type":"ERROR","object":%s}\n' % status(410, "Expired", "too old resource version")
                line.send(body, EXPIRED)
                line.finish()
                return
            line.accept()
        assert request.timeout is not None
        watcher = Watcher(request, line, history, cursor, now + request.timeout)
        replica.watchers.append(watcher)
        watcher.tell(replica.view)
        self._plan(watcher, replica, cursor)

    def _plan(self, watcher: Watcher, replica: Replica, begun: int) -> None:
        """The next bookmark, or the end."""
        now = self._machine.now
        due = min(now + self._bookmarks, watcher.ends - 2.0) if self._bookmarks else watcher.ends
        self._machine.at(due if due > now else watcher.ends, self._tick, (watcher, replica, begun))

    def _tick(self, what: tuple[Watcher, Replica, int]) -> None:
        watcher, replica, begun = what
        if not watcher.line.open or watcher not in replica.watchers:
            return
        if self._machine.now >= watcher.ends:
            replica.watchers.remove(watcher)
            watcher.line.finish()
            return
        if replica.view > begun and replica.view >= watcher.cursor:
            line = (
                b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{"resourceVersion":"%d"}}}\n'
                % replica.view
            )
            watcher.line.send(line, Mark("whole", watcher.told, replica.view))
        self._plan(watcher, replica, begun)


def status(code: int, reason: str, message: str, retry_after: int | None = None) -> bytes:
    details = "" if retry_after is None else f'"details":{{"retryAfterSeconds":{retry_after}}},'
    return (
        f'{{"kind":"Status","status":"Failure",{details}"reason":"{reason}","message":"{message}","code":{code}}}'
    ).encode()


def too_large(old_server: bool) -> bytes:
    """504; servers before 1.19 say it in the text only."""
    if old_server:
        return status(504, "Timeout", "Too large resource version: 9, current: 8")
    return (
        b'{"kind":"Status","reason":"Timeout","message":"too far","code":504,'
        b'"details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}'
    )
