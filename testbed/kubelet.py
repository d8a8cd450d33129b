"""The kubelet's part without a kubelet: pods that run, get ready, terminate and go, as the API sees it."""

import ipaddress
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from testbed.cluster import create_node
from testbed.plane import ControlPlane
from testbed.rest import Json, RequestFailed

FINALIZER = "testbed.example.com/hold"


class Kubelet:
    """Plays all nodes of `plane`. Threads may share it.

    Addresses may be any unicast ones but loopback and link-local, which EndpointSlices refuse.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._nodes: set[str] = set()

    def run(
        self,
        namespace: str,
        name: str,
        address: str,
        labels: Mapping[str, str],
        *,
        node: str = "n1",
        ready: bool = False,
        addresses: Sequence[str] = (),
        hostname: str | None = None,
        subdomain: str | None = None,
        ports: Mapping[str, int] | None = None,
        finalizer: bool = False,
        template: Json | None = None,
    ) -> Json:
        """A running pod at `address` (and `addresses`, the other family's) on `node`; the Pod.

        `node` is made if need be, in the zone "zone-" + its name. `ports` are named container ports. With
        `finalizer` even a pod deleted by force stays, terminating, until `gone`. `template` is a spec to take in place
        of one that has a single container without an image.
        """
        self._ensure_node(node)
        metadata: Json = {"name": name, "labels": dict(labels)}
        if finalizer:
            metadata["finalizers"] = [FINALIZER]
        container = {
            "name": "main",
            "image": "none",
            "ports": [{"name": port, "containerPort": number} for port, number in (ports or {}).items()],
        }
        spec: Json = {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "containers": [container],
            **({"hostname": hostname} if hostname else {}),
            **({"subdomain": subdomain} if subdomain else {}),
            **(template or {}),
        }
        self._plane.request("POST", _pods(namespace), {"metadata": metadata, "spec": spec})
        return self._patch_status(namespace, name, _running(ready) | _addressed(address, addresses))

    def run_many(
        self,
        namespace: str,
        prefix: str,
        count: int,
        labels: Mapping[str, str],
        *,
        ready: bool = True,
        first_address: str = "10.128.0.1",
        ports: Mapping[str, int] | None = None,
        nodes: Sequence[str] = ("n1",),
        workers: int = 8,
    ) -> list[str]:
        """Pods `prefix`-0 ... at `first_address` and the following ones, spread over `nodes`; their names."""
        first = ipaddress.ip_address(first_address)
        for node in nodes:
            self._ensure_node(node)

        def run_one(number: int) -> str:
            name, address = f"{prefix}-{number}", str(first + number)
            node = nodes[number % len(nodes)]
            self.run(namespace, name, address, labels, node=node, ready=ready, ports=ports)
            return name

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(run_one, range(count)))

    def ready(self, namespace: str, name: str, is_ready: bool) -> Json:
        """Set the Ready condition. The Pod: its resourceVersion is that of the pod, not of any slice."""
        return self._patch_status(namespace, name, _running(is_ready))

    def fail(self, namespace: str, name: str) -> Json:
        """The pod ends for good (phase Failed): it leaves its slices though it still exists."""
        return self._patch_status(namespace, name, {**_running(False), "phase": "Failed"})

    def replace_address(self, namespace: str, name: str, address: str, addresses: Sequence[str] = ()) -> Json:
        """Give the pod another address, as after a restart of its sandbox."""
        return self._patch_status(namespace, name, _addressed(address, addresses))

    def terminate(self, namespace: str, name: str, *, grace_seconds: int = 30) -> None:
        """Begin its deletion: it stays, terminating, until `gone`, since no real kubelet ends it."""
        self._delete(namespace, name, grace_seconds)

    def gone(self, namespace: str, name: str) -> None:
        """End it: the Pod object disappears, with or without `terminate` before. No error if it has."""
        try:
            self._plane.request("PATCH", f"{_pods(namespace)}/{name}", {"metadata": {"finalizers": None}})
            self._delete(namespace, name, 0)
        except RequestFailed as failed:
            if failed.status != 404:
                raise

    def gone_many(self, namespace: str, names: Sequence[str], *, workers: int = 8) -> None:
        """`gone` for many."""
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda name: self.gone(namespace, name), names))

    def mount_token(
        self,
        directory: Path,
        namespace: str,
        service_account: str,
        *,
        seconds: int = 3600,
        token: str | None = None,
    ) -> Path:
        """Put token, ca.crt and namespace into `directory`, as /var/run/secrets/kubernetes.io/serviceaccount.

        Call it again to rotate: as with the real kubelet the files are links into a folder that is swapped.
        A `token` (see `ControlPlane.short_token`) is taken in place of a new one. `directory`.
        """
        content = {
            "token": token or self._plane.token(namespace, service_account, seconds),
            "ca.crt": self._plane.ca_file.read_text(),
            "namespace": namespace,
        }
        directory.mkdir(parents=True, exist_ok=True)
        data = directory / "..data"
        old = data.resolve() if data.is_symlink() else None
        new = Path(tempfile.mkdtemp(prefix="..", dir=directory))
        new.chmod(0o755)
        for name, text in content.items():
            (new / name).write_text(text)
            if not (directory / name).is_symlink():
                (directory / name).symlink_to(f"..data/{name}")
        link = directory / "..data_tmp"
        link.symlink_to(new.name)
        os.replace(link, data)
        if old is not None:
            shutil.rmtree(old)
        return directory

    def _ensure_node(self, name: str) -> None:
        # Endpoints of a pod on an unknown node are left out of the slices.
        if name not in self._nodes:
            create_node(self._plane, name, zone=f"zone-{name}")
            self._nodes.add(name)

    def _patch_status(self, namespace: str, name: str, status: Json) -> Json:
        return self._plane.request("PATCH", f"{_pods(namespace)}/{name}/status", {"status": status})

    def _delete(self, namespace: str, name: str, grace_seconds: int) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_seconds}
        self._plane.request("DELETE", f"{_pods(namespace)}/{name}", body)


def _running(ready: bool) -> Json:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    states = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    container = {
        "name": "main",
        "ready": ready,
        "started": True,
        "restartCount": 0,
        "image": "none",
        "imageID": "none",
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": str(state), "lastTransitionTime": now} for kind, state in states.items()
        ],
        "containerStatuses": [container],
    }


def _addressed(address: str, addresses: Sequence[str]) -> Json:
    return {"podIP": address, "podIPs": [{"ip": each} for each in (address, *addresses)]}


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"
