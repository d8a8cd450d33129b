"""The control plane's binary: built once, then taken from the cache."""

import subprocess
from pathlib import Path


class BuildFailed(Exception):
    """There is no binary and none could be built; the text says what to install."""


def build_binary() -> str:
    """The path of the binary. Without one in the cache it is built first, which takes seconds or minutes."""
    script = Path(__file__).with_name("build_controlplane")
    done = subprocess.run([script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BuildFailed(done.stderr.strip())
    return done.stdout.splitlines()[-1]
