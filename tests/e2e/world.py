"""What the tests of this tier stand on: a real control plane and a node's network, pods on it, and their sidecars.

The fixture is scheduler, kubelet and kube-proxy in one: it gives a pod its address, mounts its token, starts the
sidecar first, holds the server back for as long as the sidecar's startup probe fails, and sets Ready. Nothing here
hopes: every wait is for a condition and has a bound. Whatever happens, processes are ended by pid, namespaces by name.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import urlsplit

from testbed import cluster
from testbed.kubelet import Kubelet
from testbed.plane import ControlPlane
from testbed.pods import Network, Pod, enter
from testbed.program import Program
from testbed.waiting import wait_for
from tests.running import clean_environ

PORT = 4000
LIMIT = 60.0
"""Seconds for what is prompt on a quiet machine; what is promised has a number of its own."""
RULES = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}]


class Server(Protocol):
    """A clustered server in a pod, of whatever make."""

    def cluster_size(self) -> int:
        """The size of its cluster as it last told; 0 if it never did."""

    def log(self) -> str:
        """All that it has written so far."""

    def kill(self) -> None:
        """SIGKILL."""


@dataclass(frozen=True)
class World:
    """A control plane that listens on the node's address, so that pods reach it."""

    network: Network
    plane: ControlPlane
    kubelet: Kubelet

    @classmethod
    def start(cls, network: Network, directory: Path) -> Self:
        plane = ControlPlane.start(directory, bind=network.node)
        return cls(network, plane, Kubelet(plane))


class Member:
    """A pod on the network and in the API, not ready yet; its sidecar starts when it is told to."""

    def __init__(self, stage: Stage, name: str, pod: Pod, folder: Path) -> None:
        self.name = name
        self.pod = pod
        self.address = pod.address
        self.endpoint = f"{pod.address}:{PORT}"
        self.folder = folder
        self._mount = stage.world.kubelet.mount_token(folder / "serviceaccount", stage.namespace, stage.account)
        self._stage = stage
        self._sidecar: Program | None = None

    def start_sidecar(self, *flags: str) -> None:
        """The sidecar, with the pod's own token, as the native sidecar of this pod."""
        stage, world = self._stage, self._stage.world
        url = urlsplit(world.plane.url)
        command = [str(Path(sys.executable).parent / "membership-sidecar"), "--services", "is", *flags]
        command += ["--namespace", stage.namespace, "--self-ip", self.address, "--port", str(PORT)]
        command += ["--token-file", str(self._mount / "token"), "--ca-file", str(self._mount / "ca.crt")]
        command += ["--log-format", "text"]
        path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        api = {"KUBERNETES_SERVICE_HOST": str(url.hostname), "KUBERNETES_SERVICE_PORT": str(url.port)}
        environ = clean_environ(**path, **api)
        log = self.folder / "sidecar.log"
        self._sidecar = Program("membership-sidecar", enter(self.pod.namespace, command), log, environ)
        self._sidecar.start()

    def end_sidecar(self) -> None:
        """SIGKILL; nothing if none was started."""
        if self._sidecar is not None:
            self._sidecar.kill()

    @property
    def sidecar(self) -> Program:
        assert self._sidecar is not None, "no sidecar was started"
        return self._sidecar

    def wait_gate(self, timeout: float = LIMIT) -> float:
        """The startup probe of the native sidecar: returns when it passes, with the seconds that took."""
        began = time.monotonic()

        def look() -> bool:
            assert self.sidecar.pid is not None, f"the sidecar ended:\n{self.sidecar.read_log_tail()}"
            return self.get("/startupz")[0] == 200

        wait_for(look, timeout=timeout, what=f"the gate of {self.name}", every=0.05)
        return time.monotonic() - began

    def listed(self) -> list[str]:
        """The addresses that its sidecar lists; empty without an answer."""
        status, body = self.get("/members")
        return [each["address"] for each in json.loads(body)["members"]] if status == 200 else []

    def wait_answer(self, path: str, timeout: float = LIMIT) -> int:
        """The status, once the sidecar answers at all."""
        return wait_for(lambda: self.get(path)[0], timeout=timeout, what=f"an answer of {self.name}", every=0.05)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of the sidecar, asked by the node; (0, b"") without an answer."""
        connection = http.client.HTTPConnection(self.address, 4080, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            with connection.getresponse() as answer:
                return answer.status, answer.read()
        return 0, b""

    def ready(self, is_ready: bool = True) -> None:
        """Set the Ready condition, as a kubelet does after the readiness probe."""
        self._stage.world.kubelet.ready(self._stage.namespace, self.name, is_ready)


class Stage:
    """A namespace with the Service `is` and its pods. Close it to end all that runs in them."""

    def __init__(self, world: World, namespace: str, folder: Path) -> None:
        self.world = world
        self.namespace = namespace
        self.account = "sidecar"
        self.folder = folder
        self._exit = contextlib.ExitStack()
        cluster.create_namespace(world.plane, namespace)
        cluster.create_service_account(world.plane, namespace, self.account)
        cluster.grant(world.plane, namespace, self.account, RULES)
        cluster.create_service(world.plane, namespace, "is", selector={"app": "is"}, ports={"hazelcast": PORT})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def at_end(self, end: Callable[[], object]) -> None:
        """Call this when the stage is closed, before what was there earlier is ended."""
        self._exit.callback(end)

    def add(self, name: str) -> Member:
        """A pod of the Service with an address, not ready: as it is when its containers are about to start."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        pod = self.world.network.add(f"{self.namespace}-{name}")
        self._exit.callback(self.world.network.remove, pod)
        member = Member(self, name, pod, folder)
        self._exit.callback(member.end_sidecar)
        self.world.kubelet.run(self.namespace, name, member.address, {"app": "is"}, ready=False)
        return member

    def terminate(self, member: Member) -> None:
        """Begin the deletion of the pod; its processes still run."""
        self.world.kubelet.terminate(self.namespace, member.name)

    def gone(self, member: Member) -> None:
        """The Pod object is deleted; end its processes first."""
        self.world.kubelet.gone(self.namespace, member.name)

    def hide(self, member: Member) -> None:
        """Blind: its sidecar hangs with the list it has. Unseen: the Service no longer selects the pod."""
        member.sidecar.kill(signal.SIGSTOP)
        self._label(member, "apart")
        self.wait_endpoints(lambda addresses: member.address not in addresses)

    def show(self, member: Member) -> None:
        """Undo `hide`."""
        self._label(member, "is")
        self.wait_endpoints(lambda addresses: member.address in addresses)
        member.sidecar.kill(signal.SIGCONT)

    def wait_listed(self, members: Sequence[Member], timeout: float = LIMIT) -> None:
        """Return when the sidecar of each of these lists just these."""
        wanted = [member.address for member in members]
        for member in members:
            what = f"{wanted} at the sidecar of {member.name}"
            wait_for(lambda: member.listed() == wanted, timeout=timeout, what=what, every=0.02)

    def wait_endpoints(self, right: Callable[[list[str]], bool]) -> None:
        """Return when the API server's own slices have these addresses."""

        def look() -> bool:
            found = cluster.list_endpoints(self.world.plane, self.namespace, "is")
            return right([endpoint["addresses"][0] for endpoint in found])

        wait_for(look, timeout=30, what="the slices", every=0.02)

    def _label(self, member: Member, app: str) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{member.name}"
        self.world.plane.request("PATCH", path, {"metadata": {"labels": {"app": app}}})


def wait_sizes(servers: Sequence[Server], size: int, timeout: float) -> float:
    """Return when each server says that its cluster has `size` members, with the seconds that took."""
    began = time.monotonic()
    try:
        wait_for(lambda: all(server.cluster_size() == size for server in servers), timeout=timeout, every=0.1)
    except TimeoutError:
        found = [server.cluster_size() for server in servers]
        raise AssertionError(f"the clusters have {found} members and not {size} after {timeout:g} s") from None
    return time.monotonic() - began


def assert_sizes_stay(servers: Sequence[Server], size: int, seconds: float) -> None:
    """What must not happen does not, for this long: nobody's cluster becomes another size."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert [server.cluster_size() for server in servers] == [size] * len(servers)
        time.sleep(0.5)


def wait_log(server: Server, text: str, timeout: float) -> None:
    """Return when the log has this text."""
    wait_for(lambda: text in server.log(), timeout=timeout, what=f"{text!r} in the log", every=0.05)
