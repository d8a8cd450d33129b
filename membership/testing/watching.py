"""One watch stream: turns events into lines or frames, with bookmarks, a deadline and the stream faults."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from . import status
from .api import Changes, Site, null_lists, selector_of
from .connection import Connection, Cut
from .faults import Fault, FaultBoard
from .encoding import asked
from .history import Event, Stored
from .messages import Message, head
from .objects import Json, ResourceType
from .routes import Route

_LAST_CHUNK: Final = b"0\r\n\r\n"
# The server announces where it is this long before it ends a stream.
_FAREWELL: Final = 2.0


class Stream:
    """Owned by its connection's thread; `cut` and `send_bookmark` may be called from others.

    `seen` is the version that the watch has proof of: its start, then its last event or bookmark.
    """

    def __init__(
        self,
        site: Site,
        board: FaultBoard,
        connection: Connection,
        message: Message,
        route: Route,
        resource: ResourceType,
        faults: Mapping[str, Fault],
        changes: Changes,
    ) -> None:
        self.route: Final = route
        self._site = site
        self._board = board
        self._connection = connection
        self._faults = faults
        self._resource = resource
        self._selector = selector_of(message)
        self.encoding: Final = asked(message, protobuf=site.protobuf)
        self.asked: Final = message.query.get("resourceVersion", "")
        self._bookmarks = message.query.get("allowWatchBookmarks", "").lower() in ("1", "true")
        seconds = int(message.query.get("timeoutSeconds") or 0)
        self._opened = time.monotonic()
        self._deadline = self._opened + (seconds or random.uniform(1800, 3600))
        self._next_bookmark = self._plan_bookmark(self._opened)
        self._changes = changes
        self._lag = changes.lag
        self._chunked = "buffer" not in faults
        self._held: list[bytes] | None = None if self._chunked or not faults["buffer"].params["hold"] else []
        self._ordered = False
        self.seen = 0
        self._pin()

    # -- for other threads

    def cut(self, how: str) -> None:
        """End it: `reset`, `eof` or `half`."""
        self._connection.order(how)

    def send_bookmark(self) -> bool:
        """Send a bookmark now; False where the watch wants none or the server is not past its start."""
        silent = self._faults.get("silent")
        mute = not self._bookmarks or (silent is not None and not silent.cleared)
        if mute or not self._bookmark_allowed(self._site.history.version - self._lag):
            return False
        self._ordered = True
        self._connection.wake()
        return True

    # -- for the owner

    def head(self) -> bytes:
        """Status line and headers."""
        zipped = ["Content-Encoding: gzip"] if self._changes.zipped else []
        if not self._chunked:
            return head(200, self.encoding.stream_type, zipped, True)
        return head(200, self.encoding.stream_type, [*zipped, "Transfer-Encoding: chunked"], self._connection.last)

    def run(self, opening: Callable[[Stream], bool]) -> None:
        """Stream until the end; `opening` writes first and says whether the real stream follows.

        Raises Cut if it did not end in a way that leaves the connection usable.
        """
        try:
            if opening(self) and self._begin():
                self._follow()
        except Cut as cut:
            self._end_by_order(cut)
        else:
            self._end()

    def _pin(self) -> None:
        """Fix where the stream starts: done before the client is answered, so that later writes all count."""
        history, start = self._site.history, int(self.asked or 0)
        with history.lock:
            self._oldest = history.oldest
            self._initial: list[Stored] = []
            if start == 0:
                self._initial, start = history.objects(
                    self._resource.plural, self.route.namespace, history.version - self._lag
                )
            self._start = self.seen = start
            self._position = history.position(start)

    def _begin(self) -> bool:
        """Send what comes before the first event; False when that was all."""
        if int(self.asked or 0) == 0:
            self._write([self._line("ADDED", one) for one in self._initial if self._selector(one.value)])
        elif self.seen < self._oldest:
            self.write_event("ERROR", status.too_old(self.asked, self._oldest))
            return False
        return True

    def _follow(self) -> None:
        while (now := time.monotonic()) < self._deadline:
            reached = self._site.history.version - self._lag  # before the events, so that none up to it is missed
            up_to = reached if self._lag else None
            try:
                events = self._site.history.since(self._position, up_to)
            except LookupError:
                return  # too slow for the ring: the real server ends such a stream cleanly, too
            if events:
                self._write([line for event in events for line in self._lines(event)])
                self._position = events[-1].number
            self._send_due_bookmarks(now, reached)
            self._connection.hold()
            if not self._chunked and self._faults["buffer"].cleared:
                return
            self._connection.wait(min(self._deadline, self._next_bookmark) - now)

    def _lines(self, event: Event) -> list[bytes]:
        resource, namespace, _ = event.key
        if resource != self._resource.plural or self.route.namespace not in (None, namespace):
            return []
        if event.version <= self.seen:
            return []  # restored server: the watch cache filters by the version the watch has reached
        before = event.old is not None and self._selector(event.old.value)
        after = event.new is not None and self._selector(event.new.value)
        if not before and not after:
            return []
        self.seen = event.version
        if self._board.take_event("drop-event", self.route.namespace):
            return []
        if event.new is not None and after:
            line = self._line("MODIFIED" if before else "ADDED", event.new)
        else:
            line = self._line("DELETED", event.tombstone)
        return [line] * (2 if self._board.take_event("duplicate-event", self.route.namespace) else 1)

    def _line(self, name: str, stored: Stored) -> bytes:
        return self.encoding.event(name, null_lists(stored) if self._changes.nulls else stored)

    def _send_due_bookmarks(self, now: float, reached: int) -> None:
        """`reached`: every event up to this version was sent."""
        ordered, due = self._ordered, now >= self._next_bookmark
        if due:
            self._next_bookmark = self._plan_bookmark(now)
        if not (ordered or due):
            return
        version = max(reached, self.seen)
        if ordered and version < self._site.history.version - self._lag:
            return  # its events come first: the write that made them has woken us
        self._ordered = False
        if self._bookmark_allowed(self._site.history.version - self._lag) and version > self._start:
            self.seen = version
            bookmark: Json = {
                "kind": self._resource.kind,
                "apiVersion": self._resource.api_version,
                "metadata": {"resourceVersion": str(version)},
            }
            if self._resource.plural == "endpointslices":
                bookmark |= {"addressType": "", "endpoints": None, "ports": None}
            self.write_event("BOOKMARK", bookmark)

    def _bookmark_allowed(self, version: int) -> bool:
        # Compared with the start, not the last event, as the watch cache does; never back after a restore.
        return version > self._start and version >= self.seen

    def _plan_bookmark(self, now: float) -> float:
        if not self._bookmarks:
            return self._deadline
        regular, farewell = now + self._site.bookmark_interval, self._deadline - _FAREWELL
        return min(regular, farewell) if now < farewell else max(regular, self._deadline)

    def write_event(self, name: str, value: Json) -> None:
        """Send one event with any object."""
        self._write([self.encoding.event_of(name, value)])

    def write_raw(self, data: bytes) -> None:
        """Send bytes as one chunk, whatever they are."""
        self._write([data])

    def _write(self, lines: list[bytes]) -> None:
        if self._changes.zipped and lines:
            lines = [gzip.compress(b"".join(lines))]
        if self._held is not None:
            self._held += lines
        elif lines:
            self._connection.send(b"".join(map(_chunk, lines) if self._chunked else lines), self._changes.drip)

    def _end(self) -> None:
        if not self._chunked:
            self._connection.send(b"".join(self._held or ()), self._changes.drip)
            raise Cut("close")
        self._connection.send(_LAST_CHUNK)

    def _end_by_order(self, cut: Cut) -> None:
        """The last bytes of a stream that was told to end."""
        if cut.how == "half":
            half = self.encoding.half
            self._connection.send_last(_chunk(half) if self._chunked else half)
        elif cut.how == "eof" and not self._chunked:
            self._connection.send_last(b"".join(self._held or ()))
        elif cut.how == "eof" and self._connection.send_last(_LAST_CHUNK):
            self._connection.clear_order()
            return
        raise cut


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
