"""`membership-sidecar`: the process around the daemon. Only here are signals installed and exit codes given."""

import signal
import sys
from typing import Any

import click

from membership.errors import SettingsError
from membership.settings import environment, with_settings
from sidecar.app import App
from sidecar.log import start_logging
from sidecar.settings import SETTINGS, parse_settings

PROGRAM = "membership-sidecar"
SWITCH_INTERVAL = 0.0005
"""Seconds a thread keeps the interpreter while others want it: a change passes through three threads until it is out,
and with Python's 5 ms each of them may wait that long for one that renders a large list."""


@click.command(name=PROGRAM, context_settings={"ignore_unknown_options": True, "max_content_width": 110})
@with_settings(SETTINGS)
@click.argument("unknown", nargs=-1, type=click.UNPROCESSED)
@click.version_option(package_name="kubernetes-membership")
def command(unknown: tuple[str, ...], **given: Any) -> int:
    """Follow the members of Kubernetes Services, and keep files and an HTTP endpoint current with them.

    Exit codes: 0 after SIGTERM or SIGINT, 1 for a bug, 2 for wrong settings.
    """
    environ = environment()
    try:
        settings = parse_settings(given, environ, unknown)
        app = App(settings, environ)
    except SettingsError as error:
        report(PROGRAM, error)
        return 2
    sys.setswitchinterval(SWITCH_INTERVAL)
    start_logging(settings.shared.log_format, settings.shared.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: app.stop())
    app.start()
    app.run()
    app.close()
    return 0


def report(program: str, error: SettingsError) -> None:
    """All wrong settings, on stderr."""
    print(f"{program}: wrong settings:", file=sys.stderr)
    for problem in error.problems:
        print(f"  {problem}", file=sys.stderr)
    print(f"See {program} --help.", file=sys.stderr)


def main() -> None:
    try:
        code = command(standalone_mode=False)
    except click.ClickException as error:  # a flag without its value: what click itself finds
        error.show()
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
