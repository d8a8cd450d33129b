"""Nothing that must not be told is told, and nothing that comes in over HTTP hurts. SECURITY.md says the rest."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membership.testing import FakeKube
from tests.running import HOST, Command, Sidecar, pods, raw_request, until

SECRET = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0LXBheWxvYWQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
PATHS = (
    "/", "/members", "/members?format=lines", "/explain", "/explain?format=text", "/livez?verbose", "/readyz?verbose",
    "/startupz?verbose", "/metrics", "/verify", "/version", "/nope",
)  # fmt: skip


def echoes(kind: str) -> type[BaseHTTPRequestHandler]:
    """A server that puts the request's headers into its answers."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = str(self.headers.get("Authorization"))
            status = {"kind": "Status", "status": "Failure", "message": f"no right: {told}", "reason": "x", "code": 403}
            answers: dict[str, tuple[int, str, dict[str, str]]] = {
                "status": (403, json.dumps(status), {}),
                "unauthorized": (401, json.dumps({**status, "code": 401}), {}),
                "page": (502, f"<html>{told * 3}</html>", {}),
                "not JSON": (200, told, {}),
                "cut off": (200, "x" * (200 - 40) + told, {}),
                "redirect": (302, "", {"Location": f"http://{HOST}/?{told}"}),
                "wrong kind": (200, json.dumps({"kind": told, "metadata": {}, "items": []}), {}),
            }
            code, body, headers = answers[kind]
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing: this is a test."""

    return Echo


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(text: str) -> bool:
    """Whether a telling part of the secret is in a text."""
    return any(part[:10] in text for part in SECRET.split("."))


@pytest.mark.parametrize("kind", ["status", "unauthorized", "page", "not JSON", "cut off", "redirect", "wrong kind"])
def test_no_secret_is_told(kind: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    outputs = ("--state", f"{tmp_path}/state", "--out", f"json:{tmp_path}/json")
    with serving(echoes(kind)) as url:
        with Sidecar(url, "--token-file", str(token), "--log-level", "debug", *outputs) as sidecar:
            sidecar.wait_log("warning", 10)
            pages = [sidecar.get(path).text for path in PATHS]
            sidecar.stop()
            everything = "\n".join((*pages, sidecar.log, sidecar.output))
        given = ("--server", url, "--token-file", str(token), "--services", "wso2/is", "--timeout", "300ms")
        for run in [Command("list", *given), Command("check", *given), Command("wait", *given, "--gate-timeout", "1s")]:
            run.result()
            everything += run.output + run.log
    everything += "".join(path.read_text() for path in (tmp_path / "state", tmp_path / "json") if path.exists())
    assert url in everything, "errors are told"
    assert not told(everything), [line for line in everything.splitlines() if told(line)]


def test_a_token_that_no_header_can_hold_is_not_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\nsecond line")
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(1))
        with Sidecar(kube, "--token-file", str(token), "--log-level", "debug") as sidecar:
            sidecar.wait_log("warning", 10)
            everything = sidecar.get("/readyz?verbose").text + sidecar.get("/").text
            sidecar.stop()
            assert not told(everything + sidecar.log)


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2))
        with Sidecar(kube) as started:
            yield started.synced()


@pytest.mark.parametrize("path", [*PATHS, "/members?index=x"])
def test_every_answer_has_the_hardening_headers(sidecar: Sidecar, path: str) -> None:
    headers = sidecar.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    assert "server" not in headers


def test_the_page_loads_its_own_two_files_and_has_no_code_or_style_in_it(sidecar: Sidecar) -> None:
    text = sidecar.get("/").text
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*>", text) == [
        '<link rel="stylesheet" href="/status.css">',
        '<link rel="icon" href="data:,">',
        '<script src="/status.js" defer>',
    ]
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?://|<script[^>]*>[^<]", text)
    assert not re.search("https?://|url\\(|@import", sidecar.get("/status.css").text)
    assert not re.search("https?://|innerHTML =[^=]|eval|document.write", sidecar.get("/status.js").text)


REQUEST = b"GET /members?index=1&wait=1s HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
PIECES = (
    b"\r\n", b"\r", b"\n", b" ", b":", b"\0", b"%", b"%00", b"\xff", b"?", b"index=", b"-1", b"9" * 30, b"GET ",
    b"POST ", b"Content-Length: 9\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n",
    b"HTTP/1.0", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b'If-None-Match: W/"\r\n', b"A" * 70_000, b"../",
    b"/members/stream",
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request with pieces of it replaced by others that belong elsewhere, or plain bytes."""
    data = draw(st.sampled_from([REQUEST, b""])) or draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        data = data[:at] + draw(st.sampled_from(PIECES)) + data[at + size :]
    return data


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=requests())
def test_whatever_comes_in_it_lives(sidecar: Sidecar, data: bytes) -> None:
    said = len(sidecar.err)
    answer = raw_request(sidecar.port, data, timeout=0.05)
    assert answer == b"" or re.match(rb"HTTP/1\.1 [24]\d\d ", answer), answer[:100]
    assert sidecar.get("/livez").status == 200
    assert not any("Traceback" in line for line in sidecar.err[said:])


def test_the_log_is_not_a_way_in(sidecar: Sidecar) -> None:
    """What a client sends makes no lines of its own, and none without end."""
    said = len(sidecar.err)
    for _ in range(200):
        raw_request(sidecar.port, b'GET /\n{"level": "error"} HTTP/1.1\r\n\r\n', timeout=1)
    until(lambda: sidecar.get("/livez").status == 200)
    assert all(isinstance(record, dict) for record in sidecar.records()[said:])
    assert len(sidecar.err) - said < 20
