"""Kills a process that writes a file, at random points, again and again: python -m tests.sidecar.crashing FOLDER

Prints JSON: how often the file was each of the two contents that are written, or something else, or absent after it had
been there; and in how many rounds the kill came between the making of a temporary file and its end.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

from membership.files import FileWriter

ROUNDS = 500
CONTENTS = (b"short\n", b"a long line of a long file\n" * 8000)


def write_for_ever(target: Path, staging: Path) -> None:
    writer = FileWriter(target, staging)
    writer.remove_leftovers()
    for content in cycle(CONTENTS):
        writer.write(content)


def crash(folder: Path, chance: random.Random) -> Counter[str]:
    target, staging = folder / "tree" / "file", folder / "staging"
    found = Counter[str]()
    for _ in range(ROUNDS):
        child = os.fork()
        if child == 0:
            try:
                write_for_ever(target, staging)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        found["killed while writing"] += any(staging.glob("*")) if staging.exists() else 0
        if target.exists():
            content = target.read_bytes()
            found[("short", "long")[CONTENTS.index(content)] if content in CONTENTS else "torn"] += 1
        else:
            found["gone" if found["short"] + found["long"] else "not there yet"] += 1
    return found


if __name__ == "__main__":
    print(json.dumps(crash(Path(sys.argv[1]), random.Random(0))))
