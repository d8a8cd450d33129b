"""Pods of the examples, played on a real control plane: with the Role, the token and the Service of the manifests.

No WSO2 server runs here, only its entrypoint's copy; one with a real Carbon server: test_server.py.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from membership.wso2.profiles import find_profile
from testbed.waiting import wait_for
from tests.deploy.stage import Stage, World, name_namespace
from tests.manifests import EXAMPLES, build, choose_variant, copy_components


@pytest.fixture
def make_stage(world: World, image: Path, tmp_path: Path) -> Iterator[Callable[[str, str], Stage]]:
    with contextlib.ExitStack() as stack:

        def make(example: str, variant: str) -> Stage:
            components = copy_components(tmp_path)
            choose_variant(components, variant)
            objects = build(components / "examples" / example, name_namespace(f"{example}-{variant}"))
            return stack.enter_context(Stage(world, image, objects))

        yield make


@pytest.mark.parametrize(
    ("example", "variant"), [*((example, "sidecar") for example in EXAMPLES), ("is-7", "init"), ("ei-6.6", "init")]
)
def test_the_server_starts_when_its_list_is_right(
    make_stage: Callable[[str, str], Stage], example: str, variant: str
) -> None:
    stage = make_stage(example, variant)
    port = find_profile(stage.settings["MEMBERSHIP_PRODUCT"]).port
    expected = int(stage.settings["MEMBERSHIP_EXPECT"])
    pods = [stage.add(0)]
    pods[0].start_init()
    if expected > 1:
        if variant == "sidecar":
            wait_for(lambda: pods[0].ask("/readyz") == 200, timeout=30, what=f"a list; {pods[0].log}", every=0.05)
            assert pods[0].ask("/startupz") == 503, "one of two: the server is held back"
        else:
            wait_for(lambda: "waiting: " in pods[0].log, timeout=30, what="the gate's word", every=0.05)
        assert not list(pods[0].home.iterdir())
        pods.append(stage.add(1))
        pods[1].start_init()
    for pod in pods:
        pod.finish_init()
        copied = pod.run_entrypoint()
        assert copied.returncode == 0, copied.stderr
        spec = stage.server["spec"]["template"]["spec"]
        assert pod.events[: len(spec["initContainers"])] == [each["name"] for each in spec["initContainers"]]
        assert pod.events[-1] == stage.find_container()["name"]
    wanted = [f"{pod.address}:{port}" for pod in pods]
    for pod in pods:
        assert stage.read_members(pod) == (pod.address, wanted)
        assert pod.run_in_server("test ! -e /var/run/secrets").returncode == 0, "no token for the server"


def test_a_restarted_container_copies_the_newer_list(make_stage: Callable[[str, str], Stage]) -> None:
    stage = make_stage("is-5.11", "sidecar")
    first = stage.add(0)
    first.start_init()
    first.finish_init()
    assert first.run_entrypoint().returncode == 0
    assert stage.read_members(first)[1] == [f"{first.address}:4000"]
    second = stage.add(1)

    def copy() -> bool:
        done = first.run_entrypoint()
        assert done.returncode == 0, done.stderr
        return stage.read_members(first)[1] == [f"{pod.address}:4000" for pod in (first, second)]

    wait_for(copy, timeout=20, what=f"both in the copy; {first.log}", every=0.1)
    assert (first.home / "repository/components/dropins/notes.txt").exists(), "the chart's own mount inside ours"
