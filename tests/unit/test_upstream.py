"""How another sidecar's answers are taken, by a session that asks a scripted HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from membership.candidates import Rules
from membership.model import Member, Snapshot
from membership.peer import AGE, adopt
from membership.session import Membership, Options
from membership.kube import ApiServer
from membership.transport import Address
from tests.running import until
from tests.unit.lists import member, snapshot

A, B, C = member("10.0.0.1"), member("10.0.0.2"), member("10.0.0.3")
REFUSED = "http://127.0.0.1:1"
"""There is no API server to fall back to."""


class Scripted:
    """A sidecar whose next answer is set by the test; it answers at once, whatever is waited for."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.status, self.headers, self.body = 503, dict[str, str](), b"{}"
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script.targets.append(self.path)
                self.send_response(script.status)
                for name, value in script.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(script.body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def say(self, *members: Member, version: str, generation: int = 1, epoch: str = "e", age: str = "1.5") -> None:
        """This list."""
        found = {**_fields(snapshot(*members, generation=generation)), "epoch": epoch}
        found["resource_versions"] = {"wso2": version}
        self.say_raw(200, msgspec.json.encode(found), age)

    def say_raw(self, status: int, body: bytes, age: str = "1.5") -> None:
        self.headers = {AGE: age, "ETag": 'W/"1"'}
        self.status, self.body = status, body

    def answered(self) -> None:
        """Wait until what is said now was given once more."""
        count = len(self.targets) + 1
        until(lambda: len(self.targets) > count, 15, "two more queries")


def _fields(found: Snapshot) -> dict[str, object]:
    return {name: getattr(found, name) for name in Snapshot.__dataclass_fields__}


@pytest.fixture
def peer() -> Iterator[Scripted]:
    script = Scripted()
    yield script
    script.server.shutdown()
    script.server.server_close()


@pytest.fixture
def session(peer: Scripted) -> Iterator[Membership]:
    address = Address("127.0.0.1", peer.server.server_port)
    options = Options(upstream=address, stale_after=30.0)
    with Membership(ApiServer(REFUSED), ["wso2/is"], options=options) as membership:
        yield membership


def listed(session: Membership) -> list[str]:
    return [each.address for each in session.current().members]


def test_the_age_is_the_other_ones_and_grows(peer: Scripted, session: Membership) -> None:
    peer.say(A, version="10", age="7.5")
    found = session.wait(1, 10)
    assert 7.5 <= found.age_seconds < 12 and found.resource_versions == {"wso2": "10"}
    assert peer.targets[0].startswith("/members?index=0&wait=3333ms&service=wso2%2Fis")
    peer.answered()
    assert "index=1" in peer.targets[-1] and "epoch=e" in peer.targets[-1]


def test_a_list_of_another_epoch_that_is_older_is_that_of_a_replica_which_lags(
    peer: Scripted, session: Membership
) -> None:
    peer.say(A, B, version="20")
    session.wait(2, 10)
    peer.say(A, version="15", epoch="another", generation=9)
    peer.answered()
    assert listed(session) == ["10.0.0.1", "10.0.0.2"]
    peer.say(A, C, version="21", epoch="another", generation=10)
    until(lambda: listed(session) == ["10.0.0.1", "10.0.0.3"], 10)


def test_one_that_stays_older_is_a_restored_api_server(peer: Scripted, session: Membership) -> None:
    peer.say(A, B, version="20")
    session.wait(2, 10)
    peer.say(A, version="15", epoch="another", generation=9)
    until(lambda: listed(session) == ["10.0.0.1"], 25, "the older list, after 10 s of doubt")


def test_an_older_version_of_the_same_epoch_is_the_other_ones_business(peer: Scripted, session: Membership) -> None:
    peer.say(A, B, version="20")
    session.wait(2, 10)
    peer.say(A, version="15", generation=2)
    until(lambda: listed(session) == ["10.0.0.1"], 10)


BAD = [
    (200, b"<html>proxy</html>", "1"),
    (200, b"[]", "1"),
    (200, b"{}", "1"),
    (200, b"", "1"),
    (200, msgspec.json.encode({**_fields(snapshot(A)), "synced": False}), "1"),
    (200, msgspec.json.encode(_fields(snapshot(replace(A, addresses=("foo",))))), "1"),
    (200, b'{"synced": true, "other": ' + b"[" * 200_000, "1"),
    (200, msgspec.json.encode({**_fields(snapshot(A)), "services": ["wso2/other"]}), "1"),
    (200, msgspec.json.encode(_fields(snapshot(A))), ""),
    (200, msgspec.json.encode(_fields(snapshot(A))), "inf"),
    (200, msgspec.json.encode(_fields(snapshot(A))), "-1"),
    (200, msgspec.json.encode(_fields(snapshot(A))), "nan"),
    (503, b"no list yet", "1"),
    (404, b"", "1"),
    (302, b"", "1"),
    (500, b"", "1"),
    (304, b"", "1"),
]


def test_nothing_but_a_list_changes_the_list(peer: Scripted, session: Membership) -> None:
    peer.say(A, B, version="20")
    session.wait(2, 10)
    for status, body, age in BAD:
        peer.say_raw(status, body, age)
        until(lambda: session.problem is not None, 10, f"a problem with {status} {body!r} {age!r}")
        assert listed(session) == ["10.0.0.1", "10.0.0.2"], (status, body, age)
        peer.say(A, B, version="20")
        until(lambda: session.problem is None, 15, "all is well again")
    assert session.current().generation == 1


@pytest.mark.parametrize(
    "given, rules, expected",
    [
        (A, Rules(), A),
        (A, Rules(port=5701), replace(A, port=5701)),
        (A, Rules(port="hazelcast"), A),
        (A, Rules(port="absent"), replace(A, port=None)),
        (replace(A, terminating=True), Rules(), None),
        (replace(A, terminating=True), Rules(include_terminating=True), replace(A, terminating=True)),
        (replace(A, terminating=True), Rules(include_terminating=True, ready_only=True), None),
        (replace(A, serving=False), Rules(), replace(A, serving=False)),
        (replace(A, serving=False), Rules(ready_only=True), None),
        (member("10.0.0.1", "fd00::1"), Rules(), replace(member("10.0.0.1", "fd00::1"), addresses=("10.0.0.1",))),
        (member("10.0.0.1", "fd00::1"), Rules(family="both"), member("10.0.0.1", "fd00::1")),
        (A, Rules(family="ipv6"), None),
    ],
)
def test_a_member_is_taken_by_the_own_rules(given: Member, rules: Rules, expected: Member | None) -> None:
    assert adopt(given, rules) == expected
