"""Builds what the image has on top of its base: /opt/membership, below the folder that is named.

    python3 -m deploy.image.build_root /image

The Dockerfile runs this, and so do the tests, where no image can be pulled: both have the same files. Packages are
those of requirements-runtime.lock, by hash and as wheels. Needs pip and setuptools of the Python that runs it, and
that is the one the result is for: compiled packages fit one minor version.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2]
HOME = "opt/membership"
LOCK = "requirements-runtime.lock"
PACKAGE = ("membership", "sidecar", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
"""All that the product's own wheel is made from."""
PROGRAMS = {"membership": "membership.__main__", "membership-sidecar": "sidecar.__main__"}
PYTHON = "/usr/local/bin/python3"
"""Where the base image has it."""
LAUNCHER = """#!{python} -IB
import sys

sys.path.insert(0, "/{home}/lib")

from {module} import main

sys.exit(main())
"""
"""Isolated: neither variables nor the working directory decide what is imported. Nothing else is needed, no shell."""


def build_root(root: Path) -> None:
    """Make `root`/opt/membership, which must not be there yet. CalledProcessError where pip fails."""
    home = root / HOME
    home.mkdir(parents=True)
    library = home / "lib"
    _install(library, "--require-hashes", "--only-binary=:all:", "-r", str(SOURCE / LOCK))
    with tempfile.TemporaryDirectory() as folder:
        for name in PACKAGE:  # pip builds in the folder itself
            _copy(SOURCE / name, Path(folder) / name)
        _install(library, "--no-index", "--no-build-isolation", folder)
    _compile(library)
    for program, module in PROGRAMS.items():
        launcher = home / "bin" / program
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(LAUNCHER.format(python=PYTHON, home=HOME, module=module))
    (home / "sbom.cdx.json").write_text(json.dumps(describe(library), indent=2) + "\n")
    _set_modes(root)


def describe(library: Path) -> dict[str, Any]:
    """A CycloneDX 1.5 document of the packages in `library`, the same for the same packages."""
    found = sorted(distributions(path=[str(library)]), key=lambda found: found.name.lower())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": [_describe_package(package) for package in found],
    }


def _describe_package(package: Distribution) -> dict[str, Any]:
    name = package.name.lower().replace("_", "-")
    said = package.metadata
    licence = [*(said.get_all("License-Expression") or ()), *(said.get_all("License") or ()), ""][0]
    return {
        "type": "library",
        "name": name,
        "version": package.version,
        "purl": f"pkg:pypi/{name}@{package.version}",
        **({"licenses": [{"license": {"name": licence.splitlines()[0]}}]} if licence else {}),
    }


def _install(library: Path, *what: str) -> None:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir")
    # What pip warns about running as root is the case here; no other environment is touched.
    quiet = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*pip, "--no-deps", "--no-compile", "--target", str(library), *what], check=True, env=quiet)
    shutil.rmtree(library / "bin", ignore_errors=True)  # for that Python, at that place; LAUNCHER is ours


def _compile(library: Path) -> None:
    """Bytecode beside the sources, for the tree is read-only; by hash, for a layer has other times than this folder."""
    where = ("-s", str(library), "-p", f"/{HOME}/lib")
    command = (sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *where, str(library))
    subprocess.run(command, check=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def _set_modes(root: Path) -> None:
    """Readable for every uid, whatever the umask was; executable only what is to be run."""
    for path in (root, *_walk(root)):
        runs = path.is_dir() or path.parent == root / HOME / "bin"
        path.chmod(0o755 if runs else 0o644)


def _walk(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if not path.is_symlink())


if __name__ == "__main__":
    build_root(Path(sys.argv[1]))
