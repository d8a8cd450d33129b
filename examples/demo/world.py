"""The cluster of the demo: the embedded FakeKube, or a real control plane."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from membership.testing import FakeKube, Pod

NAMESPACE, SERVICE = "wso2", "is"


class World(Protocol):
    """Pods of one Service on an API server."""

    settings: list[str]
    """Flags with which the sidecar reaches it."""

    def show(self, pods: Sequence[tuple[str, str, bool]]) -> None:
        """Make these the Service's pods: name, address, ready."""

    def outage(self) -> None: ...

    def recover(self) -> None: ...


class Fake:
    """FakeKube: no RBAC, no TLS."""

    def __init__(self, kube: FakeKube) -> None:
        self._kube = kube
        self.settings = ["--server", kube.url]

    def show(self, pods: Sequence[tuple[str, str, bool]]) -> None:
        found = [Pod(address, name, ready=ready) for name, address, ready in pods]
        self._kube.set_service(NAMESPACE, SERVICE, found)

    def outage(self) -> None:
        self._kube.stop_listening(cut=True)

    def recover(self) -> None:
        self._kube.listen_again()


@contextmanager
def fake_world() -> Iterator[World]:
    with FakeKube() as kube:
        yield Fake(kube)


@contextmanager
def real_world(directory: Path) -> Iterator[World]:
    """etcd, kube-apiserver and kube-controller-manager; the pods are real objects, only no kubelet runs them."""
    from testbed.cluster import create_namespace, create_service, create_service_account, grant
    from testbed.kubelet import Kubelet
    from testbed.plane import ControlPlane

    labels = {"app": SERVICE}
    rules = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}]

    class Real:
        def __init__(self, plane: ControlPlane) -> None:
            self._plane = plane
            self._kubelet = Kubelet(plane)
            self._pods: dict[str, bool] = {}
            token_file = directory / "token"
            token_file.write_text(plane.token(NAMESPACE, "sidecar"))
            self.settings = ["--server", plane.url, "--ca-file", str(plane.ca_file), "--token-file", str(token_file)]

        def show(self, pods: Sequence[tuple[str, str, bool]]) -> None:
            for name in self._pods.keys() - {name for name, _, _ in pods}:
                self._kubelet.gone(NAMESPACE, name)
                del self._pods[name]
            for name, address, ready in pods:
                if name not in self._pods:
                    self._kubelet.run(NAMESPACE, name, address, labels, ready=ready)
                elif self._pods[name] != ready:
                    self._kubelet.ready(NAMESPACE, name, ready)
                self._pods[name] = ready

        def outage(self) -> None:
            self._plane.kill("kube-apiserver")

        def recover(self) -> None:
            self._plane.start_component("kube-apiserver")
            self._plane.wait_ready()

    print("starting etcd, kube-apiserver and kube-controller-manager", flush=True)
    with ControlPlane.start(directory / "plane") as plane:
        create_namespace(plane, NAMESPACE)
        create_service_account(plane, NAMESPACE, "sidecar")
        grant(plane, NAMESPACE, "sidecar", rules)
        create_service(plane, NAMESPACE, SERVICE, selector=labels, publish_not_ready=True)
        yield Real(plane)
