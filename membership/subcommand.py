"""The frame of `membership`'s subcommands: the settings they share, how they are read, and the exit codes."""

import logging
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import click

from membership.access import connect_within
from membership.console import PROGRAM, say
from membership.flags import Reader, Setting, SettingsCommand, with_settings
from membership.outputs import Output, Request, make_output
from membership.render import SERVED, Setup
from membership.settings import EPILOG, SETTINGS, Settings, environment, read, read_product
from membership.static import Name, parse_names

TIMEOUT = Setting("timeout", "How long to try before giving up.", "10s", metavar="DURATION")
FORMAT = Setting(
    "format",
    f"One of table, {', '.join(SERVED)}, yaml. Default: table on a terminal, else lines.",
    metavar="FORMAT",
    choices=("table", *SERVED, "yaml"),
    also=("output",),
)
NAMES = Setting(
    "names",
    "Instead of --services: the members' host names, separated by commas, each with :PORT where that is not --port. "
    "They are written as they are and never resolved here, and no API server is asked.",
    metavar="HOSTS",
)
SELF_NAME = Setting(
    "self-name",
    "With --names: the own one, or its first label, which in a pod of a StatefulSet is the pod's name. It is written "
    "in place of --self-ip, for members must call themselves as the list does.",
    wso2=("POD_NAME", "HOSTNAME"),
    metavar="HOST",
)
OUT = Setting(
    "out",
    "As given to the sidecar: haproxy needs the Services as well, and then they are asked about, too.",
    metavar="FORMAT:[SOURCE:]TARGET",
    many=True,
)
REPORT_FORMAT = Setting(
    "format", "text, json or yaml.", "text", metavar="FORMAT", choices=("text", "json", "yaml"), also=("output",)
)


class Stopped(KeyboardInterrupt):
    """By a signal. What was asked for is not done, so that the exit code is the shell's 128 + `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Exit(IntEnum):
    DONE = 0
    BUG = 1
    SETTINGS = 2
    TIMED_OUT = 3
    REFUSED = 4
    DIFFERENCE = 5
    UNREACHABLE = 6


@click.group(name=PROGRAM)
@click.version_option(package_name="kubernetes-membership")
def command() -> None:
    """Find the members of Kubernetes Services, and explain what is found.

    Settings come after the subcommand. Exit codes: 0 done, 1 a bug, 2 wrong settings, 3 timed out or nothing to write,
    4 refused by the API server, 5 verify found a difference, or the doctor a fault, 6 API server unreachable.
    """


def subcommand(
    name: str,
    *extra: Setting,
    arguments: Sequence[Callable[[Any], Any]] = (),
    request: Callable[..., Request] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A subcommand with all settings: its function gets the Reader, the Settings, and the values of `arguments`.

    With `request`, which makes these values a wish for a file, it gets the Output in their place.
    """
    table = (*extra, TIMEOUT, *SETTINGS)
    flags = {setting.flag.replace("-", "_") for setting in table}

    def decorate(function: Callable[..., int]) -> Callable[..., Any]:
        def run(unknown: tuple[str, ...], **given: Any) -> int:
            environ = environment()
            reader = Reader(table, given, environ)
            reader.refuse(unknown)
            for setting in extra:
                if setting.choices and reader.text(setting.flag) is not None:
                    reader.word(setting.flag)
            names = _read_names(reader) if NAMES in extra else None
            profile = read_product(reader)
            values = {key: value for key, value in given.items() if key not in flags}
            outputs: tuple[Output, ...] = ()
            if request is not None:
                output = make_output(request(**values), profile, reader.problems)
                values, outputs = {"output": output}, (output,) if output else ()
            settings = connect_within(
                reader.left("timeout"),
                lambda: read(
                    reader,
                    environ,
                    outputs,
                    check=lambda setup: _check_names(names or (), setup),
                    offline=names is not None,
                ),
            )
            _log(settings)
            return function(reader, settings, **values)

        run.__doc__ = function.__doc__
        decorated: Any = click.argument("unknown", nargs=-1, type=click.UNPROCESSED)(run)
        for argument in (*reversed(arguments), with_settings(table)):
            decorated = argument(decorated)
        context = {"ignore_unknown_options": True, "max_content_width": 110}
        make = command.command(name, cls=SettingsCommand, context_settings=context, epilog=EPILOG)
        made: Callable[..., Any] = make(decorated)
        return made

    return decorate


def _read_names(reader: Reader) -> tuple[Name, ...] | None:
    """None where the list is to come from the API server. A wrong one is noted, and is still one."""
    if reader.text("names") is None:
        return None
    if reader.is_flag("names") and reader.is_flag("services"):
        reader.problems.append("--names: --services is given as well; there can be one list only")
    nothing: tuple[Name, ...] = ()
    return reader.parse("names", parse_names, nothing)


def _check_names(names: Sequence[Name], setup: Setup) -> list[str]:
    if isinstance(setup.port, int) or all(name.port is not None for name in names):
        return []
    return [f"--names: --port is the name {setup.port!r}, which no slice is asked for; give a number"]


def _log(settings: Settings) -> None:
    """The library's own log: warnings only, for these commands say themselves what matters."""
    level = "WARNING" if settings.log_level == "info" else settings.log_level.upper()
    logging.basicConfig(stream=sys.stderr, level=level, format=f"{PROGRAM}: %(message)s")
    for warning in settings.warnings:
        say(f"warning: {warning}")
