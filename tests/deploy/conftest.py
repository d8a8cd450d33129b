"""The file system that the Dockerfile describes, built once by the Dockerfile's own step."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.plane import ControlPlane
from testbed.pods import Network
from tests.deploy.monitored import Running, run_all
from tests.deploy.stage import World

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Open to every uid, as pytest's own are not."""
    if os.geteuid() != 0:
        pytest.fail("this tier mounts file systems and changes uids: run it as root", pytrace=False)
    path = Path(tempfile.mkdtemp(prefix="membership-deploy-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def image(folder: Path) -> Path:
    """What the last stage copies over its base. Built under an umask that lets nobody else read."""
    root = folder / "image"
    subprocess.run([sys.executable, "-m", "deploy.image.build_root", str(root)], cwd=ROOT, umask=0o077, check=True)
    return root


@pytest.fixture(scope="session")
def world(folder: Path) -> Iterator[World]:
    """A control plane that pods on the network can reach."""
    with Network.claim() as network, ControlPlane.start(folder / "plane", bind=network.node) as plane:
        yield plane, network


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_all(tmp_path_factory.mktemp("monitoring")) as running:
        yield running
