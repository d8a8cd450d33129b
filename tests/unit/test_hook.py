"""`--on-change`: it is run again for a file that comes late, and leaves no dead processes behind."""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from membership import Membership
from membership.session import Publication
from sidecar.publishers import hook
from sidecar.publishers.worker import Worker
from tests.running import until
from tests.unit.lists import snapshot

PR_SET_CHILD_SUBREAPER = 36
ENVIRON = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}


class Lists:
    """Gives lists to who subscribes."""

    def __init__(self) -> None:
        self._calls: list[Callable[[Publication], None]] = []

    def subscribe(self, call: Callable[[Publication], None]) -> None:
        self._calls.append(call)

    def give(self, generation: int) -> None:
        for call in self._calls:
            call(Publication(snapshot("10.0.0.1", generation=generation), time.monotonic()))


def ignore(*_: Any) -> None:
    pass


def test_a_file_that_hangs_and_comes_after_all_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk that stands still for longer than the command waits for files, without an error."""
    monkeypatch.setattr(hook, "FILES_FIRST", 0.1)
    target, log, goes_on = tmp_path / "file", tmp_path / "log", threading.Event()
    lists = Lists()
    log.touch()

    def write(publication: Publication) -> bool:
        assert goes_on.wait(20)
        target.write_text("the list")
        return True

    file = Worker("lines:x", cast(Membership, lists), write, ignore)
    script = f"[ -e {target} ] && echo with >> {log} || echo without >> {log}"
    command = hook.HookPublisher(("sh", "-c", script), 30.0, ENVIRON, (file,), cast(Membership, lists), ignore)
    try:
        file.start()
        command.start()
        lists.give(1)
        until(lambda: log.read_text() == "without\n", what="a run without the file")
        goes_on.set()
        until(lambda: log.read_text() == "without\nwith\n", what="one with it")
        lists.give(2)
        until(lambda: command.status.generation == 2, what="the next list")
        until(lambda: log.read_text() == "without\nwith\nwith\n", what="its only run")
    finally:
        goes_on.set()
        command.close()
        file.close()


def dead_children() -> int:
    count = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        count += state == "Z" and int(parent) == os.getpid()
    return count


def test_what_a_command_leaves_behind_is_waited_for() -> None:
    """As the first process of a container the sidecar becomes the parent of what a command has started."""
    libc, lists = ctypes.CDLL(None, use_errno=True), Lists()
    command = hook.HookPublisher(("sh", "-c", "sleep 60 & exit 0"), 30.0, ENVIRON, (), cast(Membership, lists), ignore)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        before = dead_children()
        command.start()
        for generation in range(1, 6):
            lists.give(generation)
            until(lambda: command.status.generation == generation, what="the run")
        assert dead_children() - before <= 1, "the last one may need a moment"
    finally:
        command.close()
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
