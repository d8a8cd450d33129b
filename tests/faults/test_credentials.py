"""F10, F11 and F17: tokens, the clock that must not matter to them, and permissions."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from membership import Membership, Unauthorized, connect
from membership.testing import FakeKube
from tests.faults.stage import FOUR, THREE, TWO, Machine, following, heals, kept, server_of, unhurried
from tests.running import STOP_LIMIT, Command, Sidecar, clean_environ, pods, until


def test_f10_token_rotated(kube: FakeKube, tmp_path: Path) -> None:
    """F10, 401: the token is read for each request; refused, once more at once, then with backoff."""
    token = tmp_path / "token"
    token.write_text("first-token\n")
    kube.token = "first-token"
    with following(kube, "--token-file", str(token)) as sidecar:
        kube.token = "second-token"
        token.write_text("second-token")
        kube.cut_watches("eof")
        kube.wait_for_watch()
        assert kube.tokens_seen[-1] == "Bearer second-token"
        assert sidecar.metric("membership_requests_total", code="401") is None
        # The server is first this time: what it refuses is kept until the file has the new one.
        kube.token = "third-token"
        kube.cut_watches()
        sidecar.wait_log("401.*watch endpointslices")
        kept(sidecar)
        assert (
            sidecar.metric("membership_requests_total", code="401") or 0
        ) >= 2, "once more at once, before it is told"
        token.write_text("third-token")
        heals(kube, sidecar, 15)
        assert sidecar.count("401 Unauthorized") == 1, sidecar.log
        assert not any(word in sidecar.log for word in ("first-token", "second-token", "third-token"))


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: {server}}}}}]
users: [{{name: u, user: {{tokenFile: {token}}}}}]
contexts: [{{name: one, context: {{cluster: c, user: u, namespace: wso2}}}}]
current-context: one
"""


def test_credentials_of_a_kubeconfig_are_loaded_anew_when_they_are_refused(kube: FakeKube, tmp_path: Path) -> None:
    """The official client reads a token file once, and asks an identity provider once."""
    token, config = tmp_path / "token", tmp_path / "config"
    token.write_text("first-token")
    config.write_text(KUBECONFIG.format(server=kube.url, token=token))
    kube.token = "first-token"
    with Sidecar(None, "--kubeconfig", str(config)) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.token = "second-token"
        token.write_text("second-token")
        kube.cut_watches("eof")
        heals(kube, sidecar)
        config.write_text("no kubeconfig")
        kube.token = "third-token"
        kube.cut_watches("eof")
        line = sidecar.wait_log("kubeconfig gives no credentials", 15)
        assert "watch endpointslices" in line and sidecar.get("/livez").status == 200
        assert sidecar.addresses() == THREE
        token.write_text("third-token")
        config.write_text(KUBECONFIG.format(server=kube.url, token=token))
        kube.set_service("wso2", "is", pods(4))
        sidecar.follows(FOUR, 15)


@pytest.fixture
def plugin(kube: FakeKube, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A kubeconfig whose plugin takes 2 s, or as long as `for-ever` is there, and the file that has its process id."""
    script, config, pid = tmp_path / "plugin", tmp_path / "config", tmp_path / "pid"
    answer = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'
    script.write_text(
        f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}\n"
        f"[ ! -e {tmp_path}/for-ever ] || exec sleep 60\nsleep 2\necho '{answer}'\n"
    )
    script.chmod(0o755)
    config.write_text(
        KUBECONFIG.format(server=kube.url, token="").replace(
            "tokenFile: ",
            "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: " f"{script}" "}",
        )
    )
    (tmp_path / "for-ever").touch()
    yield config, pid
    if pid.exists() and alive(pid):
        os.kill(int(pid.read_text()), signal.SIGKILL)


def alive(pid: Path) -> bool:
    """Whether the process runs whose id is in this file; one that nobody has waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid.read_text().strip()}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_sidecar_whose_plugin_hangs(plugin: tuple[Path, Path], number: signal.Signals) -> None:
    """The official client waits for it without limit, before anything else of ours runs."""
    config, pid = plugin
    with Sidecar(None, "--kubeconfig", str(config)) as sidecar:
        until(pid.exists, what="the plugin's start")
        code, took = sidecar.stop(number)
        assert code == 0 and took < STOP_LIMIT and sidecar.count("Traceback") == 0
    until(lambda: not alive(pid), what="the plugin's end")


@pytest.mark.parametrize("name", ["list", "check", "wait", "doctor"])
def test_the_time_of_a_command_counts_while_a_plugin_hangs(plugin: tuple[Path, Path], name: str) -> None:
    config, pid = plugin
    flags = ("--services", "wso2/is", "--kubeconfig", str(config), "--timeout", "2s")
    with Command(name, *flags, environ=clean_environ()) as command:
        assert command.result() == 6 and command.seconds < 30, "the plugin takes 60"
    assert "no credentials in 2 s from the kubeconfig's plugin" in command.log
    until(lambda: not alive(pid), what="the plugin's end")


def test_a_plugin_that_hangs_when_the_token_is_renewed_is_given_up(
    kube: FakeKube, plugin: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list stays and grows stale meanwhile, and the next try may go well."""
    config, pid = plugin
    (tmp_path / "for-ever").unlink()
    kube.token = "t"
    with Membership(connect(kubeconfig=config, environ={}), services=["wso2/is"], port=4000) as membership:
        membership.wait(2, 15)
        monkeypatch.setattr("membership.access.RENEWAL_LIMIT", 0.5)
        (tmp_path / "for-ever").touch()
        pid.unlink()
        kube.token = "another"
        kube.cut_watches("eof")
        until(lambda: "no credentials in 0.5 s" in str(membership.status()), what="the error")
        until(lambda: not alive(pid), what="the plugin's end")
        monkeypatch.undo()
        (tmp_path / "for-ever").unlink()
        kube.token = "t"
        kube.set_service("wso2", "is", pods(3))
        assert len(membership.wait(3, 30).members) == 3


def test_what_logging_in_takes_is_no_longer_there_for_the_list(
    kube: FakeKube, plugin: tuple[Path, Path], tmp_path: Path
) -> None:
    config, _ = plugin
    (tmp_path / "for-ever").unlink()
    kube.fault("hang")
    flags = ("--services", "wso2/is", "--kubeconfig", str(config), "--timeout", "6s")
    with Command("list", *flags, environ=clean_environ()) as command:
        assert command.result() == 6
    left = re.search(r"no list within ([0-9.]+) s: .* has not answered", command.log)
    assert left and 0 < float(left[1]) < 4.0, command.log


def test_a_token_that_is_no_text_is_told_and_read_again(kube: FakeKube, tmp_path: Path) -> None:
    """Half-written, or a binary mounted in its place: the thread that reads it must live on."""
    token = tmp_path / "token"
    token.write_bytes(b"\xff\xfe\x00")
    kube.token = "first-token"
    with Sidecar(kube, "--token-file", str(token)) as sidecar:
        sidecar.wait_log("token file cannot be read")
        token.write_text("first-token")
        sidecar.synced().follows(TWO)
        assert sidecar.get("/livez").status == 200 and sidecar.count("Traceback") == 0


@pytest.mark.parametrize(
    "content", ["first-s3cr3t\nsecond", "\ufefffirst-s3cr3t", "first-s3cr3t\x00", "first-s3cr3t-\u0101"]
)
def test_a_token_that_no_header_can_hold_is_told_as_the_file_it_is_in(
    kube: FakeKube, tmp_path: Path, content: str
) -> None:
    """The server was not asked, so that nothing is said of its answer; a file with a byte order mark looks right."""
    token = tmp_path / "token"
    token.write_text(content, "utf-8")
    flags = ("--server", kube.url, "--services", "wso2/is", "--token-file", str(token), "--timeout", "1s")
    with Command("list", *flags, environ=clean_environ()) as command:
        assert command.result() == 6
    assert f"the token in {token} has a line break inside, or another character" in command.log
    assert "s3cr3t" not in command.log and not kube.requests


def test_f11_clock_step(kube: FakeKube, machine: Machine, tmp_path: Path) -> None:
    """F11, the wall clock is set back or on: nothing is timed by it, neither credentials nor ages nor retries."""
    token = tmp_path / "token"
    token.write_text("token")
    flags = ("--token-file", str(token), "--stale-after", "3s", "--log-level", "debug")
    with following(kube, *flags, environ=machine.environ) as sidecar:
        began = _year(sidecar.records()[-1]["time"])
        for step, (hours, wanted) in enumerate(((-30_000, THREE), (30_000, FOUR))):
            machine.step_clock(hours * 3600)
            kube.token = f"token-{step}"
            token.write_text(kube.token)
            kube.cut_watches("eof")
            kube.set_service("wso2", "is", pods(len(wanted)))
            sidecar.follows(wanted)
            answer = sidecar.members()
            assert not answer["stale"] and 0 <= answer["age_seconds"] < 3
            assert sidecar.get("/readyz").status == 200
            until(lambda: abs(_year(sidecar.records()[-1]["time"]) - began) >= 3, what="a line with the stepped clock")
        kube.stall()
        machine.step_clock(0)
        until(lambda: sidecar.get("/readyz").status == 503, 10, "staleness, in spite of the clock")
        assert 3 < sidecar.members()["age_seconds"] < 10
        kube.resume()
        until(lambda: sidecar.get("/readyz").status == 200, 10, "readiness")
    unhurried(kube)


def _year(time: str) -> int:
    return int(time[:4])


def test_f17_permissions_lost(kube: FakeKube) -> None:
    """F17, 403: say verb, resource and namespace in log, /readyz and exit code; ask again slowly; keep the list."""
    with following(kube, "--stale-after", "1s", "--poll-interval", "300ms") as sidecar:
        kube.deny("*", "*")
        kube.cut_watches("eof")
        line = sidecar.wait_log("cannot list resource", 15)
        for word in ("list", "endpointslices", "wso2", kube.url):
            assert word in line
        until(lambda: sidecar.get("/readyz").status == 503, what="a stale list")
        assert "cannot list resource" in sidecar.get("/readyz").text
        # What was allowed a moment ago is asked for some more, for 2.5 s; then the fallback, and then slowly.
        until(lambda: "nor does the fallback work" in sidecar.get("/readyz").text, 10, "the fallback")
        kept(sidecar)
        unhurried(kube)  # before the command asks too: two that keep the limit are more than the limit together
        refused = sidecar.metric("membership_requests_total", code="403")
        command = Command("list", "--server", kube.url, "--services", "wso2/is", environ=clean_environ())
        assert command.result() == 4 and "cannot list resource" in command.log
        assert sidecar.metric("membership_requests_total", code="403") == refused, "the next try is 30 s away"
        assert sidecar.count("cannot list resource") == 1


def test_a_token_file_that_vanishes_is_told_and_heals(kube: FakeKube, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token")
    kube.token = "a-token"
    with Sidecar(kube, "--token-file", str(token)) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        token.unlink()
        kube.cut_watches()
        sidecar.wait_log(re.escape(str(token)))
        assert sidecar.addresses() == TWO
        token.write_text("a-token")
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE, 10)


def test_secrets_are_in_no_log_and_no_text(kube: FakeKube, tmp_path: Path) -> None:
    kube.token = "right"
    for environ in (
        {"KUBERNETES_API_SERVER_TOKEN": "s3cr3t-token"},
        {"KUBERNETES_API_SERVER_USERNAME": "user", "KUBERNETES_API_SERVER_PASSWORD": "s3cr3t-password"},
    ):
        with Sidecar(kube, "--log-level", "debug", environ=clean_environ(**environ)) as sidecar:
            sidecar.wait_log("401")
            shown = [sidecar.get(path).text for path in ("/", "/readyz?verbose", "/explain", "/metrics", "/members")]
            assert sidecar.stop()[0] == 0
            assert "s3cr3t" not in sidecar.log + "".join(shown) and "czNjcjN0" not in sidecar.log
        command = Command("check", "--server", kube.url, "--services", "wso2/is", environ=clean_environ(**environ))
        assert command.result() == 4 and "s3cr3t" not in command.log + command.output
    for server in (server_of(kube, token="s3cr3t"), server_of(kube, username="user", password="s3cr3t")):
        assert "s3cr3t" not in repr(server) + str(server) + repr(server.credentials)
        with Membership(server, ["wso2/is"]) as membership:
            with pytest.raises(Unauthorized) as caught:
                membership.wait(0, 5, refusal_is_final=True)
            assert "s3cr3t" not in repr(membership) + repr(caught.value) + str(caught.value) + repr(membership.status())
