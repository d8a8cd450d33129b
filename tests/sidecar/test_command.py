"""contract.md "`membership` subcommands": what each prints, and every exit code."""

from __future__ import annotations

import json
import re
import signal
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from membership.testing import FakeKube
from tests.running import STOP_LIMIT, Command, clean_environ, pods, silent_listener, until
from tests.told import tell

ONE_SHOT = ("list", "render", "explain", "check", "watch")
LINES = ["10.244.0.5:4000", "10.244.0.6:4000"]


def words(name: str, kube: FakeKube | str, *arguments: str, services: str = "wso2/is") -> tuple[str, ...]:
    """The command line of a subcommand."""
    server = kube if isinstance(kube, str) else kube.url
    format = ("lines",) if name == "render" and not arguments[:1] in (("json",), ("csv",)) else ()
    return (name, *format, *arguments, "--server", server, "--services", services)


def begin(name: str, kube: FakeKube | str, *arguments: str, services: str = "wso2/is") -> Command:
    """A subcommand, started."""
    return Command(*words(name, kube, *arguments, services=services))


def run(name: str, kube: FakeKube | str, *arguments: str, services: str = "wso2/is") -> tuple[int, Command]:
    command = begin(name, kube, *arguments, services=services)
    return command.result(), command


# -- list, render, explain


@pytest.mark.parametrize(
    ("format", "wanted"),
    [
        ("lines", "10.244.0.5:4000\n10.244.0.6:4000\n"),
        ("csv", "10.244.0.5:4000,10.244.0.6:4000\n"),
        ("prometheus-sd", None),
        ("json", None),
    ],
)
def test_list_and_render_print_the_formats(kube: FakeKube, format: str, wanted: str | None) -> None:
    listed = begin("list", kube, "--format", format)
    rendered = Command("render", format, "--server", kube.url, "--services", "wso2/is")
    assert (listed.result(), rendered.result()) == (0, 0)
    assert listed.output == rendered.output
    assert listed.err == [] and rendered.err == []
    if wanted is not None:
        assert listed.output == wanted
    elif format == "json":
        body = json.loads(listed.output)
        assert list(body) == ["services", "members"]
        assert [member["address"] for member in body["members"]] == ["10.244.0.5", "10.244.0.6"]
    else:
        assert [group["targets"] for group in json.loads(listed.output)] == [[line] for line in LINES]


def test_list_without_members(kube: FakeKube) -> None:
    code, command = run("list", kube, services="wso2/nope")
    assert (code, command.out) == (0, [])
    assert "wso2/nope" in command.log
    code, command = run("list", kube, "--format", "json", services="wso2/nope")
    assert code == 0 and json.loads(command.output)["members"] == []


def test_render_writes_a_file_whole(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "new" / "lines"
    code, command = run("render", kube, "-o", str(target))
    assert (code, command.out) == (0, [])
    assert target.read_text().splitlines() == LINES
    assert stat.S_IMODE(target.stat().st_mode) == 0o644 and stat.S_IMODE(target.parent.stat().st_mode) == 0o755
    before = target.stat()
    assert run("render", kube, "-o", str(target))[0] == 0
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in target.parent.iterdir()] == ["lines"]


def test_render_with_no_members_writes_nothing_and_is_3(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "lines"
    target.write_text("before\n")
    for arguments in (("-o", str(target)), ()):
        code, command = run("render", kube, *arguments, services="wso2/nope")
        assert code == 3 and command.out == [] and command.log
    assert target.read_text() == "before\n"
    code, command = run("render", kube, "json", services="wso2/nope")
    assert code == 0 and json.loads(command.output)["members"] == []


def test_render_to_a_target_that_is_refused_is_no_bug(kube: FakeKube, tmp_path: Path) -> None:
    """1 means a bug of ours; a target that cannot be written is a wrong setting."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for target in (tmp_path, tmp_path / "link"):
        code, command = run("render", kube, "-o", str(target))
        assert str(target) in command.log and "Traceback" not in command.log
        assert code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_explain(kube: FakeKube) -> None:
    kube.set_service("wso2", "is", [*pods(1), *pods(1, 6, ready=False), *pods(1, 7, terminating=True)])
    code, command = run("explain", kube, services="wso2/is,wso2/nope")
    assert code == 0
    by_address = {line.split()[1]: line for line in command.out if line.split()[1].startswith("10.")}
    assert by_address["10.244.0.5"].startswith("in") and "is-0" in by_address["10.244.0.5"]
    assert by_address["10.244.0.6"].startswith("in") and "not ready" in by_address["10.244.0.6"]
    assert by_address["10.244.0.7"].startswith("out") and "terminating" in by_address["10.244.0.7"]
    assert any("wso2/nope" in line for line in command.out)
    code, command = run("explain", kube, "--format", "json")
    found = {entry["address"]: entry["included"] for entry in json.loads(command.output)["addresses"]}
    assert (code, found) == (0, {"10.244.0.5": True, "10.244.0.6": True, "10.244.0.7": False})


@pytest.mark.parametrize("name", ["list", "render", "wait"])
def test_who_lacks_the_named_port_is_told(kube: FakeKube, name: str) -> None:
    kube.set_service("wso2", "is", pods(1), ports={"other": 1})
    kube.set_service("wso2", "am", pods(1, 20))
    command = begin(name, kube, "--port", "hazelcast", services="wso2/is,wso2/am")
    assert (command.result(), command.out) == (0, ["10.244.0.20:4000"])
    told = "warning: left out of addresses, for no slice of theirs names a port 'hazelcast': 10.244.0.5"
    assert [line for line in command.err if "warning" in line] == [f"membership: {told}"]


# -- watch


def test_watch_prints_a_line_for_each_change_until_it_is_ended(kube: FakeKube) -> None:
    with begin("watch", kube) as command:
        until(lambda: len(command.out) == 1, 10, "the first line")
        assert all(line in command.out[0] for line in LINES)
        kube.wait_for_watch()
        kube.set_service("wso2", "is", pods(3))
        until(lambda: len(command.out) == 2, what="the second line")
        assert "10.244.0.7:4000" in command.out[1]
        kube.set_service("wso2", "is", [*pods(2), *pods(1, 7, terminating=True)])
        until(lambda: len(command.out) == 3, what="the third line")
        kube.touch()
        kube.cut_watches()
        kube.wait_for_watch()
        assert command.stop()[0] == 0
    assert len(command.out) == 3 and "Traceback" not in command.log


def test_watch_tells_who_lacks_the_named_port_once(kube: FakeKube) -> None:
    with begin("watch", kube, "--port", "hazelcast") as command:
        until(lambda: len(command.out) == 1, 10, "the first line")
        assert command.count("left out") == 0
        kube.wait_for_watch()
        kube.set_service("wso2", "is", pods(2), ports={"other": 1})
        until(lambda: command.out[-1].endswith("none left 10.244.0.5:4000,10.244.0.6:4000"), what="nobody with a port")
        assert command.count("left out of addresses.*'hazelcast': 10.244.0.5, 10.244.0.6$") == 1
        before = len(command.out)
        kube.set_service("wso2", "is", pods(2, ready=False), ports={"other": 1})
        until(lambda: len(command.out) > before, what="another list of the same two")
        assert command.count("left out") == 1


# -- exit codes


def _401(kube: FakeKube) -> None:
    kube.token = "other"


def _403(kube: FakeKube) -> None:
    kube.deny("*", "*")


def _hang(kube: FakeKube) -> None:
    kube.fault("hang")


def _stall(kube: FakeKube) -> None:
    kube.stall()


def _refuse(kube: FakeKube) -> None:
    kube.stop_listening()


def _reset(kube: FakeKube) -> None:
    kube.fault("reset")


@pytest.mark.parametrize(
    ("prepare", "code"), [(_401, 4), (_403, 4), (_hang, 6), (_stall, 6), (_refuse, 6), (_reset, 6)]
)
def test_refused_is_4_and_unreachable_or_silent_is_6(
    kube: FakeKube, prepare: Callable[[FakeKube], None], code: int
) -> None:
    prepare(kube)
    timeout = "600ms" if code == 6 else "10s"
    with ExitStack() as stack:
        commands = {name: stack.enter_context(begin(name, kube, "--timeout", timeout)) for name in ONE_SHOT}
        deadline = time.monotonic() + 15.0
        until(lambda: not any(command.running for command in commands.values()) or time.monotonic() > deadline, 20)
        found = {name: command.finish() if not command.running else "too late" for name, command in commands.items()}
        assert found == dict.fromkeys(ONE_SHOT, code)
        for name, command in commands.items():
            assert command.seconds < 15.0 and "Traceback" not in command.log
            assert command.out == [] or name == "check"


@pytest.mark.parametrize("prepare", [_401, _403, _hang, _refuse, _reset])
def test_the_error_names_the_server_and_the_request(kube: FakeKube, prepare: Callable[[FakeKube], None]) -> None:
    prepare(kube)
    _, command = run("list", kube, "--timeout", "300ms")
    assert kube.url in command.log and "list endpointslices" in command.log, command.log


@pytest.mark.parametrize("name", ["list", "check"])
def test_a_connection_that_never_comes_about_is_6_in_time(name: str) -> None:
    with silent_listener() as server, begin(name, server, "--timeout", "600ms") as command:
        assert command.result(8.0) == 6
        assert command.seconds < 4.5  # a connection may take 5 s where there is time


@pytest.mark.parametrize(
    ("fault", "params"), [("status", {"code": 503}), ("html", {}), ("wrong-kind", {}), ("bad-json", {})]
)
def test_a_server_that_answers_and_gives_no_list_is_3(kube: FakeKube, fault: str, params: dict[str, Any]) -> None:
    kube.fault(fault, on="list", **params)
    code, command = run("list", kube, "--timeout", "1500ms")
    assert code == 3 and kube.url in command.log and "list endpointslices" in command.log


@pytest.mark.parametrize(
    ("fault", "params"), [("status", {"code": 503}), ("status", {"code": 429}), ("html", {}), ("redirect", {})]
)
def test_what_answers_a_check_and_is_no_api_server_is_3(kube: FakeKube, fault: str, params: dict[str, Any]) -> None:
    kube.fault(fault, on="any", **params)
    code, command = run("check", kube)
    assert code == 3 and kube.url in command.log and "Traceback" not in command.log


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_wait_that_is_ended_has_not_waited(kube: FakeKube, number: signal.Signals, expected: int) -> None:
    """`membership wait && start-the-server` must not go on."""
    with begin("wait", kube, "--expect", "3", services="wso2/none") as command:
        command.wait_log("0 of 3")
        assert command.stop(number)[0] == expected
        assert "Traceback" not in command.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_the_proper_end_of_a_watch(kube: FakeKube, number: signal.Signals) -> None:
    with begin("watch", kube) as command:
        until(lambda: command.out, 10, "the first list")
        assert command.stop(number)[0] == 0 and "Traceback" not in command.log


def test_a_passing_fault_is_no_failure(kube: FakeKube) -> None:
    kube.fault("status", on="list", times=2, code=503)
    kube.fault("reset", on="list", times=1)
    code, command = run("list", kube)
    assert (code, command.out) == (0, LINES)


def test_wrong_settings_are_2_and_all_named(kube: FakeKube) -> None:
    for name in (*ONE_SHOT, "wait"):
        told = tell("membership", words(name, kube, "--timeout", "never", "--expect", "none"))
        assert told.code == 2
        assert told.count("--timeout") == 1 and told.count("--expect") == 1
    assert kube.requests == []


@pytest.mark.parametrize("name", ["list", "wait", "explain", "render"])
def test_a_wrong_format_is_named_with_what_else_is_wrong(kube: FakeKube, name: str) -> None:
    arguments = ("nope",) if name == "render" else ("--format", "nope")
    told = tell("membership", (name, *arguments, "--server", kube.url, "--services", "wso2/is", "--expect", "none"))
    assert told.code == 2
    assert told.count("nope") == 1 and told.count("--expect") == 1, told.log


def test_a_switch_does_not_swallow_the_word_after_it(kube: FakeKube) -> None:
    command = Command("render", "--server", kube.url, "--services", "wso2/is", "--ready-only", "lines")
    assert (command.result(), command.out) == (0, LINES), command.log


def test_an_unknown_subcommand_and_an_unknown_flag_are_2() -> None:
    for arguments in (["frobnicate"], ["list", "--frobnicate"]):
        command = Command(*arguments)
        assert command.result() == 2
        assert "Traceback" not in command.log


def test_two_namespaces_one_refused(kube: FakeKube) -> None:
    kube.set_service("apps", "gateway", pods(1, 20))
    kube.deny("*", "*", "apps")
    code, command = run("list", kube, services="wso2/is,apps/gateway")
    assert code == 4 and command.out == [] and "apps" in command.log


def test_python_m(kube: FakeKube) -> None:
    import subprocess
    import sys

    found = subprocess.run(
        [sys.executable, "-m", "membership", "list", "--server", kube.url, "--services", "wso2/is"],
        capture_output=True, text=True, env=clean_environ(), timeout=20,
    )  # fmt: skip
    assert (found.returncode, found.stdout.splitlines()) == (0, LINES)
    found = subprocess.run(
        [sys.executable, "-m", "sidecar"], capture_output=True, text=True, env=clean_environ(), timeout=20
    )
    assert found.returncode == 2


# -- wait


def test_wait_opens_with_the_gate_and_tells_its_progress(kube: FakeKube) -> None:
    kube.set_service("wso2", "is", pods(1, ready=False))
    with begin("wait", kube, "--expect", "2", "--stable", "200ms", "--gate-timeout", "60s") as command:
        said = command.wait_log("1 of 2")
        assert "10.244.0.5" in said, "who is here"
        assert re.search(r"\b(59|60) s left", said), "how long still"
        assert command.running and command.out == []
        kube.set_service("wso2", "is", pods(2, ready=False))
        assert command.result(10) == 0
    assert command.out == LINES
    assert command.seconds < 30


def test_wait_lets_go_at_once_where_a_member_serves_already(kube: FakeKube) -> None:
    code, command = run("wait", kube, "--expect", "9", "--stable", "60s")
    assert (code, command.out) == (0, LINES) and command.seconds < 20


@pytest.mark.parametrize(("action", "code", "printed"), [("start", 0, LINES), ("fail", 3, [])])
def test_wait_at_the_end_of_its_time(kube: FakeKube, action: str, code: int, printed: list[str]) -> None:
    kube.set_service("wso2", "is", pods(2, ready=False))
    found, command = run("wait", kube, "--expect", "3", "--gate-timeout", "1500ms", "--on-timeout", action)
    assert (found, command.out) == (code, printed)
    assert 1.5 < command.seconds < 10
    assert command.count("2 of 3") >= 1 and command.count("warning: time is up") == (code == 0)


@pytest.mark.parametrize("prepare", [_401, _403, _hang, _refuse])
def test_wait_without_any_list_keeps_trying_then_is_3(kube: FakeKube, prepare: Callable[[FakeKube], None]) -> None:
    prepare(kube)
    flags = ("--gate-timeout", "700ms", "--timeout", "100ms", "--on-timeout")
    commands = [begin("wait", kube, *flags, action) for action in ("start", "fail")]
    for command in commands:
        assert (command.result(), command.out) == (3, [])
        assert 0.7 < command.seconds < 10


def test_wait_outlives_an_api_server_that_is_not_there_yet(kube: FakeKube) -> None:
    kube.stop_listening()
    with begin("wait", kube, "--gate-timeout", "30s") as command:
        command.wait_log("refused")
        kube.listen_again()
        assert command.result(10) == 0
    assert command.out == LINES


def test_wait_is_ended_by_a_signal_within_a_second(kube: FakeKube) -> None:
    kube.fault("hang")
    with begin("wait", kube) as command:
        command.wait_log("waiting")
        code, took = command.stop()
        assert code != 1 and took < STOP_LIMIT and "Traceback" not in command.log


# -- check


def documents(command: Command) -> list[dict[str, Any]]:
    """What kubectl apply -f - would get."""
    return [document for document in yaml.safe_load_all(command.output) if document]


def test_check_is_0_when_all_is_well(kube: FakeKube) -> None:
    code, command = run("check", kube)
    assert code == 0 and documents(command) == []
    for word in (
        kube.url,
        "v1.36",
        "list endpointslices.discovery.k8s.io",
        "watch endpointslices.discovery.k8s.io",
        "wso2",
    ):
        assert word in command.output
    assert {request.kind for request in kube.requests} <= {"review", "other"}


@pytest.mark.parametrize(
    ("source", "denied", "group", "resource"),
    [
        ("auto", ("list", "endpointslices"), "discovery.k8s.io", "endpointslices"),
        ("auto", ("watch", "endpointslices"), "discovery.k8s.io", "endpointslices"),
        ("auto", ("*", "*"), "discovery.k8s.io", "endpointslices"),
        ("endpointslices", ("list", "endpointslices"), "discovery.k8s.io", "endpointslices"),
        ("endpoints", ("watch", "endpoints"), "", "endpoints"),
    ],
)
def test_check_prints_the_role_that_is_missing(
    kube: FakeKube, source: str, denied: tuple[str, str], group: str, resource: str
) -> None:
    kube.set_service("apps", "gateway", pods(1, 20))
    kube.deny(*denied, namespace="apps")
    code, command = run("check", kube, "--source", source, services="wso2/is,apps/gateway")
    assert code == 4
    role, binding = documents(command)
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    assert {document["metadata"]["namespace"] for document in (role, binding)} == {"apps"}
    assert role["apiVersion"] == binding["apiVersion"] == "rbac.authorization.k8s.io/v1"
    [rule] = role["rules"]
    assert (rule["apiGroups"], rule["resources"], sorted(rule["verbs"])) == ([group], [resource], ["list", "watch"])
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"],
    }  # fmt: skip
    [subject] = binding["subjects"]
    assert subject["kind"] in ("ServiceAccount", "User") and subject["name"]
    verb = "list" if denied[0] == "*" else denied[0]
    assert any("missing" in line and verb in line and "apps" in line for line in command.out if line.startswith("#"))
    assert {request.kind for request in kube.requests} <= {"review", "other"}


def test_check_names_the_service_account_of_the_token(kube: FakeKube, tmp_path: Path) -> None:
    import base64

    payload = base64.urlsafe_b64encode(b'{"sub":"system:serviceaccount:team:robot"}').decode().rstrip("=")
    token = tmp_path / "token"
    token.write_text(f"e30.{payload}.c2ln\n")
    kube.deny("list", "endpointslices")
    code, command = run("check", kube, "--token-file", str(token))
    [subject] = documents(command)[1]["subjects"]
    assert code == 4
    assert subject == {"kind": "ServiceAccount", "name": "robot", "namespace": "team"}
    assert payload not in command.output + command.log


def test_check_asks_about_every_namespace_once(kube: FakeKube) -> None:
    assert run("check", kube, services="a/x,a/y,b/z")[0] == 0
    reviews = [request.namespace for request in kube.requests if request.kind == "review"]
    assert sorted(map(str, reviews)) == ["a", "a", "b", "b"]


def test_one_shot_commands_leave_at_once(kube: FakeKube) -> None:
    began = time.monotonic()
    assert run("list", kube)[0] == 0
    assert time.monotonic() - began < 3
