"""The clients that are compared."""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT, SIDECAR_COMMIT, environment, pinned, python


@dataclass(frozen=True, slots=True)
class Arm:
    """One client. `title` heads its column, `environment` names its virtual environment and requirements."""

    name: str
    title: str
    environment: str
    package: str
    resource: str = "endpointslices"
    has_health: bool = False

    @property
    def driver(self) -> str:
        """The module that is run."""
        return f"benchmarks.arms.programs.{self.name}"

    @property
    def python(self) -> Path:
        return python(self.environment)

    @property
    def python_path(self) -> str:
        """The repository; before it the source of k8s-sidecar, whose main module has the name of our package."""
        source = environment(self.environment) / "source" / "src"
        return os.pathsep.join([*([str(source)] if self.name == "k8s_sidecar" else []), str(ROOT)])


ARMS: tuple[Arm, ...] = (
    Arm("kubernetes_watch", "kubernetes watch", "kubernetes", "kubernetes"),
    Arm("kubernetes_informer", "kubernetes informer", "kubernetes", "kubernetes"),
    Arm("kr8s_watch", "kr8s", "kr8s", "kr8s"),
    Arm("kr8s_loop", "kr8s in a loop", "kr8s", "kr8s"),
    Arm("lightkube_watch", "lightkube", "lightkube", "lightkube"),
    Arm("k8s_sidecar", "k8s-sidecar", "k8s-sidecar", "kubernetes", resource="configmaps", has_health=True),
    Arm("membership_library", "this library", "membership", "kubernetes-membership", has_health=True),
)


def versions() -> dict[str, str]:
    """The version of each client, as its requirements pin it."""
    found = {}
    for arm in ARMS:
        pins = pinned(arm.environment)
        if arm.package in pins:
            found[arm.environment] = pins[arm.package]
    found["k8s-sidecar"] = f"2.10.1, commit {SIDECAR_COMMIT[:9]}, with kubernetes {found['k8s-sidecar']}"
    return found
