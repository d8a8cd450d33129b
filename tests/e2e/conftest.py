"""One control plane and one network for the whole tier; a namespace and its pods for each test."""

import re
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.pods import Network
from tests.e2e.java import build
from tests.e2e.world import Stage, World


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "quick: what `make test-e2e` runs, five minutes at most; the others take an hour"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show the ends of the logs of a test that failed: its folder is gone afterwards."""
    report = (yield).get_result()
    stage = getattr(item, "funcargs", {}).get("stage")
    if report.failed and isinstance(stage, Stage):
        for log in sorted(stage.folder.glob("*/*.log")):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
            report.sections.append((str(log.relative_to(stage.folder)), tail))


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Not pytest's, which keeps the last three: a Carbon's home is 140 MB."""
    path = Path(tempfile.mkdtemp(prefix="membership-e2e-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def world(folder: Path) -> Iterator[World]:
    with Network.claim() as network:
        found = World.start(network, folder / "plane")
        with found.plane:
            yield found


@pytest.fixture
def stage(world: World, folder: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A namespace for this test alone."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")
    name = words if len(words) <= 40 else f"{words[:30].rstrip('-')}-{words[-9:].lstrip('-')}"
    with Stage(world, name, folder / name) as found:
        yield found
    shutil.rmtree(folder / name, ignore_errors=True)


@pytest.fixture(scope="session")
def discovery_jar() -> Path:
    """examples/hazelcast-discovery, built."""
    return build("hazelcast-discovery")
