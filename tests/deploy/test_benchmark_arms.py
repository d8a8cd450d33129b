"""The arms of the benchmarks that need no other client: each sees every change of a Service, and its cost is its own.

The others run in environments from PyPI and Go's proxy: `python -m benchmarks.arms` tries them all.
"""

import os
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.arms import running
from benchmarks.arms.catalogue import arm
from benchmarks.arms.running import ArmFailed, Running
from benchmarks.environments import ROOT
from benchmarks.service import NAMESPACE, SERVICE, Shape, fake_service
from benchmarks.sightings import match
from benchmarks.writing import write
from testbed.waiting import wait_for

SHAPE = Shape(30, 3)
CHANGES = 12


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the tests has all that ours needs."""
    monkeypatch.setattr(running, "python", lambda name: Path(sys.executable))
    monkeypatch.setattr(running, "product", lambda: ROOT)


@pytest.mark.parametrize(
    "name",
    ["control_python", "control_protobuf", "ours_callback", "ours_file", "ours_file_disk", "ours_http", "ours_sse"],
)
def test_an_arm_sees_every_change(tmp_path: Path, name: str) -> None:
    with fake_service(tmp_path) as (pod, writer):
        writer.reset(SHAPE)
        with Running(arm(name), pod, NAMESPACE, SERVICE) as one:
            assert 0 < one.wait_synced(SHAPE.endpoints, 20) < 20
            changes = write(writer, SHAPE, CHANGES, 20, 100, Random(1))
            wait_for(lambda: match(changes, one.observations()).lost == 0, timeout=20, what="all changes")
            seen = match(changes, one.observations())
            assert (seen.twice, seen.backwards) == (0, 0), "each change is one list"
            assert all(change.due <= change.sent <= change.answered for change in changes)
            assert all(sighting.ns > sighting.change.sent for sighting in seen.sightings)
            # After its first change a slice has one endpoint that is terminating, which is no member.
            known = SHAPE.endpoints - (0 if arm(name).family == "control" else SHAPE.slices)
            assert one.observations()[-1].endpoints == known
            assert one.cpu_seconds() > 0 and one.resident_mib() > 5
            if name == "ours_callback":
                assert all(s.read_ns and s.change.sent < s.read_ns <= s.ns for s in seen.sightings)
            pids = [one.pid, *([one.observer_pid] if arm(name).is_server else [])]
        assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_an_arm_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    with fake_service(tmp_path) as (pod, writer):
        writer.reset(SHAPE)
        (pod.account / "token").unlink()
        with Running(arm("control_python"), pod, NAMESPACE, SERVICE) as one:
            with pytest.raises(ArmFailed, match="(?s)control_python: ended with 1.*FileNotFoundError"):
                one.wait_synced(SHAPE.endpoints, 20)


def test_a_smaller_shape_leaves_no_slices_behind(tmp_path: Path) -> None:
    with fake_service(tmp_path) as (pod, writer):
        writer.reset(Shape(30, 3))
        write(writer, Shape(30, 3), 4, 50, 0, Random(1))
        writer.reset(Shape(10))
        with Running(arm("ours_callback"), pod, NAMESPACE, SERVICE) as one:
            one.wait_synced(10, 20)
            assert one.observations()[-1].endpoints == 10
