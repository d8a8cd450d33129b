"""The manifests of deploy/kustomize, built as a user builds them."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
ROOT = Path(__file__).parents[1]
KUSTOMIZE = ROOT / "deploy/kustomize"
EXAMPLES = sorted(path.name for path in (KUSTOMIZE / "examples").iterdir())
VARIANTS = ("sidecar", "init")
WORKLOADS = ("Deployment", "StatefulSet")


@cache
def find_tool(name: str) -> str:
    """The path of kustomize or helm; built if need be."""
    done = subprocess.run([ROOT / "testbed/build_tool", name], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.splitlines()[-1]


def copy_components(folder: Path) -> Path:
    """A copy of deploy/kustomize to change; its path."""
    return shutil.copytree(KUSTOMIZE, folder / "kustomize")


def choose_variant(components: Path, variant: str) -> None:
    """Make every example of a copy take ../../VARIANT, with the one word that a user changes."""
    for path in components.glob("examples/*/kustomization.yaml"):
        edit(path, "../../sidecar", f"../../{variant}")


def edit(path: Path, old: str, new: str) -> None:
    """Replace what must be there once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def try_build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([find_tool("kustomize"), "build", str(folder)], capture_output=True, text=True)


def build(folder: Path, namespace: str = "wso2") -> list[Json]:
    """The objects of a kustomization, in `namespace`."""
    done = try_build(folder)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout, namespace)


def parse(text: str, namespace: str = "wso2") -> list[Json]:
    return list(yaml.safe_load_all(re.sub(r"namespace: wso2$", f"namespace: {namespace}", text, flags=re.MULTILINE)))


def find(objects: list[Json], kind: str, name: str | None = None) -> Json:
    """The one object of this kind, or of this kind and name."""
    found = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects are a {kind} {name or ''}"
    return found[0]


def find_settings(objects: list[Json]) -> Json:
    """The ConfigMap with our settings; its name ends in a hash."""
    [found] = [each for each in objects if each["kind"] == "ConfigMap" and "WORKLOAD" in each.get("data", {})]
    return found


def find_server(objects: list[Json]) -> Json:
    """The workload that got the sidecar."""
    data = find_settings(objects)["data"]
    return find(objects, data["KIND"], data["WORKLOAD"])


def list_containers(pod: Json) -> list[Json]:
    """All of a pod's spec, init containers first."""
    return [*pod.get("initContainers", ()), *pod["containers"]]
