"""The control planes of this tier: one that all share and nobody breaks, and one that is there to be broken.

Where a promise takes a minute (a retry after 403, a bookmark) one test begins the story, and one marked `last` sees how
it ended while the rest of the tier ran.
"""

import contextlib
import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.components import StartFailed
from tests.real.world import Place, World

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "last: the end of a story that takes a minute; runs after all others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Not pytest's, which keeps the last three: these are 100 MiB each."""
    path = Path(tempfile.mkdtemp(prefix="membership-real-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def world(folder: Path) -> Iterator[World]:
    """The shared one."""
    (folder / "shared").mkdir()
    found = World.start(folder / "shared")
    with found.plane:
        yield found


@pytest.fixture
def place(world: World, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A namespace of the shared control plane, for this test alone."""
    with Place(world, name_after(request), tmp_path) as found:
        yield found


class _Breakable:
    """Starts a control plane when there is none that works, and mends it after each test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._world: World | None = None

    def get(self) -> World:
        if self._world is None:
            self._world = World.start(Path(tempfile.mkdtemp(dir=self._folder)))
        return self._world

    def mend(self) -> None:
        if self._world is None:
            return
        try:
            self._world.plane.wait_ready(5)
            # Its backoff after an outage would be the next test's.
            self._world.plane.restart("kube-controller-manager")
        except StartFailed:
            self.close()

    def close(self) -> None:
        world, self._world = self._world, None
        if world is not None:
            world.plane.close()


@pytest.fixture(scope="session")
def _breakable(folder: Path) -> Iterator[_Breakable]:
    with contextlib.closing(_Breakable(folder)) as found:
        yield found


@pytest.fixture
def lone_world(_breakable: _Breakable) -> Iterator[World]:
    """A control plane that nobody else uses at this moment: break it, or count all that it is asked."""
    yield _breakable.get()
    _breakable.mend()


@pytest.fixture
def lone_place(lone_world: World, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A namespace of a control plane that may be broken."""
    with Place(lone_world, name_after(request), tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def make_place(world: World, folder: Path) -> Iterator[Callable[..., Place]]:
    """Makes places that live as long as the session, on the shared control plane."""
    with contextlib.ExitStack() as stack:

        def make(name: str, **how: object) -> Place:
            path = folder / name
            path.mkdir()
            return stack.enter_context(Place(world, name, path, **how))  # type: ignore[arg-type]

        yield make


def name_after(request: pytest.FixtureRequest) -> str:
    """A namespace's name that says which test it is for."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    return f"t{next(_numbers)}-{words}"[:50].strip("-")
