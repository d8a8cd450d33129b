"""What a Deployment and a StatefulSet do to a cluster: all at once, one by one, up and down, and a rolling update.

MEMBERSHIP_E2E_STARTS says which of the parallel starts: 5 for the first five (1), 2-4 for three of them.
"""

import os
import time

import pytest

from testbed.carbon import START_LIMIT, read_sizes
from tests.e2e.pods import CarbonPod, ServerPod, make_pod
from tests.e2e.test_starts import read_rounds
from tests.e2e.world import LIMIT, Stage, wait_sizes

MAKES = ("carbon-4.7.1", "carbon-4.5.1", "hazelcast-5.3.6")
FILES = ("carbon-4.7.1-files", "carbon-4.5.1-files")
"""No jar in the server: its only list is in the file that the sidecar wrote before the entrypoint copied it."""


def start_all(pods: list[ServerPod], *flags: str) -> float:
    """All sidecars at once, and each server when its own gate opens; the longest time from a sidecar to its gate."""
    began = []
    for pod in pods:
        began.append(time.monotonic())
        pod.start_sidecar(*flags)
    gates = []
    for pod, started in zip(pods, began, strict=True):
        pod.run()
        gates.append(time.monotonic() - started)
    return max(gates)


def wait_all_ready(pods: list[ServerPod]) -> None:
    for pod in pods:
        pod.wait_ready()


@pytest.mark.parametrize("round_", read_rounds(os.environ.get("MEMBERSHIP_E2E_STARTS", "1")))
@pytest.mark.parametrize("kind", (*MAKES[:2], FILES[0], pytest.param(FILES[1], marks=pytest.mark.quick)))
def test_three_at_once(stage: Stage, kind: str, round_: int, figures: dict[str, float]) -> None:
    """As a Deployment of three is created: each server starts when its own gate opens, and one cluster forms."""
    pods = [make_pod(stage, kind, f"is-{number}") for number in range(3)]
    stage.wait_endpoints(lambda addresses: len(addresses) == 3)
    figures["gate"] = start_all(pods, "--expect", "3")
    figures["one cluster"] = wait_sizes(pods, 3, START_LIMIT)
    everyone = [pod.endpoint for pod in pods]
    for pod in pods:
        if kind in MAKES and isinstance(pod, CarbonPod):
            assert pod.listed() == everyone
        else:
            assert isinstance(pod, CarbonPod)
            copied = (pod.server.home / "repository/conf/deployment.toml").read_text()
            assert all(f'"{endpoint}"' in copied for endpoint in everyone), copied


@pytest.mark.parametrize("kind", (*MAKES, *FILES))
def test_one_by_one(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """A StatefulSet with OrderedReady and no --expect: pod 0 must not wait for pod 1, which comes once 0 is ready."""
    pods: list[ServerPod] = []
    for number in range(3):
        pods.append(make_pod(stage, kind, f"is-{number}"))
        pods[-1].start_sidecar()
        figures[f"gate {number}"] = pods[-1].run()
        pods[-1].wait_ready()
        wait_sizes(pods, number + 1, START_LIMIT)
    stage.wait_listed([pod.member for pod in pods])


@pytest.mark.parametrize("kind", MAKES[:2])
def test_scales_up_and_down(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """1, 3 and 1 again: the two newcomers start at once, and join whoever serves; those who go leave list and cluster.

    Plain Hazelcast does the same in test_discovery.py.
    """
    pods = [make_pod(stage, kind, "is-0")]
    pods[0].start_sidecar()
    pods[0].run()
    pods[0].wait_ready()
    assert pods[0].cluster_size() == 1

    pods += [make_pod(stage, kind, f"is-{number}") for number in (1, 2)]
    figures["gate of the newcomers"] = start_all(pods[1:])
    figures["three"] = wait_sizes(pods, 3, START_LIMIT)
    wait_all_ready(pods[1:])
    stage.wait_listed([pod.member for pod in pods])

    for number in (2, 1):
        retire(stage, pods[number])
        wait_sizes(pods[:number], number, LIMIT)
        stage.wait_listed([pod.member for pod in pods[:number]])
    first = pods[0]
    assert isinstance(first, CarbonPod) and first.listed() == [first.endpoint]


@pytest.mark.parametrize("kind", MAKES)
def test_rolling_update(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """Surge 1, unavailable 0: a new pod becomes ready, an old one goes, three times over. No member that serves ever
    sees fewer than n-1 members, and in the end there are the new ones alone."""
    old = [make_pod(stage, kind, f"old-{number}") for number in range(3)]
    stage.wait_endpoints(lambda addresses: len(addresses) == 3)
    start_all(old, "--expect", "3")
    wait_sizes(old, 3, START_LIMIT)
    wait_all_ready(old)

    new: list[ServerPod] = []
    smallest, gates = 3, list[float]()
    for number, leaving in enumerate(old):
        new.append(make_pod(stage, kind, f"new-{number}"))
        new[-1].start_sidecar("--expect", "3")
        gates.append(new[-1].run())
        serving = [*old[number:], *new[:-1]]
        new[-1].wait_ready()
        wait_sizes([*serving, new[-1]], 4, START_LIMIT)
        seen = {pod.name: len(read_sizes(pod.log())) for pod in (*serving, new[-1])}
        retire(stage, leaving)
        left = [*old[number + 1 :], *new]
        wait_sizes(left, 3, LIMIT)
        stage.wait_listed([pod.member for pod in sorted(left, key=lambda pod: pod.endpoint)])
        smallest = min(smallest, *(size for pod in left for size in read_sizes(pod.log())[seen[pod.name] - 1 :]))
    figures["longest gate of a new pod"] = max(gates)
    assert smallest >= 2


def retire(stage: Stage, pod: ServerPod) -> None:
    """As a pod is deleted: SIGTERM to the server while the pod is terminating, then the pod is gone."""
    stage.terminate(pod.member)
    pod.stop()
    pod.member.end_sidecar()
    stage.gone(pod.member)
