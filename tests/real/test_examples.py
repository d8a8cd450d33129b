"""The manifests of examples/, as written, before a real API server that enforces Pod Security "restricted".

deploy/kustomize/examples: test_manifests.py. The monitoring example has kinds of an operator, and tests of its own.
"""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from testbed import cluster
from testbed.plane import ControlPlane
from testbed.rest import Json, RequestFailed
from tests.manifests import ROOT, WORKLOADS, build, list_containers, parse
from tests.real.applied import OF_THE_CLUSTER, apply, create_restricted, dry_run_pod
from tests.real.world import World

EXAMPLES = ROOT / "examples"
NAMESPACE = "examples"
ELSEWHERE = {"monitoring"}
KUSTOMIZATIONS = sorted(path.parent for path in EXAMPLES.rglob("kustomization.yaml"))
FILES = sorted(
    path
    for path in EXAMPLES.rglob("*.yaml")
    if re.search(r"(?m)^apiVersion: ", path.read_text()) and path.parent not in KUSTOMIZATIONS
)
CASES = [each for each in (*KUSTOMIZATIONS, *FILES) if each.relative_to(EXAMPLES).parts[0] not in ELSEWHERE]
PULLED = r"registry\.example\.com/[a-z0-9/-]+:[0-9.]+@sha256:[0-9a-f]{64}"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def plane(world: World) -> ControlPlane:
    create_restricted(world.plane, NAMESPACE)
    for account in ("wso2sp-worker", "membership-upstream"):
        cluster.create_service_account(world.plane, NAMESPACE, account)
    return world.plane


def read(case: Path) -> list[Json]:
    return build(case, NAMESPACE) if case.is_dir() else parse(case.read_text(), NAMESPACE)


def list_workloads(objects: list[Json]) -> list[Json]:
    return [each for each in objects if each["kind"] in (*WORKLOADS, "ReplicationController")]


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_server_takes_every_object_and_a_pod_of_it(plane: ControlPlane, case: Path) -> None:
    objects = read(case)
    for each in objects:
        assert each["kind"] in OF_THE_CLUSTER or each["metadata"].get("namespace") == NAMESPACE
        apply(plane, each, NAMESPACE, dry_run=True)
    for workload in list_workloads(objects):
        dry_run_pod(plane, workload, NAMESPACE)


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_images_are_pinned_and_come_from_a_registry_with_a_secret(case: Path) -> None:
    for workload in list_workloads(read(case)):
        pod = workload["spec"]["template"]["spec"]
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        for container in list_containers(pod):
            assert re.fullmatch(PULLED, container["image"])


def test_there_are_examples_with_pods() -> None:
    """The tests above look for them; this one sees that they find some."""
    with_pods = {case.relative_to(EXAMPLES).parts[0] for case in CASES if list_workloads(read(case))}
    assert with_pods == {"persisting-files", "replicas", "stream-processor", "upstream"}


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize("size", [MIB, MIB + 1])
def test_the_guard_of_the_files_draws_the_line_where_the_server_does(plane: ControlPlane, kind: str, size: int) -> None:
    content = {"a.jar": base64.b64encode(bytes(size - 3)).decode()}
    plain = {"b": "äx"}  # three bytes
    found = {"binaryData": content, "data": plain} if kind == "ConfigMap" else {"data": content, "stringData": plain}
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "files"}, **found}
    program = [sys.executable, str(EXAMPLES / "persisting-files/check-size")]
    guard = subprocess.run(program, input=yaml.safe_dump(manifest), capture_output=True, text=True)
    if size <= MIB:
        apply(plane, manifest, NAMESPACE, dry_run=True)
        assert guard.returncode == 0, guard.stderr
    else:
        with pytest.raises(RequestFailed, match="may not be more than 1048576 bytes"):
            apply(plane, manifest, NAMESPACE, dry_run=True)
        assert guard.returncode == 1 and f"has {MIB + 1} bytes, 1 more" in guard.stderr
