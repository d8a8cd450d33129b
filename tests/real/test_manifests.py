"""The manifests before a real API server, which enforces Pod Security "restricted": server-side apply, as a dry run.

Nothing of a chart is there: deploy/kustomize/examples has look-alikes of what the official charts make.
"""

from pathlib import Path

import pytest

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
from tests.real.applied import apply, create_restricted, dry_run_pod
from tests.real.world import World

NAMESPACE = "restricted"


@pytest.fixture(scope="module")
def plane(world: World) -> ControlPlane:
    create_restricted(world.plane, NAMESPACE)
    return world.plane


def build_example(folder: Path, example: str, variant: str) -> list[Json]:
    components = copy_components(folder)
    choose_variant(components, variant)
    return build(components / "examples" / example, NAMESPACE)


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
        apply(plane, each, NAMESPACE, dry_run=True)
    stored = dry_run_pod(plane, find_server(objects), NAMESPACE)["spec"]
    if variant == "sidecar":
        assert stored["initContainers"][0]["restartPolicy"] == "Always"
    tokens = [volume["name"] for volume in stored["volumes"] if "serviceAccountToken" in str(volume)]
    assert tokens == ["membership-token"], "the admission adds none"


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_charts_output_alone_is_refused_as_a_pod(plane: ControlPlane, example: str) -> None:
    text = (KUSTOMIZE / f"examples/{example}/rendered.yaml").read_text()
    for workload in parse(text, NAMESPACE):
        if workload["kind"] in WORKLOADS:
            workload["spec"]["template"]["spec"]["serviceAccountName"] = "membership"
            with pytest.raises(RequestFailed, match='violates PodSecurity "restricted'):
                dry_run_pod(plane, workload, NAMESPACE)


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
    objects = build(components / "examples/is-7", NAMESPACE)

    with pytest.raises(RequestFailed, match=why):
        for each in objects:
            apply(plane, each, NAMESPACE, dry_run=True)
        dry_run_pod(plane, find_server(objects), NAMESPACE)
