"""Fixtures of the fault tests."""

from pathlib import Path

import pytest

from membership import reflector
from tests.faults.stage import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine whose clock and resolver can be broken, for one sidecar."""
    folder = tmp_path / "machine"
    folder.mkdir()
    return Machine(folder)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again after a refusal in half a second instead of half a minute; for the library in this process."""
    monkeypatch.setattr(reflector, "SLOW", (0.4, 0.8))
