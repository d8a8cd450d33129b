"""`make demo` as written, on FakeKube and on a real control plane: it tells its story to the end and leaves nothing."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT

from tests.manifests import ROOT


def test_the_demo_runs_to_its_end(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}  # which all that it starts inherits
    commands = [[sys.executable, "-m", "examples.demo", *flags] for flags in ((), ("--real",))]
    with contextlib.ExitStack() as stack:  # both at once, for they wait most of the time
        started = [
            stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=PIPE, stderr=STDOUT, text=True))
            for command in commands
        ]
        for each in started:
            stack.callback(each.kill)
        for each in started:
            output = each.communicate(timeout=120)[0]
            assert each.returncode == 0, output
    assert not find_processes(f"TMPDIR={tmp_path}") and not list(tmp_path.iterdir())


def find_processes(variable: str) -> list[str]:
    """The command lines of the processes that were started with this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
