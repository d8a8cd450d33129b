"""`--push rest` against a member that answers as Hazelcast 5.3.6 does (shared/hazelcast.md, section 1)."""

from __future__ import annotations

import json
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_plus

import pytest

from membership.policy import BACKOFF_LIMIT
from membership.push import INTERVAL, SPACING, WAITING
from membership.testing import FakeKube, Pod
from tests.running import STOP_LIMIT, Command, Sidecar, clean_environ, until
from tests.told import tell

PORT = random.randrange(15000, 30000)
"""Below the ports that the kernel gives out; together with a block of addresses of its own, nobody else's."""
_BLOCKS = iter(random.sample([f"127.{b}.{c}" for b in range(100, 250) for c in range(250)], 100))
CLUSTER = "dev & <é>+%"
READY, LIST = "/hazelcast/health/ready", "/hazelcast/rest/config/tcp-ip/member-list"
OUTPUT = "push:rest"
SOON = WAITING + 4


class FakeMember:
    """A member port. `mode` may be changed at any time: ready, joining, closed, no-write, broken, html, silent."""

    def __init__(self, host: str, list_: list[str], mode: str = "ready") -> None:
        self.list, self.mode = list(list_), mode
        self.asked: list[tuple[float, str]] = []
        self.given: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append((time.monotonic(), self.path))
                self._answer(*fake.get(self.path))

            def do_POST(self) -> None:
                fake.asked.append((time.monotonic(), "POST"))
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(*fake.post(self.path, body))

            def _answer(self, status: int, body: str) -> None:
                if status:  # else closed without an answer
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body.encode())))
                    self.end_headers()
                    self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, PORT), Handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def get(self, path: str) -> tuple[int, str]:
        if self.mode == "silent":
            time.sleep(30)
        if self.mode == "closed":
            return 0, ""
        if self.mode == "html":
            return 200, "<html>"
        if path == READY:
            return 503 if self.mode == "joining" else 200, ""
        assert path == LIST, path
        return 200, self._told("success")

    def post(self, path: str, body: str) -> tuple[int, str]:
        assert path == LIST, path
        if self.mode == "no-write":
            return 0, ""
        fields = body.split("&")
        if len(fields) < 3:
            return 400, '{"status":"fail","message":"This endpoint expects at least 3 parameters"}'
        if unquote_plus(unquote_plus(fields[0])) != CLUSTER:  # twice, as 5.3.6 does
            return 403, '{"status":"fail","message":"unauthenticated"}'
        if self.mode == "broken":
            return 500, "java.lang.NullPointerException: member not ready"
        self.given.append(unquote_plus(fields[2]))
        self.list = [entry for entry in unquote_plus(fields[2]).split(",") if entry]
        return 200 if self.list else 500, self._told("success", message="updated")

    def count(self, path: str) -> int:
        return [asked for _, asked in self.asked].count(path)

    def _told(self, status: str, **more: str) -> str:
        return json.dumps({"status": status, **more, "member-list": self.list})


class Scene:
    """A Service whose pods are the addresses of a block of loopback; the first is ours."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self._block = next(_BLOCKS)
        self._members: list[FakeMember] = []

    def at(self, *numbers: int) -> list[str]:
        return [f"{self._block}.{number}:{PORT}" for number in numbers]

    def pods(self, *numbers: int) -> None:
        found = [Pod(f"{self._block}.{number}", f"is-{number}") for number in numbers]
        self.kube.set_service("wso2", "is", found, ports={"hazelcast": PORT})

    def member(self, *knows: int, mode: str = "ready") -> FakeMember:
        """Ours; an older one goes."""
        self.close()
        self._members.append(FakeMember(f"{self._block}.1", self.at(*knows), mode))
        return self._members[-1]

    def close(self) -> None:
        while self._members:
            self._members.pop().close()

    def flags(self) -> tuple[str, ...]:
        shared = "--port", str(PORT), "--self-ip", f"{self._block}.1"
        return *shared, "--push", "rest", "--cluster-name", CLUSTER

    def sidecar(self, *flags: str) -> Sidecar:
        return Sidecar(self.kube, *self.flags(), *flags)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with FakeKube() as kube:
        found = Scene(kube)
        yield found
        found.close()


def health(sidecar: Sidecar) -> str:
    """The line about this output; the probe passes whatever it says."""
    answer = sidecar.synced().get("/readyz?verbose")
    assert answer.status == 200
    return next(line for line in answer.text.splitlines() if f"output {OUTPUT}" in line)


def failures(sidecar: Sidecar) -> float:
    return sidecar.metric("membership_publish_failures_total", output=OUTPUT) or 0.0


def the_list_is_given_once_and_what_is_right_is_left_alone(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1)
    with scene.sidecar() as sidecar:
        until(lambda: member.given, SOON, "a list")
        assert member.given == [",".join(scene.at(1, 2))]
        assert f"output {OUTPUT}: gave {scene.at(1)[0]} the list: " in sidecar.wait_log("gave")
        until(lambda: health(sidecar).startswith("[+]") and "generation 1" in health(sidecar), what="health")
        scene.pods(1, 2, 3)
        until(lambda: len(member.given) == 2, SPACING + SOON, "the third member")
        assert member.given[1] == ",".join(scene.at(1, 2, 3))
        until(lambda: sidecar.metric("membership_publish_delay_seconds_count", output=OUTPUT) == 2, what="the metric")
        looks = member.count(LIST)
        until(lambda: member.count(LIST) > looks, INTERVAL + 3, "another look")
        assert len(member.given) == 2 and failures(sidecar) == 0
        # The process ends, and another starts with what its file says: it has joined with an old list.
        scene.close()
        until(lambda: "waiting: nothing listens" in health(sidecar), INTERVAL + 3, "its end")
        member = scene.member(2, 1)
        until(lambda: member.given, INTERVAL + 3, "the list for the new process")
        until(lambda: "generation 2 written" in health(sidecar), what="health")
        assert member.list == scene.at(1, 2, 3)
        assert sidecar.metric("membership_publish_delay_seconds_count", output=OUTPUT) == 2, "no list was late"


def test_the_same_list_in_another_order_is_left_alone(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(2, 1)
    with scene.sidecar() as sidecar:
        until(lambda: "generation 1 written" in health(sidecar), SOON, "the look")
        assert not member.given and member.count(LIST) == 1


def test_a_burst_of_changes_is_two_lists_at_most(scene: Scene) -> None:
    scene.pods(1)
    member = scene.member(1)
    with scene.sidecar() as sidecar:
        sidecar.synced()
        began = time.monotonic()
        for last in range(2, 12):
            scene.pods(*range(1, last + 1))
            time.sleep(0.1)
        lasted = time.monotonic() - began  # a second, and longer where the machine is busy
        until(lambda: member.list == scene.at(*range(1, 12)), 2 * SPACING + SOON, "the last list")
        assert len(member.given) <= 2 + lasted // SPACING


def a_member_that_is_dead_or_joining_is_waited_for_without_a_fuss(scene: Scene) -> None:
    scene.pods(1, 2)
    with scene.sidecar() as sidecar:
        until(lambda: "waiting: nothing listens there" in health(sidecar), what="waiting")
        member = scene.member(1, mode="joining")
        until(lambda: "waiting: it is joining" in health(sidecar), SOON, "joining")
        time.sleep(WAITING + 1)
        assert {path for _, path in member.asked} == {READY} and health(sidecar).startswith("[+]")
        assert failures(sidecar) == 0 and not [line for line in sidecar.records() if line["level"] == "error"]
        assert sidecar.count("waiting: it is joining") == 1
        member.mode = "ready"
        until(lambda: member.given, SOON, "the list")


def a_wrong_cluster_name_is_said_once_and_asked_seldom(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1)
    with scene.sidecar("--cluster-name", "another") as sidecar:
        sidecar.wait_log("it refuses the list: its cluster is not named 'another'", SOON)
        scene.pods(1, 2, 3)
        time.sleep(INTERVAL + 2)
        assert member.count("POST") == 1 and not member.given and failures(sidecar) == 1
        assert sidecar.count("it refuses the list") == 1 and health(sidecar).startswith("[!]")


def rest_off_is_asked_twice_and_said_once(scene: Scene, mode: str, path: str, group: str) -> None:
    scene.pods(1, 2)
    member = scene.member(1, mode=mode)
    with scene.sidecar() as sidecar:
        line = sidecar.wait_log(f"error.*output {OUTPUT}: REST off", INTERVAL + SOON)
        assert group in line
        scene.pods(1, 2, 3)
        time.sleep(3)
        assert member.count(path) == 2 and failures(sidecar) == 1 and health(sidecar).startswith("[!]")


def a_member_that_fails_is_tried_again(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1, mode="broken")
    with scene.sidecar() as sidecar:
        sidecar.wait_log("answers 500 to a list: java.lang.NullPointerException", SOON)
        member.mode = "ready"
        until(lambda: member.given, INTERVAL + SOON, "the list")
        until(lambda: health(sidecar).startswith("[+]"), what="health")
        assert failures(sidecar) == 1


def test_what_is_no_member_port_is_told(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1, mode="html")
    with scene.sidecar() as sidecar:
        sidecar.wait_log("answers what is no list: b'<html>'", SOON)
        assert not member.given


def test_an_empty_list_is_never_given(scene: Scene) -> None:
    scene.pods(1)
    member = scene.member(1)
    with scene.sidecar() as sidecar:
        until(lambda: "generation 1 written" in health(sidecar), SOON, "the first look")
        scene.pods()
        sidecar.wait_log(f"output {OUTPUT}: the list .* has no address", SOON)
        until(lambda: sidecar.metric("membership_kept_empty_total", output=OUTPUT) == 1, what="the metric")
        asked = len(member.asked)
        time.sleep(WAITING + 1)
        assert len(member.asked) == asked and member.count("POST") == 0 and member.list == scene.at(1)
        assert sidecar.metric("membership_kept_empty_total", output=OUTPUT) == 1


def test_a_pod_outside_its_service_is_not_joined_to_it(scene: Scene) -> None:
    scene.pods(2, 3)
    member = scene.member(1)
    with scene.sidecar() as sidecar:
        until(lambda: "is not in the list" in health(sidecar), SOON, "the reason")
        assert not member.asked


def test_a_list_that_is_not_proved_is_not_given(scene: Scene, tmp_path: Path) -> None:
    scene.pods(1, 2)
    member = scene.member(1, 2)
    state = ("--state", str(tmp_path / "state"))
    with scene.sidecar(*state) as sidecar:
        until((tmp_path / "state").exists, what="the state")
        sidecar.stop()
    member.list, member.asked = scene.at(1), []
    with Sidecar("http://127.0.0.1:1", *scene.flags(), *state) as sidecar:
        sidecar.wait_log("waiting: the list is stale", 10)
        time.sleep(WAITING + 1)
        assert not member.asked


def test_a_list_that_was_proved_once_is_not_given_for_ever(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1, 2)
    with scene.sidecar("--stale-after", "1s") as sidecar:
        until(lambda: member.count(LIST), SOON, "a look")
        scene.kube.stop_listening(cut=True)
        until(lambda: sidecar.members()["stale"], what="a stale list")
        member = scene.member(1)  # started anew: its list is that of its file
        sidecar.wait_log("waiting: the list is stale", SOON + INTERVAL)
        assert member.count("POST") == 0 and member.list == scene.at(1)
        scene.kube.listen_again()
        soon = BACKOFF_LIMIT + SOON + INTERVAL  # the next try may be that far away
        until(lambda: member.list == scene.at(1, 2), soon, "the list, once it is proved")


def test_a_list_that_is_proved_without_a_change_is_given(scene: Scene, tmp_path: Path) -> None:
    scene.pods(1, 2)
    state = ("--state", str(tmp_path / "state"))
    with scene.sidecar(*state) as sidecar:
        until((tmp_path / "state").exists, what="the state")
        sidecar.stop()
    member = scene.member(1)
    hanging = scene.kube.fault("hang", on="list")
    with scene.sidecar(*state) as sidecar:
        sidecar.wait_log("waiting: the list is stale", 10)
        hanging.clear()
        until(lambda: member.list == scene.at(1, 2), SOON + INTERVAL, "the list, once it is proved")
        assert sidecar.members()["generation"] == 1


def test_a_member_that_hangs_delays_neither_the_list_nor_the_end(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1, mode="silent")
    with scene.sidecar() as sidecar:
        until(lambda: member.asked, SOON, "a question")
        scene.pods(1, 2, 3)
        sidecar.follows([entry.partition(":")[0] for entry in scene.at(1, 2, 3)], 2)
        code, took = sidecar.stop(signal.SIGTERM)
        assert (code, took < STOP_LIMIT) == (0, True), took


def test_off_asks_nobody(scene: Scene) -> None:
    scene.pods(1, 2)
    member = scene.member(1)
    with scene.sidecar("--push", "off") as sidecar:
        sidecar.synced()
        time.sleep(WAITING)
        assert not member.asked and OUTPUT not in sidecar.get("/readyz?verbose").text


# Settings


def problems(*flags: str) -> str:
    told = tell("membership-sidecar", ("--server", "http://127.0.0.1:1", "--services", "wso2/is", *flags))
    assert told.code == 2
    return told.log


def test_what_push_lacks_is_said_all_at_once() -> None:
    log = problems("--push", "rest", "--hazelcast-version", "4.2.6")
    assert "Hazelcast before 5.2 has no REST for its member list" in log and "needs --cluster-name" in log
    assert "none of off, rest" in problems("--push", "some")
    assert "name --hazelcast-version" in problems("--push", "rest", "--cluster-name", "c", "--product", "ob-4.0")
    assert "before 5.2" in problems("--push", "rest", "--cluster-name", "c", "--product", "is-6.1")
    xml = ("--out", "hazelcast-xml:/nonexistent/x")
    log = problems("--push", "rest", "--cluster-name", "c", "--hazelcast-rest", "read", *xml)
    assert "needs the group CLUSTER_WRITE, which --hazelcast-rest read leaves shut" in log
    assert "needs Hazelcast 3.12" in problems("--hazelcast-rest", "read", "--hazelcast-version", "3.11", *xml)
    assert "none of off, read, write" in problems("--hazelcast-rest", "on")


def test_our_own_file_opens_what_push_needs(scene: Scene, tmp_path: Path) -> None:
    scene.pods(1, 2)
    out = tmp_path / "hazelcast.xml"
    for flags, groups in (
        ((), ["HEALTH_CHECK", "CLUSTER_READ", "CLUSTER_WRITE"]),
        (("--push", "off"), []),
        (("--push", "off", "--hazelcast-rest", "read"), ["HEALTH_CHECK", "CLUSTER_READ"]),
    ):
        out.unlink(missing_ok=True)
        with scene.sidecar("--out", f"hazelcast-xml:{out}", *flags):
            until(out.exists, what="the file")
        assert [name for name in ("HEALTH_CHECK", "CLUSTER_READ", "CLUSTER_WRITE") if name in out.read_text()] == groups


def test_verify_is_told_that_its_way_is_shut(scene: Scene, tmp_path: Path) -> None:
    scene.pods(1)
    out = ("--out", f"hazelcast-xml:{tmp_path / 'x'}", "--verify", "local")
    said = "--verify asks by REST, which hazelcast-xml leaves off"
    with Sidecar(scene.kube, *out, "--hazelcast-version", "3.12") as sidecar:
        sidecar.wait_log(said)
    with Sidecar(scene.kube, *out, "--hazelcast-version", "3.12", "--hazelcast-rest", "read") as sidecar:
        sidecar.synced()
        assert not sidecar.count(said)


# The command


def test_a_list_of_names_needs_no_api_server(tmp_path: Path) -> None:
    with Command("render", "lines", "--names", "is-0.is-hl,is-1.is-hl:4001", "--product", "is-7.1") as command:
        assert command.result() == 0 and command.out == ["is-0.is-hl:4001", "is-1.is-hl:4001"]
    with Command("render", "csv", "--names", "is-hl") as command:
        assert command.result() == 0 and command.out == ["is-hl:4000"] and "name each member" in command.log
    xml = ("render", "hazelcast-xml", "--names", "is-0.is-hl,is-1.is-hl:4001")
    for environ, public in (({"HOSTNAME": "is-1", "NODE_IP": "10.0.0.1"}, "is-1.is-hl:4001"), ({"HOSTNAME": "x"}, "")):
        with Command(*xml, environ=clean_environ(**environ)) as command:
            assert command.result() == 0 and ("may not merge" in command.log) == (not public)
            assert re.findall("<public-address>(.*)</public-address>", command.output) == [public] * bool(public)
    toml = tmp_path / "deployment.toml"
    toml.write_text("[clustering]\n")
    with Command("render", "deployment-toml", str(toml), *xml[2:], "--self-name", "is-0") as command:
        assert command.result() == 0 and command.log == ""
        assert 'local_member_host = "is-0.is-hl"' in command.output
        assert 'members = ["is-0.is-hl:4000", "is-1.is-hl:4001"]' in command.output
    told = tell("membership", ("render", "csv", "--names", "is_0", "--services", "is", "--port", "hz"))
    assert told.code == 2 and "'is_0' is not a host name" in told.log and "one list only" in told.log
    told = tell("membership", ("render", "csv", "--names", "is-0", "--port", "hz"))
    assert told.code == 2 and "--port is the name 'hz'" in told.log


STORIES: dict[str, Callable[[Scene], None]] = {
    "given once": the_list_is_given_once_and_what_is_right_is_left_alone,
    "dead or joining": a_member_that_is_dead_or_joining_is_waited_for_without_a_fuss,
    "wrong name": a_wrong_cluster_name_is_said_once_and_asked_seldom,
    "REST off": partial(rest_off_is_asked_twice_and_said_once, mode="closed", path=READY, group="HEALTH_CHECK"),
    "no writing": partial(rest_off_is_asked_twice_and_said_once, mode="no-write", path="POST", group="CLUSTER_WRITE"),
    "fails": a_member_that_fails_is_tried_again,
}
"""Those that last as long as the pauses between looks: they are played side by side, from the first test on."""


def play(story: Callable[[Scene], None]) -> None:
    with FakeKube() as kube:
        scene = Scene(kube)
        try:
            story(scene)
        finally:
            scene.close()


@pytest.fixture(scope="module", autouse=True)
def played() -> Iterator[dict[str, Future[None]]]:
    with ThreadPoolExecutor(len(STORIES)) as pool:
        yield {name: pool.submit(play, story) for name, story in STORIES.items()}


@pytest.mark.parametrize("name", STORIES)
def test_story(played: dict[str, Future[None]], name: str) -> None:
    played[name].result(120)
