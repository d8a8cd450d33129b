"""Members that are lost while their cluster runs: a node that is gone, and a network that is cut in two and mended."""

import json
import time
from typing import Any

import pytest

from testbed.carbon import START_LIMIT
from testbed.waiting import wait_for
from tests.e2e.pods import DOMAIN, MERGE, ServerPod, make_pod
from tests.e2e.test_rollout import start_all, wait_all_ready
from tests.e2e.world import LIMIT, Member, Stage, assert_sizes_stay, wait_sizes

HEAL_LIMIT = MERGE + 15
HEARTBEAT = 15.0
"""Seconds; Hazelcast's default is 60, Carbon's 600."""
SHORT_HEARTBEAT = 10.0
TOLD_LIMIT = 10.0
"""Seconds within which a difference is told where members answer by REST."""
CLIENT_LIMIT = 75.0
"""The same by Hazelcast's client, which is asked every 30 s: two rounds must agree."""


def heartbeat(seconds: float) -> dict[str, str]:
    return {"hazelcast.max.no.heartbeat.seconds": f"{seconds:g}", "hazelcast.heartbeat.interval.seconds": "1"}


def read_verdict(member: Member) -> dict[str, Any]:
    status, body = member.get("/verify")
    found: dict[str, Any] = json.loads(body) if status == 200 else {"verdict": "none"}
    return found


def wait_verdict(pods: list[ServerPod], verdict: str, timeout: float) -> float:
    """Return when the sidecar of each says so, with the seconds that took."""
    began = time.monotonic()
    for pod in pods:

        def look() -> bool:
            return bool(read_verdict(pod.member)["verdict"] == verdict)

        try:
            wait_for(look, timeout=max(0.0, began + timeout - time.monotonic()), every=0.1)
        except TimeoutError:
            raise AssertionError(f"not {verdict} within {timeout:g} s: {read_verdict(pod.member)}") from None
    return time.monotonic() - began


@pytest.mark.parametrize(
    "kind",
    (
        pytest.param("hazelcast-5.3.6", marks=pytest.mark.quick),
        "hazelcast-3.12.2",
        "carbon-4.5.1",
        "carbon-4.7.1",
    ),
)
def test_lost_node(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """Unplugged, then killed: nobody is told. The list drops the pod with Kubernetes, /verify tells that Hazelcast
    still has it, and Hazelcast drops it when its heartbeat time is over. Carbon 4.7 has no REST: the client asks."""
    has_rest = kind != "carbon-4.7.1"
    pods = [make_pod(stage, kind, f"is-{number}", settings=heartbeat(HEARTBEAT), rest=has_rest) for number in range(3)]
    stage.wait_endpoints(lambda addresses: len(addresses) == 3)
    flags = ["--expect", "3", "--verify", "local"]
    if not has_rest:
        flags += ["--cluster-name", DOMAIN, "--hazelcast-version", "4.2"]
    start_all(pods, *flags)
    wait_sizes(pods, 3, START_LIMIT)
    wait_all_ready(pods)
    limit = TOLD_LIMIT if has_rest else CLIENT_LIMIT
    wait_verdict(pods, "agreed", max(limit, LIMIT))

    lost, left = pods[2], pods[:2]
    lost.member.pod.link(False)
    lost.kill()
    lost.member.end_sidecar()
    began = time.monotonic()
    stage.gone(lost.member)
    stage.wait_listed([pod.member for pod in left])
    figures["out of the list"] = time.monotonic() - began
    if has_rest:
        figures["told by /verify"] = wait_verdict(left, "unexpected", limit)
        found = read_verdict(left[0].member)
        assert [each["address"] for each in found["unexpected"]] == [lost.endpoint]
        assert [pod.cluster_size() for pod in left] == [3, 3], "Hazelcast knows nothing of it yet"
    wait_sizes(left, 2, HEARTBEAT + 30)
    figures["dropped by Hazelcast"] = time.monotonic() - began
    figures["agreed again"] = wait_verdict(left, "agreed", limit)


@pytest.mark.parametrize(
    "kind, count", [("hazelcast-5.3.6", 4), ("hazelcast-3.12.2", 4), ("carbon-4.7.1", 2), ("carbon-4.5.1", 2)]
)
def test_cut_between_halves_and_back(stage: Stage, kind: str, count: int, figures: dict[str, float]) -> None:
    """Pods cannot reach each other, all reach the API server: the lists stay as they are, two clusters come of it, and
    one again at the next merge run after the network is back."""
    pods = [make_pod(stage, kind, f"is-{number}", settings=heartbeat(SHORT_HEARTBEAT)) for number in range(count)]
    stage.wait_endpoints(lambda addresses: len(addresses) == count)
    start_all(pods, "--expect", str(count))
    wait_sizes(pods, count, START_LIMIT)
    wait_all_ready(pods)

    halves = [[pod.member.pod for pod in half] for half in (pods[: count // 2], pods[count // 2 :])]
    stage.world.network.cut(*halves)
    figures["two clusters"] = wait_sizes(pods, count // 2, SHORT_HEARTBEAT + 60)
    assert_sizes_stay(pods, count // 2, MERGE + 2)
    stage.wait_listed([pod.member for pod in pods], timeout=5)
    stage.world.network.mend(*halves)
    figures["healed"] = wait_sizes(pods, count, HEAL_LIMIT)
    stage.wait_listed([pod.member for pod in pods], timeout=5)


@pytest.mark.parametrize("kind", ("hazelcast-5.3.6", "hazelcast-3.12.2", "carbon-4.5.1"))
def test_forced_split_is_told_and_heals(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """Each started with a list of itself alone. Once the lists are right, /verify names the halves, and Hazelcast
    merges at its next run."""
    pods: list[ServerPod] = []
    for number in range(2):
        pods.append(make_pod(stage, kind, f"is-{number}", rest=True))
        pods[-1].start_sidecar("--expect", "1", "--verify", "all")
        pods[-1].run()
        wait_sizes(pods[-1:], 1, START_LIMIT)
        if number == 0:
            stage.hide(pods[0].member)
    wait_all_ready(pods)

    stage.show(pods[0].member)
    stage.wait_listed([pod.member for pod in pods])
    began = time.monotonic()
    figures["told by /verify"] = wait_verdict(pods[1:], "split", TOLD_LIMIT)
    assert sorted(read_verdict(pods[1].member)["halves"]) == [[pod.endpoint] for pod in pods]
    wait_sizes(pods, 2, HEAL_LIMIT)
    figures["healed"] = time.monotonic() - began
    figures["agreed again"] = wait_verdict(pods, "agreed", LIMIT)
