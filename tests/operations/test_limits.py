"""Many clients, slow ones, deaf ones, and no file descriptors left: the list still gets where it must."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path


from membership.testing import FakeKube, Pod
from tests.running import HOST, EventStream, Sidecar, pods, until

BLOCKED, STREAMS = 500, 200
ROOM = 60
"""MiB that so many clients may take: 700 connections at some 25 KiB, and what is on its way to the deaf ones."""


@contextlib.contextmanager
def connections(port: int, count: int, request: bytes, *, buffer: int | None = None) -> Iterator[list[socket.socket]]:
    """So many connections on which this was sent; `buffer` is the size of the receive buffer."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            if buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.settimeout(20)
            sock.connect((HOST, port))
            sock.sendall(request)
            found.append(sock)
        yield found


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def ended(sock: socket.socket) -> bool:
    """Whether the other side has closed a connection from which nothing else is expected."""
    sock.setblocking(False)
    try:
        return sock.recv(65536) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_hundreds_of_clients_half_of_them_deaf(kube: FakeKube, tmp_path: Path) -> None:
    many = [Pod(f"10.1.{n // 250}.{n % 250 + 1}", f"is-{n}") for n in range(200)]
    kube.set_service("wso2", "is", many)
    with contextlib.ExitStack() as stack, Sidecar(kube, "--out", f"lines:{tmp_path}/lines") as sidecar:
        port, alone = sidecar.synced().port, sidecar.resident()
        blocked = stack.enter_context(connections(port, BLOCKED, get("/members?index=1&wait=5m")))
        stack.enter_context(connections(port, STREAMS // 2, get("/members/stream"), buffer=4096))
        hearing = [stack.enter_context(EventStream(port)) for _ in range(STREAMS // 2)]
        for stream in hearing:
            stream.event()
        slowest = 0.0
        for round in range(10):  # 50 KiB for each: what a deaf client does not take must not pile up
            wanted = Pod(f"10.2.0.{round + 1}", f"new-{round}")
            began = time.monotonic()
            kube.set_service("wso2", "is", [*many, wanted])
            until(lambda: f"{wanted.address}:4000" in (tmp_path / "lines").read_text(), 10, "the change in the file")
            slowest = max(slowest, time.monotonic() - began)
            while wanted.address not in hearing[0].event(timeout=10)["data"]:
                pass
        assert slowest < 5.0, "a file does not wait for clients"
        assert all(sock.recv(17) == b"HTTP/1.1 200 OK\r\n" for sock in blocked)
        for stream in hearing[1:]:
            while wanted.address not in stream.event(timeout=10)["data"]:
                pass
        assert sidecar.get("/livez").seconds < 5.0
        assert sidecar.resident() < alone + ROOM
    assert sidecar.count("Traceback") == 0


def test_no_file_descriptors_left(kube: FakeKube, tmp_path: Path) -> None:
    """Clients cannot take those that the API server's connection and the files need."""
    with Sidecar(kube, "--out", f"lines:{tmp_path}/lines", files=128) as sidecar:
        port = sidecar.synced().port
        with connections(port, 200, get("/members?index=1&wait=5m")) as held:
            refused = [sock for sock in held[128:] if sock.recv(12) == b"HTTP/1.1 503"]
            assert len(refused) == 72
            kube.cut_watches()
            kube.set_service("wso2", "is", pods(3))
            until(lambda: "10.244.0.7:4000\n" in (tmp_path / "lines").read_text(), 10, "the change in the file")
            assert held[0].recv(15) == b"HTTP/1.1 200 OK"
        until(lambda: sidecar.get("/readyz").status == 200, what="readiness")
        assert sidecar.count("connections refused") == 1, "told once, not 136 times"
        assert sidecar.count("Traceback") == 0


def test_the_last_places_are_for_those_who_have_few(kube: FakeKube) -> None:
    """A client that takes all there are must not keep out the kubelet, whose refused probe would end the sidecar."""
    with Sidecar(kube, files=192) as sidecar:
        port = sidecar.synced().port
        with connections(port, 250, get("/members?index=1&wait=5m")) as held:
            until(lambda: sidecar.count("connections refused") == 1, what="the refusals")

            def lives() -> bool:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.2", 0))
                    probe.settimeout(10)
                    probe.connect((HOST, port))
                    probe.sendall(get("/livez"))
                    return probe.recv(15) == b"HTTP/1.1 200 OK"

            until(lives, 10, "an answer, when those who were refused have gone")
            assert not ended(held[0])


def test_a_body_that_breaks_after_its_answer_is_no_line_of_the_log(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar, socket.create_connection((HOST, sidecar.synced().port), 10) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
        sock.sendall(b"ZZ\r\n")
        until(lambda: ended(sock), 10, "its end")
        assert sidecar.get("/livez").status == 200
        assert sidecar.count("Traceback|LocalProtocolError|Fatal") == 0


def test_slow_heads_are_ended_and_waiting_clients_are_not(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar:
        port = sidecar.synced().port
        with (
            connections(port, 1, get("/members?index=1&wait=5m")) as waiting,
            connections(port, 3, b"") as silent,
            connections(port, 3, b"GET /members HTTP/1.1\r\nX: ") as slow,
            connections(port, 1, get("/livez") + b"GET /mem") as again,
        ):
            assert again[0].recv(15) == b"HTTP/1.1 200 OK"
            began = time.monotonic()

            def all_ended() -> bool:
                for sock in slow:
                    with contextlib.suppress(OSError):
                        sock.send(b"x")  # a drip does not buy time
                return all(ended(sock) for sock in (*silent, *slow, *again))

            until(all_ended, 20, "the end of the slow ones")
            assert time.monotonic() - began > 5, "nobody is hurried"
            kube.set_service("wso2", "is", pods(3))
            assert waiting[0].recv(15) == b"HTTP/1.1 200 OK"
