"""The clients that are compared, and the virtual environments they run in."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements"
SIDECAR_COMMIT = "a61c7ac31c826c5e35efe53fbbcae93e1791799f"  # 2.10.1, which is not on PyPI
SIDECAR_GIT = "https://github.com/kiwigrid/k8s-sidecar"


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
        return f"benchmarks.faults.drivers.{self.name}"

    @property
    def python(self) -> Path:
        return cache() / self.environment / "bin" / "python"

    @property
    def python_path(self) -> str:
        """The repository; before it the source of k8s-sidecar, whose main module has the name of our package."""
        source = cache() / self.environment / "source" / "src"
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


def cache() -> Path:
    """Where the virtual environments are: `peers` below MEMBERSHIP_CACHE."""
    base = os.environ.get("MEMBERSHIP_CACHE") or str(Path.home() / ".cache" / "kubernetes-membership")
    return Path(base) / "peers"


def prepare(arms: Iterable[Arm]) -> None:
    """Make the virtual environments that are missing or were made from other requirements."""
    for arm in arms:
        target, wanted = cache() / arm.environment, REQUIREMENTS / f"{arm.environment}.txt"
        made = target / "requirements.txt"
        if not made.exists() or made.read_text() != wanted.read_text():
            print(f"making {target}", file=sys.stderr)
            shutil.rmtree(target, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(target))
            pip = (str(arm.python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes")
            _run(*pip, "-r", str(wanted))
            if arm.name == "k8s_sidecar":
                _check_out_sidecar(target / "source")
            shutil.copy(wanted, made)


def versions() -> dict[str, str]:
    """The version of each client, as its requirements pin it."""
    found = {}
    for arm in ARMS:
        text = (REQUIREMENTS / f"{arm.environment}.txt").read_text()
        pins = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
        if arm.package in pins:
            found[arm.environment] = pins[arm.package]
    found["k8s-sidecar"] = f"2.10.1, commit {SIDECAR_COMMIT[:9]}, with kubernetes {found['k8s-sidecar']}"
    return found


def _check_out_sidecar(target: Path) -> None:
    """MEMBERSHIP_SIDECAR_GIT: where to clone it from, for machines that cannot reach GitHub."""
    _run("git", "clone", "-q", os.environ.get("MEMBERSHIP_SIDECAR_GIT", SIDECAR_GIT), str(target))
    _run("git", "-C", str(target), "checkout", "-q", SIDECAR_COMMIT)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
