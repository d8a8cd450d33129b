"""Plain Hazelcast members with examples/hazelcast-discovery: one jar for every version."""

from pathlib import Path

import pytest

from tests.e2e.hazelcast import START_LIMIT, HazelcastMember
from tests.e2e.world import Member, Stage, assert_sizes_stay, wait_log, wait_sizes

MERGE = 10.0
"""Seconds between two merge runs; Hazelcast's default is 120."""
HEAL_LIMIT = MERGE + 15
PROPERTIES = {
    "hazelcast.merge.first.run.delay.seconds": f"{MERGE:g}",
    "hazelcast.merge.next.run.delay.seconds": f"{MERGE:g}",
}
VERSIONS = ("3.12.2", "4.2.6", "5.3.6")


def prepare(stage: Stage, version: str, jar: Path, member: Member) -> HazelcastMember:
    """The member of this pod, not started; ended with the stage."""
    server = HazelcastMember(version, member, jar, PROPERTIES)
    stage.at_end(server.kill)
    return server


@pytest.mark.parametrize("version", VERSIONS)
def test_scales_up_and_down(stage: Stage, version: str, discovery_jar: Path, figures: dict[str, float]) -> None:
    """Two at once, where the second pod is late and the first must wait for it; a third; then one."""
    pods = [stage.add("is-0")]
    pods[0].start_sidecar("--expect", "2")
    servers = [prepare(stage, version, discovery_jar, pods[0])]
    # Without the probe of a native sidecar: the strategy itself waits for the gate.
    servers[0].start()
    wait_log(servers[0], "Waiting for the formation gate", START_LIMIT)
    assert servers[0].cluster_size() == 0

    pods.append(stage.add("is-1"))
    pods[1].start_sidecar("--expect", "2")
    figures["gate"] = pods[1].wait_gate()
    servers.append(prepare(stage, version, discovery_jar, pods[1]))
    servers[1].start()
    figures["two in one cluster"] = wait_sizes(servers, 2, START_LIMIT)
    for pod in pods:
        pod.ready()

    pods.append(stage.add("is-2"))
    pods[2].start_sidecar("--expect", "2")
    figures["gate of the third"] = pods[2].wait_gate()
    servers.append(prepare(stage, version, discovery_jar, pods[2]))
    servers[2].start()
    figures["three"] = wait_sizes(servers, 3, START_LIMIT)
    pods[2].ready()

    stage.terminate(pods[2])
    servers[2].stop()
    stage.gone(pods[2])
    wait_sizes(servers[:2], 2, START_LIMIT)
    servers[1].kill()  # the node answers for it with a reset
    stage.gone(pods[1])
    figures["a killed member is dropped"] = wait_sizes(servers[:1], 1, START_LIMIT)
    stage.wait_listed(pods[:1])


@pytest.mark.parametrize(
    "version",
    [pytest.param("3.12.2", marks=pytest.mark.quick), "4.2.6", pytest.param("5.3.6", marks=pytest.mark.quick)],
)
def test_heals_a_forced_split(stage: Stage, version: str, discovery_jar: Path, figures: dict[str, float]) -> None:
    """Each starts with a list of itself alone; the lists become right, and nothing else is done."""
    first = stage.add("is-0")
    first.start_sidecar("--expect", "1")
    first.wait_gate()
    servers = [prepare(stage, version, discovery_jar, first)]
    servers[0].start()
    wait_sizes(servers, 1, START_LIMIT)
    stage.hide(first)

    second = stage.add("is-1")
    second.start_sidecar("--expect", "1")
    second.wait_gate()
    servers.append(prepare(stage, version, discovery_jar, second))
    servers[1].start()
    wait_sizes(servers, 1, START_LIMIT)
    assert_sizes_stay(servers, 1, MERGE + 2)

    stage.show(first)
    stage.wait_listed([first, second])
    figures["healed after the lists were right"] = wait_sizes(servers, 2, HEAL_LIMIT)
