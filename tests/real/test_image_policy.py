"""examples/image-policy on a real API server: what it lets pass, and what it names when it refuses."""

from collections.abc import Iterator

import pytest
import yaml

from testbed import cluster
from testbed.plane import ControlPlane
from testbed.rest import Json, RequestFailed
from tests.manifests import ROOT, build, find
from tests.real.applied import apply, collection, dry_run_pod
from tests.real.world import World, eventually

POLICY = ROOT / "examples/image-policy/policy.yaml"
PINNED = f"registry.example.com/wso2/wso2is:7.1.0@sha256:{'0' * 64}"
NAMESPACE = "pinned"


@pytest.fixture(scope="module")
def plane(world: World) -> Iterator[ControlPlane]:
    plane = world.plane
    for name, labels in ((NAMESPACE, {"wso2.example.com/images": "pinned"}), ("unlabelled", {})):
        cluster.create_namespace(plane, name)
        cluster.create_service_account(plane, name, "membership")
        plane.request("PATCH", f"/api/v1/namespaces/{name}", {"metadata": {"labels": labels}})
    objects = list(yaml.safe_load_all(POLICY.read_text()))
    for each in objects:
        apply(plane, each, NAMESPACE)
    # A policy is in force a moment after it is stored.
    eventually(lambda: refuse(plane, "busybox") == "busybox", True, 30, "whether another image is refused")
    yield plane
    for each in reversed(objects):
        plane.request("DELETE", f"{collection(each, NAMESPACE)}/{each['metadata']['name']}")


def refuse(plane: ControlPlane, image: str, namespace: str = NAMESPACE, **more: object) -> str | None:
    """What is named when a pod of this image is refused; None if it is not."""
    spec: Json = {"containers": [{"name": "main", "image": image}], **more}
    try:
        apply(plane, pod(spec), namespace, dry_run=True)
    except RequestFailed as failed:
        assert "not of registry.example.com by digest: " in str(failed)
        return str(failed).rpartition("by digest: ")[2]
    return None


def pod(spec: Json) -> Json:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}


def test_pinned_images_of_the_registry_pass(plane: ControlPlane) -> None:
    assert refuse(plane, PINNED) is None
    for example in ("persisting-files/claim", "replicas/deployment"):
        workload = find(build(ROOT / "examples" / example, NAMESPACE), "Deployment")
        dry_run_pod(plane, workload, NAMESPACE)


@pytest.mark.parametrize(
    "image",
    [
        "wso2/wso2is:7.1.0",
        PINNED.partition("@")[0],
        PINNED[:-1],
        PINNED.replace("registry.example.com/", "registry.example.com.evil.org/"),
    ],
)
def test_others_are_refused_by_name(plane: ControlPlane, image: str) -> None:
    assert refuse(plane, image) == image
    assert refuse(plane, PINNED, initContainers=[{"name": "first", "image": image}]) == image
    assert refuse(plane, image, "unlabelled") is None, "where nobody has asked for it"


def test_a_container_that_comes_later_is_looked_at(plane: ControlPlane) -> None:
    apply(plane, pod({"containers": [{"name": "main", "image": PINNED}]}), NAMESPACE)
    late = {"ephemeralContainers": [{"name": "debug", "image": "busybox", "targetContainerName": "main"}]}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/pod/ephemeralcontainers"
    kind = "application/strategic-merge-patch+json"
    with pytest.raises(RequestFailed, match="by digest: busybox"):
        plane.request("PATCH", path, {"spec": late}, content_type=kind)
