"""The catalogue and the tests are the same 32: each named once, and every test that a row names exists."""

import ast
import re
from pathlib import Path

import pytest

from tests.faults.catalogue import CATALOGUE, Fault

HERE = Path(__file__).parent
REAL = HERE.parent / "real"


def _tests(folder: Path) -> dict[str, str | None]:
    """The docstring of each test function, by `file.py::function`."""
    return {
        f"{path.name}::{node.name}": ast.get_docstring(node)
        for path in sorted(folder.glob("test_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_of_the_32_has_one_test() -> None:
    assert [fault.id for fault in CATALOGUE] == [f"F{number}" for number in range(1, 33)]
    named = sorted(test.partition("::")[2][:9] for test in _tests(HERE) if re.search(r"::test_f\d\d_", test))
    assert named == [f"test_f{number:02}_" for number in range(1, 33)]


@pytest.mark.parametrize("fault", CATALOGUE, ids=lambda fault: fault.id)
def test_each_row_names_tests_that_exist(fault: Fault) -> None:
    number = int(fault.id.removeprefix("F"))
    assert f"::test_f{number:02}_" in fault.test
    assert (_tests(HERE)[fault.test] or "").startswith(f"{fault.id}, "), "its docstring says which fault it is"
    assert set(fault.real) <= set(_tests(REAL))
    assert bool(fault.real) != bool(fault.why_not), "a test on the real control plane, or the reason why there is none"
