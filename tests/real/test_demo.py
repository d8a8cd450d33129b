"""`make demo` as written, on FakeKube and on a real control plane: it tells its story to the end and leaves nothing."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.manifests import ROOT


@pytest.mark.parametrize("flags", [(), ("--real",)])
def test_the_demo_runs_to_its_end(tmp_path: Path, flags: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "examples.demo", *flags]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}  # which all that it starts inherits
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not find_processes(f"TMPDIR={tmp_path}") and not list(tmp_path.iterdir())


def find_processes(variable: str) -> list[str]:
    """The command lines of the processes that were started with this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
