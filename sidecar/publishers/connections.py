"""Connections of HTTP clients, with the limits that uvicorn lacks: how many, how slow, how dead.

Whoever can reach the port must not be able to take from the sidecar what it needs itself: file descriptors for the API
server and for files, and memory.
"""

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import cached_property
from typing import Any

import h11
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

log = logging.getLogger("sidecar.http")

MOST = 2048
"""Connections at once: some 25 KiB each."""
KEPT, FEW = 32, 8
"""The last so many of them are for addresses with at most so many."""
RESERVE = 64
"""File descriptors that no client gets: the API server, files, threads, verification."""
HEAD_TIMEOUT = 10.0
"""Seconds for the whole head of a request, from the connection or from its first byte on."""
REPEAT_LOG = 60.0
_LISTENER = (
    # A peer that is gone is noticed after a minute, and so is one that reads nothing at all for as long: with
    # TCP_USER_TIMEOUT the kernel ends a connection whose window stays shut. Accepted sockets inherit these.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
    # asyncio would set it, but not on sockets made with protocol 0, as these are: without it the body of an answer
    # waits 40 ms for the delayed acknowledgement of its head (measured: benchmarks/latency.py).
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 10\r\n"
    b"Connection: close\r\n\r\n"
    b'{"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "too many connections"}'
)


def harden(listener: socket.socket) -> None:
    """Set what accepted sockets inherit."""
    for option in _LISTENER:
        listener.setsockopt(*option)


def choose_limit() -> int:
    """How many connections there may be; raises this process's soft limit of file descriptors as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - RESERVE))


class Refusals:
    """Says that connections are refused: once, and once a minute while it goes on. For one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._count = 0
        self._told_at: float | None = None

    def refuse(self, why: str) -> None:
        """One more was refused."""
        self._count += 1
        now = time.monotonic()
        if self._told_at is None or now - self._told_at >= REPEAT_LOG:
            log.warning("http: connections refused: %d (%s)", self._count, why)
            self._told_at, self._count = now, 0

    def hear(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio cannot handle: without descriptors it complains for every place of its backlog, with a trace."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            self.refuse(f"accept: {error.strerror}")
        else:
            loop.default_exception_handler(context)


class Reply:
    """A whole answer, made once for all clients that get it: what uvicorn makes of `response`."""

    def __init__(self, response: Response) -> None:
        self._status = response.status_code
        self._headers = [(b"date", formatdate(usegmt=True).encode()), *response.raw_headers]
        self._body = bytes(response.body)
        lines = [b"HTTP/1.1 %d OK" % self._status, *(b"%s: %s" % header for header in self._headers)]
        self.wire = b"\r\n".join((*lines, b"", self._body))
        """As it is sent."""

    @cached_property
    def events(self) -> tuple[h11.Event, ...]:
        """As h11 has it, which checks each header."""
        head = h11.Response(status_code=self._status, headers=self._headers, reason=b"OK")
        return head, h11.Data(data=self._body), h11.EndOfMessage()


class Connection(H11Protocol):
    """One client's. `refusals` is shared by all. A request finds it as `connection` in the state of its scope."""

    refusals: Refusals

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._unnoted: Reply | None = None
        self.on_left: Callable[[], None] | None = None
        """Called when the client is gone."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._is_too_many():
            self.refusals.refuse(f"{self.refusals.limit} are open, that is all there may be")
            transport.write(_REFUSAL)
            transport.close()
        else:
            self._limit_head()

    def data_received(self, data: bytes) -> None:
        # What uvicorn sets once a second whether anybody asks or not.
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        super().data_received(data)
        self._limit_head()

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # the rest of a request that has its answer already is broken
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._note()
        super().connection_lost(exc)
        self._stop_timer()
        if self.on_left is not None:
            self.on_left()

    def _is_too_many(self) -> bool:
        """The last places are for who has few: one client that takes all must not keep the kubelet's probes out."""
        count, limit = len(self.connections), self.refusals.limit
        if count <= limit - KEPT or count > limit:
            return count > limit
        host = (self.client or ("",))[0]
        own = sum(1 for other in self.connections if (getattr(other, "client", None) or ("",))[0] == host)
        return own > FEW

    def answer(self, reply: Reply) -> bool:
        """Answer the request that is waiting past the application, in one write; whether that can be done.

        Where not (a client that wants its connection closed, one that does not read, a server that stops), nothing
        was sent. The application, when it goes on, has nothing to send any more. What has to be noted of it is noted
        afterwards, when all others have their answers too: it takes as long as the write.
        """
        conn, cycle = self.conn, self.cycle
        asked = conn.our_state is h11.SEND_RESPONSE and conn.their_state is h11.DONE and not cycle.response_started
        if not asked or not cycle.keep_alive or self.flow.write_paused or self.transport.is_closing():
            return False
        cycle.response_started = cycle.response_complete = True
        self.transport.write(reply.wire)
        self._unnoted = reply
        self.loop.call_soon(self._note)  # before anything that the client sends next is read
        return True

    def shutdown(self) -> None:
        self._note()
        super().shutdown()

    def _note(self) -> None:
        reply, self._unnoted = self._unnoted, None
        if reply is not None:
            for event in reply.events:
                self.conn.send_with_data_passthrough(event)
            self.on_response_complete()

    def _limit_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def make_protocol(refusals: Refusals) -> type[Connection]:
    """The class that uvicorn makes an instance of for each connection."""
    return type("LimitedConnection", (Connection,), {"refusals": refusals})
