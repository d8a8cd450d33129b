"""`membership`: one-shot commands for init containers and operators. Each ends with one of the codes below.

They follow the Services just as the sidecar does, only not for long.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Any

import click
import msgspec

from membership.errors import Forbidden, MembershipTimeout, PublishError, SettingsError, Unauthorized, Unreachable
from membership.files import FileWriter
from membership.gate import Gate, GateState
from membership.model import Snapshot
from membership.preflight import check_access
from membership.render import FORMATS
from membership.render.explanation import explain_text
from membership.session import Membership
from membership.settings import (
    SETTINGS,
    Reader,
    Setting,
    Settings,
    choice,
    environment,
    read,
    with_settings,
)

PROGRAM = "membership"
PROGRESS_INTERVAL = 5.0
"""Seconds between lines of progress while nothing changes."""

TIMEOUT = Setting("timeout", "How long to try before giving up.", "10s", metavar="DURATION")
FORMAT = Setting("format", f"One of {', '.join(FORMATS)}.", "lines", metavar="FORMAT")
EXPLAIN_FORMAT = Setting("format", "text or json.", "text", metavar="FORMAT")


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
    4 refused by the API server, 5 verify found a difference, 6 API server unreachable.
    """


def _subcommand(
    name: str, *extra: Setting, arguments: Sequence[Callable[[Any], Any]] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A subcommand with all settings: its function gets the Reader, the Settings, and the values of `arguments`."""
    table = (*extra, TIMEOUT, *SETTINGS)
    flags = {setting.flag.replace("-", "_") for setting in table}

    def decorate(function: Callable[..., int]) -> Callable[..., Any]:
        def run(unknown: tuple[str, ...], **given: Any) -> int:
            environ = environment()
            reader = Reader(table, given, environ)
            reader.refuse(unknown)
            reader.duration("timeout")
            settings = read(reader, environ)
            _log(settings)
            return function(reader, settings, **{key: value for key, value in given.items() if key not in flags})

        run.__doc__ = function.__doc__
        decorated: Any = click.argument("unknown", nargs=-1, type=click.UNPROCESSED)(run)
        for argument in (*reversed(arguments), with_settings(table)):
            decorated = argument(decorated)
        context = {"ignore_unknown_options": True, "max_content_width": 110}
        subcommand: Callable[..., Any] = command.command(name, context_settings=context)(decorated)
        return subcommand

    return decorate


@_subcommand("list", FORMAT)
def list_members(reader: Reader, settings: Settings) -> int:
    """Print the members."""
    format = _format(reader, tuple(FORMATS))
    with _membership(settings) as membership:
        snapshot = _first_list(membership, reader)
        _say_unknown(snapshot)
        _print(FORMATS[format](snapshot) or b"")
    return Exit.DONE


@_subcommand("watch")
def watch(reader: Reader, settings: Settings) -> int:
    """Print a line for the first list and for each change, until interrupted."""
    with _membership(settings) as membership:
        before = _first_list(membership, reader)
        _say_unknown(before)
        _print(f"{before.generation} {','.join(before.endpoints) or 'none'}\n".encode())
        for snapshot in membership.changes():
            if snapshot.generation == before.generation:
                continue
            _print(_describe_change(before, snapshot).encode())
            before = snapshot
    return Exit.DONE


@_subcommand("wait", FORMAT)
def wait(reader: Reader, settings: Settings) -> int:
    """Wait until the formation gate opens, then print the members; progress goes to stderr.

    Ends with 3 when the time is up, with --on-timeout start only where there is no list at all.
    """
    format = _format(reader, tuple(FORMATS))
    gate = Gate(settings.gate, time.monotonic())
    with _membership(settings) as membership:
        state = _await_gate(gate, membership)
        snapshot = membership.current()
        if not state.open:
            problem = membership.problem
            _say(f"{state.reason}{f'; {problem}' if problem else ''}")
            return Exit.TIMED_OUT
        _say(f"warning: {state.reason}" if state.timed_out else state.reason)
        _print(FORMATS[format](snapshot) or b"")
    return Exit.DONE


@_subcommand(
    "render",
    arguments=(
        click.argument("format", metavar="FORMAT"),
        click.option("-o", "--output", metavar="TARGET", help="Write this file, as a whole; default is stdout."),
    ),
)
def render(reader: Reader, settings: Settings, format: str, output: str | None) -> int:
    """Print the list in one format, or write it to a file. Ends with 3 where there is nothing to write."""
    if format not in FORMATS:
        raise SettingsError([f"{format!r} is no format; there are {', '.join(FORMATS)}"])
    with _membership(settings) as membership:
        content = FORMATS[format](_first_list(membership, reader))
    if content is None:
        _say("nothing to write: the list has no address, and an empty one would make members start alone")
        return Exit.TIMED_OUT
    if output is None:
        _print(content)
    else:
        FileWriter(Path(output), None).write(content)
    return Exit.DONE


@_subcommand("explain", EXPLAIN_FORMAT)
def explain(reader: Reader, settings: Settings) -> int:
    """Print every address of every slice, in the list or not, and why."""
    format = _format(reader, ("text", "json"))
    with _membership(settings) as membership:
        snapshot = _first_list(membership, reader)
        entries = membership.explain()
        if format == "json":
            content = {"unknown_services": snapshot.unknown_services, "addresses": [asdict(entry) for entry in entries]}
            _print(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        else:
            _print(explain_text(snapshot.unknown_services, entries).encode())
    return Exit.DONE


@_subcommand("check")
def check(reader: Reader, settings: Settings) -> int:
    """Check server, TLS, token and permissions; print the Role and RoleBinding that are missing.

    Findings are comments, so that the output can be given to kubectl apply -f - as it is.
    """
    report = check_access(settings.server, settings.services, settings.options.source)
    _print(report.text.encode())
    return Exit.DONE if report.ok else Exit.REFUSED


def run(arguments: list[str] | None = None) -> int:
    """The whole command; returns the exit code."""
    try:
        return int(command.main(args=arguments, prog_name=PROGRAM, standalone_mode=False) or 0)
    except SettingsError as error:
        _say("wrong settings:", *(f"  {problem}" for problem in error.problems))
        return Exit.SETTINGS
    except click.ClickException as error:  # a flag without its value, an unknown subcommand: what click itself finds
        error.show()
        return Exit.SETTINGS
    except (Forbidden, Unauthorized) as error:
        _say(str(error), f"{PROGRAM} check says what is missing.")
        return Exit.REFUSED
    except MembershipTimeout as error:
        _say(str(error))
        silent = error.cause is None or isinstance(error.cause, Unreachable)
        return Exit.UNREACHABLE if silent else Exit.TIMED_OUT
    except Unreachable as error:
        _say(str(error))
        return Exit.UNREACHABLE
    except PublishError as error:
        _say(str(error))
        return Exit.BUG
    except (click.Abort, KeyboardInterrupt):
        return Exit.DONE
    except BrokenPipeError:
        sys.stdout = None  # nobody reads it any more: do not flush it at exit
        return Exit.DONE


def _membership(settings: Settings) -> Membership:
    return Membership(settings.server, settings.services, settings.port, options=settings.options)


def _first_list(membership: Membership, reader: Reader) -> Snapshot:
    return membership.wait(0, reader.duration("timeout"), refusal_is_final=True)


def _await_gate(gate: Gate, membership: Membership) -> GateState:
    """Until the gate opens or its time is up, with a line of progress for each change and every few seconds."""
    said, said_at = "", -math.inf
    while True:
        now, snapshot = time.monotonic(), membership.current()
        gate.observe(snapshot, now)
        state = gate.state(now)
        if state.open or state.timed_out:
            return state
        problem = membership.problem
        if state.reason != said or now - said_at >= PROGRESS_INTERVAL:
            said, said_at = state.reason, now
            _say(f"waiting: {state.reason}; {state.seconds_left:.0f} s left{f'; {problem}' if problem else ''}")
        due = min(gate.next_change or math.inf, now + PROGRESS_INTERVAL)
        membership.wait_newer(snapshot.generation, max(0.0, due - now))


def _describe_change(before: Snapshot, after: Snapshot) -> str:
    """`3 a:4000,b:4000 joined b:4000 left c:4000`."""
    words = [str(after.generation), ",".join(after.endpoints) or "none"]
    for verb, some, others in (("joined", after, before), ("left", before, after)):
        names = [endpoint for endpoint in some.endpoints if endpoint not in others.endpoints]
        words += [verb, ",".join(names)] if names else []
    return " ".join(words) + "\n"


def _format(reader: Reader, formats: tuple[str, ...]) -> str:
    format = reader.parse("format", choice(*formats), "")
    if reader.problems:
        raise SettingsError(reader.problems)
    return format


def _say_unknown(snapshot: Snapshot) -> None:
    for name in snapshot.unknown_services:
        _say(f"warning: the API server has no slices of {name}")


def _log(settings: Settings) -> None:
    """The library's own log: warnings only, for these commands say themselves what matters."""
    level = "WARNING" if settings.log_level == "info" else settings.log_level.upper()
    logging.basicConfig(stream=sys.stderr, level=level, format=f"{PROGRAM}: %(message)s")
    for warning in settings.warnings:
        _say(f"warning: {warning}")


def _say(*lines: str) -> None:
    for line in lines:
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)


def _print(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
