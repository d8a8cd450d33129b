"""What the compared clients run in: a virtual environment for each, and the Go programs, kept by their content.

Everything is below MEMBERSHIP_CACHE (~/.cache/kubernetes-membership), under a name with the hash of what it was made
from: what is there is complete, is never made again, and may be deleted at any time.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).parent / "requirements"
GO_SOURCES = Path(__file__).parent / "arms" / "go"
GO_PROGRAMS = ("informer", "socket", "dns")
_PRODUCT = ("membership", "sidecar", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
SIDECAR_COMMIT = "a61c7ac31c826c5e35efe53fbbcae93e1791799f"  # 2.10.1, which is not on PyPI
SIDECAR_GIT = "https://github.com/kiwigrid/k8s-sidecar"


def environment(name: str) -> Path:
    """Where the virtual environment of `requirements/NAME.txt` is, made or not."""
    return _cache() / "peers" / f"{name}-{_digest([_pins(name).encode(), sys.version.encode()])}"


def python(name: str) -> Path:
    """Its interpreter."""
    return environment(name) / "bin" / "python"


def go_program(name: str) -> Path:
    """Where the Go program is, built or not. It needs Go of the version in arms/go/go.mod, or one that fetches it."""
    sources = sorted(path for path in GO_SOURCES.rglob("*") if path.is_file())
    return _cache() / "peers" / f"go-{_digest(path.read_bytes() for path in sources)}" / name


def product() -> Path:
    """Where this repository's product is installed as its users have it, without its dependencies."""
    sources = [ROOT / name for name in _PRODUCT]
    files = sorted(path for source in sources for path in [source, *source.rglob("*")] if _is_source(path))
    return _cache() / "peers" / f"product-{_digest(path.read_bytes() for path in files)}"


def prepare(names: Iterable[str]) -> None:
    """Make the environments that are missing; "go" stands for the Go programs (3 minutes cold). CalledProcessError."""
    for name in sorted(set(names)):
        if name == "go":
            _make(go_program("informer").parent, _build_go)
        else:
            _make(environment(name), partial(_install, name))
        if name == "membership":
            _make(product(), _install_product)


def pinned(name: str) -> dict[str, str]:
    """The version of each package of an environment."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", _pins(name), re.MULTILINE))


def pinned_go() -> dict[str, str]:
    """The version of each module that the Go programs are built from."""
    text = (GO_SOURCES / "go.mod").read_text()
    return dict(re.findall(r"^\t(\S+) (v\S+)", text, re.MULTILINE))


def _make(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill `target` unless it is there. A virtual environment knows its own path, so it is made in its place."""
    with _locked(target):
        complete = target / ".complete"
        if complete.exists():
            return
        print(f"making {target}", file=sys.stderr)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        fill(target)
        complete.touch()


def _install(name: str, target: Path) -> None:
    _run(sys.executable, "-m", "venv", str(target))
    pip = (str(target / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    _run(*pip, "--require-hashes", "-r", str(REQUIREMENTS / f"{name}.txt"))
    if name == "k8s-sidecar":
        _check_out_sidecar(target / "source")


def _install_product(target: Path) -> None:
    """From a copy: a build leaves files beside its sources."""
    with tempfile.TemporaryDirectory() as copied:
        for name in _PRODUCT:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(copied, name))
            else:
                shutil.copy(ROOT / name, copied)
        pip = (str(python("membership")), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps")
        _run(*pip, "--target", str(target), copied)


def _is_source(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"


def _check_out_sidecar(target: Path) -> None:
    """MEMBERSHIP_SIDECAR_GIT: where to clone it from, for machines that cannot reach GitHub."""
    _run("git", "clone", "-q", os.environ.get("MEMBERSHIP_SIDECAR_GIT", SIDECAR_GIT), str(target))
    _run("git", "-C", str(target), "checkout", "-q", SIDECAR_COMMIT)


def _build_go(target: Path) -> None:
    command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{target}/"]
    command += [f"./{program}" for program in GO_PROGRAMS]
    subprocess.run(command, check=True, cwd=GO_SOURCES, env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"})


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pins(name: str) -> str:
    return (REQUIREMENTS / f"{name}.txt").read_text()


def _digest(contents: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()[:12]


def _cache() -> Path:
    return Path(os.environ.get("MEMBERSHIP_CACHE") or Path.home() / ".cache" / "kubernetes-membership")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
