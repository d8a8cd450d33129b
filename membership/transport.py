"""HTTP/1.1 to one server over the standard library: connections that notice a dead peer, and can be interrupted.

One connection per request, with TLS and proxy set up anew each time. http.client does the protocol; what is added is
what it leaves out: deadlines for whole answers, keepalive, a size limit, and a way to end a blocked read.
"""

import errno
import http.client
import io
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from membership.errors import BadAnswer, Silent, Unreachable

CONNECT_TIMEOUT = 5.0
"""Seconds for TCP, TLS and a proxy together."""
LIMIT = 32 * 2**20
"""Bytes of one whole answer or one line. An object is at most about 1.5 MiB; 20 000 endpoints list as 5 MiB."""
CHUNK = 256 * 1024
BUFFER = 64 * 1024
"""Bytes, more than a TLS record has: what comes in one is there after one read, with http.client's 8 KiB after two."""
# A dead peer is noticed when keepalive probes, the first after 10 s of silence, stay unanswered. With TCP_USER_TIMEOUT
# set, Linux judges by that time and not by the count, at the tick of a probe: 19 s makes it the tick at 20 s, so that
# the connection that is tried then has failed, and is told, before 30 s are over (tests/real/test_black_hole.py).
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 19_000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class _TlsSocket(ssl.SSLSocket):
    """Closes itself where the peer is gone by the time it is made; Python 3.11 then leaves it open, out of our reach.

    https://github.com/python/cpython/blob/v3.11.7/Lib/ssl.py#L1018-L1044
    """

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError as error:
            self.close()
            raise ConnectionResetError("the peer has reset it") from error


@dataclass(frozen=True, slots=True)
class Tls:
    """How to verify the server; `ca_file` None means the system's authorities."""

    ca_file: Path | None = None
    skip_verify: bool = False
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """Made for each connection, so that a file that was replaced counts from then on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = _TlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_file:
            context.load_verify_locations(self.ca_file)
        else:
            context.load_default_certs()
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to. `proxy` is (host, port, headers) of an HTTP proxy to tunnel through; `tls` None is http."""

    host: str
    port: int
    tls: Tls | None = None
    proxy: tuple[str, int, dict[str, str]] | None = None


class Interrupt:
    """Ends the exchanges that run under it, from another thread: after `trip` none of them waits, and none starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._tripped = False

    def trip(self) -> None:
        with self._lock:
            self._tripped = True
            for sock in self._sockets:
                _shut(sock)

    @contextmanager
    def guard(self, sock: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._tripped:
                raise OSError("interrupted")
            self._sockets.add(sock)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(sock)


class Exchange:
    """One request and its answer, on a connection of its own. Raises Unreachable, Silent and BadAnswer only."""

    def __init__(self, address: Address, interrupt: Interrupt) -> None:
        self._address = address
        self._interrupt = interrupt
        self._cleanup = ExitStack()
        self._sock: socket.socket | None = None
        self._response: _Response | None = None

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None, deadline: float) -> None:
        """Connect, send, and wait for the head of the answer until `deadline` (monotonic)."""
        try:
            connection = _Connection(self._address, self._interrupt, self._cleanup)
            connection.deadline = min(deadline, time.monotonic() + CONNECT_TIMEOUT)
            self._cleanup.callback(connection.close)
            connection.connect()
            self._sock = connection.sock
            connection.deadline = deadline
            connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
            connection.request(method, target, body=body, headers=headers)
            self._response = cast(_Response, connection.getresponse())
            self._cleanup.callback(self._response.close)
        except _FAILURES as error:
            raise _named(error) from error

    @property
    def connected(self) -> bool:
        """Whether a connection was made, whatever became of it."""
        return self._sock is not None

    @property
    def answered(self) -> bool:
        """Whether the head of an answer came."""
        return self._response is not None

    @property
    def response(self) -> http.client.HTTPResponse:
        assert self._response is not None
        return self._response

    @property
    def streams(self) -> bool:
        """Whether the body comes in chunks as they are made; else something in between may be holding it back."""
        return bool(self.response.chunked)

    def read_some(self, deadline: float) -> bytes:
        """What there is of the body, at least a byte; empty at its end. Silent when `deadline` (monotonic) passes."""
        assert self._response is not None
        try:
            self._response.bytes.deadline = deadline
            got = self._response.read1(CHUNK)
        except _FAILURES as error:
            raise _named(error) from error
        if not got and self._response.length:
            raise Unreachable(f"the answer was cut {self._response.length} bytes before its end")
        return got

    def read_all(self, deadline: float, limit: int = LIMIT) -> bytes:
        """The rest of the body; BadAnswer above `limit` bytes."""
        parts, size = [], 0
        while part := self.read_some(deadline):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise BadAnswer(f"the answer is larger than {limit // 2**20} MiB")
        return b"".join(parts)

    def cut(self) -> None:
        """End a read that is blocked in another thread."""
        if self._sock is not None:
            _shut(self._sock)

    def close(self) -> None:
        self._cleanup.close()


class _Bytes(io.RawIOBase):
    """What comes from a socket until `deadline` (monotonic), however little each read brings.

    A socket's own timeout begins anew with each byte, and http.client reads a head, or the size of a chunk, for as long
    as it drips.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.deadline = deadline
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)  # keeps the socket open when its connection is closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """http.client's answer, with our buffer; answers that only announce another one (1xx) are passed over."""

    def __init__(self, sock: socket.socket, deadline: float, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp.close()
        self.bytes = _Bytes(sock, deadline)
        self.fp = io.BufferedReader(self.bytes, BUFFER)

    def _read_status(self) -> tuple[str, int, str]:
        """http.client passes over 100 alone: https://www.rfc-editor.org/rfc/rfc9110#section-15.2"""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:  # 101 is the last in HTTP
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Connection(http.client.HTTPConnection):
    """http.client's connection, with our socket in it."""

    sock: socket.socket
    deadline: float
    """Until when a connection must be made, and then until when the head of the answer must be there; monotonic."""

    def __init__(self, address: Address, interrupt: Interrupt, cleanup: ExitStack) -> None:
        super().__init__(address.host, address.port)
        self._to = address
        self._interrupt = interrupt
        self._cleanup = cleanup

    def response_class(self, sock: socket.socket, *arguments: Any, **more: Any) -> _Response:  # type: ignore[override]
        return _Response(sock, self.deadline, *arguments, **more)

    def connect(self) -> None:
        deadline = self.deadline
        host, port = (self._to.proxy[0], self._to.proxy[1]) if self._to.proxy else (self._to.host, self._to.port)
        if self._to.proxy:
            self.set_tunnel(self._to.host, self._to.port, self._to.proxy[2])  # http.client refuses it once connected
        self.sock = self._dial(host, port, deadline)
        if self._to.proxy:
            self._tunnel()  # type: ignore[attr-defined]
        if self._to.tls:
            name = self._to.tls.server_name or self._to.host
            context = self._to.tls.context()
            tls = context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
            # Wrapping moved the descriptor into a new socket object: guard that one, before it may block.
            self.sock = tls
            self._cleanup.enter_context(self._interrupt.guard(tls))
            tls.settimeout(max(0.05, deadline - time.monotonic()))
            tls.do_handshake()

    def _dial(self, host: str, port: int, deadline: float) -> socket.socket:
        """The first of the host's addresses that answers, each given its share of the time that is left."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        problem: OSError = OSError(f"{host} has no address")
        for index, (family, kind, protocol, _, where) in enumerate(found):
            sock = socket.socket(family, kind, protocol)
            guard = ExitStack()
            try:
                guard.enter_context(self._interrupt.guard(sock))
                for option in _KEEPALIVE:
                    sock.setsockopt(*option)
                sock.settimeout(max(0.05, (deadline - time.monotonic()) / (len(found) - index)))
                sock.connect(where)
                sock.settimeout(max(0.05, deadline - time.monotonic()))
            except OSError as error:
                problem = error
                guard.close()
                sock.close()
                continue
            self._cleanup.push(guard)
            return sock
        raise problem


_FAILURES = (OSError, http.client.HTTPException, ValueError)
"""What sockets, TLS and http.client raise."""


def _named(error: Exception) -> Unreachable | BadAnswer:
    """One of `_FAILURES` as ours."""
    if isinstance(error, TimeoutError):
        if error.errno == errno.ETIMEDOUT:  # the kernel's word, where a deadline of ours has no number
            return Unreachable("the connection is dead: its packets are no longer answered")
        return Silent("no answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"the server's certificate is not accepted: {error.verify_message}")
    if isinstance(error, ConnectionRefusedError):
        return Unreachable("nothing listens there: connection refused")
    if isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionError)):
        return Unreachable(f"the connection was cut: {error}")
    if isinstance(error, socket.gaierror):
        return Unreachable(f"the host name cannot be resolved: {error.strerror}")
    if isinstance(error, OSError):
        return Unreachable(f"cannot connect: {error}")
    return BadAnswer(f"not an HTTP answer: {error!r}")


def _shut(sock: socket.socket) -> None:
    """Wake whoever is blocked on it. SSLSocket.shutdown would drop the TLS state under the reader's feet."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected, or closed meanwhile
