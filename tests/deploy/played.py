"""Plays a pod of a manifest: its volumes, its containers in order, probes, and the entrypoint of WSO2's images.

Scheduler, kubelet and runtime in one, and as literal as they are: what the spec does not mount is not there. Ours run
from the image's own files, read-only and as its uid. Of the server the entrypoint runs, which copies the volumes over
the home, and where a test asks for one, a real Carbon server in that home. The chart's other init containers, which
wait for databases, are noted and count as done.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from membership.wso2.volumes import IMAGES
from testbed.carbon import SCRIPT, CarbonServer
from testbed.container import OURS, Container
from testbed.kubelet import Kubelet
from testbed.plane import ControlPlane
from testbed.pods import Network, enter
from testbed.program import Program
from testbed.waiting import wait_for
from tests.entrypoint import copy_words
from tests.manifests import Json, find, find_settings, list_containers

ENTRYPOINT = "/opt/membership/bin/membership-sidecar"
WSO2 = "802:802"
HOME = "/home/wso2carbon/wso2-home"


class PlayedPod:
    """A pod of `workload`, scheduled: it has an address and volumes, and is in the API, not ready. Nothing runs."""

    def __init__(
        self,
        plane: ControlPlane,
        network: Network,
        image: Path,
        objects: list[Json],
        workload: Json,
        name: str,
        claims: Mapping[str, Path],
    ) -> None:
        """`claims`: the folder that stands for what is bound to each PersistentVolumeClaim, by its name."""
        self.name = name
        self._claims = claims
        self.events: list[str] = []
        """Containers in the order in which they started."""
        self._objects = objects
        self._namespace: str = workload["metadata"]["namespace"]
        template = workload["spec"]["template"]
        self._spec: Json = template["spec"]
        self._plane = plane
        self._image = image
        self._network = network
        self._pod = network.add(name)
        self.address = self._pod.address
        self._folder = image.parent / f"{self._namespace}-{name}"
        self._folder.mkdir(mode=0o755)
        self.home = self._folder / "home"
        self._make_open(self.home)
        self._programs: list[Program] = []
        self._servers: list[CarbonServer] = []
        self._memory: list[tempfile.TemporaryDirectory[str]] = []
        kubelet = Kubelet(plane)
        kubelet.run(self._namespace, name, self.address, template["metadata"]["labels"], template=self._spec)
        for volume in self._spec["volumes"]:
            self._fill(kubelet, volume, self._folder / "volumes" / volume["name"])

    # -- running ----------------------------------------------------------------------------------

    def start_init(self) -> None:
        """Start the first init container, and leave it to itself."""
        self._start(self._spec["initContainers"][0])

    def start(self, name: str) -> None:
        """Start the container `name`, an init container or not, and leave it to itself."""
        self._start(next(each for each in list_containers(self._spec) if each["name"] == name))

    def volume(self, name: str) -> Path:
        """The folder of a volume."""
        return self._folder / "volumes" / name

    def finish_init(self, timeout: float = 60.0) -> None:
        """Every init container in order: one that stays until its startup probe passes, ours to their end."""
        for number, container in enumerate(self._spec["initContainers"]):
            if number > 0 and container["name"].startswith("membership"):
                self._start(container)
            elif number > 0:
                self.events.append(container["name"])
                continue
            if container.get("restartPolicy") == "Always":
                probe = container["startupProbe"]["httpGet"]["path"]
                wait_for(lambda: self.ask(probe) == 200, timeout=timeout, what=f"the probe; {self.log}", every=0.05)
            else:
                ended = self._programs[-1]
                wait_for(lambda: ended.pid is None, timeout=timeout, what=f"the end; {self.log}", every=0.05)
        for container in self._spec["containers"]:
            if container["name"] == "membership":
                self._start(container)

    def run_entrypoint(self) -> subprocess.CompletedProcess[str]:
        """What the server's container does at each start before it starts the server."""
        product = find_settings(self._objects)["data"]["MEMBERSHIP_PRODUCT"]
        return self.run_in_server(copy_words(IMAGES[product], HOME))

    def run_in_server(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell's words with what the server's container has."""
        container = self._find_server()
        self.events.append(container["name"])
        inside = self._contain(container, WSO2, tools=True, more={HOME: self.home})
        command = enter(self._pod.namespace, inside.command(["/bin/sh", "-c", script]))
        environ = self._environ(container) | {"PATH": "/usr/bin:/bin"}
        return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60)

    def make_server(self, version: str) -> CarbonServer:
        """A real Carbon server in the server's container, its home as in an image: not copied to, and not started."""
        container = self._find_server()
        temporary = self._folder / "tmp"
        self._make_open(temporary)
        inside = self._contain(container, WSO2, tools=True, more={HOME: self.home, "/tmp": temporary})
        # Debian's Java has its configuration there.
        inside = replace(inside, mounts={**inside.mounts, "/etc": Path("/etc")})
        environ = [f"{name}={value}" for name, value in self._environ(container).items()]
        command = ["env", *environ, *inside.command(["/bin/sh", f"{HOME}/{SCRIPT}"])]
        server = CarbonServer(version, self._pod.namespace, self.address, self._folder, command=command)
        server.make_home(log_levels={"com-hazelcast": "INFO"})
        subprocess.run(["chown", "--recursive", WSO2, server.home], check=True)
        self._servers.append(server)
        return server

    def ask(self, path: str) -> int:
        """The status of our container's answer; 0 without one."""
        return self.fetch(path)[0]

    def fetch(self, path: str) -> tuple[int, bytes]:
        """Status and body of our container's answer; 0 and nothing without one."""
        connection = http.client.HTTPConnection(self.address, 4080, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            with connection.getresponse() as answer:
                return answer.status, answer.read()
        return 0, b""

    @property
    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log")))

    def kill(self) -> None:
        """End what runs, by pid, at once."""
        for server in self._servers:
            server.kill()
        for program in self._programs:
            program.kill()

    def close(self) -> None:
        """The same, and take volumes in memory and the address away."""
        self.kill()
        for folder in self._memory:
            folder.cleanup()
        self._network.remove(self._pod)

    # -- the kubelet's and the runtime's part -----------------------------------------------------

    def _find_server(self) -> Json:
        containers: list[Json] = self._spec["containers"]
        [container] = [each for each in containers if _copies(each)]
        return container

    def _start(self, container: Json) -> None:
        self.events.append(container["name"])
        arguments = [*(container.get("command") or [ENTRYPOINT]), *container.get("args", ())]
        inside = self._contain(container, OURS)
        command = enter(self._pod.namespace, inside.command(arguments))
        log = self._folder / f"{len(self.events)}-{container['name']}.log"
        program = Program(container["name"], command, log, {"PATH": os.environ["PATH"], **self._environ(container)})
        self._programs.append(program)
        program.start()

    def _contain(
        self, container: Json, user: str, *, tools: bool = False, more: dict[str, Path] | None = None
    ) -> Container:
        mounts, writable = ({} if tools else {"/opt": self._image / "opt"}), dict(more or {})
        for mount in container["volumeMounts"]:
            source = self._folder / "volumes" / mount["name"] / mount.get("subPath", "")
            if not source.exists():
                self._make_open(source)  # a subPath: with the mode of the volume
            emptied = "emptyDir" in next(each for each in self._spec["volumes"] if each["name"] == mount["name"])
            chosen = writable if emptied and not mount.get("readOnly") else mounts
            chosen[mount["mountPath"]] = source
        root = self._folder / f"root-{len(self.events)}"
        return Container(root, mounts, writable, user, tools)

    def _environ(self, container: Json) -> dict[str, str]:
        url = urlsplit(self._plane.url)
        found = {"KUBERNETES_SERVICE_HOST": str(url.hostname), "KUBERNETES_SERVICE_PORT": str(url.port)}
        for source in container.get("envFrom", ()):
            found |= find(self._objects, "ConfigMap", source["configMapRef"]["name"])["data"]
        for each in container.get("env", ()):
            if "valueFrom" in each:
                assert each["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
            found[each["name"]] = each.get("value", self.address)
        return found

    def _fill(self, kubelet: Kubelet, volume: Json, folder: Path) -> None:
        if "emptyDir" in volume and volume["emptyDir"].get("medium") == "Memory":
            memory = tempfile.TemporaryDirectory(prefix="emptydir-", dir="/dev/shm")
            self._memory.append(memory)
            Path(memory.name).chmod(0o777)
            folder.parent.mkdir(exist_ok=True)
            folder.symlink_to(memory.name)
        elif "emptyDir" in volume:
            self._make_open(folder)
        elif "configMap" in volume:
            data = folder / "..2026_11_21"
            data.mkdir(parents=True)
            (folder / "..data").symlink_to(data.name)
            for key, content in _read_config_map(find(self._objects, "ConfigMap", volume["configMap"]["name"])):
                (data / key).write_bytes(content)
                (folder / key).symlink_to(f"..data/{key}")
        elif "persistentVolumeClaim" in volume:
            folder.symlink_to(self._claims[volume["persistentVolumeClaim"]["claimName"]])
        else:
            sources = {key for source in volume["projected"]["sources"] for key in source}
            assert sources == {"serviceAccountToken", "configMap", "downwardAPI"}
            kubelet.mount_token(folder, self._namespace, self._spec["serviceAccountName"])

    @staticmethod
    def _make_open(folder: Path) -> None:
        """For every uid, as the kubelet makes an emptyDir."""
        folder.mkdir(parents=True)
        folder.chmod(0o777)


def _read_config_map(found: Json) -> list[tuple[str, bytes]]:
    binary = [(key, base64.b64decode(text)) for key, text in found.get("binaryData", {}).items()]
    return [*binary, *((key, text.encode()) for key, text in found.get("data", {}).items())]


def _copies(container: Json) -> bool:
    return any(mount.get("subPath") == "tree" for mount in container.get("volumeMounts", ()))
