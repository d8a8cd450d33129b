"""Real Carbon servers with examples/carbon-membership-scheme: one jar for every line."""

import time

import pytest

from testbed.carbon import START_LIMIT, VERSIONS
from testbed.waiting import wait_for
from tests.e2e.pods import MERGE, CarbonPod, make_pod
from tests.e2e.world import LIMIT, Stage, assert_sizes_stay, wait_log, wait_sizes

HEAL_LIMIT = MERGE + 15


def make_carbon_pod(stage: Stage, version: str, name: str, *, gate_timeout: str = "150s") -> CarbonPod:
    pod = make_pod(stage, f"carbon-{version}", name, gate_timeout=gate_timeout)
    assert isinstance(pod, CarbonPod)
    return pod


@pytest.mark.parametrize("version", VERSIONS)
def test_forms_one_cluster(stage: Stage, version: str, figures: dict[str, float]) -> None:
    """The second pod is late; the first server waits for it inside init(). Then one is killed, and leaves the list."""
    pods = [make_carbon_pod(stage, version, "is-0")]
    pods[0].start_sidecar("--expect", "2")
    pods[0].start()  # as without a native sidecar: nothing but the scheme holds it back
    wait_log(pods[0], "Waiting for the formation gate", START_LIMIT)
    assert not pods[0].server.is_ready() and pods[0].cluster_size() == 0

    pods.append(make_carbon_pod(stage, version, "is-1"))
    pods[1].start_sidecar("--expect", "2")
    figures["gate"] = pods[1].run()
    figures["one cluster"] = wait_sizes(pods, 2, START_LIMIT)
    both = [pod.endpoint for pod in pods]
    assert [pod.listed() for pod in pods] == [both, both]
    for pod in pods:
        pod.wait_ready()

    # A new process, whose generations begin anew: what it says counts at once.
    pods[0].member.end_sidecar()
    wait_log(pods[0], "The list stays as it is", LIMIT)
    pods[0].start_sidecar("--expect", "2")
    wait_log(pods[0], "The sidecar answers again", LIMIT)
    assert pods[0].listed() == both

    pods[1].kill()  # the node answers for it with a reset
    figures["a killed member is dropped"] = wait_sizes(pods[:1], 1, LIMIT)
    began = time.monotonic()
    stage.gone(pods[1].member)
    stage.wait_endpoints(lambda addresses: addresses == [pods[0].member.address])
    wait_for(lambda: pods[0].listed() == [pods[0].endpoint], timeout=LIMIT, what="the removal", every=0.005)
    figures["a deleted pod leaves the list"] = time.monotonic() - began
    figures["stop"] = pods[0].server.stop()


@pytest.mark.parametrize("version", [pytest.param("4.7.1", marks=pytest.mark.quick), "4.5.1"])
def test_heals_a_forced_split(stage: Stage, version: str, figures: dict[str, float]) -> None:
    """Each starts with a list of itself alone; the lists become right, and nothing else is done."""
    first = make_carbon_pod(stage, version, "is-0")
    first.start_sidecar("--expect", "1")
    figures["gate"] = first.run()
    figures["start"] = first.server.wait_ready()
    assert first.cluster_size() == 1
    stage.hide(first.member)

    second = make_carbon_pod(stage, version, "is-1")
    second.start_sidecar("--expect", "1")
    second.run()
    second.server.wait_ready()
    pods = [first, second]
    assert [pod.listed() for pod in pods] == [[first.endpoint], [second.endpoint]]
    assert_sizes_stay(pods, 1, MERGE + 2)

    stage.show(first.member)
    stage.wait_listed([first.member, second.member])
    figures["healed after the lists were right"] = wait_sizes(pods, 2, HEAL_LIMIT)
    both = [first.endpoint, second.endpoint]
    assert [pod.listed() for pod in pods] == [both, both]


@pytest.mark.parametrize("version", VERSIONS)
def test_does_not_start_alone(stage: Stage, version: str) -> None:
    """With sidecarOnTimeout = "fail" there is no cluster of one; only a probe sees it, for the JVM lives on."""
    pod = make_carbon_pod(stage, version, "is-0", gate_timeout="3s")
    pod.start_sidecar("--expect", "2")
    pod.start()
    wait_log(pod, "The formation gate did not open within 3000 ms", START_LIMIT)
    wait_log(pod, "Cannot initialize cluster", LIMIT)
    assert pod.server.running and not pod.server.is_ready() and pod.cluster_size() == 0
