"""What benchmarks stand on: a namespace of a real control plane, slices of our own in it, and sidecars that follow them.

The slices have a managed-by label of their own, so the endpointslice controller leaves them alone; each change of one
gives an address that only this change has, and its answer has the resource version that its event will have.
"""

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measures import Usage, read_usage
from testbed.cluster import create_namespace, create_service_account, grant
from testbed.layout import find_free_ports
from testbed.plane import ControlPlane

ACCOUNT = "sidecar"
PER_SLICE = 100
"""Endpoints in a slice at most: what the endpointslice controller makes by default."""
START_LIMIT = 60.0
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
_RULES = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch", "patch"]}]


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the resource version it made, the address that only it has, when it was sent and answered."""

    version: str
    address: str
    sent: int
    answered: int


class Ground:
    """A namespace with an account that may list and watch its slices; `folder` is for files of its own."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.plane = plane
        self.namespace = namespace
        self.folder = folder
        self._changes = 0
        folder.mkdir(parents=True, exist_ok=True)
        create_namespace(plane, namespace)
        create_service_account(plane, namespace, ACCOUNT)
        grant(plane, namespace, ACCOUNT, _RULES)
        self.token = plane.token(namespace, ACCOUNT, seconds=7200)
        self.token_file = folder / "token"
        self.token_file.write_text(self.token)

    def make_slices(self, service: str, endpoints: int, first: int = 0) -> list[str]:
        """Slices of `service` with so many endpoints in all, numbered from `first` on; their names."""
        names = []
        for number, begin in enumerate(range(0, endpoints, PER_SLICE)):
            name = f"{service}-{number}"
            size = min(PER_SLICE, endpoints - begin)
            body = describe_slice(service, name, [address_of(first + begin + n) for n in range(size)])
            self.plane.request("POST", _SLICES.format(self.namespace), body)
            names.append(name)
        return names

    def change(self, name: str, addresses: Sequence[str]) -> Change:
        """Give the slice these addresses, but for the first, which is the lowest of all and new with each change."""
        number, self._changes = self._changes, self._changes + 1
        address = f"10.0.{number // 250 % 250}.{number % 250 + 1}"
        # The pod stays the same: one that vanished would be held for half a second (membership/roster.py).
        first = {**describe_endpoint(addresses[0]), "addresses": [address]}
        body = {"endpoints": [first, *map(describe_endpoint, addresses[1:])]}
        sent = time.monotonic_ns()
        answer = self.plane.request("PATCH", f"{_SLICES.format(self.namespace)}/{name}", body)
        return Change(answer["metadata"]["resourceVersion"], address, sent, time.monotonic_ns())

    @contextlib.contextmanager
    def sidecar(self, services: str, *flags: str, name: str = "sidecar") -> Iterator["Sidecar"]:
        """A sidecar of its own process on `services`, found ready; ended by its id."""
        port = find_free_ports(1)[0]
        command = [sys.executable, "-m", "sidecar", "--services", services, "--namespace", self.namespace]
        command += ["--server", self.plane.url, "--ca-file", str(self.plane.ca_file)]
        command += ["--token-file", str(self.token_file), "--http", f"127.0.0.1:{port}", "--log-level", "warning"]
        log = self.folder / f"{name}.log"
        began = time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen([*command, *flags], stdout=out, stderr=out)
        try:
            sidecar = Sidecar(process.pid, port)
            sidecar.wait_ready(log)
            sidecar.seconds_to_ready = time.monotonic() - began
            yield sidecar
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Sidecar:
    """A sidecar that runs."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.seconds_to_ready = 0.0
        """From the start of the process until /readyz said ok."""

    def get(self, path: str, timeout: float = 30.0) -> str:
        with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:
            text: str = answer.read().decode()
            return text

    def metric(self, name: str) -> float:
        """The sum of a metric's samples, whatever their labels."""
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(map(float, found))

    def usage(self) -> Usage:
        return read_usage(self.pid)

    def wait_ready(self, log: Path) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                return
            time.sleep(0.005)
        raise SystemExit(f"a sidecar was not ready after {START_LIMIT:g} s:\n{log.read_text()[-2000:]}")


def pid_of(plane: ControlPlane, program: str = "kube-apiserver") -> int:
    """The process of a component, found by the certificate or data folder that only this control plane has."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if program.encode() in words[1:2] and any(os.fsencode(str(plane.directory)) in word for word in words):
                    return int(folder.name)
    raise SystemExit(f"{program} of {plane.directory} does not run")


def address_of(number: int) -> str:
    """An address from 10.1.0.1 on, different for each number."""
    return f"10.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def describe_endpoint(address: str) -> dict[str, Any]:
    """As the controller writes it for a ready pod."""
    name = "is-" + address.replace(".", "-")
    uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, address))
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "node-1",
        "targetRef": {"kind": "Pod", "namespace": "wso2", "name": name, "uid": uid},
    }


def describe_slice(service: str, name: str, addresses: Sequence[str]) -> dict[str, Any]:
    """A whole EndpointSlice that no controller touches."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "benchmarks.kubernetes-membership",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP"}],
        "endpoints": [describe_endpoint(address) for address in addresses],
    }
