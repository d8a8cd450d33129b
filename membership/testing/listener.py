"""The port: accepts connections, gives each a thread, can stop listening and start again on the same port."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable

from .connection import Connection, Cut, Gone

_BACKLOG = 1024


class Listener:
    """`serve(connection)` runs in the connection's own thread until it returns or raises Gone or Cut."""

    def __init__(
        self, serve: Callable[[Connection], None], stalled: Callable[[], bool], tls: Callable[[], ssl.SSLContext | None]
    ) -> None:
        self._serve = serve
        self._stalled = stalled
        self._tls = tls
        self._changed = threading.Condition()
        self._connections: dict[Connection, threading.Thread] = {}
        self._socket: socket.socket | None = None
        self._ear, self._mouth = socket.socketpair()
        self._acceptor: threading.Thread | None = None
        self._closed = False
        self.port = 0

    def start(self, port: int) -> None:
        """Bind `port` (0: any free one) on loopback and accept.

        Raises OSError if it is taken, RuntimeError if this was started or closed before.
        """
        if self._closed or self._socket is not None:
            raise RuntimeError("a FakeKube can be started once")
        self._tls()
        self._socket = self._bind(port)
        self.port = int(self._socket.getsockname()[1])
        self.listen()

    def listen(self) -> None:
        """Accept connections (again). Nothing happens if it does so already."""
        if self._socket is None or self._acceptor is not None:
            return
        self._socket.listen(_BACKLOG)
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._socket,), name="fakekube-accept", daemon=True
        )
        self._acceptor.start()

    def pause(self, cut: str | None) -> None:
        """Refuse new connections, end idle ones; with `cut` end all others in that way, and wait for it."""
        if self._socket is None or self._acceptor is None:
            return
        self._mouth.send(b"!")
        self._acceptor.join()
        self._acceptor = None
        self._socket.close()
        # Bound but not listening: connections are refused and nobody else can take the port meanwhile.
        self._socket = self._bind(self.port)
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            connection.finish()
            if cut:
                connection.order(cut)
        if cut:
            self._wait_for_end(connections)

    def close(self) -> None:
        """End everything: the port, all connections, all threads. Idempotent."""
        self._closed = True
        if self._socket is not None:
            self.pause("close")
            self._socket.close()
            self._socket = None
        with self._changed:
            connections = list(self._connections)
            threads = list(self._connections.values())
        for connection in connections:
            connection.order("close")
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(5.0)
        self._ear.close()
        self._mouth.close()

    def wake(self) -> None:
        """Wake every connection's thread."""
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            connection.wake()

    def _bind(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return sock

    def _accept(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._ear in ready:
                    self._ear.recv(4096)
                    return
                try:
                    client, _ = sock.accept()
                except OSError:
                    continue
                self._welcome(client)

    def _welcome(self, client: socket.socket) -> None:
        try:
            connection = Connection(client, self._stalled, self._tls())
        except OSError:
            client.close()
            return
        thread = threading.Thread(target=self._run, args=(connection,), name="fakekube-connection", daemon=True)
        with self._changed:
            self._connections[connection] = thread
        thread.start()

    def _run(self, connection: Connection) -> None:
        reset = False
        try:
            connection.open()
            self._serve(connection)
        except Gone:
            pass
        except Cut as cut:
            reset = cut.how == "reset"
        finally:
            connection.close(reset)
            with self._changed:
                del self._connections[connection]
                self._changed.notify_all()

    def _wait_for_end(self, connections: list[Connection], timeout: float = 5.0) -> None:
        end = time.monotonic() + timeout
        with self._changed:
            while any(connection in self._connections for connection in connections):
                if not self._changed.wait(end - time.monotonic()):
                    return
