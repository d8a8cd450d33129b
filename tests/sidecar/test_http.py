"""contract.md "HTTP": every sentence of it, asked of a real sidecar over real HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from membership.testing import FakeKube, Pod
from tests.running import (
    HOST,
    START_LIMIT,
    STOP_LIMIT,
    Answer,
    Asking,
    EventStream,
    Sidecar,
    ask,
    pods,
    raw_request,
    sample,
    until,
)

FIELDS = [
    "generation", "epoch", "synced", "stale", "age_seconds", "source", "services", "unknown_services",
    "resource_versions", "members",
]  # fmt: skip
MEMBER_FIELDS = [
    "address", "port", "addresses", "service", "namespace", "name", "uid", "ready", "serving", "terminating", "node",
    "zone", "hostname", "ports",
]  # fmt: skip
PATHS = [
    "/", "/members", "/members?format=lines", "/explain", "/explain?format=text", "/livez", "/readyz", "/startupz",
    "/healthz", "/metrics", "/verify", "/version", "/changes", "/changes?format=text", "/status.css", "/status.js",
    "/openapi.json",
]  # fmt: skip
BASE = pods(2)
ALL = ("wso2/is", "wso2/am", "apps/absent")


def listed(count: int) -> list[Pod]:
    """`count` members of two, three or so: the others terminate, for one that just vanishes is held for a moment."""
    return [*pods(count), *pods(4 - count, 5 + count, terminating=True)]


class World(NamedTuple):
    kube: FakeKube
    sidecar: Sidecar

    @property
    def generation(self) -> int:
        return int(self.sidecar.members()["generation"])

    def set(self, some: list[Pod], *, service: str = "is") -> None:
        self.kube.set_service("wso2", service, some)

    def change(self) -> None:
        """Make a list that differs from the one now, and wait until it is served."""
        before = self.generation
        self.set(listed(3 if len(self.sidecar.addresses()) == 2 else 2))
        until(lambda: self.generation > before, what="the change")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("http")
    with FakeKube() as kube:
        kube.set_service("wso2", "is", BASE)
        kube.set_service("wso2", "am", [])
        flags = ("--out", f"lines:{folder}/lines", "--out", f"json:{folder}/json")
        with Sidecar(kube, *flags, services=",".join(ALL)) as sidecar:
            yield World(kube, sidecar.synced())


@pytest.fixture(scope="module")
def first_comment() -> Iterator[Callable[[], float]]:
    """After how many seconds of silence a stream's first comment came. It begins now, and is asked for at the end."""
    with FakeKube() as quiet:
        quiet.set_service("wso2", "is", BASE)
        with Sidecar(quiet) as sidecar, EventStream(sidecar.synced().port) as stream:
            stream.event()
            began, ended = time.monotonic(), list[float]()

            def read() -> None:
                try:
                    while not stream.block(20)[0].startswith(":"):
                        pass
                except (EOFError, OSError, ValueError, AttributeError, http.client.HTTPException):
                    return  # the tests are over, and nobody has asked
                ended.append(time.monotonic())

            thread = threading.Thread(target=read, daemon=True)
            thread.start()

            def seconds() -> float:
                thread.join(20)
                assert ended, "no comment in 20 s"
                return ended[0] - began

            yield seconds


@pytest.fixture
def world(shared: World, first_comment: Callable[[], float]) -> World:
    """The sidecar of this module, with a list every test can rely on."""
    shared.set(listed(2))
    shared.set(pods(2, terminating=True), service="am")
    shared.sidecar.follows([pod.address for pod in BASE])
    return shared


def assert_problem(answer: Answer, status: int, *words: str) -> None:
    """RFC 9457."""
    assert (answer.status, answer.type) == (status, "application/problem+json"), answer
    assert answer.json["status"] == status and answer.json["title"] and answer.json["type"]
    for word in words:
        assert word in answer.json["detail"]


# -- the list


def test_members_has_the_fields_of_the_contract_in_their_order(world: World) -> None:
    answer = world.sidecar.get("/members")
    assert (answer.status, answer.type) == (200, "application/json")
    body = answer.json
    assert list(body) == FIELDS
    assert (body["synced"], body["stale"], body["source"]) == (True, False, "endpointslices")
    assert body["services"] == list(ALL)
    assert body["unknown_services"] == ["apps/absent"]
    assert set(body["resource_versions"]) == {"wso2", "apps"}
    assert 100 < int(body["resource_versions"]["wso2"]) <= int(world.kube.resource_version)
    assert 0 <= body["age_seconds"] < 60 and isinstance(body["generation"], int)
    assert [list(member) for member in body["members"]] == [MEMBER_FIELDS] * 2
    assert body["members"][0] == {
        "address": "10.244.0.5", "port": 4000, "addresses": ["10.244.0.5"], "service": "is", "namespace": "wso2",
        "name": "is-0", "uid": BASE[0].uid, "ready": True, "serving": True, "terminating": False, "node": "n1",
        "zone": None, "hostname": "is-0", "ports": {"hazelcast": 4000},
    }  # fmt: skip


def test_an_empty_service_is_no_unknown_one_and_an_unknown_one_no_error(world: World) -> None:
    empty, unknown = (world.sidecar.get(f"/members?service={name}") for name in ("wso2/am", "apps/absent"))
    assert (empty.status, empty.json["members"], empty.json["unknown_services"]) == (200, [], [])
    assert (unknown.status, unknown.json["members"], unknown.json["unknown_services"]) == (200, [], ["apps/absent"])


def test_not_ready_members_stay_and_terminating_ones_go(world: World) -> None:
    world.set([BASE[0], *pods(1, 6, ready=False), *pods(2, 7, terminating=True)])

    def states() -> bool:
        return [(m["address"], m["serving"]) for m in world.sidecar.members()["members"]] == [
            ("10.244.0.5", True),
            ("10.244.0.6", False),
        ]

    until(states, what="the not ready member without the terminating one")


def test_members_are_sorted_by_namespace_service_then_address_as_a_number() -> None:
    with FakeKube() as kube:
        kube.set_service("b", "x", [Pod("10.0.0.1", "bx")])
        kube.set_service("a", "z", [Pod("10.0.0.10", "az-1"), Pod("10.0.0.9", "az-2"), Pod("9.255.0.1", "az-3")])
        kube.set_service(
            "a", "y", [Pod("fd00::a", "ay-1"), Pod("fd00::9", "ay-2"), Pod("10.0.0.200", "ay-3", addresses=["fd00::1"])]
        )
        with Sidecar(kube, "--family", "both", services="b/x,a/z,a/y") as sidecar:
            found = sidecar.synced().members()
            lines = sidecar.get("/members?format=lines").text.splitlines()
    assert [(m["namespace"], m["service"], m["addresses"]) for m in found["members"]] == [
        ("a", "y", ["10.0.0.200", "fd00::1"]), ("a", "y", ["fd00::9"]), ("a", "y", ["fd00::a"]),
        ("a", "z", ["9.255.0.1"]), ("a", "z", ["10.0.0.9"]), ("a", "z", ["10.0.0.10"]),
        ("b", "x", ["10.0.0.1"]),
    ]  # fmt: skip
    assert found["services"] == ["b/x", "a/z", "a/y"]
    assert lines[:3] == ["10.0.0.200:4000", "[fd00::9]:4000", "[fd00::a]:4000"]


def test_a_pod_in_two_services_is_two_members_and_one_endpoint(world: World) -> None:
    world.set(BASE, service="am")
    until(lambda: len(world.sidecar.addresses()) == 4, what="both services")
    found = [(member["service"], member["address"]) for member in world.sidecar.members()["members"]]
    assert found == [("am", "10.244.0.5"), ("am", "10.244.0.6"), ("is", "10.244.0.5"), ("is", "10.244.0.6")]
    assert world.sidecar.get("/members?format=lines").text == "10.244.0.5:4000\n10.244.0.6:4000\n"
    assert world.sidecar.get("/members?format=csv").text == "10.244.0.5:4000,10.244.0.6:4000\n"
    assert len(world.sidecar.get("/members?format=prometheus-sd").json) == 2


def test_a_member_without_the_named_port_stays_in_json_only_with_a_warning() -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(1))
        kube.put_slice(
            {
                "metadata": {"name": "x", "namespace": "wso2", "labels": {"kubernetes.io/service-name": "is"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.9.9.9"]}],
                "ports": [],
            }
        )
        with Sidecar(kube, "--port", "hazelcast") as sidecar:
            members = sidecar.synced().members()["members"]
            assert [(member["address"], member["port"]) for member in members] == [
                ("10.9.9.9", None),
                ("10.244.0.5", 4000),
            ]
            for format in ("lines", "csv", "prometheus-sd"):
                assert "10.9.9.9" not in sidecar.get(f"/members?format={format}").text
            entries = {entry["address"]: entry for entry in sidecar.get("/explain").json["addresses"]}
            assert entries["10.9.9.9"]["included"] and "port" in entries["10.9.9.9"]["reason"]
            sidecar.wait_log(r'"level": "warning".*10\.9\.9\.9', 2.0)


def test_changes_move_the_generation_by_one_and_resource_versions_do_not(world: World) -> None:
    before = world.sidecar.get("/members")
    world.set(listed(1))
    world.sidecar.follows(["10.244.0.5"])
    changed = world.sidecar.get("/members")
    assert changed.generation == before.generation + 1
    assert changed.headers["etag"] != before.headers["etag"]
    version = world.kube.touch()
    world.kube.bookmark()
    until(lambda: world.sidecar.members()["resource_versions"]["wso2"] == version, what="the bookmark's version")
    later = world.sidecar.get("/members")
    assert (later.generation, later.headers["etag"]) == (changed.generation, changed.headers["etag"])


def test_the_epoch_is_random_and_never_changes(world: World) -> None:
    epoch = world.sidecar.members()["epoch"]
    world.change()
    assert world.sidecar.members()["epoch"] == epoch and len(epoch) >= 8
    with Sidecar(world.kube) as other:
        assert other.synced().members()["epoch"] != epoch


# -- headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/members", 200),
        ("HEAD", "/members", 200),
        ("GET", "/members?format=csv", 200),
        ("GET", "/members?index=0", 200),
        ("GET", "/members?index=x", 400),
        ("GET", "/members?format=x", 400),
        ("GET", "/members?service=x", 404),
        ("POST", "/members", 405),
    ],
)
def test_headers_are_on_every_answer(world: World, method: str, path: str, status: int) -> None:
    answer = ask(world.sidecar.port, path, method)
    body = world.sidecar.members()
    assert answer.status == status
    assert answer.headers.get("x-membership-generation") == str(body["generation"])
    assert answer.headers.get("x-membership-epoch") == body["epoch"]
    assert answer.headers.get("cache-control") == "no-cache"
    assert ("etag" in answer.headers) == (status == 200)


def _tag(etag: str) -> str:
    return etag.removeprefix("W/")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("{etag}", 304),
        ("W/{tag}", 304),
        ("{tag}", 304),
        ("*", 304),
        ('"other", {etag}', 304),
        ('W/"a","b" , {tag} ,"c"', 304),
        ('"other"', 200),
        ('"other", W/"another"', 200),
        ("", 200),
    ],
)
def test_if_none_match(world: World, header: str, status: int) -> None:
    etag = world.sidecar.get("/members").headers["etag"]
    assert etag.removeprefix("W/").startswith('"') and etag.endswith('"')
    answer = world.sidecar.get("/members", {"If-None-Match": header.format(etag=etag, tag=_tag(etag))})
    assert answer.status == status
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "no-cache" and "x-membership-epoch" in answer.headers
    assert (answer.body == b"") == (status == 304)


def test_if_none_match_in_two_lines(world: World) -> None:
    with socket.create_connection((HOST, world.sidecar.port), timeout=10) as sock:
        etag = world.sidecar.get("/members").headers["etag"]
        lines = f'If-None-Match: "other"\r\nIf-None-Match: {etag}\r\nConnection: close'
        sock.sendall(f"GET /members HTTP/1.1\r\nHost: members\r\n{lines}\r\n\r\n".encode())
        assert sock.makefile("rb").readline().split()[1] == b"304"


def test_etags_differ_by_what_is_asked_for(world: World) -> None:
    paths = ("/members", "/members?format=lines", "/members?service=wso2/am", "/members?service=apps/absent")
    assert len({world.sidecar.get(path).headers["etag"] for path in paths}) == len(paths)


def test_an_etag_does_not_serve_for_another_list(world: World) -> None:
    etag = world.sidecar.get("/members").headers["etag"]
    world.change()
    assert world.sidecar.get("/members", {"If-None-Match": etag}).status == 200


# -- blocking queries


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("index={lower}&wait=20s", "the generation is larger"),
        ("index=0", "the generation is larger"),
        ("index={larger}&wait=20s", "the index is of another epoch"),
        ("index=999999999999&wait=20s", "the index is of another epoch"),
        ("index=18446744073709551615&wait=20s", "the index is of another epoch, the largest that Consul has"),
        ("wait=20s", "there is no index"),
        ("index={equal}&wait=0s", "there is no time to wait"),
    ],
)
def test_these_queries_are_answered_at_once(world: World, query: str, why: str) -> None:
    world.change()  # so that there is a lower one than 2
    now = world.generation
    answer = world.sidecar.get(f"/members?{query.format(lower=now - 1, equal=now, larger=now + 1)}")
    assert answer.status == 200 and answer.generation == now
    assert answer.seconds < 5.0, why


def test_a_query_of_the_same_generation_is_answered_when_the_list_changes(world: World) -> None:
    now = world.generation
    asked = [Asking(world.sidecar.port, f"/members?index={now}{more}") for more in ("", "&wait=20s", "&wait=11m")]
    assert all(one.stays_open(0.2) for one in asked)
    world.set(listed(1))
    for one in asked:
        answer = one.answer()
        assert answer.generation == now + 1
        assert [member["address"] for member in answer.json["members"]] == ["10.244.0.5"]


def test_a_query_ends_with_its_wait(world: World) -> None:
    now = world.generation
    answer = world.sidecar.get(f"/members?index={now}&wait=300ms")
    assert (answer.status, answer.generation) == (200, now)
    assert 0.3 <= answer.seconds < 5.0


def test_bookmarks_do_not_answer_a_query(world: World) -> None:
    now = world.generation
    asked = Asking(world.sidecar.port, f"/members?index={now}&wait=20s")
    version = world.kube.touch()
    world.kube.bookmark()
    until(lambda: world.sidecar.members()["resource_versions"]["wso2"] == version, what="the bookmark")
    assert asked.stays_open(0.1)
    world.change()
    assert asked.answer().generation == now + 1


def test_a_query_may_carry_an_etag(world: World) -> None:
    first = world.sidecar.get("/members")
    tag = {"If-None-Match": first.headers["etag"]}
    same = ask(world.sidecar.port, f"/members?index={first.generation}&wait=200ms", headers=tag)
    assert same.status == 304 and same.seconds >= 0.2
    asked = Asking(world.sidecar.port, f"/members?index={first.generation}&wait=20s", tag)
    assert asked.stays_open(0.1)
    world.change()
    assert asked.answer().status == 200


def test_a_query_can_be_filtered_and_formatted(world: World) -> None:
    now = world.generation
    asked = Asking(world.sidecar.port, f"/members?index={now}&wait=20s&service=is&format=lines")
    assert asked.stays_open(0.1)
    world.set(listed(1))
    assert asked.answer().text == "10.244.0.5:4000\n"


def test_many_queries_are_answered_together(world: World) -> None:
    now = world.generation
    asked = [Asking(world.sidecar.port, f"/members?index={now}&wait=20s") for _ in range(60)]
    assert asked[-1].stays_open(0.3)
    world.change()
    assert {one.answer().generation for one in asked} == {now + 1}


def test_each_answer_says_when_it_was_given(world: World) -> None:
    for path in ("/members", "/healthz", "/nothing"):
        given = parsedate_to_datetime(world.sidecar.get(path).headers["date"]).timestamp()
        assert abs(time.time() - given) < 2.0


def test_released_queries_share_one_answer_that_is_like_any_other(world: World) -> None:
    now = world.generation
    kinds = ("", "&format=lines", "&service=is")
    asked = {
        kind: [Asking(world.sidecar.port, f"/members?index={now}&wait=20s{kind}") for _ in range(5)] for kind in kinds
    }
    assert asked[""][0].stays_open(0.3)
    world.change()
    for kind, some in asked.items():
        answers = [one.answer() for one in some]
        assert len({answer.body for answer in answers}) == 1, "one moment, one age, one text"
        plain = world.sidecar.get(f"/members?{kind.removeprefix('&')}")
        released = {name: value for name, value in answers[0].headers.items() if name != "date"}
        wanted = {name: value for name, value in plain.headers.items() if name != "date"}
        length = "content-length"  # the age has more digits or fewer
        assert released | {length: ""} == wanted | {length: ""}
        assert answers[0].headers["date"].endswith("GMT")
        assert int(answers[0].headers[length]) == len(answers[0].body)


@pytest.mark.parametrize(
    ("request_", "stays"),
    [
        ("GET {path} HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n", True),
        ("GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", True),
        ("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n", True),
        ("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False),
        ("GET {path} HTTP/1.0\r\n\r\n", False),
    ],
    ids=["with another behind it", "with a body", "HEAD", "to be closed", "HTTP/1.0"],
)
def test_a_query_of_an_unusual_client_is_released_too(world: World, request_: str, stays: bool) -> None:
    now = world.generation
    with socket.create_connection((HOST, world.sidecar.port), 10) as sock:
        sock.sendall(request_.format(path=f"/members?index={now}&wait=20s").encode())
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        world.change()
        sock.settimeout(10)
        got = sock.recv(65536)
        assert got.startswith(b"HTTP/1.1 200 ") and f"x-membership-generation: {now + 1}\r\n".encode() in got.lower()
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" if stays else b"")
        sock.settimeout(4)  # a connection that is kept without reason is closed after 5 s
        while part := sock.recv(65536):
            got += part
    answers = got.count(b"HTTP/1.1 200 ")
    assert answers == 1 + stays + ("/version" in request_), got
    assert got.endswith(b"ok\n") == stays
    if not request_.startswith("HEAD"):
        assert got.count(b'"members":[') == 1


@pytest.mark.parametrize(
    "query",
    [
        "index=x", "index=-1", "index=1.5", "index=", "index=%2B1", "index=1&wait=x", "index=1&wait=5",
        "index=1&wait=-5s",
        "index=1&wait=", "wait=soon", "format=", "format=yaml", "index=%D9%A1",
    ],
)  # fmt: skip
def test_bad_values_are_400(world: World, query: str) -> None:
    assert_problem(world.sidecar.get(f"/members?{query}"), 400, query.partition("=")[0] if "&" not in query else "wait")


def test_stale_turning_does_not_answer_a_query() -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", BASE)
        with Sidecar(kube, "--stale-after", "600ms") as sidecar:
            now = sidecar.synced().members()["generation"]
            asked = Asking(sidecar.port, f"/members?index={now}&wait=20s")
            kube.stall()
            until(lambda: sidecar.members()["stale"], what="a stale list")
            found = sidecar.get("/members")
            assert asked.stays_open(0.3)
            assert (found.status, len(found.json["members"]), found.json["synced"]) == (200, 2, True)
            assert found.json["age_seconds"] > 0.6
            ready = sidecar.get("/readyz")
            assert ready.status == 503 and "proved" in ready.text
            assert sidecar.get("/livez").status == 200
            kube.resume()
            kube.set_service("wso2", "is", BASE[:1])
            assert asked.answer(10).generation == now + 1
            until(lambda: sidecar.get("/readyz").status == 200, 10, "readiness")


# -- before the first list


def test_before_the_first_list_of_every_service() -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", BASE)
        kube.set_service("apps", "gateway", pods(1, 9))
        hanging = kube.fault("hang", on="list", namespace="apps")
        with Sidecar(kube, services="wso2/is,apps/gateway") as sidecar:
            kube.wait_for_watch(1)  # wso2 is followed, apps is not
            for path in ("/members", "/members?wait=5s", "/members?format=lines", "/members?index=0&wait=100ms"):
                answer = sidecar.get(path)
                assert_problem(answer, 503)
                assert answer.headers["x-membership-generation"] == "0" and answer.headers["x-membership-epoch"]
                assert answer.headers["cache-control"] == "no-cache" and "etag" not in answer.headers
            asked = [Asking(sidecar.port, f"/members?index={index}&wait=20s") for index in (0, 7)]
            with EventStream(sidecar.port) as stream:
                assert all(one.stays_open(0.2) for one in asked)
                assert sidecar.get("/livez").status == 200
                ready, started = sidecar.get("/readyz"), sidecar.get("/startupz")
                assert (ready.status, started.status) == (503, 503)
                assert "[-]synced" in ready.text and "list" in started.text
                assert sidecar.metric("membership_synced") == 0
                assert sidecar.get("/").status == 200 and sidecar.get("/explain").status == 200
                hanging.clear()
                for one in asked:
                    answer = one.answer()
                    assert (answer.status, answer.generation, len(answer.json["members"])) == (200, 1, 3)
                assert json.loads(stream.event()["data"])["generation"] == 1
            until(lambda: sidecar.get("/readyz").status == 200, what="readiness")
            assert sidecar.metric("membership_synced") == 1


# -- formats and filters


@pytest.mark.parametrize(
    ("format", "type", "full", "empty"),
    [
        ("lines", "text/plain", "10.244.0.5:4000\n10.244.0.6:4000\n", ""),
        ("csv", "text/plain", "10.244.0.5:4000,10.244.0.6:4000\n", ""),
    ],
)
def test_text_formats(world: World, format: str, type: str, full: str, empty: str) -> None:
    answer = world.sidecar.get(f"/members?format={format}&service=is")
    assert (answer.status, answer.type, answer.text) == (200, type, full)
    answer = world.sidecar.get(f"/members?format={format}&service=am")
    assert (answer.status, answer.type, answer.text.strip()) == (200, type, empty)


def test_prometheus_sd(world: World) -> None:
    answer = world.sidecar.get("/members?format=prometheus-sd")
    assert (answer.status, answer.type) == (200, "application/json")
    assert [group["targets"] for group in answer.json] == [["10.244.0.5:4000"], ["10.244.0.6:4000"]]
    for group in answer.json:
        assert all(isinstance(value, str) for value in group["labels"].values())
        assert group["labels"]["__meta_membership_service"] == "is"
    assert world.sidecar.get("/members?format=prometheus-sd&service=am").json == []
    assert world.sidecar.get("/members?format=json").json["members"] == world.sidecar.members()["members"]


@pytest.mark.parametrize(
    ("service", "services", "count"), [("is", ["wso2/is"], 2), ("wso2/is", ["wso2/is"], 2), ("am", ["wso2/am"], 0)]
)
def test_filter(world: World, service: str, services: list[str], count: int) -> None:
    body = world.sidecar.members(f"?service={service}")
    assert (body["services"], len(body["members"])) == (services, count)


def test_a_filter_by_name_takes_the_service_of_each_namespace() -> None:
    with FakeKube() as kube:
        kube.set_service("a", "is", pods(1))
        kube.set_service("b", "is", pods(1, 9))
        with Sidecar(kube, services="a/is,b/is") as sidecar:
            sidecar.synced()
            assert len(sidecar.members("?service=is")["members"]) == 2
            assert len(sidecar.members("?service=b/is")["members"]) == 1


@pytest.mark.parametrize("service", ["other", "default/is", "", "wso2/", "/is", "wso2/is/x", "%00%ff"])
def test_a_service_that_is_not_followed_is_404(world: World, service: str) -> None:
    assert_problem(world.sidecar.get(f"/members?service={service}"), 404)


# -- server-sent events


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/members/stream", {}),
        ("/members", {"Accept": "text/event-stream"}),
        ("/members", {"Accept": "a/b, text/event-stream;q=0.9"}),
        ("/members", {"Accept": "Text/Event-Stream; charset=utf-8"}),
        ("/members", {"Accept": "text/event-stream;q=0.5, */*;q=0.9"}),
        ("/members", {"Accept": "text/event-stream, application/json"}),
        ("/members", {"Accept": "application/json;q=0.5, text/event-stream;q=0.51"}),
        ("/members", {"Accept": "application/json;q=0, text/event-stream;q=0.1"}),
    ],
)
def test_events(world: World, path: str, headers: Mapping[str, str]) -> None:
    with EventStream(world.sidecar.port, path, headers) as stream:
        assert stream.response.getheader("Content-Type", "").partition(";")[0] == "text/event-stream"
        assert stream.response.getheader("X-Membership-Epoch") == world.sidecar.members()["epoch"]
        first = stream.event()
        body = json.loads(first["data"])
        assert list(body) == FIELDS and len(body["members"]) == 2
        assert first["id"] == str(body["generation"]) == str(world.generation)
        world.set(listed(1))
        second = stream.event()
        assert int(second["id"]) == int(first["id"]) + 1
        assert [member["address"] for member in json.loads(second["data"])["members"]] == ["10.244.0.5"]


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream;q=0",
        "*/*, Text/Event-Stream; Q=0.000",
        "text/event-streams",
        "application/json, text/event-stream;q=0.5",
        "text/event-stream;q=0.5, application/json;q=0.501",
        "application/json, text/event-stream",
        "application/json;q=0, text/event-stream;q=0",
    ],
)
def test_events_that_nobody_wants(world: World, accept: str) -> None:
    answer = world.sidecar.get("/members", {"Accept": accept})
    assert (answer.headers["content-type"], answer.headers["vary"]) == ("application/json", "Accept")


def test_the_head_of_a_stream_says_no_length(world: World) -> None:
    answer = ask(world.sidecar.port, "/members/stream", method="HEAD")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in answer.headers and answer.body == b""


def test_events_can_be_filtered(world: World) -> None:
    with EventStream(world.sidecar.port, "/members/stream?service=am") as stream:
        assert json.loads(stream.event()["data"])["services"] == ["wso2/am"]
    assert_problem(world.sidecar.get("/members/stream?service=other"), 404)


def test_clients_that_never_read_do_not_delay_others() -> None:
    many = [Pod(f"10.244.{n // 250}.{n % 250 + 1}", f"is-{n}") for n in range(1000)]
    with FakeKube() as kube:
        kube.set_service("wso2", "is", many)
        deaf: list[socket.socket] = []
        try:
            with Sidecar(kube) as sidecar, EventStream(sidecar.synced().port) as reader:
                for _ in range(10):
                    sock = socket.socket()
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    sock.connect((HOST, sidecar.port))
                    sock.sendall(b"GET /members/stream HTTP/1.1\r\nHost: x\r\n\r\n")
                    deaf.append(sock)
                slowest = 0.0
                for round in range(20):  # about 250 KiB each: enough to fill every buffer there is
                    wanted = [*many, Pod(f"10.245.0.{round + 1}", f"new-{round}")]
                    began = time.monotonic()
                    kube.set_service("wso2", "is", wanted)
                    while f"10.245.0.{round + 1}" not in reader.event()["data"]:
                        pass
                    slowest = max(slowest, time.monotonic() - began)
                assert slowest < 4.0
                assert sidecar.get("/members", timeout=2).status == 200
                code, took = sidecar.stop()
                assert code == 0 and took < STOP_LIMIT
        finally:
            for sock in deaf:
                sock.close()


def test_many_clients_of_events(world: World) -> None:
    streams = [EventStream(world.sidecar.port) for _ in range(40)]
    try:
        for stream in streams:
            stream.event()
        now = world.generation
        world.set(listed(1))
        assert {stream.event()["id"] for stream in streams} == {str(now + 1)}
    finally:
        for stream in streams:
            stream.close()


# -- explanations, probes, metrics, page


def test_explain_names_every_address_in_or_out_and_why(world: World) -> None:
    world.set([BASE[0], *pods(1, 6, terminating=True), *pods(1, 7, ready=False)])
    world.sidecar.follows(["10.244.0.5", "10.244.0.7"])
    found = world.sidecar.get("/explain").json["addresses"]
    entries = {entry["address"]: entry for entry in found if entry["service"] == "is"}
    assert {address: entry["included"] for address, entry in entries.items()} == {
        "10.244.0.5": True, "10.244.0.6": False, "10.244.0.7": True,
    }  # fmt: skip
    assert "terminating" in entries["10.244.0.6"]["reason"]
    assert all(entry["reason"] for entry in entries.values())
    text = world.sidecar.get("/explain?format=text")
    assert text.type == "text/plain" and all(address in text.text for address in entries)
    assert "apps/absent" in text.text
    assert_problem(world.sidecar.get("/explain?format=x"), 400)


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz", "/startupz"])
def test_probes(world: World, path: str) -> None:
    plain, verbose = world.sidecar.get(path), world.sidecar.get(f"{path}?verbose")
    assert (plain.status, verbose.status) == (200, 200)
    assert plain.type == "text/plain" and "[-]" not in plain.text
    assert "[+]" in verbose.text and "passed" in verbose.text
    if path == "/readyz":
        assert "source endpointslices" in verbose.text and "apps/absent" in verbose.text


@pytest.mark.parametrize(
    ("flags", "opens", "word"),
    [
        (("--expect", "3", "--gate-timeout", "400ms", "--on-timeout", "start"), True, "time is up"),
        (("--expect", "3", "--gate-timeout", "400ms", "--on-timeout", "fail"), False, "2 of 3"),
        (("--expect", "2", "--gate-timeout", "60s", "--stable", "100ms"), True, "2 addresses"),
    ],
)
def test_the_formation_gate_is_startupz(flags: tuple[str, ...], opens: bool, word: str) -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2, ready=False))
        with Sidecar(kube, *flags) as sidecar:
            sidecar.synced()
            if opens:
                until(lambda: sidecar.get("/startupz").status == 200, what="an open gate")
                assert word in sidecar.get("/startupz?verbose").text
                assert sidecar.metric("membership_gate_open") == 1
            else:
                sidecar.wait_log("formation gate", 5)
                answer = sidecar.get("/startupz")
                assert answer.status == 503 and word in answer.text
                assert sidecar.metric("membership_gate_open") == 0
            assert sidecar.get("/readyz").status == 200


def test_the_formation_gate_waits_for_a_list_and_stays_open() -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(1, ready=False))
        hanging = kube.fault("hang", on="list")
        with Sidecar(kube, "--expect", "2", "--stable", "100ms", "--gate-timeout", "300ms") as sidecar:
            sidecar.wait_log("stays closed")
            assert sidecar.get("/startupz").status == 503  # --on-timeout start, but there is no list at all
            hanging.clear()
            until(lambda: sidecar.get("/startupz").status == 200, what="an open gate")
            kube.set_service("wso2", "is", [])
            sidecar.follows([])
            assert sidecar.get("/startupz").status == 200


def test_a_second_address_while_the_server_boots_is_warned_of_once() -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(1, ready=False))
        with Sidecar(kube, "--expect", "1", "--stable", "100ms") as sidecar:
            until(lambda: sidecar.get("/startupz").status == 200, what="an open gate")
            assert sidecar.count("opened too early") == 0
            kube.set_service("wso2", "is", pods(2, ready=False))
            assert "10.244.0.5, 10.244.0.6" in sidecar.wait_log("opened too early")
            assert "[!]boot window" in sidecar.get("/startupz?verbose").text
            assert sidecar.get("/startupz").status == 200
            kube.set_service("wso2", "is", pods(3, ready=False))
            sidecar.follows(["10.244.0.5", "10.244.0.6", "10.244.0.7"])
            assert sidecar.count("opened too early") == 1


def test_more_addresses_than_expected_are_warned_of_although_nothing_changes() -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2, ready=False))
        with Sidecar(kube, "--expect", "1", "--stable", "300ms") as sidecar:
            assert "10.244.0.5, 10.244.0.6" in sidecar.wait_log("opened too early")
            assert sidecar.members()["generation"] == 1


def test_no_member_starts_before_its_files_are_written(tmp_path: Path) -> None:
    """The gate opens at once where there is a member to join; what the entrypoint copies then must be there."""
    source, target = tmp_path / "deployment.toml", tmp_path / "volume" / "deployment.toml"
    source.write_text("[clustering\n")
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2, ready=True))
        with Sidecar(kube, "--out", f"deployment-toml:{source}:{target}", "--self-ip", "10.244.0.6") as sidecar:
            sidecar.wait_log("formation gate open: 10.244.0.5 is serving already")
            answer = sidecar.get("/startupz")
            assert answer.status == 503 and f"[-]output deployment-toml:{target}" in answer.text
            assert sidecar.metric("membership_gate_open") == 1 and not target.exists()
            source.write_text('[clustering]\nmembership_scheme = "wka"\n')
            until(lambda: sidecar.get("/startupz").status == 200, what="the start", timeout=10)
            assert "10.244.0.5:4000" in target.read_text()


def test_a_file_that_cannot_be_written_holds_a_member_back_for_the_gates_time(tmp_path: Path) -> None:
    source = tmp_path / "deployment.toml"
    source.write_text("[clustering\n")
    flags = ("--out", f"deployment-toml:{source}:{tmp_path}/out.toml", "--gate-timeout", "2s", "--stable", "100ms")
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(1))
        with Sidecar(kube, *flags) as sidecar:
            sidecar.wait_log("formation gate open")
            assert sidecar.get("/startupz").status == 503
            until(lambda: sidecar.get("/startupz").status == 200, 10, "the start")
            assert "[!]output deployment-toml" in sidecar.get("/startupz?verbose").text
            assert time.monotonic() - sidecar.began > 2


def test_a_list_without_addresses_does_not_count_as_written(tmp_path: Path) -> None:
    """No slice has the named port: there are members, and no file would name one of them."""
    flags = ("--port", "absent", "--out", f"lines:{tmp_path}/lines", "--self-ip", "10.244.0.6", "--gate-timeout", "4s")
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2))
        with Sidecar(kube, *flags) as sidecar:
            sidecar.wait_log("has no address", START_LIMIT)
            answer = sidecar.get("/startupz")
            assert answer.status == 503 and "10.244.0.6 has the named port" in answer.text
            until(lambda: sidecar.get("/startupz").status == 200, 10, "the start")
            assert "[!]output lines" in sidecar.get("/startupz?verbose").text and not (tmp_path / "lines").exists()


METRICS: dict[str, set[str]] = {
    "membership_members": {"namespace", "service", "state"},
    "membership_generation": set(),
    "membership_synced": set(),
    "membership_age_seconds": set(),
    "membership_gate_open": set(),
    "membership_relists_total": {"reason"},
    "membership_watch_restarts_total": {"reason"},
    "membership_requests_total": {"code"},
    "membership_events_total": set(),
    "membership_publish_delay_seconds_bucket": {"output", "le"},
    "membership_publish_delay_seconds_count": {"output"},
    "membership_publish_delay_seconds_sum": {"output"},
    "membership_publish_failures_total": {"output"},
    "membership_kept_empty_total": {"output"},
    "membership_server_restored_total": set(),
    "membership_verdict": {"verdict"},
}


def test_every_metric_is_there_with_its_labels(world: World) -> None:
    world.kube.cut_watches("reset")  # so that there is a restart to count
    world.kube.wait_for_watch(2)
    until(lambda: world.sidecar.metric("membership_watch_restarts_total"), what="the restart")
    answer = world.sidecar.get("/metrics")
    assert (answer.status, answer.type) == (200, "text/plain")
    found: dict[str, set[str]] = {}
    documented = True
    for family in text_string_to_metric_families(answer.text):
        documented = documented and bool(family.documentation) and family.type != "unknown"
        for one in family.samples:
            assert one.name not in found or found[one.name] == set(one.labels), one
            found[one.name] = set(one.labels)
    missing = {name: labels for name, labels in METRICS.items() if found.get(name) != labels}
    assert not missing and documented


def test_metrics_say_what_is_the_case(world: World) -> None:
    world.set([BASE[0], *pods(1, 6, terminating=True), *pods(1, 7, ready=False)])
    world.sidecar.follows(["10.244.0.5", "10.244.0.7"])
    text = world.sidecar.get("/metrics").text
    assert sample(text, "membership_members", {"namespace": "wso2", "service": "is", "state": "ready"}) == 1
    assert sample(text, "membership_members", {"namespace": "wso2", "service": "is", "state": "not_ready"}) == 1
    assert sample(text, "membership_generation", {}) == world.generation
    assert sample(text, "membership_verdict", {"verdict": "unknown"}) == 1
    assert (sample(text, "membership_requests_total", {"code": "200"}) or 0) >= 3
    assert (sample(text, "membership_events_total", {}) or 0) >= 1


def test_the_page_shows_the_members_and_links_to_the_rest(world: World) -> None:
    answer = world.sidecar.get("/")
    assert (answer.status, answer.type) == (200, "text/html")
    for word in ("10.244.0.5:4000", "10.244.0.6:4000", "is-0", "wso2/is", "/metrics", "/explain", "apps/absent"):
        assert word in answer.text


def test_the_page_escapes_what_the_server_sent(world: World) -> None:
    world.kube.put_slice(
        {
            "metadata": {"name": "evil", "namespace": "wso2", "labels": {"kubernetes.io/service-name": "am"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.6.6.6"], "nodeName": "<script>alert(1)</script>"}],
            "ports": [],
        }
    )
    try:
        until(lambda: "10.6.6.6" in world.sidecar.get("/").text, what="the member")
        assert "<script>" not in world.sidecar.get("/").text and "&lt;script&gt;" in world.sidecar.get("/").text
    finally:
        world.kube.delete_slice("wso2", "evil")


def test_verify_and_version(world: World) -> None:
    verdict = world.sidecar.get("/verify")
    assert (verdict.status, verdict.type, verdict.json["verdict"]) == (200, "application/json", "unknown")
    assert verdict.json["reason"]
    version = world.sidecar.get("/version")
    assert (version.status, version.type) == (200, "application/json") and version.json["version"]


# -- methods, paths, bad requests


@pytest.mark.parametrize("path", [*PATHS, "/nope", "/members?index=x"])
def test_head_works_as_get(world: World, path: str) -> None:
    got, asked = world.sidecar.get(path), world.sidecar.head(path)
    assert asked.status == got.status and asked.body == b""
    varying = {"date", "content-length"}  # the age in the body has more digits at times
    assert {k: v for k, v in asked.headers.items() if k not in varying} == {
        k: v for k, v in got.headers.items() if k not in varying
    }
    assert "content-length" in asked.headers


def test_head_of_the_stream_ends(world: World) -> None:
    connection = http.client.HTTPConnection(HOST, world.sidecar.port, timeout=3)
    try:
        connection.request("HEAD", "/members/stream")
        response = connection.getresponse()
        assert response.status == 200 and response.read() == b""
        assert response.getheader("Content-Type", "").startswith("text/event-stream")
        connection.request("GET", "/livez")  # the connection is free again, as after any answer
        assert connection.getresponse().status == 200
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/members/",
        "/members/x",
        "/Members",
        "//members",
        "/members/stream/",
        "/metrics/x",
        "/.git/config",
        "/%2e%2e/etc/passwd",
        "/livez/",
    ],
)
def test_unknown_paths_are_404(world: World, path: str) -> None:
    assert_problem(world.sidecar.get(path), 404)
    assert world.sidecar.head(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405(world: World, method: str) -> None:
    for path in (*PATHS, "/members/stream"):
        answer = ask(world.sidecar.port, path, method)
        assert_problem(answer, 405)
        assert {word.strip() for word in answer.headers["allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /members HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /members HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /members HTTP/1.1\r\n\r\n",
        b"GET /members HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /members HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"GET /members?format=\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /members?format=%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /members HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nZZ\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
    ],
    ids=lambda data: repr(data[:30]) + f" {len(data)}",
)
def test_bad_requests_are_4xx_and_the_server_lives(world: World, request_: bytes) -> None:
    said = len(world.sidecar.err)
    answer = raw_request(world.sidecar.port, request_)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert world.sidecar.get("/members").status == 200
    assert world.sidecar.running
    assert not any("Traceback" in line for line in world.sidecar.err[said:]), "a client's mistake is no bug of ours"


def test_connections_that_come_and_go_leave_nothing_behind(world: World) -> None:
    folder, said = Path(f"/proc/{world.sidecar.pid}/fd"), len(world.sidecar.err)
    before = len(list(folder.iterdir()))
    for data in (
        b"",
        b"GET /mem",
        b"GET /members/stream HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /members?index=99999&wait=9m",
    ):
        for _ in range(10):
            with socket.create_connection((HOST, world.sidecar.port)) as sock:
                sock.sendall(data)
    now = world.generation
    for _ in range(10):
        with socket.create_connection((HOST, world.sidecar.port)) as sock:
            sock.sendall(b"GET /members?index=%d&wait=9m HTTP/1.1\r\nHost: x\r\n\r\n" % now)
    until(lambda: len(list(folder.iterdir())) <= before + 2, 10, "the end of the connections")
    assert not any("Traceback" in line for line in world.sidecar.err[said:])


def test_nothing_changes_anything(world: World) -> None:
    def state() -> Any:
        answer = world.sidecar.get("/members")
        return answer.headers["etag"], answer.generation, answer.json["members"], len(world.kube.requests)

    before = state()
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
        for path in (*PATHS, "/members?index=0", "/nope", "/-/reload", "/-/quit"):
            ask(world.sidecar.port, path, method)
    assert state() == before


def test_a_comment_comes_every_15_seconds(first_comment: Callable[[], float]) -> None:
    """The last test of this file: the stream has been silent since the first one."""
    assert 14 < first_comment() < 17
