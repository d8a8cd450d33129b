"""`/changes`, `--history` and `membership history`: what changed, told by a running sidecar and by its file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from membership.testing import FakeKube
from sidecar.historian import Historian
from sidecar.publishers.mailbox import LATER
from tests.running import Command, Sidecar, pods, until
from tests.sidecar.test_http import assert_problem
from tests.sidecar.test_mailbox import publication


def told(sidecar: Sidecar, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sidecar.get(f"/changes{query}").json["changes"]
    return found


def wait_told(sidecar: Sidecar, count: int) -> list[dict[str, Any]]:
    until(lambda: len(told(sidecar)) >= count, what=f"{count} changes")
    return told(sidecar)


def result(*arguments: str) -> tuple[int, str]:
    with Command("history", *arguments) as command:
        code = command.result()
        return code, command.output if code == 0 else command.log


def test_each_change_is_told(kube: FakeKube) -> None:
    with Sidecar(kube).synced() as sidecar:
        kube.set_service("wso2", "is", pods(3))
        wait_told(sidecar, 2)
        kube.set_service("wso2", "is", [*pods(2), *pods(1, 7, ready=False)])
        first, joined, became = wait_told(sidecar, 3)
        assert [party["endpoint"] for party in first["joined"]] == ["10.244.0.5:4000", "10.244.0.6:4000"]
        assert ([party["name"] for party in joined["joined"]], joined["members"]) == (["is-2"], 3)
        assert became["altered"][0]["became"]["serving"] == [True, False]
        assert (first["generation"], joined["generation"], became["generation"]) == (1, 2, 3)

        answer = sidecar.get("/changes").json
        assert (answer["generation"], answer["epoch"]) == (3, sidecar.members()["epoch"])
        assert [change["generation"] for change in told(sidecar, "?since=2")] == [3]
        assert told(sidecar, "?since=3") == [] and len(told(sidecar, "?since=4")) == 3
        assert len(told(sidecar, "?since=1h")) == 3 and told(sidecar, "?since=2100-01-01T00:00:00Z") == []
        text = sidecar.get("/changes?format=text")
        assert text.type == "text/plain" and "+ is-2  10.244.0.7:4000  wso2/is" in text.text
        for query in ("?since=yesterday", "?since=", "?since=-1", "?format=yaml"):
            assert_problem(sidecar.get(f"/changes{query}"), 400)

        url = f"http://127.0.0.1:{sidecar.port}"
        assert result("--url", url) == (0, text.text)
        code, output = result("--url", url, "--since", "2", "--format", "json")
        assert (code, json.loads(output)) == (0, [became])


def test_whoever_has_a_list_finds_its_change(kube: FakeKube, tmp_path: Path) -> None:
    path = tmp_path / "history"
    with Sidecar(kube, "--history", str(path)).synced() as sidecar:
        for number in range(20):
            generation = sidecar.members()["generation"]
            kube.set_service("wso2", "is", pods(3 + number % 2))
            newer = sidecar.get(f"/members?index={generation}&wait=20s").json["generation"]
            assert newer == generation + 1
            assert told(sidecar)[-1]["generation"] == newer
        assert sidecar.stop()[0] == 0
    assert [json.loads(line)["generation"] for line in path.read_text().splitlines()] == list(range(1, newer + 1))


def test_the_last_list_is_kept_whenever_the_end_comes(tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / str(number)
        historian = Historian(path)
        historian.start()
        historian.put(publication(1))
        time.sleep(LATER + number / 10_000)  # so that some ends come while the first list is written
        historian.put(publication(2))
        historian.close()
        assert [json.loads(line)["generation"] for line in path.read_text().splitlines()] == [1, 2], number


def test_the_file_reaches_back_over_restarts(kube: FakeKube, tmp_path: Path) -> None:
    path = tmp_path / "history"
    with Sidecar(kube, "--history", str(path)).synced() as sidecar:
        wait_told(sidecar, 1)
        until(path.exists, what="the file")
        sidecar.kill()
    with open(path, "ab") as file:
        file.write(b'{"at": "half a li')
    with Sidecar(kube, "--history", str(path)).synced() as sidecar:
        kube.set_service("wso2", "is", pods(1))
        kept = wait_told(sidecar, 3)
        assert [change["generation"] for change in kept] == [1, 1, 2]
        assert kept[0]["epoch"] != kept[1]["epoch"] == kept[2]["epoch"]
        assert [change["generation"] for change in told(sidecar, "?since=0")] == [1, 2]
        assert sidecar.stop()[0] == 0
    assert [json.loads(line) for line in path.read_text().splitlines()] == kept
    code, output = result("--history", str(path))
    assert code == 0 and output.count("\n    - is-1  10.244.0.6:4000") == 1 and output.count("generation") == 3


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_lost(kube: FakeKube, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where a folder is to be")
    path = folder / "history"
    with Sidecar(kube, "--history", str(path)).synced() as sidecar:
        sidecar.wait_log(f'"level": "error".*history:{path}')
        assert f"history:{path}" in sidecar.get("/readyz?verbose").text
        assert sidecar.metric("membership_publish_failures_total", output=f"history:{path}") == 1
        folder.unlink()
        kube.set_service("wso2", "is", pods(3))
        until(lambda: path.exists() and path.read_text().count("\n") == 2, what="both changes")
        sidecar.wait_log("written again")


def test_what_is_wrong_is_said(kube: FakeKube, tmp_path: Path) -> None:
    code, log = result("--history", f"{tmp_path}/absent")
    assert code == 2 and "absent cannot be read" in log
    code, log = result("--url", "https://host/path", "--since", "yesterday")
    assert code == 2 and "--url" in log and "--since" in log
    code, log = result("--url", kube.url)
    assert code == 2 and "no sidecar" in log
    with Sidecar(kube, "--history", str(tmp_path), "--state", str(tmp_path)) as sidecar:
        assert sidecar.finish() == 2 and "--history" in sidecar.log and "folder" in sidecar.log


def test_nobody_there_is_6() -> None:
    code, log = result("--url", "http://127.0.0.1:1")
    assert code == 6 and "no sidecar answers at 127.0.0.1:1" in log
