"""What may stand between a client and a server: a TCP proxy that forgets, holds back, cuts, or turns elsewhere.

    with Proxy(6443) as proxy:
        ...                     # talk to 127.0.0.1:proxy.port
        proxy.forget()

It sees bytes only: TLS goes through it unopened.
"""

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

_RST_ON_CLOSE = struct.pack("ii", 1, 0)
_BLOCK = 64 * 1024


class _Link:
    """One connection and what becomes of its bytes; a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket, flowing: threading.Event) -> None:
        self.client = client
        self.server = server
        self.forgotten = False
        self.left: int | None = None
        self._flowing = flowing

    def start(self) -> None:
        for source, sink in ((self.client, self.server), (self.server, self.client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def reset(self) -> None:
        """End both connections with RST."""
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_BLOCK):
                self._flowing.wait()
                if self.forgotten:
                    continue
                if self.left is not None and sink is self.client:
                    sink.sendall(data[: self.left])
                    self.left -= len(data)
                    if self.left <= 0:
                        break
                else:
                    sink.sendall(data)
        if not self.forgotten:
            self.reset()


class Proxy:
    """Listens on a free port of loopback and passes bytes on to `target`, a port of loopback. Use it as a context.

    `accepted`: when each connection was accepted, in seconds of `time.monotonic`.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted: list[float] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"https://127.0.0.1:{self.port}"
        self._links: list[_Link] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._closed = False
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self.cut()

    def forget(self) -> None:
        """Lose the server behind the connections that are open: they stay open, and nothing comes. New ones work."""
        for link in self._links:
            link.forgotten = True

    def hold(self) -> None:
        """Let no byte through, on any connection, in either direction, until `release`."""
        self._flowing.clear()

    def release(self) -> None:
        """Let all that was held back go on."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset all connections. New ones work."""
        links, self._links = self._links, []
        for link in links:
            link.reset()

    def cut_after(self, size: int) -> None:
        """Reset each open connection when so many more bytes have gone to its client."""
        for link in self._links:
            link.left = size

    def refuse(self, refuse: bool) -> None:
        """Reset every new connection as soon as it is made, or no longer."""
        self._refusing = refuse

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(("127.0.0.1", self.target), 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            link = _Link(client, server, self._flowing)
            self._links.append(link)
            link.start()
