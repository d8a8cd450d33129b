"""Real processes and a plain HTTP client, for tests that hold the product against its contract as a black box.

Nothing here hopes: `until` polls a condition with a bound. Every process is ended by its pid, also when a test fails.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from membership.testing import FakeKube, Pod, Request

T = TypeVar("T")
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
PATIENCE = 15.0
"""Seconds for what takes milliseconds, on a machine that has other things to do: who passes never waits so long. What
the contract bounds is asserted where it is tested."""
START_LIMIT = 20.0
"""Seconds that a start may take there."""
STOP_LIMIT = 2.5
"""Seconds within which a program must have ended. The promise is one; tests/real prints the figure (0.2 s)."""


def until(condition: Callable[[], T | None], timeout: float = PATIENCE, what: str = "the condition") -> T:
    """Ask again and again until the answer is true, and return it; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {timeout:g} s; last seen {found!r}")
        time.sleep(0.01)


def pods(count: int, start: int = 5, *, prefix: str = "is", **fields: Any) -> list[Pod]:
    """`count` pods: 10.244.0.5 is is-0, and so on."""
    return [
        Pod(f"10.244.0.{start + n}", f"{prefix}-{start - 5 + n}", hostname=f"{prefix}-{start - 5 + n}", **fields)
        for n in range(count)
    ]


def clean_environ(**extra: str) -> dict[str, str]:
    """An environment in which nothing of this machine can be found: no cluster, no kubeconfig, no settings."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1", **extra}


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        """The media type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def generation(self) -> int:
        return int(self.headers["x-membership-generation"])


def ask(
    port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, timeout: float = 10.0
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    began = time.monotonic()
    try:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        body = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, body, time.monotonic() - began)
    finally:
        connection.close()


def raw_request(port: int, data: bytes, timeout: float = 5.0) -> bytes:
    """Send bytes as they are, and return what comes until the end or until nothing more comes."""
    with socket.create_connection((HOST, port), timeout) as sock:
        try:
            sock.sendall(data)
        except OSError:
            pass  # refused half-way: the answer may be there all the same
        got = b""
        try:
            while part := sock.recv(65536):
                got += part
        except OSError:
            pass
        return got


class Asking:
    """A request that runs in a thread of its own, for blocking queries; `answer` waits for its end."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str] | None = None, timeout: float = 20.0) -> None:
        self._found: Answer | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(port, path, headers, timeout), daemon=True)
        self._thread.start()

    def _run(self, port: int, path: str, headers: Mapping[str, str] | None, timeout: float) -> None:
        try:
            self._found = ask(port, path, headers=headers, timeout=timeout)
        except Exception as error:  # told by `answer`, in the thread of the test
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def stays_open(self, seconds: float) -> bool:
        """Whether no answer comes within `seconds` (only ever used to see that something does not happen)."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def answer(self, timeout: float = PATIENCE) -> Answer:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"no answer within {timeout:g} s"
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found


class EventStream:
    """A client of server-sent events. Use it in a `with` block."""

    def __init__(self, port: int, path: str = "/members/stream", headers: Mapping[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        self._connection.request("GET", path, headers=dict(headers or {}))
        self.response = self._connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def block(self, timeout: float = PATIENCE) -> list[str]:
        """The lines up to the next empty one: an event or a comment."""
        sock = self._connection.sock
        if sock is not None:
            sock.settimeout(timeout)
        lines: list[str] = []
        while True:
            line = self.response.readline()
            if not line:
                raise EOFError("the stream has ended")
            text = line.decode().rstrip("\r\n")
            if text:
                lines.append(text)
            elif lines:
                return lines

    def event(self, timeout: float = PATIENCE) -> dict[str, str]:
        """The next event's fields; comments are passed over."""
        while True:
            lines = [line for line in self.block(timeout) if not line.startswith(":")]
            if lines:
                fields = [line.partition(":") for line in lines]
                return {name: value.removeprefix(" ") for name, _, value in fields}

    def close(self) -> None:
        self.response.close()
        self._connection.close()


class Process:
    """A program of ours, started. Both outputs are collected line by line as they come."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        cwd: Path | None = None,
        umask: int = -1,
        files: int | None = None,
    ) -> None:
        """`files`: how many file descriptors it may have."""
        limit = ["sh", "-c", f'ulimit -n {files}; exec "$0" "$@"'] if files is not None else []
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [*limit, str(BIN / program), *arguments],
            env=clean_environ() if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            umask=umask,
        )
        self.pid = self._process.pid
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=_collect, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self._process.stdout, self.out), (self._process.stderr, self.err))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        return "\n".join(self.err)

    @property
    def output(self) -> str:
        return "".join(f"{line}\n" for line in self.out)

    def count(self, pattern: str) -> int:
        """How many lines of stderr match."""
        return sum(re.search(pattern, line) is not None for line in list(self.err))

    def wait_log(self, pattern: str, timeout: float = PATIENCE) -> str:
        """The first line of stderr that matches, once it is there."""

        def look() -> str | None:
            return next((line for line in list(self.err) if re.search(pattern, line)), None)

        try:
            return until(look, timeout, f"log line {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{self.log}") from None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def finish(self, timeout: float = 15.0) -> int:
        """Wait for its own end; the exit code."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {timeout:g} s; its log:\n{self.log}") from None
        self.seconds = time.monotonic() - self.began
        self._close()
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> tuple[int, float]:
        """Send a signal and wait for the end: exit code and seconds it took."""
        began = time.monotonic()
        self.send(number)
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {timeout:g} s of {number!r}; its log:\n{self.log}") from None
        took = time.monotonic() - began
        self._close()
        return code, took

    def kill(self) -> None:
        """End it at once, whatever it does. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def end(self) -> None:
        """End it, giving it time to end what it has started itself. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def resident(self) -> float:
        """MiB of memory in use."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def _close(self) -> None:
        for reader in self._readers:
            reader.join(2.0)  # a grandchild may hold the pipe open
        for pipe, reader in zip((self._process.stdout, self._process.stderr), self._readers, strict=True):
            if pipe is not None and not reader.is_alive():
                pipe.close()


def _collect(pipe: IO[bytes], lines: list[str]) -> None:
    for line in pipe:
        lines.append(line.decode("utf-8", "replace").rstrip("\n"))


class Sidecar(Process):
    """`membership-sidecar` with HTTP on a free port of loopback and JSON logs, unless the flags say otherwise."""

    def __init__(
        self,
        server: FakeKube | str | None,
        *flags: str,
        services: str | None = "wso2/is",
        environ: Mapping[str, str] | None = None,
        umask: int = -1,
        files: int | None = None,
    ) -> None:
        given = list(flags)
        if "--http" not in given:
            given += ["--http", f"{HOST}:0"]
        if "--log-format" not in given:
            given += ["--log-format", "json"]
        if services is not None:
            given += ["--services", services]
        if server is not None:
            given += ["--server", server if isinstance(server, str) else server.url]
        super().__init__("membership-sidecar", given, environ, umask=umask, files=files)
        self._port: int | None = None

    @property
    def port(self) -> int:
        """Where it listens; waits until it does."""
        if self._port is None:
            line = self.wait_log(r"listening on port \d+", START_LIMIT)
            found = re.search(r"listening on port (\d+)", line)
            assert found is not None
            self._port = int(found[1])
        return self._port

    def get(self, path: str, headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> Answer:
        return ask(self.port, path, headers=headers, timeout=timeout)

    def head(self, path: str) -> Answer:
        return ask(self.port, path, "HEAD")

    def members(self, query: str = "") -> Any:
        return self.get(f"/members{query}").json

    def addresses(self) -> list[str]:
        """What /members lists now; empty before the first list."""
        answer = self.get("/members")
        return [member["address"] for member in answer.json["members"]] if answer.status == 200 else []

    def synced(self, timeout: float = START_LIMIT) -> Self:
        """Wait for the first list from the API server."""
        until(lambda: self.get("/readyz").status == 200, timeout, f"readiness; its log:\n{self.log}\nthat")
        return self

    def follows(self, wanted: Sequence[str], timeout: float = PATIENCE) -> None:
        """Wait until the list is just these addresses."""
        seen: list[str] = []

        def same() -> bool:
            seen[:] = self.addresses()
            return seen == list(wanted)

        try:
            until(same, timeout, f"the list {list(wanted)}")
        except AssertionError as error:
            raise AssertionError(f"{error}, instead {seen}; the log:\n{self.log}") from None

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of one sample, None where there is none."""
        return sample(self.get("/metrics").text, name, labels)

    def records(self) -> list[dict[str, Any]]:
        """The log's lines, each of which must be a JSON object."""
        return [json.loads(line) for line in list(self.err)]


def sample(exposition: str, name: str, labels: Mapping[str, str]) -> float | None:
    """One value of a Prometheus text; `labels` must be among its labels."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(exposition):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return float(one.value)
    return None


class Command(Process):
    """One `membership` subcommand, started; `result` waits for its exit code."""

    def __init__(self, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        super().__init__("membership", arguments, environ)

    def result(self, timeout: float = 20.0) -> int:
        return self.finish(timeout)


def busiest_second(requests: Sequence[Request]) -> int:
    """The most requests within a second, nearly: on a busy machine they arrive closer than they were sent."""
    times = sorted(request.time for request in requests)
    return max((sum(begin <= time < begin + 0.85 for time in times) for begin in times), default=0)


@contextmanager
def silent_listener() -> Iterator[str]:
    """The URL of a port where connections can never be made: its queue is full, so nobody answers the SYN."""
    listener = socket.socket()
    fillers: list[socket.socket] = []
    try:
        listener.bind((HOST, 0))
        listener.listen(0)
        where = listener.getsockname()
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(where)
            fillers.append(filler)
        yield f"http://{HOST}:{where[1]}"
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


@contextmanager
def refused_port() -> Iterator[int]:
    """A port that is reserved and where nothing listens: connections are refused."""
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        yield int(reserved.getsockname()[1])
