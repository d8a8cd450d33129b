"""From Carbon's built-in `kubernetes` scheme to a list of ours, pod by pod, without an outage."""

import tomllib

import pytest

from testbed.carbon import START_LIMIT, read_sizes
from tests.e2e.pods import CarbonPod, ServerPod, make_pod
from tests.e2e.test_rollout import retire
from tests.e2e.world import LIMIT, Stage, wait_sizes
from tests.running import until


@pytest.mark.parametrize("kind", ("carbon-4.7.1", "carbon-4.7.1-files"))
def test_from_the_built_in_scheme(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """Both kinds are members of one cluster, and at no time of fewer than two, once there were two."""
    old: list[ServerPod] = []
    for number in range(2):
        old.append(make_pod(stage, "carbon-4.7.1-kubernetes", f"old-{number}"))
        old[-1].start()  # no sidecar, and so no gate: at once they may split
        old[-1].wait_ready()
    wait_sizes(old, 2, START_LIMIT)
    assert all("Initializing kubernetes membership scheme" in pod.log() for pod in old)

    new: list[ServerPod] = []
    smallest = 2
    for number, leaving in enumerate(old):
        staying = [*old[number + 1 :], *new]
        new.append(make_pod(stage, kind, f"new-{number}"))
        new[-1].start_sidecar("--expect", "2")
        figures[f"gate {number}"] = new[-1].run()
        new[-1].wait_ready()
        figures[f"both kinds in one cluster {number}"] = wait_sizes([leaving, *staying, new[-1]], 3, LIMIT)
        told = {pod.name: len(read_sizes(pod.log())) for pod in (*staying, new[-1])}
        retire(stage, leaving)
        staying.append(new[-1])
        wait_sizes(staying, 2, LIMIT)
        smallest = min(smallest, *(size for pod in staying for size in read_sizes(pod.log())[told[pod.name] - 1 :]))
    assert smallest >= 2
    stage.wait_listed([pod.member for pod in new])
    for pod in new:
        until(lambda: read_list(pod) == [each.endpoint for each in new], LIMIT, f"{pod.name}'s list")


def read_list(pod: ServerPod) -> list[str]:
    """What the scheme has set, or what the file has for the next start."""
    assert isinstance(pod, CarbonPod)
    path = pod.volume / "repository/conf/deployment.toml"
    clustering = tomllib.loads(path.read_text())["clustering"]
    return list(clustering["members"]) if clustering["membership_scheme"] == "wka" else pod.listed()
