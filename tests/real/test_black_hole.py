"""The network drops packets and says nothing: no reset, no ICMP. Needs root and iproute2."""

import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

from testbed.pods import Network
from testbed.waiting import wait_for
from tests.e2e.world import Member, Stage, World

NOTICED = 30.0
"""The promise: seconds from the first dropped packet until the stream is given up."""


@pytest.fixture
def stage(tmp_path: Path, folder: Path) -> Iterator[Stage]:
    """A pod's network, which can be cut, and a control plane on its node."""
    with Network.claim() as network:
        world = World.start(network, folder / "black-hole")
        with world.plane, Stage(world, "black-hole", tmp_path) as found:
            yield found


def test_dropped_packets(stage: Stage, figures: MutableMapping[str, str]) -> None:
    """Keepalive finds the dead peer. The limit on a silent stream is set so far away that it cannot be what does."""
    network, file = stage.world.network, stage.folder / "members"
    watcher = stage.add("is-0")
    watcher.start_sidecar("--stale-after", "300s", "--out", f"lines:{file}")
    stage.wait_listed([watcher])
    wait_logged(watcher, "watching endpointslices", 10)

    network.cut([watcher.pod])
    began = time.monotonic()
    stage.add("is-1")  # which it cannot know yet
    wait_logged(watcher, "warning namespace black-hole: ", NOTICED)
    figures["dropped packets noticed after"] = f"{time.monotonic() - began:.1f} s"
    assert file.read_text() == f"{watcher.address}:4000\n", "an error empties nothing"

    network.mend([watcher.pod])
    wait_for(lambda: len(watcher.listed()) == 2, timeout=40, what="the pod that was added meanwhile")
    wait_for(lambda: len(file.read_text().splitlines()) == 2, timeout=5, what="the same in the file")


def wait_logged(member: Member, text: str, timeout: float) -> None:
    """Return when the sidecar's log, which is outside of its network, has this text."""
    log = member.folder / "sidecar.log"
    wait_for(lambda: text in log.read_text(), timeout=timeout, what=f"{text!r} in {log.read_text()}", every=0.05)
