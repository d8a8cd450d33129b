"""Each condition of the probes: what it says while all is well, and that it can turn false and back.

The verdict does so in test_verify.py, the boot window and the files of startupz in test_http.py.
"""

from __future__ import annotations

import ctypes
import gc
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from membership import Membership, connect
from membership.testing import FakeKube, Pod
from sidecar.health import check_live
from tests.running import Sidecar, pods, until

FLAGS = ("--stale-after", "900ms", "--self-ip", "10.244.0.5")
CONDITIONS = ("synced", "fresh", "namespace wso2", "services", "ports", "output lines", "verdict")
"""Of readyz, in their order."""


def conditions(sidecar: Sidecar, probe: str = "/readyz") -> dict[str, tuple[str, str]]:
    """Mark and text of each condition by its name; an output by its format."""
    return read(sidecar.get(f"{probe}?verbose").text)


def read(page: str) -> dict[str, tuple[str, str]]:
    lines = re.findall(r"^\[(.)\](.+?): (.*)$", page, re.MULTILINE)
    return {re.sub(r":.*", "", name): (mark, text) for mark, name, text in lines}


def all_well(sidecar: Sidecar) -> dict[str, tuple[str, str]] | None:
    found = conditions(sidecar)
    return found if {mark for mark, _ in found.values()} == {"+"} else None


def test_well(kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, *FLAGS, "--out", f"lines:{tmp_path}/lines") as sidecar:
        until(lambda: "generation 1 written" in conditions(sidecar.synced())["output lines"][1], what="the file")
        found = until(lambda: all_well(sidecar), 10, "all well")
        assert tuple(found) == CONDITIONS
        assert re.fullmatch(r"proved \d\.\d s ago, limit 0\.9 s", found["fresh"][1])
        assert re.search(
            r"watching, resource version \d+, proved \d\.\d s ago, limit 0\.9 s", found["namespace wso2"][1]
        )
        assert re.search(r"generation 1 written \d+\.\d s ago", found["output lines"][1])


def refuse(kube: FakeKube, _: Path) -> Callable[[], object]:
    failing = kube.fault("status", code=500)
    kube.cut_watches()
    return failing.clear


def forget(kube: FakeKube, _: Path) -> Callable[[], object]:
    kube.delete_service("wso2", "is")
    return lambda: kube.set_service("wso2", "is", pods(2))


def lose_port(kube: FakeKube, _: Path) -> Callable[[], object]:
    kube.set_service("wso2", "is", pods(2), ports={"other": 1})
    return lambda: kube.set_service("wso2", "is", pods(2))


def block(kube: FakeKube, target: Path) -> Callable[[], object]:
    target.unlink()
    target.mkdir()
    kube.set_service("wso2", "is", pods(3))
    return target.rmdir


BREAKS = {
    "fresh": (refuse, "-", r"proved \d+\.\d s ago, limit 0\.9 s"),
    "namespace wso2": (refuse, "!", "not watching.*500 InternalError"),
    "services": (forget, "!", "wso2/is"),
    "ports": (lose_port, "!", "10.244.0.5, 10.244.0.6"),
    "output lines": (block, "!", "it is a folder"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_it_turns_false_and_back(kube: FakeKube, tmp_path: Path, name: str) -> None:
    break_, mark, text = BREAKS[name]
    port = ("--port", "hazelcast") if break_ is lose_port else ()
    with Sidecar(kube, *FLAGS, *port, "--out", f"lines:{tmp_path}/lines") as sidecar:
        until((tmp_path / "lines").is_file, 10, "the file")
        mend = break_(kube, tmp_path / "lines")
        until(lambda: conditions(sidecar)[name][0] == mark, 10, f"[{mark}]{name}")
        answer = sidecar.get("/readyz?verbose")
        found = read(answer.text)
        assert re.search(text, found[name][1]), found
        assert (answer.status == 503) is (mark == "-" or found["fresh"][0] == "-")
        mend()
        until(lambda: conditions(sidecar)[name][0] == "+", 20, f"[+]{name}")
        until(lambda: sidecar.get("/readyz").status == 200, 20, "readiness")


def test_synced_turns_true(kube: FakeKube) -> None:
    failing = kube.fault("status", code=500)
    with Sidecar(kube, *FLAGS) as sidecar:
        until(lambda: "500" in conditions(sidecar)["synced"][1], 10, "the reason")
        assert conditions(sidecar)["synced"][0] == "-" and sidecar.get("/readyz").status == 503
        assert conditions(sidecar)["fresh"] == ("-", "proved never, limit 0.9 s")
        failing.clear()
        until(lambda: conditions(sidecar)["synced"][0] == "+", 10, "synced")


def test_the_gate_turns_true(kube: FakeKube) -> None:
    kube.set_service("wso2", "is", pods(1, ready=False))
    with Sidecar(kube, *FLAGS, "--expect", "2", "--stable", "100ms") as sidecar:
        assert conditions(sidecar.synced(), "/startupz")["formation gate"][0] == "-"
        assert re.search(r"1 of 2 .*; \d+ s left", conditions(sidecar, "/startupz")["formation gate"][1])
        kube.set_service("wso2", "is", [*pods(1, ready=False), Pod("10.244.0.9", "is-9", ready=False)])
        until(lambda: conditions(sidecar, "/startupz")["formation gate"][0] == "+", 10, "an open gate")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_live_turns_false_when_a_thread_of_ours_dies(kube: FakeKube) -> None:
    """Nothing from outside can kill one: here it is ended from within, as a bug would."""
    with Membership(connect(kube.url), ["wso2/is"]) as membership:
        membership.wait(minimum=2, timeout=10)
        assert check_live(membership).ok
        [reader] = [thread for thread in threading.enumerate() if thread.name == "membership-wso2"]
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(reader.ident or 0), ctypes.py_object(SystemExit))
        kube.set_service("wso2", "is", pods(3))  # wakes it
        until(lambda: not check_live(membership).ok, 10, "a dead thread")
        assert reader.name in check_live(membership).text(verbose=True)
        del reader
    gc.collect()  # what the thread held open is closed here, where a warning of it is expected
