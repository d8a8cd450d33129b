"""Starts and restarts without the API server, or without the right to ask it."""

import re
import time

import pytest

from testbed import cluster
from testbed.carbon import START_LIMIT, read_sizes
from testbed.waiting import wait_for
from tests.e2e.pods import ServerPod, make_pod
from tests.e2e.test_rollout import wait_all_ready
from tests.e2e.world import LIMIT, RULES, Stage, wait_sizes

BACK_LIMIT = 40.0
"""Seconds to a gate once the API server is back after ten: pauses between tries have grown, to 30 s at most."""
HELD = 5.0
"""Seconds for which a gate is watched that must stay shut."""
AGAIN_LIMIT = 65.0
"""Seconds until a refusal is asked again: 30 to 60."""


def assert_held(pods: list[ServerPod]) -> None:
    deadline = time.monotonic() + HELD
    while time.monotonic() < deadline:
        assert [pod.member.get("/startupz")[0] for pod in pods] == [503] * len(pods)
        time.sleep(0.2)


def wait_joined(pod: ServerPod, others: list[ServerPod], before: int) -> float:
    """Return when a restarted server is in the cluster again; `before` is how many sizes its log told until then."""
    began = time.monotonic()
    size = len(others) + 1
    wait_for(
        lambda: read_sizes(pod.log())[before:][-1:] == [size],
        timeout=START_LIMIT,
        what=f"{pod.name} back in the cluster",
        every=0.1,
    )
    wait_sizes(others, size, LIMIT)
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ("carbon-4.7.1", "carbon-4.5.1"))
def test_starts_and_restarts_without_an_api_server(stage: Stage, kind: str, figures: dict[str, float]) -> None:
    """Nobody starts before there is a list. Once there is one, nothing needs the API server: not the running cluster,
    not a container that restarts, and with --state not a pod whose sidecar begins anew either."""
    plane = stage.world.plane
    pods = [make_pod(stage, kind, f"is-{number}") for number in range(2)]
    stage.wait_endpoints(lambda addresses: len(addresses) == 2)
    plane.kill("kube-apiserver")
    try:
        for pod in pods:
            pod.start_sidecar("--expect", "2", "--state", str(pod.member.folder / "state.json"))
            assert pod.member.wait_answer("/startupz") == 503
        assert_held(pods)
        assert b"not every Service was listed yet" in pods[0].member.get("/readyz?verbose")[1]
    finally:
        plane.start_component("kube-apiserver")
        plane.wait_ready()
    began = time.monotonic()
    for pod in pods:
        pod.run(BACK_LIMIT)
    figures["gates after the API server was back"] = time.monotonic() - began
    figures["one cluster"] = wait_sizes(pods, 2, START_LIMIT)
    wait_all_ready(pods)

    stays, restarts = pods
    plane.kill("kube-apiserver")
    try:
        lines = len(stays.log())
        before = len(read_sizes(restarts.log()))
        restarts.kill()
        wait_sizes([stays], 1, LIMIT)
        figures["gate of a restarted container"] = restarts.run()
        figures["it is back after"] = wait_joined(restarts, [stays], before)

        before = len(read_sizes(restarts.log()))
        restarts.kill()
        restarts.member.end_sidecar()
        wait_sizes([stays], 1, LIMIT)
        restarts.start_sidecar("--expect", "2", "--state", str(restarts.member.folder / "state.json"), *SOON)
        figures["gate by the state file"] = restarts.run()
        figures["its server is back after"] = wait_joined(restarts, [stays], before)
        assert stays.member.listed() == [pod.member.address for pod in pods]
        assert set(read_sizes(stays.log()[lines:])) == {1, 2}
    finally:
        plane.start_component("kube-apiserver")
        plane.wait_ready()
    stage.wait_listed([pod.member for pod in pods])
    for pod in pods:
        wait_for(
            lambda: pod.member.get("/readyz")[0] == 200, timeout=LIMIT, what=f"a fresh list of {pod.name}", every=0.1
        )
    wait_sizes(pods, 2, 5)
    plane.restart("kube-controller-manager")  # its backoff would be the next test's


SOON = ("--gate-timeout", "5s")
"""A kept list counts when the gate's time is up, so this is when a pod starts that has nothing else."""


@pytest.mark.parametrize("on_timeout", ("start", "fail"))
def test_without_rights(stage: Stage, on_timeout: str, figures: dict[str, float]) -> None:
    """Refused is not empty: the gate stays shut, whatever is to happen when its time is up, and the server is never
    started; /readyz and the log say what is missing. Granted, it starts."""
    cluster.revoke(stage.world.plane, stage.namespace, stage.account)
    pod = make_pod(stage, "hazelcast-5.3.6", "is-0")
    pod.start_sidecar("--on-timeout", on_timeout, "--gate-timeout", "4s")
    assert pod.member.wait_answer("/startupz") == 503
    assert_held([pod])
    shut = pod.member.get("/startupz?verbose")[1].decode()
    assert "time is up after 4 s" in shut
    status, body = pod.member.get("/readyz?verbose")
    assert status == 503 and re.search(r"403|[Ff]orbidden", body.decode()), body.decode()
    log = pod.member.sidecar.log_file.read_text()
    assert re.search(r"endpointslices.*forbidden|403", log), log
    assert pod.log() == "" and pod.member.get("/members")[0] == 503

    cluster.grant(stage.world.plane, stage.namespace, stage.account, RULES)
    if on_timeout == "start":
        figures["gate after the right was granted"] = pod.run(AGAIN_LIMIT)
        wait_sizes([pod], 1, START_LIMIT)
    else:
        figures["gate after the right was granted"] = pod.member.wait_gate(AGAIN_LIMIT)
