"""contract.md "Settings": where each value comes from, and what is said when values are wrong.

Where a value comes from is told by wrong ones: each place holds a wrong value of its own, and the complaint must be
about the place that counts.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from membership import Membership, MembershipTimeout, Options, SettingsError, connect
from membership.quantity import LONGEST
from membership.testing import FakeKube, Pod
from tests.running import HOST, Command, Process, Sidecar, clean_environ, pods, refused_port, until
from tests.told import Told, tell

WSO2 = {
    "services": "KUBERNETES_SERVICES",
    "namespace": "KUBERNETES_NAMESPACE",
    "server": "KUBERNETES_API_SERVER",
    "token-file": "BEARER_TOKEN_FILE_LOCATION",
    "insecure-skip-tls-verify": "KUBERNETES_MASTER_SKIP_SSL_VERIFICATION",
    "self-ip": "NODE_IP",
}
VARIABLES_ONLY = (
    "KUBERNETES_API_SERVER_TOKEN", "KUBERNETES_API_SERVER_USERNAME", "KUBERNETES_API_SERVER_PASSWORD", "USE_DNS",
    "DNS_LOOKUP_TIMEOUT",
)  # fmt: skip
SHARED = (
    "services", "namespace", "server", "token-file", "ca-file", "insecure-skip-tls-verify", "kubeconfig", "source",
    "poll-interval", "stale-after", "relist-interval", "port", "family", "ready-only", "include-terminating", "expect",
    "gate-timeout", "stable", "on-timeout", "self-ip", "log-format", "log-level",
    "hazelcast-rest",
)  # fmt: skip
DAEMON = ("http", "out", "staging", "on-change", "on-change-timeout", "state", "push")
FLAGS = {"membership-sidecar": (*SHARED, *DAEMON), "membership": (*SHARED, "timeout", "format")}
PLACES = ("flag", "variable", "wso2")


def variable(flag: str) -> str:
    return f"MEMBERSHIP_{flag.upper().replace('-', '_')}"


def wrong(flag: str, place: str, folder: Path) -> str:
    """A value that is wrong for this setting, with the place in it."""
    match flag:
        case "services" | "namespace" | "port":
            return f"{place}_Wrong!"
        case "server":
            return f"{place}://wrong"
        case "out":
            return f"{place}:/tmp/x"
        case "on-change":
            return f"'{place}"
        case "staging":
            (folder / place).touch()
            return str(folder / place)
        case "state":
            (folder / f"{place}.d").mkdir(exist_ok=True)
            return str(folder / f"{place}.d")
        case "token-file" | "ca-file" | "kubeconfig":
            return f"/nonexistent/{flag}/{place}"
    return f"wrong-{place}"


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Told]:
    """What each program says when all that is given is wrong, in this place and in all that count less."""
    folder = tmp_path_factory.mktemp("wrong")
    found: dict[tuple[str, str], Told] = {}
    for program, flags in FLAGS.items():
        for index, place in enumerate(PLACES):
            environ = clean_environ()
            arguments = ["list"] if program == "membership" else []
            for flag in flags:
                names = {"flag": "", "variable": variable(flag), "wso2": WSO2.get(flag, "")}
                for other in PLACES[index:]:
                    if other == "flag":
                        arguments += [f"--{flag}", wrong(flag, other, folder)]
                    elif names[other]:
                        environ[names[other]] = wrong(flag, other, folder)
                if place == "wso2" and flag in WSO2:
                    environ[variable(flag)] = ""  # empty: as if it were not there
            found[program, place] = tell(program, arguments, environ)
    return found


@pytest.mark.parametrize(
    ("program", "place", "flag"),
    [
        (program, place, flag)
        for program, flags in FLAGS.items()
        for place in PLACES
        for flag in flags
        if place != "wso2" or flag in WSO2
    ],
)
def test_each_wrong_setting_is_named_from_the_place_that_counts(
    complaints: Mapping[tuple[str, str], Told], program: str, place: str, flag: str
) -> None:
    complaint = complaints[program, place]
    if flag == "out":
        lines = [line for line in complaint.log.splitlines() if "--out" in line or variable("out") in line]
    else:
        lines = [line for line in complaint.log.splitlines() if re.search(rf"--{flag}\b(?!-)", line)]
    assert complaint.code == 2
    assert any(place in line for line in lines), complaint.log
    assert not any(
        f"{later}_W" in line or f"wrong-{later}" in line for later in PLACES if later != place for line in lines
    )


def test_wrong_settings_end_it_before_any_connection() -> None:
    with FakeKube() as kube:
        given = (
            "--server",
            kube.url,
            "--services",
            "wso2/is",
            "--stale-after",
            "soon",
            "--expect",
            "0",
            "--family",
            "ipv5",
        )
        for process in (Process("membership-sidecar", given), Process("membership", ("list", *given))):
            assert process.finish() == 2
            for flag in ("--stale-after", "--expect", "--family"):
                assert process.count(flag) == 1, process.log
            assert process.out == []
        assert kube.requests == []


@pytest.mark.parametrize("program", sorted(FLAGS))
def test_nothing_at_all_is_two_complaints(program: str) -> None:
    process = Process(program, ["list"] if program == "membership" else [])
    assert process.finish() == 2
    assert process.count("--services") >= 1 and process.count("no API server") == 1
    assert process.count("Traceback") == 0


@pytest.mark.parametrize(
    "arguments",
    [("--bogus",), ("--bogus=1",), ("word",), ("--services",), ("--port", "0"), ("--port", "65536"), ("--port", "-1"),
     ("--expect", "-1"), ("--expect", "1.5"), ("--services", ","), ("--services", "a/b/c"), ("--services", "a..b"),
     ("--server", "10.0.0.1:443"), ("--server", "https://"), ("--family", "IPv4"), ("--source", "slices"),
     ("--self-ip", "localhost"), ("--on-timeout", "wait"), ("--context", "nowhere")],
)  # fmt: skip
def test_these_are_wrong(arguments: tuple[str, ...]) -> None:
    standard = ("--server", "http://127.0.0.1:9", "--services", "is")
    told = tell("membership-sidecar", (*standard, "--http", f"{HOST}:0", *arguments))
    assert told.code == 2, told.log
    assert told.count(re.escape(arguments[0].partition("=")[0])) or told.count("kubeconfig"), told.log
    assert told.count("Traceback") == 0


@pytest.mark.parametrize(
    "arguments",
    [("--http", "4080"), ("--http", "localhost"), ("--http", ":65536"), ("--http", "::1:80"), ("--out", "lines:"),
     ("--out", "lines"), ("--out", "nope:/tmp/x"), ("--out", "lines:/tmp/a", "--out", "csv:/tmp/../tmp/a"),
     ("--on-change", ""), ("--on-change", "'"), ("--on-change-timeout", "0s")],
)  # fmt: skip
def test_these_are_wrong_for_the_sidecar(arguments: tuple[str, ...]) -> None:
    told = tell("membership-sidecar", ("--server", "http://127.0.0.1:9", "--services", "is", *arguments))
    assert told.code == 2, told.log
    assert told.count(arguments[0]) == 1, told.log


def test_durations_that_are_none() -> None:
    given = {
        "poll-interval": "5",
        "stale-after": "-1s",
        "relist-interval": "1.s",
        "gate-timeout": "2 s",
        "stable": "1d",
        "timeout": "s",
    }
    flags = [f"--{flag}={text}" for flag, text in given.items()]
    told = tell("membership", ("list", "--server", "http://127.0.0.1:9", "--services", "is", *flags))
    assert told.code == 2
    for flag, text in given.items():
        assert told.count(rf"--{flag}\b.*{re.escape(text)}") == 1, told.log


def test_durations_that_no_wait_can_take() -> None:
    of_both = ("poll-interval", "stale-after", "relist-interval", "gate-timeout", "stable")
    own = {"membership": ("timeout",), "membership-sidecar": ("verify-interval", "on-change-timeout")}
    for program, flags in own.items():
        given = [f"--{flag}=577h" for flag in (*of_both, *flags)]
        list_ = ("list",) if program == "membership" else ()
        told = tell(program, (*list_, "--server", "http://127.0.0.1:9", *given))
        assert told.code == 2
        for flag in (*of_both, *flags):
            assert told.count(rf"--{flag}: '577h' is longer than 576h") == 1, told.log


def test_the_longest_durations(kube: FakeKube) -> None:
    assert LONGEST * 1000 < 2**31, "which is what a socket can wait"
    flags = [f"--{flag}={LONGEST / 3600:g}h" for flag in ("poll-interval", "stale-after", "relist-interval", "timeout")]
    assert run(kube, "--services", "wso2/is", *flags).out == ["10.244.0.5:4000", "10.244.0.6:4000"]
    assert tell("membership", ("check", "--services", "wso2/is", "--server", kube.url, *flags)).code == 0


def test_the_library_waits_as_long_as_it_is_told(kube: FakeKube) -> None:
    membership = Membership(connect(kube.url), ["wso2/is"], options=Options(definitions=True))
    with closing(membership), ThreadPoolExecutor() as threads:
        waiting = threads.submit(membership.wait, 2, 1e12), threads.submit(membership.wait_definitions, 1e12)
        time.sleep(0.2)  # so that they do wait
        membership.start()
        assert waiting[0].result(10).synced and waiting[1].result(10).definitions
        threading.Timer(0.2, membership.close).start()
        assert membership.wait_newer(99, 1e12)
        with pytest.raises(MembershipTimeout, match="before closing"):
            membership.wait(9, 1e12)
    long = Options(poll_interval=1e12, stale_after=1e12, relist_interval=1e12)
    with pytest.raises(SettingsError) as told:
        Membership(connect(kube.url), ["wso2/is"], options=long)
    names = ("poll_interval", "stale_after", "relist_interval")
    assert told.value.problems == tuple(f"{name} is longer than 2073600 s" for name in names)


@pytest.mark.parametrize(("text", "shown"), [("500ms", "0.5 s"), ("2s", "2 s"), ("5m", "300 s")])
def test_durations(text: str, shown: str) -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(1))
        with Sidecar(kube, "--stale-after", text) as sidecar:
            assert f"limit {shown}" in sidecar.synced().get("/readyz?verbose").text


@pytest.fixture(scope="module")
def kube() -> Iterator[FakeKube]:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", [*pods(1), *pods(1, 6, ready=False), *pods(1, 7, terminating=True)])
        kube.set_service("other", "is", pods(1, 20))
        kube.set_service("default", "is", pods(1, 30))
        kube.set_service("wso2", "dual", [Pod("10.244.0.5", "is-0", addresses=["fd00::5"])])
        yield kube


def run(kube: FakeKube, *arguments: str, environ: Mapping[str, str] | None = None) -> Told:
    """`membership list` that must succeed."""
    told = tell("membership", ("list", "--server", kube.url, *arguments), environ)
    assert told.code == 0, told.log
    return told


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "Yes"])
def test_true(kube: FakeKube, text: str) -> None:
    environ = clean_environ(MEMBERSHIP_READY_ONLY=text, MEMBERSHIP_INCLUDE_TERMINATING=text)
    assert run(kube, "--services", "wso2/is", environ=environ).out == ["10.244.0.5:4000"]


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "NO", ""])
def test_false(kube: FakeKube, text: str) -> None:
    environ = clean_environ(MEMBERSHIP_READY_ONLY=text, MEMBERSHIP_INCLUDE_TERMINATING="yes")
    found = run(kube, "--services", "wso2/is", environ=environ).out
    assert found == ["10.244.0.5:4000", "10.244.0.6:4000", "10.244.0.7:4000"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--services", "is"), ["10.244.0.30:4000"]),
        (("--services", "is", "--namespace", "other"), ["10.244.0.20:4000"]),
        (("--services", "is,wso2/is", "--namespace", "other", "--ready-only"), ["10.244.0.20:4000", "10.244.0.5:4000"]),
        (("--services", "wso2/is"), ["10.244.0.5:4000", "10.244.0.6:4000"]),
        (("--services", "wso2/is", "--ready-only"), ["10.244.0.5:4000"]),
        (("--services", "other/is", "--port", "5701"), ["10.244.0.20:5701"]),
        (("--services", "other/is", "--port", "hazelcast"), ["10.244.0.20:4000"]),
        (("--services", "wso2/dual"), ["10.244.0.5:4000"]),
        (("--services", "wso2/dual", "--family", "ipv6"), ["[fd00::5]:4000"]),
        (("--services", "wso2/dual", "--family", "both"), ["10.244.0.5:4000"]),
        (("--services", " other/is , default/is ", "--source", "endpoints"), ["10.244.0.30:4000", "10.244.0.20:4000"]),
    ],
)
def test_values_take_effect(kube: FakeKube, arguments: tuple[str, ...], found: list[str]) -> None:
    assert run(kube, *arguments).out == found


def test_a_pod_spec_of_the_old_scheme_works_unchanged(kube: FakeKube, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-of-the-file\n")
    environ = clean_environ(
        KUBERNETES_SERVICES="is", KUBERNETES_NAMESPACE="other", KUBERNETES_API_SERVER=kube.url,
        BEARER_TOKEN_FILE_LOCATION=str(token), KUBERNETES_MASTER_SKIP_SSL_VERIFICATION="false", USE_DNS="false",
        DNS_LOOKUP_TIMEOUT="30", NODE_IP="10.244.0.20",
    )  # fmt: skip
    with Sidecar(None, services=None, environ=environ) as sidecar:
        assert sidecar.synced().addresses() == ["10.244.0.20"]
        assert sidecar.members()["services"] == ["other/is"]
        sidecar.stop()
        warnings = [record["message"] for record in sidecar.records() if record["level"] == "warning"]
    assert "Bearer secret-of-the-file" in kube.tokens_seen
    assert len([message for message in warnings if "DNS" in message]) == 1, warnings
    assert "secret-of-the-file" not in sidecar.log


def test_use_dns_is_one_warning_of_the_command_too(kube: FakeKube) -> None:
    environ = clean_environ(USE_DNS="true", DNS_LOOKUP_TIMEOUT="5")
    assert run(kube, "--services", "other/is", environ=environ).count("DNS") == 1
    assert run(kube, "--services", "other/is").count("DNS") == 0


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({"KUBERNETES_API_SERVER_TOKEN": "literal-1"}, "Bearer literal-1"),
        ({"KUBERNETES_API_SERVER_TOKEN": " literal-2\n"}, "Bearer literal-2"),
        ({"KUBERNETES_API_SERVER_USERNAME": "u", "KUBERNETES_API_SERVER_PASSWORD": "p"}, "Basic dTpw"),
        ({"KUBERNETES_API_SERVER_TOKEN": "", "KUBERNETES_API_SERVER_USERNAME": ""}, None),
    ],
)
def test_credentials_in_variables(environ: dict[str, str], header: str | None) -> None:
    with FakeKube() as kube:
        kube.set_service("default", "is", pods(1))
        run(kube, "--services", "is", environ=clean_environ(**environ))
        assert set(kube.tokens_seen) == ({header} if header else set())


@pytest.mark.parametrize(
    ("name", "header"), [("MEMBERSHIP_TOKEN_FILE", "of-the-file"), ("BEARER_TOKEN_FILE_LOCATION", "literal")]
)
def test_names_of_ours_come_before_those_of_the_old_scheme(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / "token").write_text("of-the-file")
    environ = clean_environ(KUBERNETES_API_SERVER_TOKEN="literal", **{name: str(tmp_path / "token")})
    with FakeKube() as kube:
        kube.set_service("default", "is", pods(1))
        run(kube, "--services", "is", environ=environ)
        assert set(kube.tokens_seen) == {f"Bearer {header}"}


def test_the_own_address_is_node_ip_then_pod_ip(kube: FakeKube) -> None:
    cases = (
        ({"NODE_IP": "10.1.1.1", "POD_IP": "10.2.2.2"}, "10.1.1.1"),
        ({"NODE_IP": "", "POD_IP": "10.2.2.2"}, "10.2.2.2"),
        ({"MEMBERSHIP_SELF_IP": "10.3.3.3", "NODE_IP": "10.1.1.1"}, "10.3.3.3"),
    )
    arguments = ("--server", kube.url, "--services", "wso2/none", "--gate-timeout", "1500ms", "--on-timeout", "fail")
    commands = [Command("wait", *arguments, environ=clean_environ(**environ)) for environ, _ in cases]
    for command, (_, own) in zip(commands, cases, strict=True):
        assert command.result() == 3
        assert own in command.log


# -- what must exist


@pytest.mark.parametrize(("flag", "name"), [("token-file", "tok"), ("ca-file", "ca.pem"), ("kubeconfig", "kube.yaml")])
@pytest.mark.parametrize("program", sorted(FLAGS))
def test_a_file_that_does_not_exist_is_named(program: str, flag: str, name: str, tmp_path: Path) -> None:
    arguments = ["list"] if program == "membership" else []
    given = ["--server", "http://127.0.0.1:9", "--services", "is", f"--{flag}", str(tmp_path / name)]
    told = tell(program, [*arguments, *given])
    assert told.code == 2
    assert told.count(re.escape(str(tmp_path / name))) == 1


def test_no_server_is_told_with_a_file_that_does_not_exist(tmp_path: Path) -> None:
    arguments = ("list", "--services", "is", "--ca-file", str(tmp_path / "ca.pem"))
    told = tell("membership", arguments, clean_environ(KUBECONFIG=str(tmp_path / "kc")))
    assert told.code == 2 and told.count("no API server") == 1 and told.count("--ca-file") == 1, told.log


def test_the_kubeconfig_of_the_variable_that_does_not_exist_is_named(tmp_path: Path) -> None:
    told = tell("membership", ("list", "--services", "is"), clean_environ(KUBECONFIG=str(tmp_path / "kc")))
    assert told.code == 2 and str(tmp_path / "kc") in told.log


def test_a_state_file_and_a_target_need_not_exist(kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, "--state", str(tmp_path / "a" / "state"), "--out", f"lines:{tmp_path}/b/c/lines") as sidecar:
        sidecar.synced()
        until((tmp_path / "b" / "c" / "lines").exists, what="the file")
        until((tmp_path / "a" / "state").exists, what="the state file")


def test_a_taken_port_is_named() -> None:
    with FakeKube() as kube, socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        process = Process("membership-sidecar", ("--server", kube.url, "--services", "is", "--http", address))
        assert process.finish() == 2
        assert process.count(re.escape(address)) == 1 and process.count("Traceback") == 0
        assert kube.requests == []


def test_a_taken_port_is_named_with_all_that_is_wrong() -> None:
    with socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        process = Process("membership-sidecar", ("--server", "http://127.0.0.1:9", "--http", address, "--expect", "0"))
        assert process.finish() == 2
        assert (
            process.count("--services") and process.count("--expect") and process.count(re.escape(address))
        ), process.log


def test_http_can_be_off_or_on_a_given_port(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "lines"
    with Sidecar(kube, "--http", "off", "--out", f"lines:{target}") as sidecar:
        until(target.exists, 10, "the file")
        assert sidecar.count("listening") == 0
        sockets = {
            line.split()[9] for line in Path(f"/proc/{sidecar.pid}/net/tcp").read_text().splitlines() if " 0A " in line
        }
        own = {link.readlink().name for link in Path(f"/proc/{sidecar.pid}/fd").iterdir() if link.is_symlink()}
        assert not {f"socket:[{inode}]" for inode in sockets} & own
        assert sidecar.stop()[0] == 0
    with refused_port() as port:
        pass
    with Sidecar(kube, "--http", f"{HOST}:{port}") as sidecar:
        assert sidecar.synced().port == port


# -- kubeconfig


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: {server}}}}}]
users: [{{name: u, user: {{token: from-kubeconfig}}}}]
contexts:
- {{name: one, context: {{cluster: c, user: u, namespace: wso2}}}}
- {{name: two, context: {{cluster: c, user: u, namespace: other}}}}
- {{name: three, context: {{cluster: c, user: u}}}}
current-context: one
"""


def test_kubeconfig(kube: FakeKube, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    path = tmp_path / ".kube" / "config"
    path.write_text(KUBECONFIG.format(server=kube.url))
    here = str(path)
    cases: list[tuple[tuple[str, ...], dict[str, str], str]] = [
        (("--kubeconfig", here), {}, "10.244.0.5:4000"),
        ((), {"KUBECONFIG": here}, "10.244.0.5:4000"),
        (("--context", "two"), {"HOME": str(tmp_path)}, "10.244.0.20:4000"),
        (("--context", "three"), {"MEMBERSHIP_KUBECONFIG": here}, "10.244.0.30:4000"),
        (("--context", "two", "--namespace", "wso2"), {"KUBECONFIG": here}, "10.244.0.5:4000"),
        # The namespace is the context's also where the API server is named otherwise.
        (("--server", kube.url), {"KUBECONFIG": f"{tmp_path}/none:{here}"}, "10.244.0.5:4000"),
        (("--server", kube.url, "--namespace", "other"), {"KUBECONFIG": here}, "10.244.0.20:4000"),
        (("--server", kube.url), {}, "10.244.0.30:4000"),
    ]
    commands = [
        Command("list", "--services", "is", *arguments, environ={**clean_environ(), **environ})
        for arguments, environ, _ in cases
    ]
    for command, (_, _, first) in zip(commands, cases, strict=True):
        assert command.result() == 0, command.log
        assert command.out[0] == first
    assert "Bearer from-kubeconfig" in kube.tokens_seen


@pytest.mark.parametrize("content", ["contexts: 5", "{", "contexts: [{name: one, context: {namespace: [x]}}]"])
def test_a_kubeconfig_that_cannot_tell_the_namespace_is_named(kube: FakeKube, tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    arguments = ("list", "--server", kube.url, "--services", "is")
    told = tell("membership", arguments, clean_environ(KUBECONFIG=str(path)))
    assert told.code == 2 and told.count(re.escape(str(path))) == 1 and told.count("--namespace") == 1, told.log
    given = tell("membership", (*arguments, "--namespace", "wso2"), clean_environ(KUBECONFIG=str(path)))
    assert given.code == 0, given.log


# -- TLS, warnings, logs, help


def test_insecure_tls_works_and_warns_at_every_start(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert(HOST)
    pem = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(pem)
    with FakeKube(tls=(str(pem), str(pem))) as kube:
        kube.set_service("wso2", "is", pods(1))
        for _ in range(2):
            with Sidecar(kube, "--insecure-skip-tls-verify") as sidecar:
                sidecar.synced()
                sidecar.wait_log(r'"level": "warning".*certificate.*not verified')
        environ = clean_environ(KUBERNETES_MASTER_SKIP_SSL_VERIFICATION="true")
        command = run(kube, "--services", "wso2/is", environ=environ)
        assert command.out == ["10.244.0.5:4000"] and command.count("not verified") == 1
        with Sidecar(kube, "--insecure-skip-tls-verify", "false") as sidecar:
            sidecar.wait_log("certificate")
            assert sidecar.get("/members").status == 503 and sidecar.count("not verified") == 0


def test_logs_are_json_in_a_cluster_and_text_elsewhere(kube: FakeKube) -> None:
    for environ, flags, is_json in (
        ({}, (), False),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}, (), True),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, ("--log-format", "text"), False),
        ({"MEMBERSHIP_LOG_FORMAT": "json"}, (), True),
    ):
        given = ("--server", kube.url, "--services", "wso2/is", "--http", f"{HOST}:0", *flags)
        with Process("membership-sidecar", given, clean_environ(**environ)) as process:
            process.wait_log("generation 1", 10)
            assert process.stop()[0] == 0
        for line in process.err:
            assert line.startswith("{") == is_json, line
            if is_json:
                record = json.loads(line)
                assert {"time", "level", "message"} <= record.keys()


def test_log_level(kube: FakeKube) -> None:
    with Sidecar(kube, "--log-level", "error", "--http", "off") as sidecar:
        kube.wait_for_watch()
        assert sidecar.stop()[0] == 0
    assert sidecar.err == []


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    asked = {
        "membership-sidecar": tell("membership-sidecar", ["--help"]),
        **{
            name: tell("membership", [name, "--help"])
            for name in ("list", "watch", "wait", "render", "explain", "check")
        },
    }
    assert all(told.code == 0 for told in asked.values())
    return {name: told.output for name, told in asked.items()}


@pytest.mark.parametrize("name", ["membership-sidecar", "list", "watch", "wait", "render", "explain", "check"])
def test_help_shows_every_flag_and_every_variable(helps: Mapping[str, str], name: str) -> None:
    text = " ".join(helps[name].split())
    flags = (*SHARED, "context", *(DAEMON if name == "membership-sidecar" else ("timeout",)))
    wanted = (
        [f"--{flag}" for flag in flags]
        + [variable(flag) for flag in flags]
        + [*WSO2.values(), "POD_IP", *VARIABLES_ONLY]
    )
    words = set(re.findall(r"--[a-z-]+|[A-Z][A-Z0-9_]+", text))
    assert [word for word in wanted if word not in words] == []


@pytest.mark.parametrize("arguments", [["list", "--version"], ["--version"]])
def test_version(arguments: list[str]) -> None:
    for program in ("membership", "membership-sidecar"):
        if arguments[0] == "list":
            continue
        process = Process(program, arguments)
        assert process.finish() == 0 and re.search(r"\d+\.\d+", process.output)


@pytest.mark.parametrize("flag", ["state", "history", "staging"])
def test_a_path_that_cannot_be_looked_at_is_no_bug(flag: str) -> None:
    """Its name is longer than a file system takes: what is written there is told as it would be of any other."""
    arguments = ["--services", "wso2/is", "--server", "http://127.0.0.1:1", "--stable", "wrong"]
    found = tell("membership-sidecar", [*arguments, f"--{flag}", f"/tmp/{'x' * 300}"], clean_environ())
    assert found.code == 2 and "--stable" in found.log and "Traceback" not in found.log


def test_a_password_in_the_url_is_refused_and_not_shown() -> None:
    for program in ("membership-sidecar", "membership"):
        arguments = ["list"] if program == "membership" else []
        arguments += ["--services", "wso2/is", "--server", "https://admin:s3cr3t@127.0.0.1:1"]
        found = tell(program, arguments, clean_environ())
        assert found.code == 2 and "KUBERNETES_API_SERVER_PASSWORD" in found.log and "s3cr3t" not in found.log


@pytest.mark.parametrize("host", ["\u200b", "x" * 64, "a..b"])
def test_a_host_that_cannot_be_asked_for_is_a_wrong_setting(host: str) -> None:
    arguments = ["--services", "wso2/is", "--server", "http://127.0.0.1:1", "--http", f"{host}:4080"]
    found = tell("membership-sidecar", arguments, clean_environ())
    assert found.code == 2 and "is neither off nor [HOST]:PORT" in found.log and "Traceback" not in found.log
