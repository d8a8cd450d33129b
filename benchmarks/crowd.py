"""Many consumers of one sidecar's /members in one process: each asks again as soon as it was answered.

    python -m benchmarks.crowd long-poll|sse PORT COUNT

Prints a JSON line {"ready": COUNT} once all wait, and then one for each list: its generation, the resource version of
the first answer, how many had it, and when the first, the middle and the last had all of its bytes (monotonic ns).
"""

import json
import re
import select
import socket
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

_GENERATION = re.compile(rb"X-Membership-Generation: (\d+)", re.IGNORECASE)
_LENGTH = re.compile(rb"Content-Length: (\d+)", re.IGNORECASE)
_EVENT = re.compile(rb"id: (\d+)\ndata: ")
_VERSION = re.compile(rb'"resource_versions":\{"[^"]*":"(\d+)"')
HOST = "127.0.0.1"


@dataclass(slots=True)
class Round:
    """All sightings of one list."""

    version: str
    seen: list[int] = field(default_factory=list)


class Consumer(ABC):
    """One connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.content = b""
        self._parts: list[bytes] = []
        self._missing = 0

    @abstractmethod
    def ask(self, generation: int) -> None:
        """Ask for a list that is newer; 0 is asked for first."""

    @abstractmethod
    def take(self) -> int | None:
        """The generation of a list of which the last byte has come, else None."""

    def _read(self) -> bytes:
        data = self.sock.recv(1 << 20)
        if not data:
            raise SystemExit("the sidecar closed a connection")
        return data


class LongPoll(Consumer):
    def ask(self, generation: int) -> None:
        self.sock.sendall(f"GET /members?index={generation}&wait=600s HTTP/1.1\r\nHost: members\r\n\r\n".encode())

    def take(self) -> int | None:
        data = self._read()
        self._parts.append(data)
        if self._missing > len(data):
            self._missing -= len(data)
            return None
        whole = b"".join(self._parts)
        head, end, _ = whole.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        self._missing = len(head) + 4 + int(length[1]) - len(whole) if length else 0
        if length is None or self._missing > 0:
            return None
        self.content, self._parts = whole, []
        found = _GENERATION.search(head)
        if found is None or not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not a list: {head!r}")
        return int(found[1])


class Stream(Consumer):
    def ask(self, generation: int) -> None:
        if generation == 0:
            self.sock.sendall(b"GET /members/stream HTTP/1.1\r\nHost: members\r\n\r\n")

    def take(self) -> int | None:
        self._parts.append(self._read())
        if not self._parts[-1].endswith(b"\n\n\r\n"):  # the end of an event is the end of a chunk
            return None
        self.content, self._parts = b"".join(self._parts), []
        found = _EVENT.findall(self.content)
        return int(found[-1]) if found else None  # else it was a comment


KINDS: dict[str, type[Consumer]] = {"long-poll": LongPoll, "sse": Stream}


def follow(kind: str, port: int, count: int) -> None:
    """Until this process is ended. A round that a newer list cut short is told with those that it had."""
    poll = select.epoll()
    consumers = {}
    for _ in range(count):
        consumer = KINDS[kind](port)
        consumer.ask(0)
        consumers[consumer.sock.fileno()] = consumer
        poll.register(consumer.sock, select.EPOLLIN)
    current, at_first, rounds = 0, count, Round("")
    while True:
        for descriptor, _ in poll.poll():
            consumer = consumers[descriptor]
            generation = consumer.take()
            if generation is None:
                continue
            now = time.monotonic_ns()
            consumer.ask(generation)
            if at_first:
                at_first -= 1
                current = max(current, generation)
                if not at_first:
                    print(json.dumps({"ready": count}), flush=True)
                continue
            if generation > current:
                if len(rounds.seen) < count:
                    tell(current, rounds)
                version = _VERSION.search(consumer.content)
                current, rounds = generation, Round(version[1].decode() if version else "")
            if generation == current:
                rounds.seen.append(now)
                if len(rounds.seen) == count:
                    tell(current, rounds)


def tell(generation: int, rounds: Round) -> None:
    """Nothing of a round that nobody saw."""
    if seen := sorted(rounds.seen):
        line = {"generation": generation, "version": rounds.version, "count": len(seen)}
        print(json.dumps({**line, "first": seen[0], "middle": seen[len(seen) // 2], "last": seen[-1]}), flush=True)


if __name__ == "__main__":
    follow(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
