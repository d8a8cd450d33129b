"""/openapi.json is what the running server does: schemathesis asks all of it, well and badly, and looks at answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import BaseSchema, GenerationMode
from schemathesis.checks import not_a_server_error

from membership.history import Change, Party
from membership.model import Explanation, Member, Snapshot
from membership.render import SERVED
from membership.session import SOURCES
from membership.testing import FakeKube
from membership.verify import VERDICTS, Verdict, View
from sidecar.web import routes
from sidecar.web.page import FOLDER
from tests.running import EventStream, Sidecar, pods, refused_port, until

DOCUMENT: dict[str, Any] = json.loads((FOLDER / "openapi.json").read_text())
FINITE = sorted(set(DOCUMENT["paths"]) - {"/members/stream"})
ROUTES = set(re.findall(r'Route\("(/[^"]*)"', Path(routes.__file__).read_text())) | {"/status.css", "/status.js"}
ASKED = [
    (path, mode)
    for path in FINITE
    for mode in GenerationMode
    if mode.is_positive or "400" in DOCUMENT["paths"][path]["get"]["responses"]
]


def load(sidecar: Sidecar) -> BaseSchema:
    """What this sidecar says of itself."""
    config = schemathesis.Config()
    config.projects.default.update(base_url=f"http://127.0.0.1:{sidecar.port}")
    return schemathesis.openapi.from_dict(sidecar.get("/openapi.json").json, config=config)


def check(schema: str, content: object) -> None:
    """`content` is what the document calls by this name."""
    jsonschema_rs.validate({**DOCUMENT, "$ref": f"#/components/schemas/{schema}"}, content)


@pytest.fixture(scope="module")
def synced() -> Iterator[Sidecar]:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2))
        kube.set_service("wso2", "am", pods(1, 50, prefix="am", terminating=True))
        with Sidecar(kube, services="wso2/is,am,apps/absent") as sidecar:
            yield sidecar.synced()


@pytest.fixture(scope="module")
def listless() -> Iterator[Sidecar]:
    """One that has no list and will not get one."""
    with refused_port() as port, Sidecar(f"http://127.0.0.1:{port}") as sidecar:
        yield sidecar


def ask_all(sidecar: Sidecar, path: str, mode: GenerationMode) -> set[int]:
    """Ask this path in many ways; the status codes that came. Each answer is held against the document."""
    found = set[int]()

    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(case=load(sidecar)[path]["GET"].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        if "index" in case.query:
            case.query.setdefault("wait", "20ms")
            if re.fullmatch(r"([0-9.]+(ms|s|m|h))+", str(case.query["wait"])):
                case.query["wait"] = "20ms"
        # 503 is no fault where the document has it, and the document has no other.
        found.add(case.call_and_validate(timeout=10, excluded_checks=[not_a_server_error]).status_code)

    ask()
    return found


@pytest.mark.parametrize(("path", "mode"), ASKED)
def test_the_server_does_what_the_document_says(synced: Sidecar, path: str, mode: GenerationMode) -> None:
    codes = ask_all(synced, path, mode)
    assert codes >= {200 if mode.is_positive else 400}


@pytest.mark.parametrize("path", FINITE)
def test_a_server_without_a_list_does_so_too(listless: Sidecar, path: str) -> None:
    codes = ask_all(listless, path, GenerationMode.POSITIVE)
    assert (503 in codes) == (path in ("/members", "/readyz", "/startupz"))


def test_events_of_the_stream_are_member_lists(synced: Sidecar) -> None:
    with EventStream(synced.port) as stream:
        check("MemberList", json.loads(stream.event()["data"]))


def test_changes_after_some(tmp_path: Path) -> None:
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2))
        with Sidecar(kube) as sidecar:
            sidecar.synced()
            kube.set_service("wso2", "is", [*pods(1), *pods(1, 6, ready=False), *pods(1, 7)])
            until(lambda: sidecar.members()["generation"] > 1, what="the change")
            content = until(
                lambda: (found := sidecar.get("/changes").json)["generation"] > 1 and found, what="/changes"
            )
            until(lambda: len(sidecar.get("/changes").json["changes"]) > 1, what="the change in /changes")
            content = sidecar.get("/changes").json
    assert any(change["altered"] for change in content["changes"])
    check("Changes", content)


def test_the_document_is_served_with_the_version_that_runs(synced: Sidecar) -> None:
    served = synced.get("/openapi.json").json
    assert served["info"]["version"] == version("kubernetes-membership")
    assert {**served, "info": {**served["info"], "version": ""}} == DOCUMENT


def test_the_document_is_valid_and_names_every_path_and_field(synced: Sidecar) -> None:
    load(synced).validate()
    schemas = DOCUMENT["components"]["schemas"]
    assert set(DOCUMENT["paths"]) == ROUTES
    for name, type in (("MemberList", Snapshot), ("Member", Member), ("Change", Change), ("Party", Party)):
        assert list(schemas[name]["properties"]) == [field.name for field in fields(type)], name
    assert list(schemas["Reason"]["properties"]) == [field.name for field in fields(Explanation)]
    assert list(schemas["View"]["properties"]) == [field.name for field in fields(View)]
    assert {field.name for field in fields(Verdict)} <= set(schemas["Verdict"]["properties"])
    assert schemas["Source"]["enum"] == list(SOURCES)
    assert schemas["Verdict"]["properties"]["verdict"]["enum"] == list(VERDICTS)
    assert DOCUMENT["components"]["parameters"]["format"]["schema"]["enum"] == list(SERVED)
