"""A program that finds members by name: it asks, keeps the answer for its TTL, and asks again.

That is what a resolver with a cache does, and what Java does by default (networkaddress.cache.ttl is 30 s there,
whatever the record says). TCP, because a hundred addresses do not fit into a datagram.
"""

import socket
import struct
import sys
import time

from benchmarks.arms.programs.report import NAMESPACE, SERVICE, run, tell_marks

NAME = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"


def main() -> None:
    port = int(sys.argv[1])
    while True:
        try:
            addresses, ttl = ask(port)
        except (ConnectionError, ValueError):  # it is starting
            time.sleep(0.1)
            continue
        tell_marks(time.monotonic_ns(), addresses)
        time.sleep(ttl)


def ask(port: int) -> tuple[list[str], int]:
    """The addresses and the lowest TTL. Raises ValueError for an answer without an address."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    query = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(struct.pack(">H", len(query)) + query)
        (length,) = struct.unpack(">H", receive(sock, 2))
        return parse(receive(sock, length), len(query))


def parse(answer: bytes, at: int) -> tuple[list[str], int]:
    _, flags, _, count = struct.unpack_from(">HHHH", answer)
    if flags & 0xF or not count:
        raise ValueError(f"no address for {NAME}: flags {flags:#x}")
    addresses, ttls = [], []
    for _ in range(count):
        while answer[at] and answer[at] < 0xC0:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        kind, _, ttl, length = struct.unpack_from(">HHIH", answer, at)
        at += 10
        if kind == 1:
            addresses.append(socket.inet_ntoa(answer[at : at + 4]))
            ttls.append(ttl)
        at += length
    return addresses, min(ttls)


def receive(sock: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        got = sock.recv(count - len(parts))
        if not got:
            raise ConnectionError("the server has closed")
        parts += got
    return parts


if __name__ == "__main__":
    run(main)
