"""The WSO2 entrypoint's `cp -RL volume/* home/`, again and again while the sidecar writes into the volume.

The entrypoint runs under `set -e`: a temporary file that vanishes while cp walks the tree ends the container.
"""

import itertools
import json
import os
import stat
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from membership.testing import FakeKube, Pod
from tests.running import Sidecar, until

COPIES = 1000
FILLING = 120
"""Members that are always there, so that each file takes more than one write to make."""
TOML = '[server]\nhostname = "is.example"\n\n[clustering]\nmembership_scheme = "wka"\nmembers = []\n'


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        server.set_service("wso2", "is", list_pods(0))
        yield server


def list_pods(number: int) -> list[Pod]:
    """The members that are always there, and one whose address tells the `number` of the list."""
    filling = [Pod(f"10.1.0.{n + 1}", f"is-{n}") for n in range(FILLING)]
    return [*filling, Pod(f"10.2.{number // 250}.{number % 250 + 1}", f"new-{number}")]


def read_members(home: Path) -> dict[str, int]:
    """How many members each copied file names; an error if one is torn."""
    conf = home / "repository/conf"
    toml = tomllib.loads((conf / "deployment.toml").read_text())
    tree = ElementTree.parse(conf / "etc/hazelcast.xml")
    lines = (home / "members").read_text()
    assert lines.endswith("\n")
    return {
        "deployment-toml": len(toml["clustering"]["members"]),
        "hazelcast-xml": sum(1 for each in tree.iter() if each.tag.endswith("}member")),
        "json": len(json.loads((home / "members.json").read_text())["members"]),
        "lines": len(lines.splitlines()),
    }


def test_a_thousand_copies(kube: FakeKube, tmp_path: Path) -> None:
    volume, staging, home = (tmp_path / name for name in ("volume", "staging", "home"))
    for folder in (volume, staging, home):
        folder.mkdir()
    source = tmp_path / "deployment.toml"
    source.write_text(TOML)
    outputs = (
        f"product:{source}:{volume}/",
        f"hazelcast-xml:{volume}/repository/conf/etc/hazelcast.xml",
        f"json:{volume}/members.json",
        f"lines:{volume}/members",
    )
    flags = [flag for output in outputs for flag in ("--out", output)]
    stopped = threading.Event()

    def change() -> None:
        for number in itertools.count(1):
            if stopped.wait(0.02):
                return
            kube.set_service("wso2", "is", list_pods(number % 60_000))

    changer = threading.Thread(target=change, daemon=True)
    with Sidecar(kube, "--product", "is-5.11", "--staging", str(staging), *flags) as sidecar:
        until(lambda: sum(1 for path in volume.rglob("*") if path.is_file()) == 4, 10, "all files")
        changer.start()
        try:
            contents = set[bytes]()
            for _ in range(COPIES):
                done = subprocess.run(f"cp -RL {volume}/* {home}/", shell=True, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                found = read_members(home)
                assert min(found.values()) > FILLING, f"a torn file: {found}"  # more while a removal is held
                contents.add((home / "repository/conf/deployment.toml").read_bytes())
        finally:
            stopped.set()
            changer.join()
        assert len(contents) >= 20, "it was written while it was copied"
        assert sidecar.get("/readyz").status == 200
    for path in home.rglob("*"):
        assert stat.S_IMODE(os.stat(volume / path.relative_to(home)).st_mode) == (0o755 if path.is_dir() else 0o644)
    assert {path.name for path in volume.iterdir()} == {"repository", "members", "members.json"}
    assert {path.name for path in home.rglob("*") if path.is_file()} == {
        "deployment.toml",
        "hazelcast.xml",
        "members",
        "members.json",
    }


def test_a_folder_that_was_replaced(kube: FakeKube, tmp_path: Path) -> None:
    volume, staging = tmp_path / "volume", tmp_path / "staging"
    staging.mkdir()
    with Sidecar(kube, "--staging", str(staging), "--out", f"json:{volume}/members") as sidecar:
        until((volume / "members").exists, 10, "the file")
        volume.rename(tmp_path / "old")
        kube.set_service("wso2", "is", list_pods(1))
        until((volume / "members").exists, 10, "the file in a new folder")
        kube.set_service("wso2", "is", list_pods(2))
        until(lambda: "new-2" in (volume / "members").read_text(), 10, "the next list")
        assert "[!]output" not in sidecar.get("/readyz?verbose").text
