"""The page at `/` without JavaScript: what it says, for a list, its changes, a split and outputs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

from membership.history import Change
from membership.testing import FakeKube
from sidecar.web.page import HEIGHT, WIDTH, describe_seconds, draw
from tests.running import Sidecar, pods, until
from tests.operations.test_verify import PORT, Cluster, cluster, comes

__all__ = ["cluster"]
NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


class Text(HTMLParser):
    """The text of each part with an id, with single spaces."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "polyline"):
            self._open.append(dict(attributes).get("id") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "link", "polyline"):
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for name in filter(None, self._open):
            self.parts[name] = " ".join(f"{self.parts.get(name, '')} {data}".split())


def read(sidecar: Sidecar) -> dict[str, str]:
    answer = sidecar.get("/")
    assert (answer.status, answer.type, answer.headers["cache-control"]) == (200, "text/html", "no-cache")
    return Text(answer.text).parts


def test_list_changes_and_outputs(kube: FakeKube, tmp_path: Path) -> None:
    broken = tmp_path / "folder"
    broken.mkdir()
    with Sidecar(kube, "--out", f"lines:{tmp_path}/lines", "--out", f"json:{broken}").synced() as sidecar:
        kube.set_service("wso2", "is", [*pods(1), *pods(2, 6, ready=False)])
        until(lambda: "3 members" in read(sidecar)["verdict"], what="the new list")
        until(lambda: "changed is-1" in read(sidecar).get("changes", ""), what="the new change")
        page = read(sidecar)
        assert page["verdict"] == "in order : 3 members, synced, from endpointslices, gate open"
        assert re.match("Proved [0-9]+ s ago, generation 2, as of", page["age"])
        assert re.search(r"is-0 10.244.0.5:4000 wso2/is n1 - serving [0-9:]{8} is-1", page["members"])
        assert "not ready" in page["members"] and "In Hazelcast" not in page["members"]
        newest, oldest = page["changes"].split("generation 1,")
        assert (
            "+ joined is-2 10.244.0.7:4000" in newest and "changed is-1 10.244.0.6:4000 ready: true → false" in newest
        )
        assert "+ joined is-0 10.244.0.5:4000" in oldest
        assert page["count"].endswith("2 to 3, now 3")
        assert f"lines:{tmp_path}/lines: generation 2" in page["outputs"]
        assert f"json:{broken}: cannot write {broken}: it is a folder" in page["outputs"]
        assert "never yet" in page["outputs"] and "split-title" not in page


def test_before_the_first_list(kube: FakeKube) -> None:
    kube.deny("list", "endpointslices")
    kube.deny("list", "endpoints")
    with Sidecar(kube) as sidecar:
        sidecar.wait_log("403|forbidden")
        page = read(sidecar)
        assert page["verdict"] == "not in order : 0 members, no list yet, gate closed"
        assert page["age"].startswith("Proved never") and "none" in page["members"]


def test_a_split_is_drawn(cluster: Cluster) -> None:
    cluster.pods("abc")
    cluster.run("a", "ab")
    cluster.run("b", "ab")
    cluster.run("c", "c")
    with cluster.sidecar().synced() as sidecar:
        comes(sidecar, "split")
        page = read(sidecar)
        a, b, c = cluster.at("a", "b", "c")
        assert f"cluster 1 {a} {b} cluster 2 {c}" in page["split"]
        assert "Hazelcast: split" in page["verdict"] and f":{PORT}" in page["members"]
        assert "In Hazelcast" in page["members"] and " yes " in page["members"]


def test_files_of_the_page(kube: FakeKube) -> None:
    with Sidecar(kube).synced() as sidecar:
        css, js = sidecar.get("/status.css"), sidecar.get("/status.js")
        assert (css.type, js.type) == ("text/css", "text/javascript")
        assert "prefers-color-scheme: dark" in css.text and "EventSource" in js.text
        assert sidecar.get("/status.html").status == 404 and sidecar.get("/page.py").status == 404


def change(minutes: float, members: int) -> Change:
    return Change(
        at=NOON - timedelta(minutes=minutes), epoch="e", generation=1, source="endpointslices", members=members
    )


def test_the_picture_is_a_line_of_steps_over_an_hour() -> None:
    picture = draw([change(120, 2), change(90, 4), change(30, 2)], 2, NOON)
    assert picture is not None and (picture.least, picture.most) == (2, 4)
    low, high, middle, end = (HEIGHT / 2, 4.0, WIDTH / 2, float(WIDTH))
    assert picture.points == f"0.0,{high} {middle},{high} {middle},{low} {end},{low} {end},{low}"


def test_a_picture_of_nothing_and_of_an_empty_list() -> None:
    assert draw([], 0, NOON) is None
    picture = draw([change(30, 0)], 0, NOON)
    assert picture is not None and f"{WIDTH / 2},{HEIGHT - 4.0}" in picture.points


def test_seconds_for_people() -> None:
    found = [describe_seconds(seconds) for seconds in (0.4, 119, 121, 7300, 200000, float("inf"))]
    assert found == ["0 s", "119 s", "2 min", "2 h", "2 d", "never"]
