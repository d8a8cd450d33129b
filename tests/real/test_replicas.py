"""examples/replicas on real controllers: pods come and go as Deployment, autoscaler and ReplicationController say.

Nodes are played (testbed/nodes.py), usage is told to the metrics API that the autoscaler asks. Times that the manifests
give for servers that start in minutes are cut to a second here; nothing else of them is changed.
"""

import contextlib
import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from testbed import cluster, nodes
from testbed.kubelet import Kubelet
from testbed.plane import ControlPlane
from testbed.rest import Json
from tests.manifests import ROOT, build, find, find_settings
from tests.real.applied import apply, create_restricted
from tests.real.world import LIMIT, environ, eventually
from tests.running import Sidecar, until

EXAMPLE = ROOT / "examples/replicas"
NAME = "wso2is"
MANAGER = (
    *nodes.CONTROLLERS,
    "--horizontal-pod-autoscaler-sync-period=300ms",
    # A sample of a pod that has just started counts.
    "--horizontal-pod-autoscaler-cpu-initialization-period=1ns",
    "--horizontal-pod-autoscaler-initial-readiness-delay=1ns",
)
METRICS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "pods.metrics.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}},
    "spec": {
        "group": "metrics.k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "pods", "singular": "pod", "kind": "PodMetrics", "listKind": "PodMetricsList"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def plane(folder: Path) -> Iterator[ControlPlane]:
    with ControlPlane.start(folder / "replicas", manager_flags=MANAGER) as found:
        found.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", METRICS)
        yield found


class Follower:
    """Asks one blocking query after the other, and keeps what each has answered."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self.answers: list[tuple[int, list[str]]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        index = 0
        while not self._stopped.is_set():
            found = self._sidecar.members(f"?index={index}&wait=1s")
            if found["generation"] != index:
                index = found["generation"]
                self.answers.append((index, [member["address"] for member in found["members"]]))

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()

    def counts(self) -> list[int]:
        """How many members each list had, without repeats."""
        found = [len(addresses) for _, addresses in self.answers]
        return [count for number, count in enumerate(found) if number == 0 or found[number - 1] != count]


class Cluster:
    """The example in a namespace of its own, its pods played, and the sidecar of one of them."""

    def __init__(self, plane: ControlPlane, namespace: str, example: str, folder: Path) -> None:
        self._plane = plane
        self.namespace = namespace
        self.exit = contextlib.ExitStack()
        self.folder = folder
        self.objects = build(EXAMPLE / example, namespace)
        self.kind = find_settings(self.objects)["data"]["KIND"] if example == "deployment" else "ReplicationController"
        self._shorten()
        create_restricted(plane, namespace)
        for each in self.objects:
            apply(plane, each, namespace)
        self.exit.callback(self._remove)
        self.exit.enter_context(nodes.Nodes(plane, namespace))

    def _shorten(self) -> None:
        find(self.objects, self.kind)["spec"]["minReadySeconds"] = 1
        behavior = find(self.objects, "HorizontalPodAutoscaler")["spec"]["behavior"]
        behavior["scaleDown"]["stabilizationWindowSeconds"] = 0
        for way in behavior.values():
            assert [policy["value"] for policy in way["policies"]] == [1], "one pod at a time"
            way["policies"][0]["periodSeconds"] = 1

    def _remove(self) -> None:
        """What the next test would be hindered by: its ports on the nodes are taken."""
        cluster.delete_service(self._plane, self.namespace, NAME)
        path = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"
        self._plane.request("DELETE", f"{path}/membership-{NAME}")

    @property
    def path(self) -> str:
        if self.kind == "Deployment":
            return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}"
        return f"/api/v1/namespaces/{self.namespace}/replicationcontrollers/{NAME}"

    def read(self) -> Json:
        return self._plane.request("GET", self.path)

    def settled(self, count: int) -> None:
        """Until the controllers have `count` pods, all new, all available."""

        def look() -> bool:
            found = self.read()
            status = found["status"]
            numbers = {status.get(key) for key in ("replicas", "readyReplicas", "availableReplicas")}
            if self.kind == "Deployment":
                numbers.add(status.get("updatedReplicas"))
            is_seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            return is_seen and numbers == {count} and found["spec"]["replicas"] == count

        eventually(look, True, 60, f"{count} pods of {self.kind}: {json.dumps(self.read()['status'])}")

    def addresses(self) -> list[str]:
        """Of the pods as the API server has them, in the order of numbers."""
        pods = self._plane.request("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        found = [pod["status"]["podIP"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return sorted(found, key=lambda address: [int(part) for part in address.split(".")])

    def start_sidecar(self) -> Sidecar:
        """With the account, the token and the settings of the manifests."""
        mount, tree = self.folder / "token", self.folder / "tree"
        Kubelet(self._plane).mount_token(mount, self.namespace, "membership")
        (self.folder / "staging").mkdir()
        source = self.folder / "deployment.toml"
        source.write_text(find(self.objects, "ConfigMap", "wso2is-conf")["data"]["deployment.toml"])
        data = find_settings(self.objects)["data"]
        settings = {key: value for key, value in data.items() if key.startswith("MEMBERSHIP_")}
        settings["MEMBERSHIP_OUT"] = f"product:{source}:{tree}/"
        url = urlsplit(self._plane.url)
        where = {"KUBERNETES_SERVICE_HOST": str(url.hostname), "KUBERNETES_SERVICE_PORT": str(url.port)}
        flags = ("--token-file", f"{mount}/token", "--ca-file", f"{mount}/ca.crt", "--namespace", self.namespace)
        more = ("--staging", str(self.folder / "staging"), "--self-ip", "10.20.0.1")
        started = Sidecar(None, *flags, *more, services=None, environ=environ(**settings, **where))
        return self.exit.enter_context(started).synced(LIMIT)

    def written(self) -> list[str]:
        """The members in the file that the server would read."""
        file = self.folder / "tree/repository/conf/deployment.toml"
        members: list[str] = tomllib.loads(file.read_text())["clustering"]["members"] if file.exists() else []
        return members

    def agree(self, sidecar: Sidecar, count: int) -> None:
        """Until pods, list and file are the same `count`."""
        self.settled(count)
        eventually(lambda: sidecar.addresses() == self.addresses(), True, LIMIT, "whether list and pods are the same")
        eventually(self.written, [f"{address}:4001" for address in self.addresses()], LIMIT, "the file")

    def use(self, share: float) -> None:
        """Tell the metrics API that each pod uses this share of the processor time that it requests."""
        for pod in self._plane.request("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]:
            spec = pod["spec"]
            stays = [each for each in spec.get("initContainers", ()) if each.get("restartPolicy") == "Always"]
            told = {
                "apiVersion": "metrics.k8s.io/v1beta1",
                "kind": "PodMetrics",
                "metadata": {"name": pod["metadata"]["name"], "labels": pod["metadata"]["labels"]},
                "timestamp": pod["metadata"]["creationTimestamp"],
                "window": "30s",
                "containers": [
                    {"name": each["name"], "usage": {"cpu": f"{milli(each) * share:.0f}m", "memory": "1Gi"}}
                    for each in (*spec["containers"], *stays)
                ],
            }
            path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
            query = "?fieldManager=test&force=true"
            self._plane.request("PATCH", f"{path}{query}", told, content_type="application/apply-patch+yaml")


def milli(container: Json) -> int:
    text = container["resources"]["requests"]["cpu"]
    return int(text.removesuffix("m")) * (1 if text.endswith("m") else 1000)


@pytest.fixture
def start(plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[[str, str], Cluster]]:
    with contextlib.ExitStack() as stack:

        def make(namespace: str, example: str) -> Cluster:
            made = Cluster(plane, namespace, example, tmp_path)
            stack.enter_context(made.exit)
            return made

        yield make


def check(follower: Follower, before: list[str], after: list[str]) -> None:
    """No list was lost from sight: from the first pods to the last ones, never fewer than two, one at a time."""
    until(lambda: follower.answers[-1][1] == after, 5, "the last list at the query")
    follower.close()
    generations = [generation for generation, _ in follower.answers]
    assert generations == sorted(set(generations)) and follower.answers[0][1] == before
    assert {len(addresses) for _, addresses in follower.answers} == {2, 3}
    for (_, one), (_, next_one) in zip(follower.answers, follower.answers[1:]):
        assert set(one) & set(next_one), "what was known yesterday leads to today"


def test_a_rolling_update_and_its_way_back(plane: ControlPlane, start: Callable[[str, str], Cluster]) -> None:
    found = start("rolling", "deployment")
    found.settled(2)  # by the autoscaler: the manifest leaves the number to it
    sidecar = found.start_sidecar()
    found.agree(sidecar, 2)
    assert sidecar.get("/startupz").status == 200
    for revision in ("2", None):
        before, follower = found.addresses(), Follower(sidecar)
        until(lambda: follower.answers, 5, "the first answer")
        template = {"metadata": {"annotations": {"example.com/revision": revision}}}
        plane.request("PATCH", found.path, {"spec": {"template": template}})
        found.agree(sidecar, 2)
        after = found.addresses()
        assert not set(before) & set(after), "all pods are new"
        check(follower, before, after)
        # One pod goes and one comes; where both are in one write of the slice, three stay three.
        assert follower.counts() in ([2, 3, 2, 3, 2], [2, 3, 2])


def test_the_autoscaler_takes_one_more_and_gives_it_back(start: Callable[[str, str], Cluster]) -> None:
    found = start("autoscaled", "deployment")
    found.settled(2)
    sidecar = found.start_sidecar()
    found.agree(sidecar, 2)
    before, follower = found.addresses(), Follower(sidecar)
    until(lambda: follower.answers, 5, "the first answer")
    found.use(0.9)  # of 75 %
    found.agree(sidecar, 3)
    found.use(0.1)
    found.agree(sidecar, 2)
    check(follower, before, found.addresses())
    assert follower.counts() == [2, 3, 2]


def test_a_replication_controller(plane: ControlPlane, start: Callable[[str, str], Cluster]) -> None:
    found = start("controller", "replication-controller")
    found.settled(2)
    sidecar = found.start_sidecar()
    found.agree(sidecar, 2)
    before, follower = found.addresses(), Follower(sidecar)
    until(lambda: follower.answers, 5, "the first answer")
    for count in (3, 2):
        plane.request("PATCH", f"{found.path}/scale", {"spec": {"replicas": count}})
        found.agree(sidecar, count)
    check(follower, before, found.addresses())
    assert follower.counts() == [2, 3, 2]


def test_clients_stay_with_their_pod_on_every_node(plane: ControlPlane, start: Callable[[str, str], Cluster]) -> None:
    found = start("affinity", "deployment")
    stored = plane.request("GET", f"/api/v1/namespaces/{found.namespace}/services/{NAME}")["spec"]
    assert (stored["type"], stored["sessionAffinity"]) == ("NodePort", "ClientIP")
    assert stored["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert {port["port"]: port["nodePort"] for port in stored["ports"]} == {9763: 32001, 9443: 32002}
