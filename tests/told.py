"""What a program of ours says to its settings, without the 0.2 s of CPU that a process takes to start.

It is the program's own `run` in this process, with arguments, environment and outputs of its own: for settings that it
refuses, for --help, and for one-shot commands of which only the settings are in question. That exit codes and outputs
get out of a process is seen in tests/sidecar/test_command.py, and by some refusals in test_settings.py.
"""

import io
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from membership import cli
from sidecar import command
from tests.running import clean_environ


@dataclass(frozen=True)
class Told:
    """How it ended, and its outputs."""

    code: int
    output: str
    log: str

    @property
    def out(self) -> list[str]:
        return self.output.splitlines()

    def count(self, pattern: str) -> int:
        """How many lines of stderr match."""
        return sum(re.search(pattern, line) is not None for line in self.log.splitlines())


def tell(program: str, arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Told:
    """Run `membership` or `membership-sidecar`; one that is content with its settings is stopped as soon as it runs."""
    stopped = threading.Event()
    stopped.set()
    output, log = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with (
        patch.dict(os.environ, clean_environ() if environ is None else environ, clear=True),
        patch.object(sys, "argv", [program, *arguments]),
        redirect_stdout(output),
        redirect_stderr(log),
    ):
        code = command.run(stopped, threading.Event()) if program == "membership-sidecar" else cli.run()
    output.seek(0)
    return Told(code, output.read(), log.getvalue())
