"""From a request to its answer on one connection: log, stall, faults, then what the API says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .api import Changes, Site, answer
from .connection import Connection, Drip
from .encoding import asked, encoded
from .faults import Fault, FaultBoard, answer_of
from .messages import Answer, Message, Request, RequestLog, read_message
from .routes import Route, find_route
from .stunts import is_opening, opening_of, perform, stand_in
from .watching import Stream


class Exchange:
    """Serves connections, each in the thread that calls `serve`, and keeps the register of open streams.

    `changed` is called when a stream begins or ends.
    """

    def __init__(self, site: Site, board: FaultBoard, log: RequestLog, changed: Callable[[], None]) -> None:
        self._site = site
        self._board = board
        self._log = log
        self._changed = changed
        self._lock = threading.Lock()
        self._streams: dict[Stream, Connection] = {}

    def streams(self) -> list[Stream]:
        """The watch streams that are open now."""
        with self._lock:
            return list(self._streams)

    def wake_streams(self) -> None:
        """Let all streams look for events."""
        with self._lock:
            connections = list(self._streams.values())
        for connection in connections:
            connection.wake()

    def serve(self, connection: Connection) -> None:
        """Answer the connection's requests, one after the other. Raises Gone or Cut at its end."""
        while True:
            message = read_message(connection)
            route = find_route(message)
            index = self._log.add(
                Request(
                    time.monotonic(),
                    message.method,
                    message.path,
                    message.query,
                    route.kind,
                    route.resource.plural if route.resource else None,
                    route.namespace,
                    message.headers,
                )
            )
            self._answer(connection, message, route, lambda status: self._log.settle(index, status))
            if connection.last:
                return

    def _answer(self, connection: Connection, message: Message, route: Route, settle: Callable[[int], None]) -> None:
        connection.hold()
        faults = self._board.take(route.kind, route.namespace, message.query.get("resourceVersion", ""))
        if "delay" in faults:
            connection.pause(float(faults["delay"].params["seconds"]))
        changes = Changes.of(faults, message)
        fault, opening = answer_of(faults.values()), None
        encoding = asked(message, protobuf=self._site.protobuf)
        if fault is not None and is_opening(fault, route.kind):
            opening = fault
        elif fault is not None:
            replacement = stand_in(fault, self._site, message)
            if replacement is not None:
                _send(connection, message, encoded(replacement, encoding), changes.drip, settle)
                return
            perform(fault, connection, settle)
            if fault.name == "huge-line":
                return
        real = answer(self._site, message, route, changes)
        if real is not None or route.resource is None:
            _send(connection, message, encoded(real or Answer(404, b""), encoding), changes.drip, settle)
        else:
            stream = Stream(self._site, self._board, connection, message, route, route.resource, faults, changes)
            self._run(stream, connection, opening, settle)

    def _run(
        self, stream: Stream, connection: Connection, opening: Fault | None, settle: Callable[[int], None]
    ) -> None:
        with self._lock:
            self._streams[stream] = connection
        try:
            settle(200)
            self._changed()
            connection.send(stream.head())
            stream.run(opening_of(opening, self._site, connection))
        finally:
            with self._lock:
                del self._streams[stream]
            self._changed()


def _send(
    connection: Connection, message: Message, real: Answer, drip: Drip | None, settle: Callable[[int], None]
) -> None:
    settle(real.status)
    start = real.head(last=connection.last)
    if message.method == "HEAD":
        connection.send(start)
    elif drip:
        connection.send(start)
        connection.send(real.body, drip)
    else:
        connection.send(start + real.body)
