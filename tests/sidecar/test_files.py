"""contract.md "File formats", `--out`, `--staging`, `--state` and `--on-change`, on real files."""

from __future__ import annotations

import ctypes
import json
import os
import re
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from membership import Membership, connect
from membership.candidates import Rules
from membership.files import FileWriter
from membership.session import Fallback, Publication
from membership.testing import FakeKube, Pod
from sidecar.publishers.hook import LONGEST_VARIABLE, HookPublisher
from sidecar.publishers.state import load_state
from tests.running import Sidecar, clean_environ, pods, until
from tests.told import tell
from tests.unit.lists import member, snapshot

LINES = "10.244.0.5:4000\n10.244.0.6:4000\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "membership-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Use up all space of a small file system; remove the file to have it back."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            pass
    return filler


def comes(path: Path, text: str, timeout: float = 5.0) -> None:
    """Wait until a file has just this content."""
    until(lambda: path.is_file() and path.read_text() == text, timeout, f"{text!r} in {path.name}")


class FolderEvents:
    """What happens to the names in a folder, by inotify: nothing can be too short to be seen."""

    CREATE, MOVED_TO, CLOSE_WRITE = 0x100, 0x80, 0x8

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = self.CREATE | self.MOVED_TO | self.CLOSE_WRITE
        assert self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) >= 0

    def take(self) -> list[tuple[int, str]]:
        """The events so far."""
        found: list[tuple[int, str]] = []
        try:
            data = os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return found
        while data:
            _, mask, _, length = struct.unpack_from("iIII", data)
            found.append((mask & 0xFFF, data[16 : 16 + length].rstrip(b"\0").decode()))
            data = data[16 + length :]
        return found

    def close(self) -> None:
        os.close(self._descriptor)


# -- contents


def test_the_formats(kube: FakeKube, tmp_path: Path) -> None:
    formats = ("json", "lines", "csv", "prometheus-sd")
    outs = [word for format in formats for word in ("--out", f"{format}:{tmp_path}/{format}")]
    with Sidecar(kube, *outs) as sidecar:
        comes(tmp_path / "lines", LINES)
        comes(tmp_path / "csv", "10.244.0.5:4000,10.244.0.6:4000\n")
        until(lambda: all((tmp_path / format).exists() for format in formats), what="all files")
        served = sidecar.members()
        content = json.loads((tmp_path / "json").read_text())
        assert list(content) == ["services", "members"]
        assert content == {"services": ["wso2/is"], "members": served["members"]}
        assert list(content["members"][0]) == list(served["members"][0])
        groups = json.loads((tmp_path / "prometheus-sd").read_text())
        assert [group["targets"] for group in groups] == [["10.244.0.5:4000"], ["10.244.0.6:4000"]]
        assert groups == sidecar.get("/members?format=prometheus-sd").json
        kube.set_service("wso2", "is", pods(3))
        comes(tmp_path / "lines", LINES + "10.244.0.7:4000\n")
        until(lambda: len(json.loads((tmp_path / "json").read_text())["members"]) == 3, what="the third member")


def test_json_has_the_same_bytes_after_a_restart_and_is_not_rewritten(kube: FakeKube, tmp_path: Path) -> None:
    outs = ("--out", f"json:{tmp_path}/json", "--out", f"lines:{tmp_path}/lines")
    seen = []
    for _ in range(2):
        with Sidecar(kube, *outs) as sidecar:
            until(lambda: sidecar.get("/readyz?verbose").text.count("generation 1 written") == 2, 10, "both files")
            files = [tmp_path / "json", tmp_path / "lines"]
            seen.append([(file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns) for file in files])
            assert sidecar.stop()[0] == 0
        kube.touch()
    assert seen[0] == seen[1]


def test_unchanged_bytes_are_not_rewritten(kube: FakeKube, tmp_path: Path) -> None:
    lines, whole = tmp_path / "lines", tmp_path / "json"
    with Sidecar(kube, "--out", f"lines:{lines}", "--out", f"json:{whole}") as sidecar:
        comes(lines, LINES)
        until(whole.exists, what="the file")
        before, old = lines.stat(), whole.stat()
        kube.set_service("wso2", "is", pods(2, node="n2"))  # another list, of the same addresses
        until(lambda: whole.stat().st_ino != old.st_ino, what="the new json")
        until(lambda: "lines:" in sidecar.get("/readyz?verbose").text, what="the output")
        until(lambda: sidecar.get("/readyz?verbose").text.count("generation 2 written") == 2, what="both outputs")
        after = lines.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("umask", [0o077, 0o777, 0o000])
def test_modes_do_not_depend_on_the_umask(kube: FakeKube, tmp_path: Path, umask: int) -> None:
    target = tmp_path / "a" / "b" / "lines"
    with Sidecar(kube, "--out", f"lines:{target}", umask=umask):
        comes(target, LINES)
        assert stat.S_IMODE(target.stat().st_mode) == 0o644
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in (target.parent, target.parent.parent)] == [0o755] * 2


def test_a_mode_that_others_cannot_read_is_mended(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "lines"
    target.write_text(LINES)
    target.chmod(0o600)
    with Sidecar(kube, "--out", f"lines:{target}") as sidecar:
        until(lambda: "generation 1 written" in sidecar.get("/readyz?verbose").text, 10, "the file")
        assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_reader_never_sees_a_torn_file(kube: FakeKube, tmp_path: Path) -> None:
    target, seen = tmp_path / "json", list[str]()
    many = [Pod(f"10.1.{n // 250}.{n % 250 + 1}", f"is-{n}") for n in range(300)]
    kube.set_service("wso2", "is", many)
    stopped = threading.Event()
    reads = [0]

    def read() -> None:
        while not stopped.is_set():
            try:
                content = target.read_bytes()
                reads[0] += 1
                if len(json.loads(content)["members"]) < 300 or not content.endswith(b"\n"):
                    seen.append(f"{len(content)} bytes")
            except FileNotFoundError:
                if reads[0]:
                    seen.append("no file")
            except ValueError as error:
                seen.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    with Sidecar(kube, "--out", f"json:{target}") as sidecar:
        until(target.exists, 10, "the file")
        reader.start()
        try:
            for n in range(20):
                kube.set_service("wso2", "is", [*many, *(Pod(f"10.2.0.{m + 1}", f"new-{m}") for m in range(n + 1))])
                until(lambda: len(json.loads(target.read_bytes())["members"]) == 301 + n, what="the change")
        finally:
            stopped.set()
            reader.join()
        assert sidecar.stop()[0] == 0
    assert seen == [] and reads[0] > 50


# -- an empty list


def test_an_empty_list_is_never_written_over_a_file(kube: FakeKube, tmp_path: Path) -> None:
    formats = ("lines", "csv", "prometheus-sd")
    outs = [word for format in formats for word in ("--out", f"{format}:{tmp_path}/{format}")]
    with Sidecar(kube, *outs, "--out", f"json:{tmp_path}/json") as sidecar:
        until(lambda: all((tmp_path / format).exists() for format in (*formats, "json")), 10, "all files")
        kept = {format: ((tmp_path / format).read_bytes(), (tmp_path / format).stat().st_ino) for format in formats}
        kube.set_service("wso2", "is", pods(2, terminating=True))
        until(lambda: json.loads((tmp_path / "json").read_text())["members"] == [], what="[] in json")
        for format in formats:
            output = f"{format}:{tmp_path}/{format}"
            until(
                lambda: sidecar.metric("membership_kept_empty_total", output=output) == 1,
                what=f"the metric of {format}",
            )
            assert sidecar.count(f"output {output}: .*empty") == 1
            assert ((tmp_path / format).read_bytes(), (tmp_path / format).stat().st_ino) == kept[format]
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200
        assert sum(line.startswith("[!]output ") for line in answer.text.splitlines()) == 3
        assert sidecar.metric("membership_kept_empty_total", output=f"json:{tmp_path}/json") in (None, 0)
        assert (sidecar.members()["members"], sidecar.get("/members").status) == ([], 200)
        kube.set_service("wso2", "is", pods(1))
        comes(tmp_path / "lines", "10.244.0.5:4000\n")
        until(lambda: "[!]" not in sidecar.get("/readyz?verbose").text, what="a clean bill")


@pytest.mark.parametrize("services", ["wso2/empty", "wso2/unknown"])
def test_a_first_list_that_is_empty_makes_no_file_but_json(kube: FakeKube, tmp_path: Path, services: str) -> None:
    kube.set_service("wso2", "empty", [])
    with Sidecar(
        kube, "--out", f"lines:{tmp_path}/lines", "--out", f"json:{tmp_path}/json", services=services
    ) as sidecar:
        until((tmp_path / "json").exists, 10, "the file")
        until(
            lambda: sidecar.metric("membership_kept_empty_total", output=f"lines:{tmp_path}/lines") == 1,
            what="the metric",
        )
        assert json.loads((tmp_path / "json").read_text()) == {"services": [services], "members": []}
        assert [path.name for path in tmp_path.iterdir()] == ["json"]


def test_members_without_a_port_are_an_empty_list_for_addresses(kube: FakeKube, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("before\n")
    with Sidecar(kube, "--out", f"lines:{tmp_path}/lines", "--port", "nosuch") as sidecar:
        until(lambda: sidecar.metric("membership_kept_empty_total") == 1, 10, "the metric")
        assert len(sidecar.members()["members"]) == 2
    assert (tmp_path / "lines").read_text() == "before\n"


# -- what cannot be written


def symlink(target: Path) -> None:
    (target.parent / "elsewhere").write_text("untouched")
    target.symlink_to(target.parent / "elsewhere")


def dangling(target: Path) -> None:
    target.symlink_to(target.parent / "elsewhere")


def folder(target: Path) -> None:
    target.mkdir()


def parent_is_a_file(target: Path) -> None:
    target.parent.rmdir()
    target.parent.write_text("in the way")


def heal(target: Path) -> None:
    for path in (target.parent, target):
        if path.is_symlink() or path.is_file():
            path.unlink()
    if target.is_dir():
        target.rmdir()


@pytest.mark.parametrize("break_", [symlink, dangling, folder, parent_is_a_file])
def test_an_unwritable_target_is_told_and_heals(kube: FakeKube, tmp_path: Path, break_: Callable[[Path], None]) -> None:
    target, other = tmp_path / "sub" / "lines", tmp_path / "lines"
    target.parent.mkdir()
    break_(target)
    ours = f"lines:{target}"
    with Sidecar(kube, "--out", ours, "--out", f"lines:{other}") as sidecar:
        comes(other, LINES)
        sidecar.wait_log(f'"level": "error".*{target}')
        until(lambda: sidecar.metric("membership_publish_failures_total", output=ours), what="the metric")
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200 and any(
            line.startswith("[!]") and str(target) in line for line in answer.text.splitlines()
        )
        assert (
            not (tmp_path / "sub" / "elsewhere").exists() or (tmp_path / "sub" / "elsewhere").read_text() == "untouched"
        )
        kube.set_service("wso2", "is", pods(3))
        comes(other, LINES + "10.244.0.7:4000\n")
        assert len(sidecar.addresses()) == 3
        heal(target)
        comes(target, LINES + "10.244.0.7:4000\n", 8)
        until(lambda: "[!]" not in sidecar.get("/readyz?verbose").text, what="a clean bill")
        assert sidecar.metric("membership_publish_failures_total", output=f"lines:{other}") in (None, 0)


def test_a_full_disk_is_told_and_heals(kube: FakeKube, tmp_path: Path, small_disk: Path) -> None:
    target, other = small_disk / "json", tmp_path / "lines"
    ours = f"json:{target}"
    with Sidecar(kube, "--out", ours, "--out", f"lines:{other}", "--state", str(small_disk / "state")) as sidecar:
        until(lambda: target.exists() and (small_disk / "state").exists(), 10, "the files")
        before = target.read_bytes()
        filler = fill(small_disk)
        kube.set_service("wso2", "is", pods(40))
        until(lambda: sidecar.metric("membership_publish_failures_total", output=ours), what="the metric")
        sidecar.wait_log(f'"level": "error".*{target}.*[Nn]o space')
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200 and "o space left" in answer.text
        assert target.read_bytes() == before
        until(lambda: other.read_text().count("\n") == 40, what="the other file")
        assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "json", "state"]
        filler.unlink()
        until(lambda: len(json.loads(target.read_bytes())["members"]) == 40, 8, "the new list")
        until(lambda: "[!]" not in sidecar.get("/readyz?verbose").text, 8, "a clean bill")
        assert not any("Traceback" in line for line in sidecar.err)


# -- staging


def test_temporary_files_are_made_in_staging_only(kube: FakeKube, tmp_path: Path) -> None:
    tree, staging = tmp_path / "tree", tmp_path / "staging"
    tree.mkdir()
    staging.mkdir()
    in_tree, in_staging = FolderEvents(tree), FolderEvents(staging)
    try:
        with Sidecar(kube, "--out", f"lines:{tree}/lines", "--out", f"json:{tree}/json", "--staging", str(staging)):
            comes(tree / "lines", LINES)
            kube.set_service("wso2", "is", pods(3))
            comes(tree / "lines", LINES + "10.244.0.7:4000\n")
            until(lambda: len(json.loads((tree / "json").read_text())["members"]) == 3, what="the json")
        created = [name for mask, name in in_staging.take() if mask & FolderEvents.CREATE]
        assert len(created) == 4 and len(set(created)) == 4
        events = in_tree.take()
        assert {name for _, name in events} == {"lines", "json"}
        assert {mask for mask, _ in events} == {FolderEvents.MOVED_TO}, "files come by rename, whole"
        assert list(staging.iterdir()) == []
    finally:
        in_tree.close()
        in_staging.close()


def test_leftovers_of_a_kill_are_removed_and_nothing_else(kube: FakeKube, tmp_path: Path) -> None:
    events = FolderEvents(tmp_path)
    try:
        with Sidecar(kube, "--out", f"lines:{tmp_path}/lines") as sidecar:
            comes(tmp_path / "lines", LINES)
            sidecar.kill()
        [temporary] = [name for mask, name in events.take() if mask & FolderEvents.CREATE]
    finally:
        events.close()
    (tmp_path / temporary).write_text("half a li")
    (tmp_path / "lines.bak").write_text("mine")
    (tmp_path / ".hidden").write_text("mine")
    with Sidecar(kube, "--out", f"lines:{tmp_path}/lines") as sidecar:
        sidecar.synced()
        until(lambda: not (tmp_path / temporary).exists(), what="the end of the leftover")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "lines", "lines.bak"]


def test_staging_on_another_file_system_is_a_wrong_setting(kube: FakeKube, tmp_path: Path, small_disk: Path) -> None:
    given = (
        "--server",
        kube.url,
        "--services",
        "wso2/is",
        "--out",
        f"lines:{tmp_path}/t/lines",
        "--staging",
        str(small_disk),
    )
    told = tell("membership-sidecar", given)
    assert told.code == 2
    assert told.count("--staging.*file system") == 1
    assert kube.requests == [] and list(small_disk.iterdir()) == []


# -- the state file


def saved(kube: FakeKube, state: Path) -> Any:
    """Make a state file, by a sidecar that ends; its content."""
    with Sidecar(kube, "--state", str(state)) as sidecar:
        sidecar.synced()
        until(state.exists, what="the state file")
        assert sidecar.stop()[0] == 0
    return json.loads(state.read_text())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A good state file's text, for tests that do not look at its age."""
    state = tmp_path_factory.mktemp("kept") / "state"
    with FakeKube() as kube:
        kube.set_service("wso2", "is", pods(2))
        saved(kube, state)
    return state.read_text()


def test_the_state_serves_while_there_is_no_api_server(kube: FakeKube, tmp_path: Path) -> None:
    state, target = tmp_path / "state", tmp_path / "lines"
    saved(kube, state)
    kube.stop_listening()
    with Sidecar(kube, "--state", str(state), "--out", f"lines:{target}") as sidecar:
        until(lambda: sidecar.get("/members").status == 200, what="the kept list")
        body = sidecar.members()
        assert (body["source"], body["stale"], body["synced"]) == ("state", True, False)
        assert [member["address"] for member in body["members"]] == ["10.244.0.5", "10.244.0.6"]
        assert 0 <= body["age_seconds"] < 30
        assert list(body["members"][0]) and body["members"][0]["ports"] == {"hazelcast": 4000}
        comes(target, LINES)
        ready = sidecar.get("/readyz")
        assert ready.status == 503 and "refused" in ready.text
        kube.set_service("wso2", "is", pods(3))
        kube.listen_again()
        sidecar.follows(["10.244.0.5", "10.244.0.6", "10.244.0.7"], 10)
        body = sidecar.members()
        assert (body["source"], body["stale"], body["synced"]) == ("endpointslices", False, True)
        assert body["generation"] == 2
        comes(target, LINES + "10.244.0.7:4000\n")
        until(lambda: len(json.loads(state.read_text())["members"]) == 3, what="the new state")
        assert sidecar.get("/readyz").status == 200


def test_the_state_serves_while_the_api_server_hangs(kube: FakeKube, tmp_path: Path) -> None:
    saved(kube, tmp_path / "state")
    hanging = kube.fault("hang")
    with Sidecar(kube, "--state", str(tmp_path / "state")) as sidecar:
        until(lambda: sidecar.get("/members").status == 200, what="the kept list")
        assert sidecar.members()["source"] == "state"
        hanging.clear()
        until(lambda: sidecar.members()["source"] == "endpointslices", 10, "the live list")
        assert sidecar.members()["generation"] == 1  # the same list


def test_the_state_does_not_serve_while_there_is_an_api_server(kube: FakeKube, tmp_path: Path) -> None:
    saved(kube, tmp_path / "state")
    kube.set_service("wso2", "is", pods(1))
    with Sidecar(kube, "--state", str(tmp_path / "state"), "--out", f"lines:{tmp_path}/lines") as sidecar:
        answer = sidecar.get("/members?index=0&wait=10s")
        assert (answer.generation, answer.json["source"], len(answer.json["members"])) == (1, "endpointslices", 1)
        comes(tmp_path / "lines", "10.244.0.5:4000\n")
        assert sidecar.members()["generation"] == 1


def test_an_error_never_reaches_the_state_file(kube: FakeKube, tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = saved(kube, state)["members"]
    kube.stop_listening()
    with Sidecar(kube, "--state", str(state)) as sidecar:
        until(lambda: sidecar.get("/members").status == 200, what="the kept list")
        assert sidecar.stop()[0] == 0
    assert json.loads(state.read_text())["members"] == before


def test_the_age_of_the_state_goes_on(kube: FakeKube, tmp_path: Path) -> None:
    state = tmp_path / "state"
    content = saved(kube, state)
    state.write_text(json.dumps({**content, "proved_at": content["proved_at"] - 3600}))
    kube.stop_listening()
    with Sidecar(kube, "--state", str(state)) as sidecar:
        until(lambda: sidecar.get("/members").status == 200, what="the kept list")
        assert 3600 <= sidecar.members()["age_seconds"] < 3660
        assert "members" in sidecar.get("/").text and sidecar.get("/members").json["stale"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="torn"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: "\0" * len(text), id="zeros"),
        pytest.param(lambda text: "[]", id="a list"),
        pytest.param(lambda text: text.replace('"is-0"', '"is-\udcff"'), id="no text"),
        pytest.param(lambda text: '{"other": ' + "[" * 200_000, id="nested"),
        pytest.param(lambda text: json.dumps({**json.loads(text), "version": 99}), id="newer"),
        pytest.param(lambda text: json.dumps({**json.loads(text), "members": [{"a": 1}]}), id="other members"),
        pytest.param(lambda text: text.replace("wso2/is", "wso2/other"), id="another Service"),
        pytest.param(lambda text: text.replace('"services":["wso2/is"]', '"services":["nonsense"]'), id="no name"),
        pytest.param(lambda text: text.replace("10.244.0.6", r"10.244.0.6\n6.6.6.6"), id="two lines"),
    ],
)
def test_a_state_that_cannot_serve_is_told_and_ignored(
    kube: FakeKube, kept: str, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    state = tmp_path / "state"
    state.write_text(damage(kept), errors="surrogateescape")
    kube.stop_listening()
    with Sidecar(kube, "--state", str(state)) as sidecar:
        sidecar.wait_log("refused")
        assert sidecar.get("/members").status == 503
        assert sidecar.count(str(state)) == 1
        kube.listen_again()
        sidecar.synced()
        until(lambda: _members(state) == 2, what="a good state")


@pytest.mark.parametrize(
    ("flags", "made_with"),
    [
        (("--port", "5000"), "--port 4000"),
        (("--port", "hazelcast"), "--port 4000"),
        (("--family", "both", "--ready-only"), "--family ipv4, --ready-only false"),
        (("--include-terminating",), "--include-terminating false"),
    ],
)
def test_a_state_made_with_other_settings_is_told_and_ignored(
    kube: FakeKube, kept: str, tmp_path: Path, flags: tuple[str, ...], made_with: str
) -> None:
    (tmp_path / "state").write_text(kept)
    kube.stop_listening()
    with Sidecar(kube, "--state", str(tmp_path / "state"), *flags) as sidecar:
        sidecar.wait_log("refused")
        assert sidecar.get("/members").status == 503
        assert sidecar.count(f'is not used: it was made with {made_with}"') == 1, sidecar.log


def load(path: Path, content: Any, rules: Rules = Rules(), services: tuple[str, ...] = ("wso2/is",)) -> Fallback | None:
    path.write_text(json.dumps(content))
    return load_state(path, services, rules)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"services": ["nonsense"]}, "'nonsense' in it is no Service that is followed"),
        ({"services": ["wso2/is", "wso2/am"]}, "'wso2/am' in it is no Service that is followed"),
        ({"unknown_services": ["a/b"]}, "'a/b' in it is no Service that is followed"),
        ({"service": "zz"}, "'wso2/zz' in it is no Service that is followed"),
        ({"address": "1.2.3.4\n6.6.6.6"}, r"'1.2.3.4\\n6.6.6.6' in it is no member by these settings"),
        ({"addresses": ["1.2.3.4\n6.6.6.6"]}, r"'1.2.3.4\\n6.6.6.6' does not appear to be an IPv4 or IPv6 address"),
        ({"address": "", "addresses": []}, "'' in it is no member by these settings"),
        ({"address": "fd00::1", "addresses": ["fd00::1"]}, "'fd00::1' in it is no member by these settings"),
        ({"port": 99999999}, "'10.244.0.5' in it is no member by these settings"),
        ({"terminating": True}, "'10.244.0.5' in it is no member by these settings"),
        ({"ports": {"hazelcast": 99999999}}, "99999999 in it is no port"),
    ],
)
def test_what_is_wrong_in_a_state_is_told(
    kept: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], told: str
) -> None:
    """Of what can be parsed, and was not written by us."""
    content = json.loads(kept)
    assert load(tmp_path / "state", content) and not caplog.messages
    (content if change.keys() <= content.keys() else content["members"][0]).update(change)
    assert load(tmp_path / "state", content) is None
    assert re.fullmatch(f"state file .*/state is not used: {told}", "\n".join(caplog.messages)), caplog.messages


def test_of_every_service_any_is_followed_but_none_of_another_namespace(kept: str, tmp_path: Path) -> None:
    content = {**json.loads(kept), "asked": ["wso2/*"]}
    found = load(tmp_path / "state", content, services=("wso2/*",))
    assert found and found.found == ("wso2/is",)
    for name in ("apps/is", "wso2/", "wso2/is/is"):
        assert load(tmp_path / "state", {**content, "services": [name]}, services=("wso2/*",)) is None


def test_a_state_that_does_not_say_its_rules_serves_where_its_members_are_ours(kept: str, tmp_path: Path) -> None:
    content = json.loads(kept)
    del content["rules"]
    assert load(tmp_path / "state", content) and load(tmp_path / "state", content, Rules(ready_only=True))
    assert load(tmp_path / "state", content, Rules(port=5000)) is None
    assert load(tmp_path / "state", content, Rules(port="nosuch")) is None
    assert load(tmp_path / "state", content, Rules(family="ipv6")) is None


def _members(path: Path) -> int:
    """How many members a state file has; 0 where it is none, or not yet one."""
    try:
        return len(json.loads(path.read_text())["members"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def test_the_state_of_every_service_of_a_namespace(kube: FakeKube, tmp_path: Path) -> None:
    kube.set_service("wso2", "am", pods(1, 20))
    flags = ("--state", str(tmp_path / "state"), "--out", f"haproxy:{tmp_path}/cfg")
    with Sidecar(kube, *flags, services="wso2/*") as sidecar:
        before = sidecar.synced().members()
        until(lambda: _members(tmp_path / "state") == 3, what="the state")
    kube.stop_listening()
    with Sidecar(kube, *flags, services="wso2/*") as sidecar:
        until(lambda: sidecar.get("/members").status == 200, 10, "the kept list")
        kept = sidecar.members()
        assert (kept["source"], kept["members"]) == ("state", before["members"])
        assert kept["services"] == ["wso2/am", "wso2/is"] and sidecar.get("/members?service=am").status == 200


def test_what_is_said_of_a_bad_state_is_a_line_of_the_log_like_any_other(kube: FakeKube, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("torn")
    with Sidecar(kube, "--state", str(tmp_path / "state"), "--log-format", "json") as sidecar:
        sidecar.wait_log("state file")
        assert any(record["level"] == "warning" and "state file" in record["message"] for record in sidecar.records())


@pytest.mark.parametrize(("flag", "said"), [("state", "it is no regular file"), ("history", "begun anew: it is no")])
def test_a_pipe_that_nobody_writes_does_not_hold_up_the_start(
    kube: FakeKube, tmp_path: Path, flag: str, said: str
) -> None:
    os.mkfifo(tmp_path / flag)
    with Sidecar(kube, f"--{flag}", str(tmp_path / flag)) as sidecar:
        sidecar.wait_log(f"{flag} is not (used|read).*{said}")
        sidecar.synced()
        sidecar.wait_log(f"cannot write .*{flag}: it is not a regular file")


def test_two_mounts_of_one_volume_are_two_file_systems(small_disk: Path, tmp_path: Path) -> None:
    """As of a volume that is mounted by two subPaths: the system renames no file from one to the other."""
    for name in ("tree", "staging"):
        (small_disk / name).mkdir()
        (tmp_path / name).mkdir()
    mounted: list[Path] = []
    try:
        for name in ("tree", "staging"):
            subprocess.run(["mount", "--bind", str(small_disk / name), str(tmp_path / name)], check=True)
            mounted.append(tmp_path / name)
        with pytest.raises(OSError, match="Invalid cross-device link"):
            (tmp_path / "staging/a").touch()
            os.rename(tmp_path / "staging/a", tmp_path / "tree/a")
        apart, together = (
            tell(
                "membership-sidecar",
                ["--services", "wso2/is", "--server", "http://127.0.0.1:1", "--stable", "wrong"]
                + ["--out", f"lines:{tree}/deeper/members", "--staging", str(tmp_path / "staging")],
                clean_environ(),
            )
            for tree in (tmp_path / "tree", tmp_path / "staging/tree")
        )
        assert apart.code == together.code == 2
        assert "is on another file system" in apart.log and "another file system" not in together.log
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


# -- --on-change


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "hook.sh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def told(path: Path, line: str, timeout: float = 5.0) -> None:
    until(lambda: path.exists() and line in path.read_text().splitlines(), timeout, f"{line!r}")


def test_the_hook_runs_after_the_files_for_each_list(kube: FakeKube, tmp_path: Path) -> None:
    out = tmp_path / "told"
    hook = script(
        tmp_path,
        f'echo "$MEMBERSHIP_GENERATION [$MEMBERSHIP_MEMBERS] $(paste -sd, {tmp_path}/lines) $1 $KEPT" >> {out}\n',
    )
    environ = {**os.environ, "KEPT": "kept"}
    with Sidecar(
        kube, "--out", f"lines:{tmp_path}/lines", "--on-change", f"{hook} 'two words'", environ=environ
    ) as sidecar:
        told(out, "1 [10.244.0.5:4000,10.244.0.6:4000] 10.244.0.5:4000,10.244.0.6:4000 two words kept", 10)
        kube.set_service("wso2", "is", [*pods(1), *pods(1, 6, terminating=True)])
        told(out, "2 [10.244.0.5:4000] 10.244.0.5:4000 two words kept")
        kube.set_service("wso2", "is", pods(2, terminating=True))
        told(out, "3 [] 10.244.0.5:4000 two words kept")  # the file is kept, the command is told
        assert len(out.read_text().splitlines()) == 3
        # The count follows the command's end, which the command itself cannot tell.
        until(lambda: sidecar.metric("membership_publish_delay_seconds_count", output="on-change") == 3, 10)


def test_the_hook_comes_after_a_file_that_could_not_be_written_before(kube: FakeKube, tmp_path: Path) -> None:
    """It ran without the file, which is no reason to run before it the next time, nor to miss it when it comes."""
    out, target = tmp_path / "told", tmp_path / "lines"
    target.mkdir()
    hook = script(tmp_path, f'echo "$MEMBERSHIP_GENERATION $(paste -sd, {target} 2>/dev/null)" >> {out}\n')
    with Sidecar(kube, "--out", f"lines:{target}", "--on-change", hook) as sidecar:
        told(out, "1 ", 10)
        target.rmdir()
        told(out, "1 10.244.0.5:4000,10.244.0.6:4000", 10)
        target.unlink()
        target.mkdir()
        kube.set_service("wso2", "is", pods(3))
        told(out, "2 ", 10)
        until(lambda: "generation 1 written" not in sidecar.get("/readyz?verbose").text, what="the failure")
        target.rmdir()
        kube.set_service("wso2", "is", pods(4))
        wanted = ",".join(f"{pod.address}:4000" for pod in pods(4))
        told(out, f"3 {wanted}", 10)
        assert "3 " not in out.read_text().splitlines(), "before the file"


def test_the_system_has_no_room_for_a_longer_variable() -> None:
    """What the next test relies on: the whole command would fail."""
    longest = "x" * (LONGEST_VARIABLE - len("MEMBERSHIP_MEMBERS=") - 1)
    assert subprocess.run(["true"], env={"MEMBERSHIP_MEMBERS": longest}).returncode == 0
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["true"], env={"MEMBERSHIP_MEMBERS": longest + "x"})


@pytest.mark.parametrize("port, told", [(4000, True), (40000, False)])
def test_members_that_no_variable_holds_are_left_out_of_it(
    kube: FakeKube, tmp_path: Path, caplog: pytest.LogCaptureFixture, port: int, told: bool
) -> None:
    """9500 members of 13 and of 14 bytes, with their commas: 123,500 bytes and 133,000, where 131,072 have room."""
    many = [member(f"{n // 1000}.{n // 100 % 10}.{n // 10 % 10}.{n % 10}", port=port) for n in range(9500)]
    out = tmp_path / "told"
    hook = script(tmp_path, f'echo "$MEMBERSHIP_GENERATION ${{#MEMBERSHIP_MEMBERS}}" > {out}\n')
    with Membership(connect(kube.url, environ={}), ["wso2/is"]) as membership:
        publisher = HookPublisher([hook], 10, os.environ, (), membership, lambda *_: None)
        publisher._call(Publication(snapshot(*many), 0.0))
    assert (int(out.read_text().split()[1]) > 100_000) is told
    assert ("MEMBERSHIP_MEMBERS is left out" in caplog.text) is not told


def test_the_hook_runs_for_a_first_list_that_is_empty(kube: FakeKube, tmp_path: Path) -> None:
    out = tmp_path / "told"
    hook = script(tmp_path, f'echo "$MEMBERSHIP_GENERATION [$MEMBERSHIP_MEMBERS]" >> {out}\n')
    with Sidecar(kube, "--on-change", hook, services="wso2/unknown"):
        told(out, "1 []", 10)


def test_the_hook_needs_no_shell(kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, "--on-change", f"touch '{tmp_path}/a b' {tmp_path}/$HOME;"):
        until(lambda: {path.name for path in tmp_path.iterdir()} == {"a b", "$HOME;"}, 10, "both files")


def test_hooks_never_overlap_and_the_newest_list_wins(kube: FakeKube, tmp_path: Path) -> None:
    out = tmp_path / "told"
    hook = script(
        tmp_path,
        f'echo "begin $MEMBERSHIP_GENERATION" >> {out}\nsleep 0.25\necho "end $MEMBERSHIP_GENERATION" >> {out}\n',
    )
    with Sidecar(kube, "--on-change", hook) as sidecar:
        told(out, "begin 1", 10)
        for n in range(3, 11):
            kube.set_service("wso2", "is", pods(n))
            sidecar.follows([pod.address for pod in pods(n)])
        told(out, "end 9")
        lines = out.read_text().split()
    assert lines[0::4] == ["begin"] * (len(lines) // 4) and lines[2::4] == ["end"] * (len(lines) // 4)
    assert lines[1::4] == lines[3::4]
    generations = list(map(int, lines[1::4]))
    assert generations == sorted(generations) and generations[-1] == 9 and len(generations) < 9


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_hook_that_takes_too_long_is_ended_with_its_children(kube: FakeKube, tmp_path: Path, stubborn: bool) -> None:
    pids = tmp_path / "pids"
    ignore = "trap '' TERM\n" if stubborn else ""
    hook = script(tmp_path, f"{ignore}sleep 300 &\necho $$ $! > {pids}\nwait\nsleep 300\n")
    with Sidecar(kube, "--on-change", hook, "--on-change-timeout", "300ms") as sidecar:
        until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 10, "the command")
        sidecar.wait_log("on-change.*longer than 0.3 s")
        until(lambda: not any(map(_alive, pids.read_text().split())), what="the end of its processes")
        until(lambda: sidecar.metric("membership_publish_failures_total", output="on-change") == 1, what="the metric")
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200 and "[!]output on-change" in answer.text


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("command", ["{script}", "/nonexistent/command"])
def test_a_hook_that_fails_is_counted_and_tried_again_with_the_next_list(
    kube: FakeKube, tmp_path: Path, command: str
) -> None:
    hook = command.format(script=script(tmp_path, "echo to-stdout; echo to-stderr >&2; exit 3\n"))
    with Sidecar(kube, "--on-change", hook, "--out", f"lines:{tmp_path}/lines") as sidecar:
        sidecar.wait_log('"level": "error".*on-change', 10)
        until(lambda: sidecar.metric("membership_publish_failures_total", output="on-change") == 1, what="the metric")
        assert sidecar.count("ended with 3|No such file") == 1
        answer = sidecar.get("/readyz?verbose")
        assert answer.status == 200 and "[!]output on-change" in answer.text
        kube.set_service("wso2", "is", pods(3))
        until(
            lambda: sidecar.metric("membership_publish_failures_total", output="on-change") == 2,
            what="the next failure",
        )
        comes(tmp_path / "lines", LINES + "10.244.0.7:4000\n")


def test_a_slow_hook_delays_nobody(kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, "--on-change", "sleep 300", "--out", f"lines:{tmp_path}/lines") as sidecar:
        comes(tmp_path / "lines", LINES, 10)
        began = time.monotonic()
        kube.set_service("wso2", "is", pods(3))
        comes(tmp_path / "lines", LINES + "10.244.0.7:4000\n")
        sidecar.follows([pod.address for pod in pods(3)])
        assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("call", ["chmod", "open"])
def test_a_file_of_another_uid_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Its mode cannot be set and its content perhaps not read; a file that is as it should be is not touched."""
    target, content = tmp_path / "lines", LINES.encode()
    target.write_bytes(content)
    target.chmod(0o644)
    before = target.stat().st_ino

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if call == "chmod":
        monkeypatch.setattr("membership.files.os.chmod", refuse)
        FileWriter(target, None).write(content)
        assert target.stat().st_ino == before, "nothing to do"
        target.unlink()
        target.write_bytes(content)
        os.system(f"chmod 600 {target}")
    else:
        monkeypatch.setattr(Path, "read_bytes", refuse)
    before = target.stat().st_ino
    FileWriter(target, None).write(content)
    assert target.stat().st_ino != before and stat.S_IMODE(target.stat().st_mode) == 0o644
