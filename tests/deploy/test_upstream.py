"""examples/upstream: its pod, and two of an Identity Server's that take the list from it, on a real control plane."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from membership.wso2.profiles import find_profile
from testbed.waiting import wait_for
from tests.deploy.played import PlayedPod
from tests.deploy.stage import Stage, World, name_namespace
from tests.manifests import ROOT, build, copy_components, find, find_settings

STALE_AFTER = "18s"
"""In place of 90 s: what waits for an upstream that is gone waits a fifth as long."""


@pytest.fixture
def stage(world: World, image: Path, tmp_path: Path) -> Iterator[Stage]:
    namespace = name_namespace("upstream")
    objects = build(copy_components(tmp_path) / "examples/is-7", namespace)
    objects += build(ROOT / "examples/upstream", namespace)
    with Stage(world, image, objects) as stage:
        yield stage


@pytest.fixture
def upstream(world: World, image: Path, stage: Stage) -> Iterator[PlayedPod]:
    """One of the two, running; the workload's sidecars are told where."""
    workload = find(stage.objects, "Deployment", "membership-upstream")
    settings = workload["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    find(stage.objects, "ConfigMap", settings)["data"]["MEMBERSHIP_STALE_AFTER"] = STALE_AFTER
    plane, network = world
    pod = PlayedPod(plane, network, image, stage.objects, workload, f"{workload['metadata']['namespace']}-up", {})
    url = f"http://{pod.address}:4080"
    find_settings(stage.objects)["data"] |= {"MEMBERSHIP_UPSTREAM": url, "MEMBERSHIP_STALE_AFTER": STALE_AFTER}
    try:
        pod.start("membership")
        probe = workload["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"]
        wait_for(lambda: pod.ask(probe) == 200, timeout=30, what=f"the upstream; {pod.log}", every=0.05)
        yield pod
    finally:
        pod.close()


def read_source(pod: PlayedPod) -> tuple[str, list[str]]:
    """Where a sidecar's list comes from, and its addresses."""
    _, body = pod.fetch("/members")
    found = json.loads(body or b"{}")
    return found.get("source", ""), [member["address"] for member in found.get("members", ())]


def test_servers_start_with_the_upstreams_list_and_go_on_without_it(stage: Stage, upstream: PlayedPod) -> None:
    pods = [stage.add(number) for number in range(2)]
    for pod in pods:
        pod.start_init()
    wanted, port = [pod.address for pod in pods], find_profile(stage.settings["MEMBERSHIP_PRODUCT"]).port
    for pod in pods:
        pod.finish_init()
        assert pod.run_entrypoint().returncode == 0
        assert stage.read_members(pod) == (pod.address, [f"{address}:{port}" for address in wanted])
        assert read_source(pod) == ("upstream", wanted)

    upstream.kill()
    wanted.append(stage.add(2).address)
    for pod in pods:
        wait_for(
            lambda: read_source(pod) == ("endpointslices", wanted), timeout=60, what=f"the server's list; {pod.log}"
        )
