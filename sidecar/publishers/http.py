"""The HTTP endpoint's thread: uvicorn on a socket that was bound before anything else started."""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from membership.errors import SettingsError
from membership.session import Publication
from sidecar.publishers.connections import Refusals, choose_limit, harden, make_protocol

log = logging.getLogger("sidecar")

CROWD = 50
"""Clients that wait: answering them takes some 3 ms."""
FILES_FIRST = 0.05
"""Seconds that a crowd waits for the files at most: a disk that hangs must not keep the list from anybody."""
REQUEST_HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers; more is answered 400."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. An empty host means every address, IPv6 and IPv4 where the machine has both.

    Raises SettingsError naming address and reason.
    """
    try:
        sock = _listen(host, port)
    except OSError as error:
        raise SettingsError([f"--http: cannot listen on {host}:{port}: {error.strerror or error}"]) from error
    harden(sock)
    return sock


def _listen(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # the kernel has IPv6, this host does not
                raise
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


class Newest:
    """The newest publication, for coroutines of one event loop.

    `written` tells whether the files of a generation are there, as far as they can be: a crowd of clients is told
    after them, for what it takes to answer a thousand would delay them.
    """

    def __init__(self, written: Callable[[int], bool]) -> None:
        self.publication: Publication | None = None
        self.closed = False
        self.waiting: set[Callable[[], None]] = set()
        """Each is called once, when there is a newer list or none will come any more."""
        self._written = written
        self._streams = 0
        self._told_by: float | None = None  # while clients are not told yet of the list that there is
        self._changed = asyncio.Event()

    def put(self, publication: Publication) -> None:
        self.publication = publication
        if self._told_by is None:
            self._told_by = asyncio.get_running_loop().time() + FILES_FIRST
            self._tell()

    def close(self) -> None:
        """Let everyone who waits answer at once."""
        self.closed = True
        self._wake()

    @property
    def generation(self) -> int:
        return self.publication.snapshot.generation if self.publication else 0

    async def wait_newer(self, generation: int, timeout: float) -> bool:
        """Whether there is a newer list than `generation`, now or within `timeout` seconds; False also once closed."""
        self._streams += 1
        try:
            async with asyncio.timeout(timeout):
                while self.generation <= generation and not self.closed:
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._streams -= 1
        return self.generation > generation

    def _tell(self) -> None:
        """Wake who waits; a crowd when the files are written, or have had their time."""
        loop = asyncio.get_running_loop()
        if (
            len(self.waiting) + self._streams >= CROWD
            and self._told_by is not None
            and loop.time() < self._told_by
            and not self._written(self.generation)
        ):
            loop.call_later(0.001, self._tell)
        else:
            self._told_by = None
            self._wake()

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, set()
        for call in waiting:
            try:
                call()
            except Exception:  # the boundary of this client: whatever it is must not keep the list from the others
                log.exception("http: a bug")
        self._changed.set()
        self._changed = asyncio.Event()


class _Server(uvicorn.Server):
    """uvicorn looks ten times a second whether it shall stop, 0.16 % of a core; this one is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Called in its loop."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()


class HttpServer:
    """Serves `app`; `put` and `close` may be called from any thread."""

    def __init__(self, app: ASGIApp, newest: Newest, sock: socket.socket) -> None:
        self._refusals = Refusals(choose_limit())
        config = uvicorn.Config(
            app,
            http=make_protocol(self._refusals),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=REQUEST_HEAD_LIMIT,
        )
        self._newest = newest
        self._sock = sock
        self._server = _Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="output-http", daemon=True)

    def start(self) -> None:
        """Returns when requests are answered."""
        self._thread.start()
        self._looping.wait()

    def put(self, publication: Publication) -> None:
        """Wake whoever waits for a list newer than theirs."""
        self._call(self._newest.put, publication)

    def close(self) -> None:
        """Answer who waits, then stop."""
        self._call(self._newest.close)
        self._call(self._server.stop)
        self._thread.join(0.4)
        self._sock.close()

    def _call(self, function: Callable[..., None], *arguments: Publication) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._refusals.hear)
        self._looping.set()
        await self._server.serve(sockets=[self._sock])
