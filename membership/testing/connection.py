"""One client connection: a non-blocking socket that other threads can wake, stall and cut at any point."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_SLICE: Final = 256 * 1024
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class _TlsSocket(ssl.SSLSocket):
    """Closes itself where the client has left before the handshake; Python 3.11 leaves it to the garbage collector."""

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError:
            self.close()
            raise


class Gone(Exception):
    """The peer has left."""


class Cut(Exception):
    """Another thread ordered this exchange to end; `how` is `reset`, `eof`, `half` or `close`."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how: Final = how


@dataclass(frozen=True, slots=True)
class Drip:
    """How slowly bytes are sent: `size` at once, then a pause of `delay` seconds."""

    delay: float
    size: int


class Connection:
    """Owned by one thread; only `wake`, `order` and `finish` may be called from others.

    Every wait ends at once with `Gone` when the peer leaves and with `Cut` when so ordered. While
    `stalled()` is true nothing is sent.
    """

    def __init__(self, sock: socket.socket, stalled: Callable[[], bool], tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = tls
        self._socket = sock
        self._stalled = stalled
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._interest = 0
        self._order: str | None = None
        self._received = bytearray()
        self.last = False

    # -- for other threads

    def wake(self) -> None:
        """Let the current wait return."""
        try:
            self._mouth.send(b"!")
        except OSError:
            pass  # full: it is awake already; closed: nobody waits

    def order(self, how: str) -> None:
        """Let the owner's current or next wait or send raise Cut(how)."""
        self._order = how
        self.wake()

    def finish(self) -> None:
        """End after the current exchange; at once when idle."""
        self.last = True
        self.wake()

    # -- for the owner

    def open(self) -> None:
        """Shake hands if this is TLS. Raises Gone if that fails."""
        if self._tls is None:
            return
        self.hold(watch_peer=False)
        self._tls.sslsocket_class = _TlsSocket
        try:
            sock = self._tls.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = sock
            while True:
                try:
                    sock.do_handshake()
                    return
                except ssl.SSLWantReadError:
                    self._poll(None, selectors.EVENT_READ)
                except ssl.SSLWantWriteError:
                    self._poll(None, selectors.EVENT_WRITE)
        except OSError as error:
            raise Gone from error

    def wait(self, timeout: float | None) -> None:
        """Wait for a wake, for bytes, or `timeout` seconds."""
        if self._poll(timeout, selectors.EVENT_READ):
            self._fill()

    def pause(self, seconds: float) -> None:
        """Wait for all of `seconds`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.wait(left)

    def hold(self, watch_peer: bool = True) -> None:
        """Wait while stalled."""
        while self._stalled():
            if watch_peer:
                self.wait(None)
            else:
                self._poll(None, 0)

    def read_until(self, mark: bytes) -> bytes:
        """Bytes up to and with `mark`. Raises Cut("close") when idle and told to finish."""
        while (end := self._received.find(mark)) < 0:
            if self.last and not self._received:
                raise Cut("close")
            self.wait(None)
        return self._take(end + len(mark))

    def read_exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._received) < size:
            self.wait(None)
        return self._take(size)

    def send(self, data: bytes, drip: Drip | None = None) -> None:
        """Send all of `data`, at once or by `drip`."""
        if drip is not None:
            for index in range(0, len(data), drip.size):
                self.send(data[index : index + drip.size])
                self.pause(drip.delay)
            return
        view = memoryview(data)
        while view:
            self.hold()
            self._obey()
            try:
                view = view[self._socket.send(view[:_SLICE]) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if self._poll(None, selectors.EVENT_READ | selectors.EVENT_WRITE) & selectors.EVENT_READ:
                    self._fill()
            except OSError as error:
                raise Gone from error

    def send_last(self, data: bytes) -> bool:
        """Send after a Cut: whatever the socket takes at once, in spite of a stall. True if that was all."""
        try:
            return self._socket.send(data) == len(data)
        except OSError:
            return False

    def clear_order(self) -> None:
        """Go on after a Cut that left the connection usable."""
        if self._order != "close":
            self._order = None

    def close(self, reset: bool = False) -> None:
        """Close with FIN, or with RST."""
        try:
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            else:
                self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer was faster
        self._selector.close()
        for sock in (self._socket, self._ear, self._mouth):
            sock.close()

    def _obey(self) -> None:
        if self._order is not None:
            raise Cut(self._order)

    def _poll(self, timeout: float | None, interest: int) -> int:
        """Wait for `interest` in the socket or a wake; what the socket is ready for."""
        self._obey()
        if interest != self._interest:
            if self._interest == 0:
                self._selector.register(self._socket, interest)
            elif interest == 0:
                self._selector.unregister(self._socket)
            else:
                self._selector.modify(self._socket, interest)
            self._interest = interest
        ready = 0
        for key, events in self._selector.select(None if timeout is None else max(0.0, timeout)):
            if key.fileobj is self._ear:
                self._ear.recv(4096)
            else:
                ready = events
        self._obey()
        return ready

    def _fill(self) -> None:
        while True:
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                raise Gone from error
            if not data:
                raise Gone
            self._received += data

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data
