"""Connections in virtual time, in the place of transport.Exchange.

Everything above is the product's own: kube.py writes the requests and reads the bytes.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import unquote_plus

from greenlet import getcurrent, greenlet

from membership.errors import BadAnswer, Silent, Unreachable
from membership.transport import CONNECT_TIMEOUT, Address, Exchange, Interrupt
from tests.simulation.encoding import TYPE, frame, whole
from tests.simulation.faults import BODIES, IN_STREAM, STATUSES, Window, damaged
from tests.simulation.history import History
from tests.simulation.machine import Blocked, Machine
from tests.simulation.server import BAD, EXPIRED, PART, Mark, Request, Servers, status

DEAD_PEER = 25.0
"""Seconds after which the kernel's probes find a peer that is gone."""
LATE = 1.5
"""Seconds for which an answer is under way that comes late."""


class Watched:
    """Who sees what goes over the network: the oracle."""

    def sent(self, line: "Connection") -> None: ...

    def arrived(self) -> None: ...

    def accepted(self, line: "Connection") -> None:
        """A watch's head was received."""

    def cut(self, line: "Connection") -> None:
        """The product cuts it."""

    def refused(self, line: "Connection", code: int, retry_after: int) -> None:
        """An answer that is not a 200 was received."""

    def received(self, line: "Connection", marks: "list[Mark]") -> None:
        """Bytes of a body were received."""

    def finished(self, line: "Connection") -> None:
        """The end of a body was received."""


class Network:
    """Between the product and the servers."""

    def __init__(self, machine: Machine, servers: Servers, random: Random, watched: Watched, protobuf: float) -> None:
        self.machine = machine
        self.random = random
        self.watched = watched
        self.windows: list[Window] = []
        self.connections: list[Connection] = []
        self.latest: dict[greenlet, Connection] = {}
        """The last connection each thread has received something from."""
        self.latency = 0.02
        self.black_until = 0.0
        self.buffered_until = 0.0
        self.damages: list[str] = []
        """What happens to the next lines."""
        self._protobuf = protobuf
        self._chance = Random(0)
        """How often an answer is in protobuf where that is asked for: a proxy may not know it."""
        self._servers = servers

    def connect(self, address: Address, interrupt: Interrupt) -> Exchange:
        """In the place of transport.Exchange."""
        return Connection(self)

    @property
    def history(self) -> History:
        """What the servers hold now."""
        return self._servers.history

    def delay(self) -> float:
        return self.random.random() * self.latency

    def speaks_protobuf(self, accepted: str) -> bool:
        """Whether the answer to a request with this Accept header is in protobuf."""
        return accepted.startswith(TYPE) and self._chance.random() < self._protobuf

    def window(self, request: Request) -> Window | None:
        now = self.machine.now
        for window in self.windows:
            if window.hits(request, now):
                window.times -= 1
                return window
        return None

    def cut(self) -> None:
        for connection in self._open():
            connection.fail("reset by peer")

    def mute(self) -> None:
        """Nothing comes any more on what is open, and nothing says so: a live proxy before a dead server."""
        for connection in self._open():
            connection.mute = connection.spoilt = True

    def black_hole(self, seconds: float) -> None:
        now = self.machine.now
        self.black_until = max(self.black_until, now + seconds)
        if seconds > DEAD_PEER:
            for connection in self._open():
                self.machine.at(now + DEAD_PEER, connection.fail, "timed out")

    def close(self) -> None:
        """The server ends all streams."""
        for connection in self._open():
            if connection.asked.watches:
                connection.finish()

    def heal(self) -> None:
        """No fault begins any more; what is broken by now may stay so."""
        self.windows.clear()
        self.damages.clear()
        self.black_until = self.buffered_until = 0.0
        self.latency = 0.02

    def serve(self, connection: "Connection") -> None:
        """The request has arrived."""
        self.watched.arrived()
        window = self.window(connection.asked)
        if window is None:
            self._servers.answer(connection.asked, connection)
        else:
            self._fail(connection, window)

    def _fail(self, line: "Connection", window: Window) -> None:
        fault = window.fault
        headers = {"Retry-After": str(window.number)} if window.number and fault in ("429", "503", "500") else {}
        if fault in STATUSES:
            code, reason = STATUSES[fault]
            line.respond(code, headers, status(code, reason, "the schedule says so"), BAD)
        elif fault in BODIES:
            line.respond(*BODIES[fault][:1], {}, BODIES[fault][1], BAD)
        elif fault == "504":
            line.respond(504, {}, status(504, "Timeout", "Too large resource version: 9, current: 8"), BAD)
        elif fault in ("reset", "refused"):
            line.fail("reset by peer")
        elif fault == "not-http":
            line.garbled = True
            line.fail("not HTTP")
        elif fault == "close" or fault in IN_STREAM:
            line.accept()
            if fault in IN_STREAM:
                code = IN_STREAM[fault]
                body = b'{"type":"ERROR","object":%s}\n' % status(code, "X", "as the schedule says", window.number)
                line.send(body, EXPIRED if code == 410 else BAD)
            line.finish()
        elif fault == "slow":
            self.machine.at(self.machine.now + window.number, self._serve_late, line)
        elif fault == "outdated":
            self._servers.answer(line.asked, line, outdated=window.number % 7 + 1)
        elif fault in ("half", "stuck", "late"):
            line.broken = fault
            self._servers.answer(line.asked, line)
        elif fault != "silent":
            raise AssertionError(f"no such fault: {fault}")

    def _serve_late(self, line: "Connection") -> None:
        self._servers.answer(line.asked, line)

    def _open(self) -> "list[Connection]":
        self.connections = [connection for connection in self.connections if connection.open]
        return self.connections


class Connection(Exchange):
    """One request and its answer. Bytes come in the order in which they were sent, and late."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._machine = network.machine
        self.asked = Request("", "", "", None)
        self.sent_at = 0.0
        self.open = True
        self.protobuf = False
        self.mute = False
        self.spoilt = False
        """It has ended or will be silent: the fault came before it shows."""
        self.sure_at = 0.0
        """When the last bytes were received, if they are a proof for certain."""
        self.garbled = False
        self.broken = ""
        """How the next answer is spoilt: half of it, then a cut; half of it, then silence; or all of it, but late."""
        self.whole: Mark | None = None
        """What the whole answer of a list proves, once all of it was received."""
        self.history: History | None = None
        """Of the last whole line received."""
        self.tainted = False
        """A line was damaged: what follows it may be read as a part of it."""
        self.opened = False
        """The product has been told that the watch was accepted."""
        self.former = False
        """It then held the list of a restored server, which this stream is ahead of."""
        self.held = 0
        """The version held when it was asked."""
        self.own = True
        """Asked by the namespace's own thread, and not beside its stream."""
        self._answer: Answer | None = None
        self._last = 0.0
        self._way: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._inbox: list[tuple[bytes, Mark]] = []
        self._over: Unreachable | BadAnswer | None = None
        self._ended = False
        self._listing: Mark | None = None
        self._waiting: Blocked | None = None

    # The product's side.

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None, deadline: float) -> None:
        network, machine = self._network, self._machine
        self.asked = parse(target)
        self.protobuf = network.speaks_protobuf(headers["Accept"])
        self.sent_at = machine.now
        network.watched.sent(self)
        window = network.window(self.asked) if any(w.fault == "refused" for w in network.windows) else None
        if window is not None and window.fault == "refused":
            network.watched.arrived()
            machine.block(machine.now + network.delay())
            raise Unreachable("nothing listens there: connection refused")
        if window is not None:
            window.times += 1  # it is asked again when the request has arrived
        if machine.now < network.black_until:
            machine.block(min(deadline, machine.now + CONNECT_TIMEOUT))
            raise Silent("no answer in time")
        network.connections.append(self)
        machine.at(machine.now + network.delay(), self._arrive)
        while self._answer is None:
            if self._over is not None:
                raise self._over
            self._wait(deadline)
        network.latest[getcurrent()] = self
        if self._answer.status != 200:
            network.watched.refused(self, self._answer.status, int(self._answer.headers.get("Retry-After", 0)))
        elif self.asked.watches:
            network.watched.accepted(self)

    @property
    def response(self) -> "Answer":  # type: ignore[override]
        assert self._answer is not None
        return self._answer

    @property
    def streams(self) -> bool:
        return True

    def read_some(self, deadline: float) -> bytes:
        network = self._network
        if self._machine.now >= deadline:
            raise Silent("no answer in time")
        while not self._inbox:
            if self._over is not None:
                raise self._over
            if self._ended:
                self.whole = self._listing
                network.latest[getcurrent()] = self
                network.watched.finished(self)
                return b""
            self._wait(deadline)
        taken, self._inbox = self._inbox, []
        network.latest[getcurrent()] = self
        network.watched.received(self, [mark for _, mark in taken])
        return b"".join([data for data, _ in taken])

    def cut(self) -> None:
        self._network.watched.cut(self)
        self.fail("cut by ourselves")

    def close(self) -> None:
        self.open = False

    def _wait(self, deadline: float) -> None:
        if self._machine.now >= deadline:
            raise Silent("no answer in time")
        self._waiting = Blocked(getcurrent())
        self._machine.block_as(self._waiting, deadline)

    # The server's side.

    def respond(self, status: int, headers: dict[str, str], body: bytes, mark: Mark) -> None:
        encoded = whole(body) if self.protobuf else None
        if encoded is not None:
            headers, body = {**headers, "Content-Type": TYPE}, encoded
        if self.broken == "late":
            self._last = self._machine.now + LATE
        elif self.broken and status == 200:
            self._later(self._take_head, Answer(200, headers))
            self._later(self._take, (body[: len(body) // 2], BAD))
            if self.broken == "half":
                self._later(self.fail, "cut before its end")
            return
        self._later(self._take_whole, (Answer(status, headers), body, mark))

    def accept(self) -> None:
        headers = {"Content-Type": f"{TYPE};stream=watch"} if self.protobuf else {}
        self._later(self._take_head, Answer(200, headers))

    def send(self, data: bytes, mark: Mark) -> None:
        network = self._network
        if network.damages and self.broken not in ("half", "stuck"):
            how = network.damages.pop()
            data, mark = damaged(data, mark, how, network.random, protobuf=self.protobuf)
        elif self.protobuf:
            data = frame(data)
        if self.broken in ("half", "stuck"):
            # A watch of which only a part of a line gets through.
            self._later(self._take, (data[: len(data) // 2], BAD))
            if self.broken == "half":
                self._later(self.fail, "reset by peer")
            self.mute = self.spoilt = True
            return
        if len(data) > 100 and network.random.random() < 0.05:
            middle = network.random.randrange(1, len(data))
            self._later(self._take, (data[:middle], PART))
            data = data[middle:]
        self._later(self._take, (data, mark))

    def finish(self) -> None:
        self.spoilt = True
        self._later(self._end, None)

    def _arrive(self, _: object) -> None:
        if self.open and self._over is None:
            self._network.serve(self)

    def _later(self, call: Callable[[Any], None], what: Any) -> None:
        """On its way: in order, and not before what holds it back."""
        if self.mute:
            return
        network = self._network
        at = self._machine.now + network.delay()
        at = max(at, self._last, network.buffered_until)
        self._last = at
        self._way.append((call, what))
        self._machine.at(at, self._come)

    def _come(self, _: None) -> None:
        """The next of what is on its way has come, whichever of them this was planned for."""
        network = self._network
        if self.mute or not self.open:
            return
        if self._machine.now < network.black_until:
            self._last = max(self._last, network.black_until)
            self._machine.at(network.black_until, self._come)
            return
        call, what = self._way.popleft()
        if self._over is None:
            call(what)
            if self._waiting is not None:
                self._machine.wake(self._waiting)

    def _take_head(self, answer: "Answer") -> None:
        self._answer = answer

    def _take_whole(self, what: "tuple[Answer, bytes, Mark]") -> None:
        self._answer, body, self._listing = what
        if body:
            self._inbox.append((body, PART))
        self._ended = True

    def _take(self, what: tuple[bytes, Mark]) -> None:
        self._inbox.append(what)

    def _end(self, _: None) -> None:
        self._ended = True

    def fail(self, why: str) -> None:
        """The connection breaks, at once."""
        self.spoilt = True
        if self._over is None and not self._ended:
            self._over = BadAnswer(why) if self.garbled else Unreachable(f"the connection was cut: {why}")
            if self._waiting is not None:
                self._machine.wake(self._waiting)


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, as http.client has it."""

    status: int
    headers: dict[str, str]

    chunked = True

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return self.headers.get(name, default)


def parse(target: str) -> Request:
    path, _, query = target.partition("?")
    parts = path.split("/")
    given = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
    timeout = int(given["timeoutSeconds"]) if "watch" in given else None
    return Request(parts[-1], parts[-2], unquote_plus(given.get("resourceVersion", "")), timeout)
