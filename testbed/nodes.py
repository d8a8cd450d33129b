"""The scheduler's and the kubelets' part for pods that controllers make: Deployments, ReplicationControllers.

    with Nodes(plane, "wso2"):
        ...     # pods of wso2 are bound, run, get ready, and go when they are deleted

The controllers must run: `ControlPlane.start(directory, manager_flags=nodes.CONTROLLERS)`.
"""

import contextlib
import itertools
import threading
from datetime import datetime, timezone
from types import TracebackType
from typing import Self

from testbed import cluster
from testbed.kubelet import Kubelet
from testbed.plane import ControlPlane
from testbed.rest import Json, RequestFailed

CONTROLLERS = (
    "--controllers=deployment-controller,replicaset-controller,replicationcontroller-controller,"
    "horizontal-pod-autoscaler-controller",
)
_EVERY = 0.05
_NODES = ("n1", "n2")


class Nodes:
    """Takes every pod of `namespace` one step further, again and again, in a thread; ended by the `with` block."""

    def __init__(self, plane: ControlPlane, namespace: str, *, steps: int = 4) -> None:
        """`steps`: how many looks a pod runs before it is ready, and terminates before it is gone."""
        self._plane = plane
        self._kubelet = Kubelet(plane)
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._namespace = namespace
        self._steps = steps
        self._looks: dict[tuple[str, str], int] = {}
        self._addresses = (f"10.20.{number // 250}.{number % 250 + 1}" for number in itertools.count())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nodes", daemon=True)
        self.error: Exception | None = None
        """What ended the thread too early."""

    def __enter__(self) -> Self:
        for node in _NODES:
            cluster.create_node(self._plane, node, zone=f"zone-{node}")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopped.wait(_EVERY):
                for pod in self._plane.request("GET", self._path)["items"]:
                    # It may be gone meanwhile, or another one of that name be there.
                    with contextlib.suppress(RequestFailed):
                        self._advance(pod)
        except Exception as error:  # told to the test's own thread
            self.error = error

    def _advance(self, pod: Json) -> None:
        name, status = pod["metadata"]["name"], pod["status"]
        if "deletionTimestamp" in pod["metadata"]:
            if self._has_waited(pod, "going"):
                self._kubelet.gone(self._namespace, name)
        elif "nodeName" not in pod["spec"]:
            target = {"kind": "Node", "name": _NODES[len(self._looks) % len(_NODES)]}
            self._plane.request("POST", f"{self._path}/{name}/binding", {"metadata": {"name": name}, "target": target})
        elif "podIP" not in status:
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._kubelet.replace_address(self._namespace, name, next(self._addresses))
            self._kubelet.ready(self._namespace, name, False)
            self._plane.request("PATCH", f"{self._path}/{name}/status", {"status": {"startTime": now}})
        elif not _is_ready(status) and self._has_waited(pod, "coming"):
            self._kubelet.ready(self._namespace, name, True)

    def _has_waited(self, pod: Json, what: str) -> bool:
        key = (pod["metadata"]["uid"], what)
        self._looks[key] = self._looks.get(key, 0) + 1
        return self._looks[key] > self._steps


def _is_ready(status: Json) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))
