"""The format `haproxy` with a real haproxy: it takes what is written, and no request fails while pods come and go.

The pods are HTTP servers on addresses of loopback, the API server is a FakeKube; the sidecar, its hook
(examples/haproxy/reload) and haproxy with its master socket are as in the example.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
import trustme

from membership.model import ServiceDefinition, ServicePort
from membership.render import FORMATS, Setup
from membership.testing import FakeKube, Pod
from testbed.ports import find_free_ports
from tests.running import Sidecar, until
from tests.unit.lists import member, snapshot

EXAMPLE = Path(__file__).parents[2] / "examples" / "haproxy"
STICKY = {"serviceloadbalancer/lb.cookie-sticky-session": "true"}


@pytest.fixture(scope="module")
def haproxy() -> str:
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.fail("needed: haproxy; apt-get install haproxy")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name: a socket's path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="haproxy-") as name:
        yield Path(name)


class Backend(ThreadingHTTPServer):
    """A pod: answers with its own address."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), _Answer)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: health checks end their connections with a reset."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = str(self.connection.getsockname()[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Path", f"{self.path} {self.headers['X-Forwarded-Proto']}")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class Haproxy:
    """`haproxy -W -S SOCKET -f base.cfg -f services.cfg`, ended with all its workers."""

    def __init__(self, program: str, folder: Path, **environ: str) -> None:
        self._folder = folder
        self.log = folder / "haproxy.log"
        self._output = self.log.open("wb")
        self.socket = folder / "master.sock"
        self._process = subprocess.Popen(
            [
                program,
                "-W",
                "-S",
                str(self.socket),
                "-f",
                str(EXAMPLE / "base.cfg"),
                "-f",
                str(folder / "services.cfg"),
            ],
            env={**os.environ, "HAPROXY_RUN": str(folder), **environ},
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)
        self._output.close()

    def workers(self) -> tuple[int, int]:
        """How many workers run, and how many of them are leaving; (0, 0) while the master does not answer.

        AssertionError, with what it wrote, when haproxy has ended.
        """
        if self._process.poll() is not None:
            raise AssertionError(f"haproxy ended with {self._process.returncode}: {self.log.read_text()}")
        current, _, old = self._ask(self.socket, "show proc").partition("# old workers")
        return current.count(" worker "), old.partition("# programs")[0].count(" worker ")

    def servers(self) -> set[str]:
        """The addresses that the newest worker sends requests to."""
        lines = self._ask(self._folder / "admin.sock", "show servers conn").splitlines()
        return {":".join(line.split()[2:4]) for line in lines if line.startswith("wso2.")}

    def _ask(self, path: Path, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(path))
                connection.sendall(f"{command}\n".encode())
                connection.shutdown(socket.SHUT_WR)  # else the master waits for the next command
                return b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        except OSError:
            return ""


class Clients:
    """Threads that ask all the time, one connection for each request, and count what they get."""

    def __init__(self, port: int, *methods: str) -> None:
        self._port = port
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(method,), daemon=True) for method in methods]
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self, method: str) -> None:
        while not self._stopped.is_set():
            try:
                status, body, _ = ask(self._port, method=method)
                failure = "" if status == 200 else f"{method}: {status}"
            except (OSError, http.client.HTTPException) as error:
                failure, body = f"{method}: {error!r}", ""
            with self._lock:
                if failure:
                    self.failures.append(failure)
                else:
                    self.answers[body] += 1
            self._stopped.wait(0.005)


def ask(port: int, cookie: str = "", method: str = "GET") -> tuple[int, str, str]:
    """Status, body and the cookie that was set."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, "/", headers={"Connection": "close", **({"Cookie": cookie} if cookie else {})})
        response = connection.getresponse()
        return response.status, response.read().decode(), (response.getheader("Set-Cookie") or "").partition(";")[0]
    finally:
        connection.close()


class Stage:
    """Pods 127.0.1.1, 127.0.1.2 ... behind one Service, a sidecar, and a haproxy that it keeps current."""

    def __init__(self, program: str, folder: Path, stack: ExitStack) -> None:
        self.backend_port, self.port = find_free_ports(2)
        self.config = folder / "services.cfg"
        self._stack = stack
        self._backends: dict[int, Backend] = {}
        self._terminating: set[int] = set()
        self.kube = stack.enter_context(FakeKube())
        self.annotations: dict[str, str] = {}
        for number in (1, 2):
            self.start(number, publish=False)
        self.publish()
        hook = f"{sys.executable} {EXAMPLE / 'reload'} {folder / 'master.sock'}"
        out = f"haproxy:{self.config}"
        self.sidecar = stack.enter_context(Sidecar(self.kube, "--out", out, "--on-change", hook, services="wso2/gw"))
        until(self.config.exists, 15, "the configuration")
        self.haproxy = stack.enter_context(Haproxy(program, folder))
        until(lambda: self.haproxy.workers() == (1, 0), what="haproxy's worker")

    def start(self, number: int, *, publish: bool = True) -> None:
        backend = Backend(f"127.0.1.{number}", self.backend_port)
        self._backends[number] = backend
        self._stack.callback(lambda: self._backends.pop(number).stop() if number in self._backends else None)
        if publish:
            self.publish()

    def crash(self, number: int) -> None:
        """The pod's process is gone, and nobody has noticed."""
        self._backends.pop(number).stop()

    def drain(self, number: int) -> None:
        """As a pod with a preStop hook ends: told first, gone when no worker knows it any more."""
        self._terminating.add(number)
        self.publish()
        self.settle([one for one in self._backends if one not in self._terminating])
        self._backends.pop(number).stop()
        self._terminating.discard(number)
        self.publish()

    def publish(self) -> None:
        pods = [
            Pod(f"127.0.1.{number}", f"gw-{number}", terminating=number in self._terminating)
            for number in sorted(self._backends)
        ]
        self.kube.set_service(
            "wso2",
            "gw",
            pods,
            ports={"gateway-http": self.backend_port},
            exposed={"gateway-http": self.port},
            annotations=self.annotations,
        )

    def settle(self, numbers: Iterable[int]) -> None:
        """Until haproxy runs with just these pods, and no worker is left that knows others."""
        wanted = {f"127.0.1.{number}:{self.backend_port}" for number in numbers}
        until(lambda: self.haproxy.servers() == wanted, 10, f"haproxy with {wanted}")
        until(lambda: self.haproxy.workers() == (1, 0), 20, "the end of the old workers")


@pytest.fixture
def stage(haproxy: str, folder: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(haproxy, folder, stack)


def test_no_request_fails_while_pods_come_and_go(stage: Stage) -> None:
    with Clients(stage.port, "GET", "POST") as clients:
        for number in range(3, 9):
            stage.start(number)
            stage.settle(range(number - 1, number + 1) if number > 3 else (1, 2, 3))
            stage.drain(number - 1 if number > 3 else 2)
            if number == 3:
                stage.drain(1)
        until(lambda: clients.answers["127.0.1.8"] > 20, 10, "answers of the last pod")
    assert clients.failures == []
    assert {f"127.0.1.{number}" for number in range(1, 9)} <= set(clients.answers)


def test_a_pod_that_crashes_costs_no_get(stage: Stage) -> None:
    """What is only read, that is: a POST that a dying pod had taken may have had its effect."""
    with Clients(stage.port, "GET", "GET") as clients:
        until(lambda: min(clients.answers["127.0.1.1"], clients.answers["127.0.1.2"]) > 5, 10, "answers of both")
        stage.crash(1)
        before = clients.answers["127.0.1.2"]
        until(lambda: clients.answers["127.0.1.2"] > before + 50, 20, "answers without the first pod")
        stage.publish()
        stage.settle((2,))
    assert clients.failures == []


def test_a_service_that_changes_is_followed(stage: Stage) -> None:
    """Annotations alone: the members stay the same. The cookie then leads back to its pod, also across a reload."""
    assert ask(stage.port)[2] == ""
    stage.annotations = STICKY
    stage.publish()
    until(lambda: ask(stage.port)[2] != "", 10, "a cookie")
    _, pod, cookie = ask(stage.port)
    number = pod.rpartition(".")[2]
    assert cookie == f"SERVERID=gw-{number}"
    stage.start(3)
    stage.settle((1, 2, 3))
    assert {ask(stage.port, cookie)[1] for _ in range(10)} == {pod}


def test_haproxy_takes_the_example(haproxy: str, folder: Path) -> None:
    certificate = folder / "tls.pem"
    authority = trustme.CA()
    authority.issue_cert("am.example.com").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    files = ("-f", str(EXAMPLE / "base.cfg"), "-f", str(EXAMPLE / "services.cfg"))
    environ = {**os.environ, "HAPROXY_RUN": str(folder), "HAPROXY_CRT": str(certificate)}
    found = subprocess.run([haproxy, "-c", *files], env=environ, capture_output=True, text=True, timeout=20)
    assert found.returncode == 0, found.stderr
    assert "ALERT" not in found.stderr


def fetch(connection: http.client.HTTPConnection, path: str, host: str = "") -> tuple[int, str, str | None]:
    """Status, who answered, and what path and scheme he saw."""
    try:
        connection.request("GET", path, headers={"Connection": "close", **({"Host": host} if host else {})})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader("X-Path")
    finally:
        connection.close()


def test_hosts_paths_and_tls_lead_where_they_should(haproxy: str, folder: Path) -> None:
    authority, certificate = trustme.CA(), folder / "tls.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("pod.invalid").configure_cert(inner)  # of an authority that nobody knows
    outer = ssl.create_default_context()
    authority.configure_trust(outer)
    inside, shared, secure = find_free_ports(3)
    definitions = (
        ServiceDefinition("wso2", "am", (ServicePort("http", shared),)),
        ServiceDefinition("wso2", "is", (ServicePort("http", shared),)),
        ServiceDefinition("wso2", "gw", (ServicePort("http", shared),), annotations={"lb.host": "gw.example.com"}),
        ServiceDefinition("wso2", "tls", (ServicePort("https", secure),), annotations={"lb.sslTerm": "true"}),
    )
    members = (
        member(f"127.0.1.{number}", service=name, name=name, ports={"http": inside, "https": inside})
        for number, name in enumerate(("am", "is", "gw", "tls"), 1)
    )
    content = FORMATS["haproxy"].render(snapshot(*members), Setup(definitions=definitions))
    (folder / "services.cfg").write_bytes(content or b"")
    with ExitStack() as stack:
        for number in range(1, 5):
            backend = Backend(f"127.0.1.{number}", inside)
            stack.callback(backend.stop)
            if number == 4:
                backend.socket = inner.wrap_socket(backend.socket, server_side=True)
        started = stack.enter_context(Haproxy(haproxy, folder, HAPROXY_CRT=str(certificate)))
        until(lambda: started.workers() == (1, 0), what="haproxy's worker")

        def plain() -> http.client.HTTPConnection:
            return http.client.HTTPConnection("127.0.0.1", shared, timeout=10)

        assert fetch(plain(), "/am/carbon?x=1") == (200, "127.0.1.1", "/carbon?x=1 None")
        assert fetch(plain(), "/is") == (200, "127.0.1.2", "/ None")
        assert fetch(plain(), "/am/x", f"gw.example.com:{shared}") == (200, "127.0.1.3", "/am/x None")
        assert fetch(plain(), "/ams")[0] == 503
        tls = http.client.HTTPSConnection("localhost", secure, timeout=10, context=outer)
        assert fetch(tls, "/") == (200, "127.0.1.4", "/ https")
