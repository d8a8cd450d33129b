"""Every run tries the same examples; HYPOTHESIS_PROFILE=random tries others, to find what nobody has seen yet."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from membership.testing import FakeKube
from tests.running import pods

_FIGURES = pytest.StashKey[dict[str, str]]()
LONGEST = (
    "test_upstream.py", "test_push.py", "test_verify.py", "test_simulation.py", "test_doctor.py", "test_files.py",
    "test_command.py", "test_settings.py", "test_http.py",
)  # fmt: skip
"""Files that take longest, mostly by waiting: they begin first, so that nothing is left to wait for at the end."""

settings.register_profile("same", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = {}
    # A shell ignores SIGINT for what it starts in the background, and commands under test would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, value in config.stash[_FIGURES].items():
        terminalreporter.write_line(f"{name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    """An API server with the Service `wso2/is` of two pods."""
    with FakeKube() as server:
        server.set_service("wso2", "is", pods(2))
        yield server


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, float | str]]:
    """What this test measured, seconds or words; printed at the end of the run."""
    found: dict[str, float | str] = {}
    yield found
    text = ", ".join(
        f"{what} {figure if isinstance(figure, str) else f'{figure:.2f} s'}" for what, figure in found.items()
    )
    request.config.stash[_FIGURES][request.node.name] = text
