"""Every fault a `FakeKube` knows, against the library and the sidecar over real HTTP.

The table plays all its cases at once, in threads: what is asserted of each is one test. The rules are the same for all:
the last good list is kept, nothing is emptied by an error, the error names server and request, it heals within a bound
once the fault is over, and never more than five requests go out in a second.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from membership import ApiServer, Membership, MembershipTimeout, Options, Snapshot, Unauthorized, connect, reflector
from membership.testing import FAULT_NAMES, FakeKube, Request
from tests.running import HOST, Command, Sidecar, busiest_second, clean_environ, pods, until

LIMIT = 5
"""Requests per second, whatever fails."""
TWO = ["10.244.0.5", "10.244.0.6"]
THREE = [*TWO, "10.244.0.7"]


def server_of(kube: FakeKube, **more: Any) -> ApiServer:
    return connect(kube.url, environ={}, service_account=Path("/nonexistent"), **more)


def addresses(snapshot: Snapshot) -> list[str]:
    return [member.address for member in snapshot.members]


# -- the table


@dataclass(frozen=True)
class Case:
    """`on`: start (the first lists fail), list (a later one) or watch. `times`: how often it strikes; None: for 1 s."""

    on: str
    fault: str
    params: tuple[tuple[str, Any], ...] = ()
    times: int | None = 3
    said: bool = True
    """Whether it is worth a warning; a stream that just ends is not."""
    heals_within: float = 6.0

    def __str__(self) -> str:
        return " ".join([self.on, self.fault, *(f"{name}={value}" for name, value in self.params)])


@dataclass
class Outcome:
    """What a case came to."""

    url: str = ""
    seen: list[list[str]] = field(default_factory=list)
    hits: int = 0
    healed_after: float = -1.0
    generation: int = 0
    requests: list[Request] = field(default_factory=list)
    error: str = ""


def _cases() -> Iterator[Case]:
    code = [(("code", code),) for code in (400, 409, 500, 503, 504)]
    for on in ("start", "list", "watch"):
        for params in code:
            yield Case(on, "status", params)
        yield Case(on, "status", (("code", 429), ("retry_after", 1)))
        yield Case(on, "reset", said=on != "watch")
        yield Case(on, "html")
        yield Case(on, "html", (("code", 502),))
        yield Case(on, "redirect")
        yield Case(on, "bad-json")
        yield Case(on, "wrong-kind")
        yield Case(on, "half-line", said=on != "watch")
        yield Case(on, "huge-line", times=1)
        yield Case(on, "expired-status", said=False)
        yield Case(on, "hang", times=None, said=False)
        yield Case(on, "delay", (("seconds", 0.3),), times=1, said=False)
        yield Case(on, "drip", (("delay", 0.0001),), times=1, said=False)
        yield Case(on, "null-lists", times=1, said=False)
    yield Case("list", "too-large", times=1, said=False)
    yield Case("watch", "half-line", (("clean", True),), said=False)
    yield Case("watch", "close", said=False)
    yield Case("watch", "expired-event", said=False)
    yield Case("watch", "error-event", (("code", 500),))
    yield Case("watch", "error-event", (("code", 429),))
    yield Case("watch", "silent", times=None, said=False)
    yield Case("watch", "buffer", times=None, said=False)
    yield Case("watch", "lag", (("rvs", 3),), times=None, said=False)
    yield Case("watch", "drop-event", times=1, said=False, heals_within=6.0)
    yield Case("watch", "duplicate-event", times=1, said=False)


CASES = {str(case): case for case in _cases()}


def play(case: Case, outcome: Outcome) -> None:
    """One case from begin to end, with a watch on the list all the time."""
    with FakeKube() as kube:
        outcome.url, since = kube.url, 0.0
        kube.set_service("wso2", "is", pods(2))
        params = dict(case.params)
        kind = "list" if case.on == "start" else case.on
        if case.on == "start":
            fault = kube.fault(case.fault, on=kind, times=case.times, **params)
        options = Options(stale_after=20.0, relist_interval=2.0 if case.fault == "drop-event" else 300.0)
        with Membership(server_of(kube), ["wso2/is"], options=options) as membership:
            membership.subscribe(lambda publication: outcome.seen.append(addresses(publication.snapshot)))
            if case.on != "start":
                membership.wait(2, 10)
                kube.wait_for_watch(1, 10)
                fault = kube.fault(case.fault, on=kind, times=case.times, **params)
                since = time.monotonic()
                if kind == "list":  # a list with the version held, or without one
                    kube.fault("bad-json" if case.fault == "too-large" else "expired-event", on="watch", times=1)
                kube.cut_watches("reset")
            if case.fault in ("drop-event", "duplicate-event"):
                kube.wait_for_watch(1, 10)
            elif case.times is None:
                kube.wait_for(lambda: fault.hits >= 1, 10, "the fault")
                _rest(membership, 1.0)
                fault.clear()
            else:
                kube.wait_for(lambda: fault.left == 0, 25, "the fault")
            if case.fault == "null-lists" and case.on != "start":
                kube.cut_watches()  # what the nulls took away comes back with the next list, not by itself
                kube.compact()
            began = time.monotonic()
            kube.set_service("wso2", "is", pods(3))
            if case.fault == "null-lists":
                kube.set_service("wso2", "is", pods(3, node="n2"))
            if case.fault in ("buffer", "lag"):
                kube.cut_watches("eof")
            try:
                until(lambda: addresses(membership.current()) == THREE, 20, "the list")
                outcome.healed_after = time.monotonic() - began
            except AssertionError as error:
                outcome.error = f"{error}; {addresses(membership.current())}, problem {membership.problem}"
            outcome.generation = membership.current().generation
            outcome.hits = fault.hits
        outcome.requests = [request for request in kube.requests if request.time >= since]


def _rest(membership: Membership, seconds: float) -> None:
    """Let a fault last."""
    membership.wait_newer(membership.current().generation, seconds)


class Said(logging.Handler):
    """All that the library logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.getMessage()))


@dataclass
class Played:
    outcomes: dict[str, Future[Outcome]]
    said: Said


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """All cases, at once; each test waits for its own."""
    said = Said()
    logger = logging.getLogger("membership")
    before = logger.level, logger.propagate
    logger.addHandler(said)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False

    def one(case: Case) -> Outcome:
        outcome = Outcome()
        play(case, outcome)
        return outcome

    with ThreadPoolExecutor(24) as pool:
        yield Played({name: pool.submit(one, case) for name, case in CASES.items()}, said)
    logger.removeHandler(said)
    logger.setLevel(before[0])
    logger.propagate = before[1]


@pytest.mark.parametrize("name", CASES)
def test_fault(played: Played, name: str) -> None:
    case, outcome = CASES[name], played.outcomes[name].result(60)
    assert outcome.error == ""
    assert outcome.hits >= (case.times or 1)
    # Kept: every list there ever was is the old one or the new one; in between only what the server really sent.
    assert outcome.seen[-1] == THREE
    if case.fault != "null-lists":
        assert all(seen in (TWO, THREE) for seen in outcome.seen), outcome.seen
        assert outcome.generation == len(outcome.seen) <= 2
    assert outcome.healed_after < case.heals_within
    assert busiest_second(outcome.requests) <= LIMIT
    request = "watch" if case.on == "watch" else "list"
    about = [(level, line) for level, line in played.said.lines if outcome.url in line]
    if case.said:
        told = [line for level, line in about if level >= logging.WARNING and f"{request} endpointslices" in line]
        assert told and "wso2" in told[0], about


def test_every_fault_there_is_has_a_case() -> None:
    assert {case.fault for case in CASES.values()} == set(FAULT_NAMES)


# -- the rate, for as long as a fault lasts


RATES: list[tuple[str, str, dict[str, Any], int]] = [
    ("list", "status", {"code": 500}, 1),
    ("list", "reset", {}, 1),
    ("list", "html", {}, 4),
    ("list", "reset", {}, 12),
    ("list", "expired-status", {}, 8),
    ("any", "status", {"code": 401}, 4),
    ("watch", "reset", {}, 1),
    ("watch", "status", {"code": 503}, 4),
    ("watch", "status", {"code": 401}, 8),
    ("watch", "reset", {}, 8),
    ("watch", "close", {}, 8),
    ("watch", "half-line", {}, 4),
    ("watch", "expired-event", {}, 4),
    ("watch", "expired-status", {}, 8),
    ("watch", "error-event", {"code": 410}, 4),
    ("watch", "bad-json", {}, 4),
]


@pytest.fixture(scope="module")
def rates() -> Iterator[list[Future[list[Request]]]]:
    def last(on: str, fault: str, params: dict[str, Any], namespaces: int) -> list[Request]:
        with FakeKube() as kube:
            names = [f"n{n}/is" for n in range(namespaces)]
            for name in names:
                kube.set_service(name.partition("/")[0], "is", pods(1))
            kube.fault(fault, on=on, **params)
            with Membership(server_of(kube), names):
                threading.Event().wait(5.0)  # nothing to wait for: this is how long the fault lasts
            return kube.requests

    with ThreadPoolExecutor(len(RATES)) as pool:
        yield [pool.submit(last, *rate) for rate in RATES]


@pytest.mark.parametrize("index", range(len(RATES)), ids=[f"{on} {fault} x{n}" for on, fault, _, n in RATES])
def test_no_fault_makes_more_than_five_requests_a_second(rates: list[Future[list[Request]]], index: int) -> None:
    requests = rates[index].result(30)
    assert len(requests) >= 3, "the fault must have been met"
    assert busiest_second(requests) <= LIMIT, f"{busiest_second(requests)} in a second, {len(requests)} in 5 s"


# -- in the sidecar: credentials and certificates


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        server.set_service("wso2", "is", pods(2))
        yield server


class Authority:
    """A CA, and a server certificate of it, in files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        authority = trustme.CA()
        self.ca, self.pem = folder / "ca.crt", str(folder / "server.pem")
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(self.pem)

    @property
    def tls(self) -> tuple[str, str]:
        return self.pem, self.pem


def test_a_token_that_was_rotated_is_read_again(kube: FakeKube, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first-token\n")
    kube.token = "first-token"
    with Sidecar(kube, "--token-file", str(token)) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.token = "second-token"
        token.write_text("second-token")
        kube.cut_watches()
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE)
        assert kube.tokens_seen[-1] == "Bearer second-token"
        assert sidecar.count("401") == 0
        # The server is first this time: what it refuses is kept until the file has the new one.
        kube.token = "third-token"
        kube.cut_watches()
        sidecar.wait_log("401.*watch endpointslices")
        assert sidecar.addresses() == THREE and sidecar.metric("membership_requests_total", code="401")
        token.write_text("third-token")
        kube.set_service("wso2", "is", pods(2))
        sidecar.follows(TWO, 15)
        assert not any(word in sidecar.log for word in ("first-token", "second-token", "third-token"))
    assert busiest_second(kube.requests) <= LIMIT


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


def test_a_ca_that_was_rotated_in_place_is_read_again(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    with FakeKube(tls=old.tls) as kube:
        kube.set_service("wso2", "is", pods(2))
        ca = tmp_path / "ca.crt"
        ca.write_bytes(old.ca.read_bytes())
        with Sidecar(kube, "--ca-file", str(ca)) as sidecar:
            sidecar.synced()
            kube.wait_for_watch()
            kube.tls = new.tls
            kube.cut_watches()
            line = sidecar.wait_log("certificate")
            assert kube.url in line and "watch endpointslices" in line
            assert sidecar.addresses() == TWO
            ca.write_bytes(new.ca.read_bytes())
            kube.set_service("wso2", "is", pods(3))
            sidecar.follows(THREE, 15)


@pytest.mark.parametrize("ca", ["another", "system", "garbage"])
def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path, ca: str) -> None:
    ours, another = Authority(tmp_path / "ours"), Authority(tmp_path / "another")
    garbage = tmp_path / "garbage"
    garbage.write_text("no certificate")
    flags = {"another": ("--ca-file", str(another.ca)), "system": (), "garbage": ("--ca-file", str(garbage))}[ca]
    with FakeKube(tls=ours.tls) as kube:
        kube.set_service("wso2", "is", pods(2))
        environ = clean_environ(KUBERNETES_API_SERVER_TOKEN="never-sent")
        with Sidecar(kube, *flags, environ=environ) as sidecar:
            line = sidecar.wait_log(f"{kube.url}.*list endpointslices")
            assert ca == "garbage" or "certificate" in line
            assert sidecar.get("/members").status == 503
            assert sidecar.get("/livez").status == 200
        command = Command(
            "list", "--server", kube.url, "--services", "wso2/is", "--timeout", "400ms", *flags, environ=environ
        )
        assert command.result() == 6, command.log
        assert kube.requests == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    authority.issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with FakeKube(tls=(f"{tmp_path}/server.pem", f"{tmp_path}/server.pem")) as kube:
        with closing(Membership(server_of(kube, ca_file=tmp_path / "ca.crt"), ["wso2/is"])) as membership:
            membership.start()
            with pytest.raises(MembershipTimeout, match="certificate"):
                membership.wait(0, 1.0)
        assert kube.requests == []


def test_redirects_are_not_followed_and_tokens_not_passed_on(kube: FakeKube) -> None:
    kube.fault("redirect")
    with closing(Membership(server_of(kube, token="secret"), ["wso2/is"])) as membership:
        membership.start()
        with pytest.raises(MembershipTimeout, match="redirect"):
            membership.wait(0, 0.5)
    assert busiest_second(kube.requests) <= LIMIT


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


# -- permissions


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again after a refusal in half a second instead of half a minute; for the library in this process."""
    monkeypatch.setattr(reflector, "SLOW", (0.4, 0.8))


def test_permissions_taken_away_and_given_back(kube: FakeKube, hasty: None) -> None:
    options = Options(stale_after=1.0, poll_interval=0.3)
    with Membership(server_of(kube), ["wso2/is"], options=options) as membership:
        membership.wait(2, 10)
        kube.wait_for_watch()
        kube.deny("*", "*")
        kube.cut_watches()
        # First of the watch, which is not believed for a moment, for the connection was cut; then of the list.
        words = ("403", "list", "endpointslices", "wso2", kube.url)
        until(lambda: all(word in str(membership.problem) for word in words), 10, "the refusal")
        until(lambda: membership.current().stale, what="staleness")
        assert addresses(membership.current()) == TWO
        kube.set_service("wso2", "is", pods(3))
        kube.allow("*", "*")
        until(lambda: addresses(membership.current()) == THREE, 10, "the new list")
        until(lambda: membership.current().source == "endpointslices" and not membership.problem, 10, "slices again")
    assert busiest_second(kube.requests) <= LIMIT


def test_permissions_lost_are_told_by_the_sidecar(kube: FakeKube) -> None:
    with Sidecar(kube, "--stale-after", "1s", "--poll-interval", "300ms") as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.deny("*", "*")
        kube.cut_watches()
        line = sidecar.wait_log("cannot list resource", 15)
        assert "endpointslices" in line and "wso2" in line and kube.url in line
        until(lambda: sidecar.get("/readyz").status == 503, what="a stale list")
        assert "cannot list resource" in sidecar.get("/readyz").text
        assert sidecar.addresses() == TWO and sidecar.get("/livez").status == 200
        assert sidecar.metric("membership_requests_total", code="403")


@pytest.mark.parametrize("how", ["forbidden", "absent"])
def test_without_slices_endpoints_serve_and_slices_come_back(kube: FakeKube, hasty: None, how: str) -> None:
    kube.deny("*", "endpointslices") if how == "forbidden" else kube.remove_api("endpointslices")
    with Membership(server_of(kube), ["wso2/is"]) as membership:
        snapshot = membership.wait(2, 10)
        assert (snapshot.source, addresses(snapshot)) == ("endpoints", TWO)
        kube.allow("*", "endpointslices") if how == "forbidden" else kube.restore_api("endpointslices")
        until(lambda: membership.current().source == "endpointslices", 10, "the slices")
        assert addresses(membership.current()) == TWO
        kube.wait_for(lambda: kube.watches == 1)
        kube.set_service("wso2", "is", pods(3))
        until(lambda: addresses(membership.current()) == THREE, what="the change")
    assert busiest_second(kube.requests) <= LIMIT


@pytest.mark.parametrize(
    ("denied", "source", "words"),
    [
        ((("*", "endpointslices"),), "endpoints", "cannot list resource.*endpointslices"),
        ((("watch", "endpointslices"),), "endpointslices-polling", "cannot watch resource.*endpointslices"),
        ((("*", "endpointslices"), ("watch", "endpoints")), "endpoints-polling", "cannot watch resource.*endpoints"),
    ],
)
def test_fallbacks_are_told_and_follow(
    kube: FakeKube, denied: tuple[tuple[str, str], ...], source: str, words: str
) -> None:
    for verb, resource in denied:
        kube.deny(verb, resource)
    with Sidecar(kube, "--poll-interval", "300ms", "--stale-after", "3s") as sidecar:
        sidecar.synced()
        until(lambda: sidecar.members()["source"] == source, what=f"source {source}")
        sidecar.wait_log(f'"level": "warning".*{words}')
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200 and f"source {source}" in answer.text and re.search(words, answer.text)
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE)
        assert not sidecar.members()["stale"] and sidecar.members()["age_seconds"] < 3
        if source.endswith("-polling"):
            lists = kube.count("list")
            kube.wait_for(lambda: kube.count("list") >= lists + 3, 5, "more polls")
            assert "polling" in answer.text and kube.watches == 0
    assert busiest_second(kube.requests) <= LIMIT


def test_where_namespaces_differ_the_last_source_counts(kube: FakeKube) -> None:
    kube.set_service("apps", "gateway", pods(1, 20))
    kube.deny("watch", "endpointslices", "apps")
    with Sidecar(kube, "--poll-interval", "300ms", services="wso2/is,apps/gateway") as sidecar:
        sidecar.synced()
        until(lambda: sidecar.members()["source"] == "endpointslices-polling", what="the source")
        text = sidecar.get("/readyz?verbose").text
        assert "namespace wso2: source endpointslices, watching" in text
        assert "namespace apps: source endpointslices-polling" in text


def test_a_source_that_was_named_is_the_only_one(kube: FakeKube) -> None:
    kube.deny("*", "endpointslices")
    with Sidecar(kube, "--source", "endpointslices") as sidecar:
        sidecar.wait_log("cannot list resource")
        assert sidecar.get("/members").status == 503
    assert {request.resource for request in kube.requests} == {"endpointslices"}


# -- streams


def test_one_list_and_one_stream_for_each_namespace(kube: FakeKube) -> None:
    kube.set_service("wso2", "am", pods(1, 20))
    kube.set_service("apps", "gateway", pods(1, 30))
    with Sidecar(kube, services="wso2/is,apps/gateway,wso2/am") as sidecar:
        sidecar.synced()
        kube.wait_for_watch(2)
        kube.set_service("apps", "gateway", pods(2, 30))
        kube.set_service("wso2", "am", pods(2, 20))
        until(lambda: len(sidecar.addresses()) == 6, what="both changes")
        assert kube.watches == 2
    found = sorted((request.kind, str(request.namespace)) for request in kube.requests)
    assert found == [("list", "apps"), ("list", "wso2"), ("watch", "apps"), ("watch", "wso2")]
    for request in kube.requests:
        assert (
            request.query["labelSelector"]
            == f"kubernetes.io/service-name in ({'gateway' if request.namespace == 'apps' else 'am,is'})"
        )
        assert request.headers["accept-encoding"] == "identity"
        if request.kind == "list":
            assert "resourceVersion" not in request.query
        else:
            assert request.query["allowWatchBookmarks"] == "true"
            assert 240 <= int(request.query["timeoutSeconds"]) <= 300


def test_a_restored_server_heals_and_is_counted(kube: FakeKube) -> None:
    backup = kube.checkpoint()
    with Sidecar(kube, "--relist-interval", "800ms") as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.set_service("wso2", "is", pods(4))
        for _ in range(5):
            kube.touch()
        sidecar.follows([pod.address for pod in pods(4)])
        before = sidecar.members()
        kube.restore(backup)
        sidecar.follows(TWO, 5)
        after = sidecar.members()
        assert (after["generation"], after["epoch"]) == (before["generation"] + 1, before["epoch"])
        assert int(after["resource_versions"]["wso2"]) < int(before["resource_versions"]["wso2"])
        assert sidecar.metric("membership_server_restored_total") == 1
        sidecar.wait_log('"level": "warning".*restored')
        kube.set_service("wso2", "is", pods(3))  # the stream must follow the restored server, too
        sidecar.follows(THREE, 1.0)
        assert sidecar.metric("membership_server_restored_total") == 1
        # Cut by ourselves: no fault, and no backoff.
        assert sidecar.metric("membership_watch_restarts_total", reason="restored") == 1
        assert not sidecar.metric("membership_watch_restarts_total", reason="cut")
    assert busiest_second(kube.requests) <= LIMIT


def test_a_server_restored_while_it_was_away(kube: FakeKube) -> None:
    backup = kube.checkpoint()
    with Sidecar(kube, "--relist-interval", "800ms") as sidecar:
        sidecar.synced()
        kube.set_service("wso2", "is", pods(4))
        sidecar.follows([pod.address for pod in pods(4)])
        kube.stop_listening(cut=True)
        kube.restore(backup)
        sidecar.wait_log("refused")
        assert len(sidecar.addresses()) == 4
        kube.listen_again()
        sidecar.follows(TWO, 15)
        assert sidecar.metric("membership_server_restored_total") == 1


def test_a_compacted_history_is_a_new_list_that_replaces(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.stop_listening(cut=True)
        kube.set_service("wso2", "is", [*pods(1), *pods(2, 8)])  # 10.244.0.6 goes, unseen
        kube.touch()
        kube.compact()
        kube.listen_again()
        sidecar.follows(["10.244.0.5", "10.244.0.8", "10.244.0.9"], 10)
        assert sidecar.members()["generation"] == 2, "one step, without a moment in between"
        assert sidecar.metric("membership_relists_total", reason="expired") == 1


def test_a_stream_that_says_nothing_is_opened_anew(kube: FakeKube) -> None:
    fault = kube.fault("silent", times=1)
    with Sidecar(kube, "--stale-after", "1200ms") as sidecar:
        sidecar.synced()
        kube.wait_for(lambda: fault.hits == 1)
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE, 2.5)
        assert sidecar.metric("membership_watch_restarts_total", reason="quiet") == 1


def test_a_black_hole_ages_the_list_and_ends(kube: FakeKube) -> None:
    with Sidecar(kube, "--stale-after", "800ms") as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.stall()
        kube.set_service("wso2", "is", pods(3))
        until(lambda: sidecar.members()["stale"], what="staleness")
        assert sidecar.addresses() == TWO and sidecar.get("/readyz").status == 503
        kube.resume()
        sidecar.follows(THREE, 10)
        until(lambda: sidecar.get("/readyz").status == 200, what="readiness")


def test_a_proxy_that_holds_events_back_is_told_and_outlived(kube: FakeKube) -> None:
    kube.fault("buffer")
    with Sidecar(kube, "--relist-interval", "700ms") as sidecar:
        sidecar.synced()
        sidecar.wait_log('"level": "warning".*chunk')
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE, 5)


def test_an_event_that_was_lost_is_found_by_the_periodic_list(kube: FakeKube) -> None:
    with Sidecar(kube, "--relist-interval", "700ms") as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        kube.fault("drop-event", times=1)
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE, 5)
        assert sidecar.metric("membership_relists_total", reason="periodic")
        assert kube.count("watch") == 1, "the stream goes on beside it"


def test_a_lagging_server_takes_nothing_back(kube: FakeKube) -> None:
    with Membership(server_of(kube), ["wso2/is"]) as membership:
        seen: list[list[str]] = []
        membership.wait(2, 10)
        membership.subscribe(lambda publication: seen.append(addresses(publication.snapshot)))
        kube.wait_for_watch()
        kube.set_service("wso2", "is", pods(3))
        until(lambda: seen[-1] == THREE, what="the change")
        lag = kube.fault("lag", on="watch", rvs=4)
        kube.cut_watches()
        kube.wait_for_watch()
        _rest(membership, 0.3)
        lag.clear()
        kube.cut_watches()
        kube.set_service("wso2", "is", pods(4))
        until(lambda: len(seen[-1]) == 4, 10, "the next change")
        assert [len(one) for one in seen] == [2, 3, 4]


def test_40_mib_lines_cost_no_lasting_memory(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        fault = kube.fault("huge-line", times=2)
        kube.cut_watches()
        kube.wait_for(lambda: fault.left == 0, 15, "the fault")
        line = sidecar.wait_log("longer than|larger than")
        assert kube.url in line
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(THREE, 10)
        assert sidecar.resident() < 120  # MiB; one line of up to 32 MiB is all that is ever held


def test_the_log_says_a_lasting_problem_once(kube: FakeKube) -> None:
    with Sidecar(kube) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        fault = kube.fault("status", on="watch", code=503)
        kube.cut_watches()
        kube.wait_for(lambda: fault.hits >= 3, 10, "the fault")
        assert sidecar.count("503") == 1


@pytest.mark.parametrize("how", ["reset", "eof", "half"])
def test_a_stream_that_ends_goes_on_where_it_was(kube: FakeKube, how: str) -> None:
    with Membership(server_of(kube), ["wso2/is"]) as membership:
        membership.wait(2, 10)
        kube.wait_for_watch()
        kube.set_service("wso2", "is", pods(3))
        until(lambda: addresses(membership.current()) == THREE, what="the change")
        held = membership.current().resource_versions["wso2"]
        kube.cut_watches(how)
        kube.set_service("wso2", "is", pods(4))
        until(lambda: len(membership.current().members) == 4, what="the next change")
        assert membership.current().generation == 3
    assert kube.count("list") == 1
    assert [request.query["resourceVersion"] for request in kube.requests if request.kind == "watch"][-1] == held


def test_bad_times_for_one_namespace_are_not_the_others(kube: FakeKube) -> None:
    kube.set_service("apps", "gateway", pods(1, 20))
    with Sidecar(kube, services="wso2/is,apps/gateway") as sidecar:
        sidecar.synced()
        kube.wait_for_watch(2)
        kube.fault("status", on="any", namespace="apps", code=500)
        kube.cut_watches(namespace="apps")
        sidecar.wait_log("500")
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(["10.244.0.20", *THREE], 2)
