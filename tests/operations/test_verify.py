"""`--verify`, `/verify` and `membership verify` against members that speak as real ones do (shared/hazelcast.md, 2)."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from membership.errors import BadAnswer
from membership.hazelcast import AGAIN_AFTER, ROUND_LIMIT, Asker, read_probe
from membership.hazelcast_rest import read_cluster
from membership.testing import FakeKube, Pod
from membership.verify import Target, View
from tests.running import STOP_LIMIT, Command, Sidecar, until
from tests.told import tell

PORT = random.randrange(15000, 30000)
"""Below the ports that the kernel gives out; together with a block of addresses of its own, nobody else's."""
_BLOCKS = iter(random.sample([f"127.{b}.{c}" for b in range(100, 250) for c in range(250)], 100))
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
JOINING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class FakeMember:
    """One member port. `answer` may be changed at any time: a dialect, or joining, closed, silent, html, drip, huge."""

    def __init__(self, host: str, sees: Sequence[str], answer: str = "5.3.6") -> None:
        self.host, self.sees, self.answer = host, list(sees), answer
        self.asked: list[str] = []
        self._listener = socket.create_server((host, PORT))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            sock.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        try:
            request = sock.recv(65536).decode("latin-1")
            path = request.split()[1] if request.startswith("GET") else "client"
            self.asked.append(path)
            if self.answer == "silent" or not request.startswith("GET"):  # the Hazelcast client, while joining
                return
            if self.answer == "drip":
                for byte in READY * 50:
                    sock.sendall(bytes([byte]))
                    time.sleep(0.2)
            if self.answer != "closed":
                sock.sendall(self._reply(path))
            sock.close()
        except OSError:
            pass

    def _reply(self, path: str) -> bytes:
        if self.answer == "joining":  # 4.2 and 5.3 list themselves alone, which must not count
            return JOINING if path.endswith("/ready") else self._json("5.3.6", [self.host])
        if self.answer == "html":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
        if path == "/hazelcast/health/ready":
            return READY
        assert path == "/hazelcast/rest/cluster", path
        if self.answer == "huge":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b" " * 2**21
        return self._text() if self.answer.startswith("3.") else self._json(self.answer, self.sees)

    def _json(self, version: str, sees: Sequence[str]) -> bytes:
        members = [
            {
                "address": f"[{host}]:{PORT}",
                "liteMember": False,
                "localMember": host == self.host,
                "uuid": f"uuid-{host}",
                "memberVersion": version,
            }
            for host in sees
        ]
        body = json.dumps({"members": members, "connectionCount": 1, "allConnectionCount": 3}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def _text(self) -> bytes:
        lines = [f"\tMember [{h}]:{PORT} - uuid-{h}{' this' if h == self.host else ''}" for h in self.sees]
        head = f"Members {{size:{len(lines)}, ver:{len(lines)}}} ["
        body = "\n".join(["", "", head, *lines, "]", "", "ConnectionCount: 1", "AllConnectionCount: 3", ""]).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Cluster:
    """Pods and their members: `a` is the first address of a block of loopback, and so on."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self._block = next(_BLOCKS)
        self._pods: dict[str, Pod] = {}
        self.members: dict[str, FakeMember] = {}

    def host(self, name: str) -> str:
        return f"{self._block}.{ord(name) - 96}"

    def at(self, *names: str) -> list[str]:
        return [f"{self.host(name)}:{PORT}" for name in names]

    def pods(self, names: str, *, lacking: str = "", terminating: str = "") -> None:
        """In Kubernetes from now on; `lacking` are not ready."""
        found = [
            Pod(self.host(name), f"is-{name}", ready=name not in lacking, terminating=name in terminating)
            for name in names
        ]
        self.kube.set_service("wso2", "is", found, ports={"hazelcast": PORT})

    def run(self, name: str, sees: str, answer: str = "5.3.6") -> FakeMember:
        """A member of Hazelcast; an older one under that name goes."""
        self.stop(name)
        self.members[name] = FakeMember(self.host(name), [self.host(other) for other in sees], answer)
        return self.members[name]

    def whole(self, names: str, answer: str = "5.3.6") -> None:
        for name in names:
            self.run(name, names, answer)

    def stop(self, name: str) -> None:
        if name in self.members:
            self.members.pop(name).close()

    def sidecar(self, *flags: str) -> Sidecar:
        given = ("--port", str(PORT), "--verify", "all", "--verify-interval", "1s", *flags)
        return Sidecar(self.kube, *given)

    def command(self, *flags: str) -> Command:
        return Command("verify", "--services", "wso2/is", "--server", self.kube.url, "--port", str(PORT), *flags)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with FakeKube() as kube:
        found = Cluster(kube)
        yield found
        for name in list(found.members):
            found.stop(name)


def comes(sidecar: Sidecar, verdict: str, timeout: float = 8.0) -> Any:
    """Wait for a verdict; the whole answer."""

    def look() -> Any:
        answer = sidecar.get("/verify").json
        seen[:] = [answer]
        return answer if answer["verdict"] == verdict else None

    seen: list[Any] = []
    try:
        return until(look, timeout, f"verdict {verdict}")
    except AssertionError:
        raise AssertionError(f"{verdict} did not come; last seen {seen}; log:\n{sidecar.log}") from None


def verdict_metric(sidecar: Sidecar) -> dict[str, float | None]:
    kinds = ("agreed", "forming", "split", "missing", "unexpected", "unknown")
    return {kind: sidecar.metric("membership_verdict", verdict=kind) for kind in kinds}


# The sidecar


def test_agreed_in_every_dialect(cluster: Cluster) -> None:
    cluster.pods("abc")
    for name, dialect in zip("abc", ("3.12.2", "4.2.6", "5.3.6")):
        cluster.run(name, "abc", dialect)
    with cluster.sidecar() as sidecar:
        answer = comes(sidecar, "agreed")
        assert [view["state"] for view in answer["views"]] == ["ready"] * 3
        assert answer["views"][0]["members"] == cluster.at("a", "b", "c")
        assert answer["views"][0]["own"] == cluster.at("a")[0]
        assert answer["views"][0]["uuid"] == f"uuid-{cluster.host('a')}"
        assert answer["scope"] == "all" and 0 <= answer["age_seconds"] < 5 and answer["checked_at"].endswith("Z")
        assert verdict_metric(sidecar) == {
            "agreed": 1, "forming": 0, "split": 0, "missing": 0, "unexpected": 0, "unknown": 0,
        }  # fmt: skip
        ready = sidecar.get("/readyz?verbose").text
        assert "[+]verdict: agreed" in ready and "readyz check passed" in ready


def test_a_split_is_loud_names_its_halves_and_does_not_touch_readiness(cluster: Cluster) -> None:
    cluster.pods("abc")
    cluster.whole("abc")
    with cluster.sidecar() as sidecar:
        comes(sidecar, "agreed")
        generation = sidecar.members()["generation"]
        cluster.members["a"].sees = cluster.members["b"].sees = [cluster.host("a"), cluster.host("b")]
        cluster.members["c"].sees = [cluster.host("c")]
        answer = comes(sidecar, "split")
        assert answer["halves"] == [cluster.at("a", "b"), cluster.at("c")]
        sidecar.wait_log("verify: split")
        found = [record for record in sidecar.records() if "verify: split" in record["message"]]
        assert [record["level"] for record in found] == ["error"]
        assert f"{', '.join(cluster.at('a', 'b'))} | {cluster.at('c')[0]}" in found[0]["message"]
        assert verdict_metric(sidecar)["split"] == 1
        ready = sidecar.get("/readyz?verbose")
        assert ready.status == 200 and "[!]verdict: split" in ready.text
        time.sleep(1.5)
        assert sidecar.count("verify: split") == 1, "one line for one change"
        assert sidecar.members()["generation"] == generation, "the list is not its business"
        cluster.whole("abc")
        comes(sidecar, "agreed")


def test_joining_is_forming_whatever_the_member_lists(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.run("a", "a")
    cluster.run("b", "b", "joining")
    with cluster.sidecar() as sidecar:
        answer = comes(sidecar, "forming")
        assert "joining" in answer["reason"] and not answer["halves"] and not answer["missing"]
        assert "/hazelcast/rest/cluster" not in cluster.members["b"].asked


def test_missing_and_not_serving_yet(cluster: Cluster) -> None:
    cluster.pods("ab", lacking="b")
    cluster.run("a", "a")
    with cluster.sidecar() as sidecar:
        assert cluster.at("b")[0] in comes(sidecar, "forming")["reason"]
        cluster.pods("ab")
        assert comes(sidecar, "missing")["missing"] == cluster.at("b")


def test_a_pod_that_is_gone_is_unexpected_and_one_that_terminates_is_not(cluster: Cluster) -> None:
    cluster.pods("abc")
    cluster.whole("abc")
    with cluster.sidecar() as sidecar:
        comes(sidecar, "agreed")
        cluster.pods("abc", terminating="c")
        sidecar.follows([cluster.host("a"), cluster.host("b")])
        until(
            lambda: comes(sidecar, "agreed")["age_seconds"] < 1 and len(sidecar.get("/verify").json["views"]) == 2, 10
        )
        began = time.monotonic()
        cluster.pods("ab")
        answer = comes(sidecar, "unexpected", 10)
        assert time.monotonic() - began < 10
        assert [entry["address"] for entry in answer["unexpected"]] == cluster.at("c")
        assert 0 < answer["unexpected"][0]["since_seconds"] < 10
        assert "agreed" not in sidecar.get("/readyz?verbose").text


def test_a_pod_that_vanishes_is_unexpected_within_ten_seconds(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.whole("ab")
    with cluster.sidecar("--verify-interval", "5s") as sidecar:
        comes(sidecar, "agreed", 10)
        began = time.monotonic()
        cluster.pods("a")
        comes(sidecar, "unexpected", 10)
        assert time.monotonic() - began < 10


def test_rest_off_is_unknown_says_so_and_is_asked_rarely(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.whole("ab", "closed")
    with cluster.sidecar() as sidecar:
        answer = comes(sidecar, "unknown")
        until(lambda: sidecar.get("/verify").json["unknown"], what="a round")
        answer = sidecar.get("/verify").json
        assert [entry["address"] for entry in answer["unknown"]] == cluster.at("a", "b")
        assert "REST off" in answer["reason"] and "dead" not in answer["reason"]
        time.sleep(2.5)
        assert [len(member.asked) for member in cluster.members.values()] == [2, 2]


def test_local_asks_the_own_member_only(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.whole("ab")
    with cluster.sidecar("--verify", "local", "--self-ip", cluster.host("b")) as sidecar:
        answer = comes(sidecar, "agreed")
        assert [view["asked"] for view in answer["views"]] == cluster.at("b") and answer["scope"] == "local"
        assert not cluster.members["a"].asked


def told(sidecar: Sidecar, states: list[str]) -> Any:
    """The verdict, where the members' states are these."""
    found = sidecar.get("/verify").json
    return found if [view["state"] for view in found["views"]] == states else None


def test_bad_members_end_in_a_reason_and_not_in_a_hang(cluster: Cluster) -> None:
    cluster.pods("abcde")
    cluster.run("a", "abcde")
    for name, answer in (("b", "silent"), ("c", "drip"), ("d", "html"), ("e", "huge")):
        cluster.run(name, "abcde", answer)
    with cluster.sidecar() as sidecar:
        wanted = ["ready", "silent", "silent", "unknown", "unknown"]
        # On a busy machine one that answers nonsense may be too slow for the first round.
        found = until(lambda: told(sidecar, wanted), 4 * ROUND_LIMIT, f"a round with {wanted}")
        assert found["verdict"] == "unknown"
        assert all(0 < len(entry["why"]) < 300 for entry in found["unknown"])


def test_off_asks_nobody(cluster: Cluster) -> None:
    cluster.pods("a")
    cluster.run("a", "a")
    with cluster.sidecar("--verify", "off") as sidecar:
        sidecar.synced()
        time.sleep(1.5)
        answer = sidecar.get("/verify").json
        assert (answer["verdict"], answer["scope"], answer["views"]) == ("unknown", "off", [])
        assert "--verify" in answer["reason"] and not cluster.members["a"].asked


def test_hanging_members_delay_neither_the_list_nor_the_end(cluster: Cluster) -> None:
    cluster.pods("abc")
    for name in "abc":
        cluster.run(name, "abc", "silent")
    with cluster.sidecar() as sidecar:
        sidecar.follows([cluster.host(name) for name in "abc"])
        until(lambda: cluster.members["a"].asked, what="a question")
        cluster.pods("abcd")
        sidecar.follows([cluster.host(name) for name in "abcd"], ROUND_LIMIT / 2)
        code, took = sidecar.stop(signal.SIGTERM)
        assert (code, took < STOP_LIMIT) == (0, True), took


def clients_of(endpoint: str) -> list[str]:
    """Processes of the Hazelcast client that ask this member."""
    found = [path.read_bytes().split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [str(words) for words in found if b"membership.hazelcast_probe" in words and endpoint.encode() in words]


def test_a_client_that_hangs_is_ended_with_the_sidecar(cluster: Cluster) -> None:
    cluster.pods("a")
    member = cluster.run("a", "a", "closed")
    with cluster.sidecar("--cluster-name", "dev") as sidecar:
        until(lambda: "client" in member.asked, 10, "the client's question")
        assert clients_of(cluster.at("a")[0])
        code, took = sidecar.stop(signal.SIGTERM)
        assert (code, took < STOP_LIMIT) == (0, True), took
        until(lambda: not clients_of(cluster.at("a")[0]), what="the end of the client")


@pytest.mark.parametrize(
    "flag, value, word", [("--verify", "some", "off, local, all"), ("--verify-interval", "0.2s", "1s")]
)
def test_wrong_settings(flag: str, value: str, word: str) -> None:
    told = tell("membership-sidecar", ("--server", "http://127.0.0.1:1", "--services", "wso2/is", flag, value))
    assert told.code == 2 and word in told.log


# The command


def test_command_agreed(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.run("a", "ab", "3.12.2")
    cluster.run("b", "ab", "5.3.6")
    with cluster.command() as command:
        assert command.result() == 0
        assert command.out[0].startswith("agreed: 2 members") and len(command.out) == 3


def test_command_json_and_split(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.run("a", "a")
    cluster.run("b", "b")
    with cluster.command("--format", "json") as command:
        assert command.result() == 5
        found = json.loads(command.output)
        assert (found["verdict"], found["halves"]) == ("split", [cluster.at("a"), cluster.at("b")])


def test_command_missing(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.run("a", "a")
    with cluster.command() as command:
        assert command.result() == 5 and command.out[0].startswith("missing: ")


def test_command_unexpected_although_it_never_saw_the_pod(cluster: Cluster) -> None:
    cluster.pods("a")
    cluster.run("a", "ab")
    with cluster.command() as command:
        assert command.result() == 5, command.log
        assert command.out[0].startswith("unexpected: ") and cluster.at("b")[0] in command.out[0]


@pytest.mark.parametrize("answer, word", [("closed", "unknown: "), ("joining", "forming: ")])
def test_command_gives_up_at_its_timeout(cluster: Cluster, answer: str, word: str) -> None:
    cluster.pods("a")
    cluster.run("a", "a", answer)
    with cluster.command("--timeout", "2s") as command:
        assert command.result() == 3 and command.out[0].startswith(word)
        assert 2 <= command.seconds < 10


def test_command_waits_for_what_is_forming(cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.run("a", "a")
    member = cluster.run("b", "b", "joining")
    with cluster.command("--timeout", "15s") as command:
        until(lambda: len(member.asked) > 1, 10)
        cluster.whole("ab")
        assert command.result() == 0


def test_command_codes_of_the_api_server(cluster: Cluster) -> None:
    cluster.pods("a")
    cluster.kube.close()
    with cluster.command("--timeout", "1s") as command:
        assert command.result() == 6


# The asker itself


def test_who_has_rest_off_is_asked_again_later_or_as_another_pod(cluster: Cluster) -> None:
    now = [0.0]
    member = cluster.run("a", "a", "closed")
    asker = Asker(clock=lambda: now[0])

    def ask(uid: str) -> str:
        now[0] += 1
        return asker.ask([Target(cluster.host("a"), PORT, uid)])[0].state

    assert [ask("one") for _ in range(10)] == ["off"] * 10 and len(member.asked) == 2
    now[0] += AGAIN_AFTER
    assert [ask("one") for _ in range(5)] == ["off"] * 5 and len(member.asked) == 3
    member.answer = "5.3.6"
    assert ask("one") == "off" and ask("two") == "ready" and ask("two") == "ready"


def test_clients_that_hang_do_not_outlast_the_time_of_the_command(cluster: Cluster) -> None:
    """Two are asked at a time, and each may take 8 s: five of them 24."""
    cluster.pods("abcde")
    for name in "abcde":
        cluster.run(name, name, "closed")
    with cluster.command("--cluster-name", "dev", "--timeout", "3s") as command:
        assert command.result(60) == 3 and command.seconds < 16, command.seconds


def test_a_client_that_hangs_is_killed_in_time(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("membership.hazelcast.CLIENT_LIMIT", 1.5)
    cluster.run("a", "a", "closed")
    view = Asker("dev").ask([Target(cluster.host("a"), PORT)])[0]
    assert (view.state, view.way) == ("unknown", "client") and "hangs" in view.why
    assert not clients_of(cluster.at("a")[0])


def test_without_the_client_rest_off_stays_the_answer(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    cluster.run("a", "a", "closed")
    view = Asker("dev").ask([Target(cluster.host("a"), PORT)])[0]
    assert (view.state, view.way) == ("off", "rest")


@pytest.mark.parametrize(
    "output, word",
    [
        (b"", "without an answer"),
        (b"garbage", "malformed"),
        (b'{"error":"no cluster"}', "no cluster"),
        (b"{}", "names no"),
    ],
)
def test_what_a_client_process_may_print(output: bytes, word: str) -> None:
    with pytest.raises((BadAnswer, msgspec.MsgspecError), match=word):
        read_probe(View("x:1", "unknown", way="client"), output)


def test_many_members_that_hang_take_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("membership.hazelcast.ROUND_LIMIT", 1.0)
    block = next(_BLOCKS)
    targets = [Target(f"{block}.{n}", PORT) for n in range(1, 41)]
    members = [FakeMember(target.host, [], "silent") for target in targets]
    began = time.monotonic()
    views = Asker().ask(targets)
    for member in members:
        member.close()
    assert {view.state for view in views} == {"silent"} and [view.asked for view in views] == [t.name for t in targets]
    assert 1 <= time.monotonic() - began < 5


BAD: list[bytes] = [
    b"", b"{", b"{}", b'{"members":[]}', b'{"members":{}}', b'{"members":[{}]}', b'{"members":[{"address":7}]}',
    b'{"members":[{"address":"10.0.0.1:4000"}]}', b'{"members":[{"address":"[a b]:1"}]}', b"\xff\xfe{",
    b"Members {size:2, ver:2} [\n\tMember [10.0.0.1]:1 - u this\n]\n", b"Members {size:0, ver:0} [\n]\n", b"OK",
    b'{"x":' + b"[" * 100_000, b"Members {size:" + b"9" * 5000 + b", ver:2} [\n]\n",
    b"Members {size:1, ver:2} [\n\tMember [10.0.0.1]:" + b"9" * 5000 + b" - u this\n]\n",
]  # fmt: skip


@pytest.mark.parametrize("body", BAD)
def test_malformed_lists(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_cluster("x:1", body)


def test_an_answer_of_white_space_is_refused_at_once() -> None:
    """1 MiB is what is read of an answer, and Python holds its lock while it matches."""
    began = time.monotonic()
    with pytest.raises(BadAnswer):
        read_cluster("x:1", b"Members {size:1, ver:1} [" + b"\n" * 2**20)
    assert time.monotonic() - began < 2.0


def _ipv6(make: Callable[[], bytes]) -> tuple[str, ...]:
    return read_cluster("x:1", make()).members


def test_ipv6_members() -> None:
    assert _ipv6(lambda: b'{"members":[{"address":"[FD00:0::1]:4000"}]}') == ("[fd00::1]:4000",)
    assert _ipv6(lambda: b"Members {size:1, ver:1} [\n\tMember [fd00::1]:4000 - u this\n]") == ("[fd00::1]:4000",)
