"""Start, stop and cost of the sidecar: contract.md "Exit codes" and the numbers of issue 3."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest
import trustme

from membership.testing import FakeKube
from testbed.ports import find_free_ports
from tests.running import (
    BIN,
    HOST,
    Asking,
    EventStream,
    Process,
    Sidecar,
    ask,
    clean_environ,
    pods,
    silent_listener,
    STOP_LIMIT,
    until,
)


def leaves(sidecar: Sidecar, number: Signals = SIGTERM) -> None:
    """0, within a second, and nothing to be ashamed of in the log."""
    code, took = sidecar.stop(number)
    assert code == 0, sidecar.log
    assert took < STOP_LIMIT, f"{took:.2f} s"
    assert "Traceback" not in sidecar.log and sidecar.out == []


# -- the end, whatever we do; what the API server may do meanwhile is in tests/faults/test_stop.py


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_while_all_is_well(kube: FakeKube, tmp_path: Path, number: Signals) -> None:
    flags = ("--out", f"json:{tmp_path}/json", "--state", f"{tmp_path}/state", "--on-change", "true")
    with Sidecar(kube, *flags) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        leaves(sidecar, number)
        until(lambda: kube.watches == 0, what="the end of the stream")


def test_while_clients_wait(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar, ExitStack() as stack:
        now = sidecar.synced().members()["generation"]
        asked = [Asking(sidecar.port, f"/members?index={now}&wait=5m") for _ in range(20)]
        streams = [stack.enter_context(EventStream(sidecar.port)) for _ in range(10)]
        deaf = [stack.enter_context(socket.create_connection((HOST, sidecar.port))) for _ in range(10)]
        for stream in streams:
            stream.event()
        for sock in deaf:
            sock.sendall(b"GET /members/stream HTTP/1.1\r\nHost: x\r\n")  # not even a whole request
        assert asked[-1].stays_open(0.2)
        leaves(sidecar)
        assert {one.answer().status for one in asked} == {200}, "who waits is answered at the end"


def test_while_a_client_has_a_connection_open(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar, socket.create_connection((HOST, sidecar.synced().port)):
        leaves(sidecar)


@pytest.mark.parametrize("stubborn", [False, True])
def test_while_a_hook_runs(kube: FakeKube, tmp_path: Path, stubborn: bool) -> None:
    pid = tmp_path / "pid"
    command = f"""sh -c '{"trap true TERM; " if stubborn else ""}echo $$ >{pid}; while :; do sleep 0.05; done'"""
    with Sidecar(kube, "--on-change", command) as sidecar:
        until(lambda: pid.exists() and pid.read_text().strip(), 10, "the command")
        leaves(sidecar)
    process = Path("/proc") / pid.read_text().strip() / "stat"
    until(lambda: not process.exists() or ") Z" in process.read_text(), what="the end of the command")


def test_while_a_target_cannot_be_written(kube: FakeKube, tmp_path: Path) -> None:
    outs = [word for n in range(6) for word in ("--out", f"lines:{tmp_path}/file/{n}")]
    (tmp_path / "file").touch()
    with Sidecar(kube, *outs) as sidecar:
        sidecar.wait_log("cannot write")
        leaves(sidecar)


def test_two_signals_are_one(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar:
        sidecar.synced().send(SIGTERM)
        leaves(sidecar)


def test_as_soon_as_it_says_anything(kube: FakeKube) -> None:
    kube.fault("hang")
    with Sidecar(kube) as sidecar:
        sidecar.wait_log(".", 10)
        leaves(sidecar)


# -- the start


def test_it_starts_before_the_api_server_does(kube: FakeKube) -> None:
    kube.stop_listening()
    with Sidecar(kube) as sidecar:
        sidecar.wait_log("refused")
        assert sidecar.get("/livez").status == 200 and sidecar.get("/readyz").status == 503
        assert "refused" in sidecar.get("/readyz").text and "refused" in sidecar.get("/members").json["detail"]
        kube.listen_again()
        sidecar.follows(["10.244.0.5", "10.244.0.6"], 15)
        assert sidecar.get("/readyz").status == 200


def test_start_to_synced(kube: FakeKube, capsys: pytest.CaptureFixture[str]) -> None:
    took = []
    for _ in range(3):
        with Sidecar(kube) as sidecar:
            sidecar.wait_log("generation 1", 10)
            took.append(time.monotonic() - sidecar.began)
    with capsys.disabled():
        print(f"\nstart to first list: best of 3 {min(took):.3f} s, all {[round(one, 3) for one in took]}")
    assert min(took) < 5.0  # the number is 1.5 s; a busy machine gets more


def test_at_rest_it_is_small_and_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a cluster: two variables, a token and a CA."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (tmp_path / "token").write_text("account-token\n")
    pem = str(tmp_path / "server.pem")
    with FakeKube(token="account-token", tls=(pem, pem)) as kube:
        kube.set_service("wso2", "is", pods(3))
        environ = clean_environ(KUBERNETES_SERVICE_HOST=HOST, KUBERNETES_SERVICE_PORT=kube.url.rpartition(":")[2])
        flags = (
            "--ca-file",
            f"{tmp_path}/ca.crt",
            "--token-file",
            f"{tmp_path}/token",
            "--out",
            f"json:{tmp_path}/json",
        )
        with Sidecar(None, *flags, "--state", f"{tmp_path}/state", environ=environ) as sidecar:
            sidecar.synced()
            kube.wait_for_watch()
            until((tmp_path / "json").exists, what="the file")
            for path in ("/members", "/metrics", "/", "/explain", "/readyz"):
                assert sidecar.get(path).status == 200
            resident = sidecar.resident()
            leaves(sidecar)
        assert len(kube.requests) == 2
    with capsys.disabled():
        print(f"\nresident at rest: {resident:.1f} MiB")
    assert resident <= 45.0


def test_it_needs_no_home_and_no_writable_place(kube: FakeKube) -> None:
    given = ("--server", kube.url, "--services", "wso2/is", "--http", f"{HOST}:0")
    with Process("membership-sidecar", given, {}, cwd=Path("/proc")) as process:
        process.wait_log("generation 1", 10)
        assert process.stop()[0] == 0


@pytest.mark.parametrize("make", [nullcontext, silent_listener])
def test_livez_never_depends_on_the_api_server(make: Callable[[], AbstractContextManager[str | None]]) -> None:
    with make() as server, Sidecar(server or "http://127.0.0.1:9") as sidecar:
        for _ in range(5):
            answer = sidecar.get("/livez")
            assert answer.status == 200 and answer.seconds < 4.0


def test_a_log_that_nobody_reads_stops_nothing(kube: FakeKube, tmp_path: Path) -> None:
    """The pipe is full: a line more would block who writes it, for good."""
    (port,) = find_free_ports(1, HOST)
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        words = ["--server", kube.url, "--services", "wso2/is", "--http", f"{HOST}:{port}", "--log-level", "debug"]
        words += ["--out", f"lines:{tmp_path}/lines"]
        process = subprocess.Popen([BIN / "membership-sidecar", *words], env=clean_environ(), stderr=writing)
        try:
            until(lambda: (tmp_path / "lines").exists(), 15, "the first list")
            kube.stop_listening(cut=True)
            time.sleep(1.0)  # it has a problem to tell
            kube.listen_again()
            kube.set_service("wso2", "is", pods(3))
            until(lambda: "10.244.0.7" in (tmp_path / "lines").read_text(), 15, "the change")
            assert ask(port, "/livez").status == 200
            process.send_signal(SIGTERM)
            assert process.wait(5) == 0
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(reading)
        os.close(writing)
