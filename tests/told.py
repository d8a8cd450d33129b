"""What a program of ours says before it starts anything: to settings that it refuses, or asked for help.

That is its own `run` in this process, with arguments, environment and outputs of its own. A process would say the same
for 0.2 s of CPU; tests/sidecar/test_settings.py starts some all the same, to see that the exit code gets out.
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

    def count(self, pattern: str) -> int:
        """How many lines of stderr match."""
        return sum(re.search(pattern, line) is not None for line in self.log.splitlines())


def tell(program: str, arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Told:
    """Run `membership` or `membership-sidecar`; one that is content with its settings is stopped as soon as it runs."""
    stopped = threading.Event()
    stopped.set()
    output, log = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, clean_environ() if environ is None else environ, clear=True),
        patch.object(sys, "argv", [program, *arguments]),
        redirect_stdout(output),
        redirect_stderr(log),
    ):
        code = command.run(stopped) if program == "membership-sidecar" else cli.run()
    return Told(code, output.getvalue(), log.getvalue())
