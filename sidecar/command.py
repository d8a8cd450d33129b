"""`membership-sidecar`: from the command line to a running daemon."""

import gc
import sys
import threading
from typing import Any

import click

from membership.access import connect_within
from membership.errors import SettingsError
from membership.flags import SettingsCommand, with_settings
from membership.settings import EPILOG, environment
from sidecar.app import App
from sidecar.log import start_logging
from sidecar.settings import SETTINGS, parse_settings

PROGRAM = "membership-sidecar"
SWITCH_INTERVAL = 0.0005
"""Seconds a thread keeps the interpreter while others want it: a change passes through three threads until it is out,
and with Python's 5 ms each of them may wait that long for one that renders a large list."""


@click.command(
    name=PROGRAM,
    cls=SettingsCommand,
    context_settings={"ignore_unknown_options": True, "max_content_width": 110},
    epilog=EPILOG,
)
@with_settings(SETTINGS)
@click.argument("unknown", nargs=-1, type=click.UNPROCESSED)
@click.version_option(package_name="kubernetes-membership")
@click.pass_obj
def command(events: tuple[threading.Event, threading.Event], /, unknown: tuple[str, ...], **given: Any) -> int:
    """Follow the members of Kubernetes Services, and keep files and an HTTP endpoint current with them.

    Exit codes: 0 after SIGTERM or SIGINT, 1 for a bug, 2 for wrong settings.
    """
    environ = environment()
    stopped, running = events
    settings = connect_within(None, lambda: parse_settings(given, environ, unknown))
    running.set()
    start_logging(settings.shared.log_format, settings.shared.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL)
    app = App(settings, environ, stopped)
    gc.freeze()  # the modules' 40,000 objects live as long as we do: looking at them took 6 ms of each full collection
    app.start()
    app.run()
    app.close()
    return 0


def run(stopped: threading.Event, running: threading.Event) -> int:
    """Until `stopped` is set; returns the exit code. `running` is set once `stopped` is looked at."""
    try:
        code: int = command.main(prog_name=PROGRAM, standalone_mode=False, obj=(stopped, running)) or 0
        return code
    except SettingsError as error:
        print(f"{PROGRAM}: wrong settings:", *(f"  {problem}" for problem in error.problems), sep="\n", file=sys.stderr)
        print(f"See {PROGRAM} --help.", file=sys.stderr)
        return 2
    except click.ClickException as error:  # a flag without its value: what click itself finds
        error.show()
        return error.exit_code
