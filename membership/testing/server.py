"""`FakeKube`: a Kubernetes API server on loopback, with real resource versions and faults by name."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from .access import AccessTable
from .api import Site
from .bell import Bell
from .exchange import Exchange
from .faults import Fault, FaultBoard
from .listener import Listener
from .messages import Request, RequestLog
from .objects import RESOURCES
from .watching import Stream
from .world import World

_ENDINGS: Final = frozenset(("reset", "eof", "half"))


class FakeKube(World):
    """A real HTTP/1.1 server that serves EndpointSlices, Endpoints, Services and ConfigMaps as kube-apiserver does.

    `token`: bearer token that is asked for (None: none is). `tls`: paths of certificate and key, read for
    each connection. `bookmark_interval`: seconds. `protobuf`: serve it to whom asks for it; False: JSON only, as
    behind a proxy that knows no other. These four may be assigned while it runs. `port` 0: any
    free one. `version`: for GET /version. All methods may be called from any thread, before `start()` as
    well. Use it as a context manager, or `start` and `close`.
    """

    def __init__(
        self,
        token: str | None = None,
        tls: tuple[str, str] | None = None,
        port: int = 0,
        bookmark_interval: float = 60.0,
        version: str = "v1.36.3",
        protobuf: bool = True,
    ) -> None:
        super().__init__(self._wake_streams)
        self.tls = tls
        self._port = port
        self._stalled = False
        self._bell = Bell()
        self._site = Site(self._history, AccessTable(), version, token, bookmark_interval, protobuf)
        self._board = FaultBoard(self._wake_all, self._bell.ring)
        self._log = RequestLog(self._bell.ring)
        self._exchange = Exchange(self._site, self._board, self._log, self._bell.ring)
        self._listener = Listener(self._exchange.serve, lambda: self._stalled, self._tls_context)

    # -- life

    def start(self) -> Self:
        """Listen. Raises OSError if the port is taken or `tls` cannot be read, RuntimeError after `close`."""
        self._listener.start(self._port)
        return self

    def close(self) -> None:
        """End all sockets and threads. Idempotent."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT` (https with `tls`). Known once started."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.port}"

    @property
    def token(self) -> str | None:
        """The bearer token that is asked for; assign a new one to rotate it."""
        return self._site.token

    @token.setter
    def token(self, token: str | None) -> None:
        self._site.token = token

    @property
    def bookmark_interval(self) -> float:
        """Seconds between bookmarks; a new one counts for streams from their next bookmark on."""
        return self._site.bookmark_interval

    @bookmark_interval.setter
    def bookmark_interval(self, seconds: float) -> None:
        self._site.bookmark_interval = seconds

    @property
    def protobuf(self) -> bool:
        """Whether protobuf is served to whom asks for it; counts from the next request on."""
        return self._site.protobuf

    @protobuf.setter
    def protobuf(self, served: bool) -> None:
        self._site.protobuf = served

    def stop_listening(self, cut: bool = False, how: str = "reset") -> None:
        """Refuse connections from now on (the port stays reserved) and end idle ones.

        Open streams live on, unless `cut`: then all connections end, `how` as in `cut_watches`.
        """
        self._listener.pause(_check_ending(how) if cut else None)

    def listen_again(self) -> None:
        """Accept connections on the same port again."""
        self._listener.listen()

    # -- streams

    def bookmark(self) -> int:
        """Send a bookmark now to every open watch that asked for them; how many get one.

        As on the real server a watch gets none until the version is past the one it began: `touch()` first.
        """
        return sum(stream.send_bookmark() for stream in self._exchange.streams())

    def cut_watches(self, how: str = "reset", namespace: str | None = None) -> int:
        """End the open streams and wait until they have ended; how many. `namespace`: only those of it.

        `reset`: RST. `eof`: a clean chunked end. `half`: half a line, then FIN.
        """
        _check_ending(how)
        streams = self._streams(namespace)
        for stream in streams:
            stream.cut(how)
        self.wait_for(lambda: not set(streams) & set(self._exchange.streams()), 5.0, "end of the streams")
        return len(streams)

    def stall(self) -> None:
        """Become a black hole: connections stay open and are accepted, but nothing is sent any more."""
        self._stalled = True

    def resume(self) -> None:
        """End `stall`: all that was held back is sent."""
        self._stalled = False
        self._wake_all()

    # -- access

    def deny(self, verb: str, resource: str, namespace: str = "*") -> None:
        """Answer 403 from now on.

        `verb`: get, list, watch or *. `resource`: endpointslices, endpoints, services, configmaps or *.
        """
        self._site.access.add(False, verb, resource, namespace)

    def allow(self, verb: str, resource: str, namespace: str = "*") -> None:
        """Take back `deny`, for all that this names."""
        self._site.access.add(True, verb, resource, namespace)

    def remove_api(self, resource: str) -> None:
        """Serve `404 page not found` for a resource, like a server that does not know it.

        Raises KeyError for a name that is no resource.
        """
        self._site.removed |= {RESOURCES[resource].plural}

    def restore_api(self, resource: str) -> None:
        """Take back `remove_api`."""
        self._site.removed -= {resource}

    # -- faults

    def fault(
        self, name: str, on: str = "any", times: int | None = None, namespace: str | None = None, **params: Any
    ) -> Fault:
        """Put a fault in force (see `membership.testing.FAULTS`) until it has struck `times` or is cleared.

        `on`: list, watch, review, other (anything else) or any. `namespace`: only requests to it.
        Raises ValueError for an unknown name, parameter or `on`, or a fault that cannot strike there.
        """
        return self._board.add(name, on, times, namespace, params)

    def clear_faults(self) -> None:
        """Clear all faults; what they held back goes on."""
        self._board.clear()

    # -- what happened

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order of arrival; a copy."""
        return self._log.entries()

    @property
    def tokens_seen(self) -> list[str]:
        """All Authorization headers so far; a copy."""
        return self._log.tokens()

    def count(self, kind: str | None = None, since: float | None = None) -> int:
        """How many requests there were, of that kind, from `since` (time.monotonic()) on."""
        return sum(
            kind in (None, request.kind) and (since is None or request.time >= since) for request in self._log.entries()
        )

    @property
    def watches(self) -> int:
        """How many watch streams are open now."""
        return len(self._exchange.streams())

    def wait_for_watch(self, n: int = 1, timeout: float = 5.0, namespace: str | None = None) -> bool:
        """Wait until `n` streams are open (of `namespace`); True. Raises TimeoutError."""
        return self.wait_for(lambda: len(self._streams(namespace)) >= n, timeout, f"{n} open watches")

    def wait_for_requests(self, n: int, kind: str | None = None, timeout: float = 5.0) -> bool:
        """Wait until there were `n` requests (of that kind) in all; True. Raises TimeoutError."""
        return self.wait_for(lambda: self.count(kind) >= n, timeout, f"{n} requests of kind {kind or 'any'}")

    def wait_for(self, predicate: Callable[[], object], timeout: float = 5.0, what: str = "condition") -> bool:
        """Wait until `predicate()`; True. Raises TimeoutError after `timeout` seconds.

        It is asked again after each request, answer, fault that struck, and begin or end of a stream.
        """
        self._bell.wait_for(predicate, timeout, what)
        return True

    def _streams(self, namespace: str | None) -> list[Stream]:
        return [stream for stream in self._exchange.streams() if namespace in (None, stream.route.namespace)]

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        return context

    def _wake_streams(self) -> None:
        self._exchange.wake_streams()

    def _wake_all(self) -> None:
        self._listener.wake()


def _check_ending(how: str) -> str:
    if how not in _ENDINGS:
        raise ValueError(f"unknown ending {how!r}; known: {', '.join(sorted(_ENDINGS))}")
    return how
