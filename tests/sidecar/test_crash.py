"""SIGKILL while a file is written: it is the one before or the one after, 500 times."""

import json
import subprocess
import sys
from pathlib import Path

from tests.sidecar.crashing import ROUNDS


def test_a_kill_never_leaves_a_torn_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.sidecar.crashing", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=True)
    found = json.loads(done.stdout)
    assert set(found) <= {"short", "long", "not there yet", "killed while writing"}, found
    assert found["short"] + found["long"] + found.get("not there yet", 0) == ROUNDS
    assert min(found["short"], found["long"], found["killed while writing"]) > ROUNDS / 20, found
