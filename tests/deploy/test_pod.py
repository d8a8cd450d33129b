"""Pods of the examples, played on a real control plane: with the Role, the token and the Service of the manifests.

No WSO2 server runs here, only its entrypoint's copy; real Carbon servers on such files: tests/e2e.
"""

import contextlib
import itertools
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from membership.wso2.profiles import find_profile
from testbed import cluster
from testbed.plane import ControlPlane
from testbed.pods import Network
from testbed.waiting import wait_for
from tests.deploy.played import PlayedPod
from tests.manifests import EXAMPLES, Json, build, choose_variant, copy_components, find_server, find_settings

APPLIED = {"ServiceAccount": "api/v1", "Service": "api/v1"}
RBAC = {"Role": "roles", "RoleBinding": "rolebindings"}
World = tuple[ControlPlane, Network]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[World]:
    with Network.claim() as network, ControlPlane.start(folder / "plane", bind=network.node) as plane:
        yield plane, network


class Stage:
    """An example in a namespace of its own, applied as far as a sidecar needs it."""

    def __init__(self, world: World, image: Path, folder: Path, example: str, variant: str) -> None:
        self._plane, self._network = world
        self._image = image
        self._exit = contextlib.ExitStack()
        components = copy_components(folder)
        choose_variant(components, variant)
        self._namespace = namespace = f"{example.replace('.', '-')}-{variant}-{next(_numbers)}"
        self.objects = build(components / "examples" / example, namespace)
        self.server = find_server(self.objects)
        self.settings = find_settings(self.objects)["data"]
        cluster.create_namespace(self._plane, namespace)
        for each in self.objects:
            self._apply(namespace, each)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _apply(self, namespace: str, each: Json) -> None:
        kind = each["kind"]
        if kind in APPLIED:
            self._plane.request("POST", f"/{APPLIED[kind]}/namespaces/{namespace}/{kind.lower()}s", each)
        elif kind in RBAC:
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{RBAC[kind]}"
            self._plane.request("POST", path, each)

    def add(self, number: int) -> PlayedPod:
        name = f"{self._namespace}-{number}"
        pod = PlayedPod(self._plane, self._network, self._image, self.objects, self.server, name)
        self._exit.callback(pod.close)
        return pod

    def find_container(self) -> Json:
        """The server's."""
        containers: list[Json] = self.server["spec"]["template"]["spec"]["containers"]
        return next(each for each in containers if each["name"] != "membership")

    def read_members(self, pod: PlayedPod) -> tuple[str, list[str]]:
        """The local host and the members in the file that the server would read."""
        profile = find_profile(self.settings["MEMBERSHIP_PRODUCT"])
        file = pod.home / str(profile.path(profile.format))
        if profile.format == "deployment-toml":
            clustering = tomllib.loads(file.read_text())["clustering"]
            return clustering["local_member_host"], clustering["members"]
        root = ElementTree.parse(file).getroot()
        members = [f"{each.findtext('hostName')}:{each.findtext('port')}" for each in root.iter("member")]
        [host] = [each.text for each in root.iter("parameter") if each.get("name") == "localMemberHost"]
        return str(host), members


@pytest.fixture
def make_stage(world: World, image: Path, tmp_path: Path) -> Iterator[Callable[[str, str], Stage]]:
    with contextlib.ExitStack() as stack:
        yield lambda example, variant: stack.enter_context(Stage(world, image, tmp_path, example, variant))


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
