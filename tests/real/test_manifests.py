"""The manifests before a real API server, which enforces Pod Security "restricted": server-side apply, as a dry run.

Nothing of a chart is there: deploy/kustomize/examples has look-alikes of what the official charts make.
"""

from pathlib import Path

import pytest

from testbed import cluster
from testbed.plane import ControlPlane
from testbed.rest import Json, RequestFailed
from tests.manifests import (
    EXAMPLES,
    KUSTOMIZE,
    VARIANTS,
    WORKLOADS,
    build,
    choose_variant,
    copy_components,
    edit,
    find_server,
    parse,
)
from tests.real.world import World

GROUPS = {
    "v1": "api/v1",
    "apps/v1": "apis/apps/v1",
    "autoscaling/v2": "apis/autoscaling/v2",
    "networking.k8s.io/v1": "apis/networking.k8s.io/v1",
    "policy/v1": "apis/policy/v1",
    "rbac.authorization.k8s.io/v1": "apis/rbac.authorization.k8s.io/v1",
}
PLURALS = {"NetworkPolicy": "networkpolicies"}
LEVEL = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def plane(world: World) -> ControlPlane:
    """With a namespace that takes restricted pods only, and the account that they name."""
    cluster.create_namespace(world.plane, "restricted")
    world.plane.request("PATCH", "/api/v1/namespaces/restricted", {"metadata": {"labels": {LEVEL: "restricted"}}})
    cluster.create_service_account(world.plane, "restricted", "membership")
    return world.plane


def collection(each: Json) -> str:
    plural = PLURALS.get(each["kind"], f"{each['kind'].lower()}s")
    return f"/{GROUPS[each['apiVersion']]}/namespaces/restricted/{plural}"


def dry_run(plane: ControlPlane, each: Json) -> Json:
    """What the server would store. RequestFailed, also for a field that it does not know."""
    query = "?dryRun=All&fieldValidation=Strict&fieldManager=test&force=true"
    path = f"{collection(each)}/{each['metadata']['name']}{query}"
    return plane.request("PATCH", path, each, content_type="application/apply-patch+yaml")


def dry_run_pod(plane: ControlPlane, workload: Json) -> Json:
    """A pod of this workload: Pod Security only warns about workloads, and refuses pods."""
    template = workload["spec"]["template"]
    metadata = {"name": "pod", "labels": template["metadata"]["labels"]}
    return dry_run(plane, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})


def build_example(folder: Path, example: str, variant: str) -> list[Json]:
    components = copy_components(folder)
    choose_variant(components, variant)
    return build(components / "examples" / example, "restricted")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_server_takes_every_object_and_a_pod_of_it(
    plane: ControlPlane, tmp_path: Path, example: str, variant: str
) -> None:
    objects = build_example(tmp_path, example, variant)
    kinds = {each["kind"] for each in objects}
    assert kinds >= {"ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "PodDisruptionBudget", "ConfigMap"}
    assert kinds >= {"HorizontalPodAutoscaler"} and kinds & set(WORKLOADS)
    for each in objects:
        dry_run(plane, each)
    stored = dry_run_pod(plane, find_server(objects))["spec"]
    if variant == "sidecar":
        assert stored["initContainers"][0]["restartPolicy"] == "Always"
    tokens = [volume["name"] for volume in stored["volumes"] if "serviceAccountToken" in str(volume)]
    assert tokens == ["membership-token"], "the admission adds none"


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_charts_output_alone_is_refused_as_a_pod(plane: ControlPlane, example: str) -> None:
    text = (KUSTOMIZE / f"examples/{example}/rendered.yaml").read_text()
    for workload in parse(text, "restricted"):
        if workload["kind"] in WORKLOADS:
            workload["spec"]["template"]["spec"]["serviceAccountName"] = "membership"
            with pytest.raises(RequestFailed, match='violates PodSecurity "restricted'):
                dry_run_pod(plane, workload)


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("sidecar/pod.yaml", "            runAsNonRoot: true\n", "            runAsNonRoot: false\n", "PodSecurity"),
        ("sidecar/pod.yaml", "            periodSeconds: 1\n", "            periodSecond: 1\n", "periodSecond"),
        ("parts/policies.yaml", "endPort: 3999", "endPort: 0", "endPort"),
        ("parts/pod.yaml", "expirationSeconds: 3600", "expirationSeconds: 60", "expirationSeconds"),
        ("autoscaling/autoscaler.yaml", "maxReplicas: 4", "maxReplicas: 1", "maxReplicas"),
        ("parts/account.yaml", "verbs: [list, watch]", "verbs: []", "verbs"),
    ],
)
def test_it_can_fail(plane: ControlPlane, tmp_path: Path, file: str, old: str, new: str, why: str) -> None:
    components = copy_components(tmp_path)
    edit(components / file, old, new)
    objects = build(components / "examples/is-7", "restricted")

    with pytest.raises(RequestFailed, match=why):
        for each in objects:
            dry_run(plane, each)
        dry_run_pod(plane, find_server(objects))
