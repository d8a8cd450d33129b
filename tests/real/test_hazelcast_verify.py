"""`--verify` and `membership verify` against real Hazelcast members: what they say, and how soon it is told.

The members listen on loopback, which a real API server does not take into a slice: Kubernetes is a FakeKube here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from membership.hazelcast_rest import ask_name, ask_rest
from membership.testing import FakeKube, Pod
from membership.transport import Interrupt
from membership.verify import State, Target
from testbed.members import CLUSTER, Members
from tests.running import Command, Sidecar, until

PROMISE = 10.0
"""Seconds until a split, or a member that only Hazelcast has, is told."""
START = 60.0
"""Seconds for JVMs to start and join on a busy machine."""


class Scene:
    """Real members, the pods that Kubernetes has of them, and a sidecar that asks all with the default interval."""

    def __init__(self, kube: FakeKube, members: Members) -> None:
        self.kube, self.members = kube, members
        self._pods: dict[str, Pod] = {}

    def pod(self, name: str, *, ready: bool = True) -> None:
        self._pods[name] = Pod(self.members.host(name), f"is-{name}", ready=ready)
        self._publish()

    def gone(self, name: str) -> None:
        del self._pods[name]
        self._publish()

    def _publish(self) -> None:
        self.kube.set_service("wso2", "is", list(self._pods.values()), ports={"hazelcast": self.members.port})

    def at(self, *names: str) -> list[str]:
        return sorted(self.members.endpoint(name) for name in names)

    def start(self, *names: str, knows: str = "", rest: bool = True) -> None:
        """Members that know those in `knows`, else each other."""
        for name in names:
            self.members.start(name, self.at(*(knows or names)), rest=rest)

    def wait_state(self, name: str, state: State) -> None:
        target = Target(self.members.host(name), self.members.port)
        until(lambda: ask_rest(target, Interrupt()).state == state, START, f"{name} {state}")

    def sidecar(self, *flags: str) -> Sidecar:
        return Sidecar(self.kube, "--port", str(self.members.port), "--verify", "all", *flags)

    def command(self, *flags: str) -> Command:
        given = ("--services", "wso2/is", "--server", self.kube.url, "--port", str(self.members.port), *flags)
        return Command("verify", *given)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with FakeKube() as kube, Members(tmp_path / "members", request.param) as members:
        yield Scene(kube, members)


def comes(sidecar: Sidecar, verdict: str, timeout: float, reason: str = "") -> dict[str, Any]:
    """Wait for a verdict, whose reason has these words."""
    seen: list[Any] = []

    def look() -> Any:
        seen[:] = [sidecar.get("/verify").json]
        return seen[0] if seen[0]["verdict"] == verdict and reason in seen[0]["reason"] else None

    try:
        found: dict[str, Any] = until(look, timeout, f"verdict {verdict}")
    except AssertionError as error:
        raise AssertionError(f"{error}; last seen {seen}; the log:\n{sidecar.log}") from None
    return found


@pytest.mark.parametrize("scene", ["3.12.2", "5.3.6"], indirect=True)
def test_the_life_of_a_cluster(scene: Scene) -> None:
    with scene.sidecar() as sidecar:
        for name in "ab":
            scene.pod(name, ready=False)
        scene.start("a", "b", "c")
        scene.wait_state("a", "joining")
        scene.pod("c", ready=False)  # a change of the list: they are asked at once, while they are joining
        comes(sidecar, "forming", PROMISE, "joining")
        answer = comes(sidecar, "agreed", START)
        assert [sorted(view["members"]) for view in answer["views"]] == [scene.at("a", "b", "c")] * 3
        assert not sidecar.count("verify: (split|missing|unexpected)"), "while it formed nothing looked like a fault"
        for name in "abc":
            scene.pod(name)
        with scene.command() as command:
            assert command.result() == 0, command.log

        # A member that knows only itself: a cluster of its own, which the others never hear of.
        scene.pod("d", ready=False)
        scene.start("d")
        scene.wait_state("d", "ready")
        began = time.monotonic()
        answer = comes(sidecar, "split", PROMISE)
        print(f"split told after {time.monotonic() - began:.1f} s")
        assert [sorted(half) for half in answer["halves"]] == [scene.at("a", "b", "c"), scene.at("d")]
        for endpoint in scene.at("a", "b", "c", "d"):
            assert endpoint in sidecar.wait_log("verify: split")
        with scene.command() as command:
            assert command.result() == 5 and command.out[0].startswith("split: ")
        scene.members.kill("d")
        scene.gone("d")
        comes(sidecar, "agreed", PROMISE)

        # A node that is lost: the pod goes, and Hazelcast keeps the member until the heartbeat time is over.
        scene.members.freeze("c")
        scene.gone("c")
        began = time.monotonic()
        answer = comes(sidecar, "unexpected", PROMISE)
        print(f"unexpected told after {time.monotonic() - began:.1f} s")
        assert [entry["address"] for entry in answer["unexpected"]] == scene.at("c")
        scene.members.kill("c")
        comes(sidecar, "agreed", PROMISE)


@pytest.mark.parametrize("scene", ["4.2.6"], indirect=True)
def test_rest_off_is_told_as_that_asked_twice_and_the_client_knows_more(scene: Scene) -> None:
    for name in "ab":
        scene.pod(name)
    with scene.sidecar("--verify-interval", "1s") as sidecar:
        scene.start("a", "b", rest=False)
        until(lambda: all("Members {size:2" in scene.members.log(name) for name in "ab"), START, "a cluster")
        answer = comes(sidecar, "unknown", PROMISE, "REST off")
        assert [entry["address"] for entry in answer["unknown"]] == scene.at("a", "b")
        time.sleep(3)  # three more rounds
        assert [scene.members.log(name).count("REST API is not enabled.") for name in "ab"] == [2, 2]
    with scene.command("--cluster-name", CLUSTER, "--timeout", "20s") as command:
        assert command.result(40) == 0, command.output
        assert "Hazelcast 4.2.6" in command.output


@pytest.mark.parametrize("scene", ["3.12.2", "4.2.6", "5.3.6"], indirect=True)
def test_whether_a_name_is_the_clusters(scene: Scene) -> None:
    scene.pod("a")
    scene.start("a")
    scene.wait_state("a", "ready")
    target = Target(scene.members.host("a"), scene.members.port)
    names = (CLUSTER, "wso2.other.domain", f"{CLUSTER}%2B", "")
    assert [ask_name(target, name, Interrupt()) for name in names] == [True, False, False, False]
    assert ask_rest(target, Interrupt()).state == "ready", "nothing was changed"
