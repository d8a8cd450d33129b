"""An example in a namespace of its own on a real control plane, and its pods."""

import contextlib
import itertools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from membership.wso2.profiles import find_profile
from testbed import cluster
from testbed.plane import ControlPlane
from testbed.pods import Network
from tests.deploy.played import PlayedPod
from tests.manifests import Json, find_server, find_settings

APPLIED = {"ServiceAccount": "api/v1", "Service": "api/v1"}
RBAC = {"Role": "roles", "RoleBinding": "rolebindings"}
World = tuple[ControlPlane, Network]
_numbers = itertools.count(1)


def name_namespace(example: str) -> str:
    """One that nobody had."""
    return f"{example.replace('.', '-')}-{next(_numbers)}"


class Stage:
    """The objects of an example, applied as far as a sidecar needs them."""

    def __init__(
        self, world: World, image: Path, objects: list[Json], claims: Mapping[str, Path] | None = None
    ) -> None:
        """`objects` name a namespace that is not there yet. `claims`: see PlayedPod."""
        self._plane, self._network = world
        self._image = image
        self._claims = claims or {}
        self._exit = contextlib.ExitStack()
        self.objects = objects
        self.server = find_server(self.objects)
        self.settings = find_settings(self.objects)["data"]
        self._namespace = namespace = str(self.server["metadata"]["namespace"])
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
        pod = PlayedPod(self._plane, self._network, self._image, self.objects, self.server, name, self._claims)
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
