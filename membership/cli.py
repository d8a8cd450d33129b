"""`membership`: one-shot commands for init containers and operators. Each ends with one of the codes of subcommand.py.

They follow the Services just as the sidecar does, only not for long.
"""

import math
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import click
import msgspec

from membership.completion import completion_command
from membership.console import PROGRAM, Progress, is_terminal, painter, put, say, write_document
from membership.doctor_command import doctor_command
from membership.errors import (
    ApiError,
    Forbidden,
    MembershipTimeout,
    PublishError,
    SettingsError,
    Unauthorized,
    Unreachable,
)
from membership.files import FileWriter
from membership.flags import Reader, with_settings
from membership.gate import Gate, GateState
from membership.hazelcast import client_cluster
from membership.history_command import history_command
from membership.import_hiera import import_hiera_command
from membership.model import Snapshot
from membership.preflight import check_access
from membership.outputs import STDOUT, Output, Request, needs_services, warn_of_portless
from membership.render import FORMATS, Setup, render_served
from membership.render.explanation import explain_text
from membership.render.profiles import profiles_json, profiles_text
from membership.render.table import explanations_table, members_table
from membership.render.verdict import verdict_fields, verdict_text
from membership.session import Membership
from membership.settings import Settings, environment
from membership.static import Name, find_own, list_names, parse_names
from membership.subcommand import FORMAT, NAMES, OUT, REPORT_FORMAT, SELF_NAME, Exit, Stopped, command, subcommand
from membership.top import show_top
from membership.verification import CONFIRM, Verification, VerifyRules
from membership.verify import Verdict, confirmed

__all__ = ["command", "run"]

PROGRESS_INTERVAL = 5.0
"""Seconds between lines of progress while nothing changes."""


@subcommand("list", FORMAT)
def list_members(reader: Reader, settings: Settings) -> int:
    """Print the members.

    \b
    Examples:
      membership list --services wso2/is
      membership list --services is --namespace wso2 --output json
    """
    with _membership(settings) as membership:
        snapshot = _first_list(membership, reader)
        _say_unknown(snapshot)
        _say_portless(snapshot, settings)
        _print_list(reader, snapshot)
    return Exit.DONE


@subcommand("top")
def top(reader: Reader, settings: Settings) -> int:
    """Show the members and the last changes, live, until interrupted.

    \b
    Example:
      membership top --services wso2/is
    """
    if not is_terminal():
        raise SettingsError(["top draws on a terminal, and stdout is none: membership watch prints lines"])
    with _membership(settings) as membership:
        show_top(membership, _first_list(membership, reader), painter(environment()))
    return Exit.DONE


@subcommand("watch")
def watch(reader: Reader, settings: Settings) -> int:
    """Print a line for the first list and for each change, until interrupted.

    \b
    Example:
      membership watch --services wso2/is
    """
    try:
        with _membership(settings) as membership:
            before = _first_list(membership, reader)
            _say_unknown(before)
            portless = _say_portless(before, settings)
            put(f"{before.generation} {','.join(before.endpoints) or 'none'}\n".encode())
            for snapshot in membership.changes():
                if snapshot.generation == before.generation:
                    continue
                portless = _say_portless(snapshot, settings, portless)
                put(_describe_change(before, snapshot).encode())
                before = snapshot
    except KeyboardInterrupt:
        pass  # nothing else ends it
    return Exit.DONE


@subcommand("wait", FORMAT)
def wait(reader: Reader, settings: Settings) -> int:
    """Wait until the formation gate opens, then print the members; progress goes to stderr.

    Ends with 3 when the time is up, with --on-timeout start only where there is no list at all.

    \b
    Example, in an init container:
      membership wait --services wso2/is --expect 3 --gate-timeout 5m
    """
    gate = Gate(settings.gate, time.monotonic())
    with _membership(settings) as membership:
        state = _await_gate(gate, membership)
        snapshot = membership.current()
        if not state.open:
            problem = membership.problem
            say(f"{state.reason}{f'; {problem}' if problem else ''}")
            return Exit.TIMED_OUT
        say(f"warning: {state.reason}" if state.timed_out else state.reason)
        _say_portless(snapshot, settings)
        _print_list(reader, snapshot)
    return Exit.DONE


@subcommand(
    "render",
    NAMES,
    SELF_NAME,
    arguments=(
        click.argument("format", metavar="FORMAT"),
        click.argument("source_file", metavar="[SOURCE]", required=False),
        click.option(
            "-o",
            "--output",
            metavar="TARGET",
            default=str(STDOUT),
            help="Write this file, as a whole; with --product a folder, which ends in /, is where the product's home "
            "is copied from. Default is stdout.",
        ),
    ),
    request=lambda format, source_file, output: Request("render", format, source_file, output),
)
def render(reader: Reader, settings: Settings, output: Output) -> int:
    """Print the list in one format, or write it to a file. Ends with 3 where there is nothing to write.

    The list is that of --services, or with --names the host names that are given, and nobody is asked.

    FORMAT is one of json, lines, csv, prometheus-sd, hazelcast-xml, deployment-toml, axis2-xml, template, haproxy,
    hiera; or product, the one of --product. deployment-toml and axis2-xml patch SOURCE, for template it is the Jinja2
    template.

    \b
    Examples:
      membership render hazelcast-xml --services wso2/is -o /config/hazelcast.xml
      membership render deployment-toml base.toml --services wso2/is --self-ip "$NODE_IP"
    """
    names = reader.parse("names", parse_names, None)
    if names is not None and needs_services((output,)):
        raise SettingsError([f"--names: {output.format} is made of Services, which no API server is asked for here"])
    if names is None:
        options = replace(settings.options, definitions=needs_services((output,)))
        with _membership(replace(settings, options=options)) as membership:
            snapshot, setup = _first_list(membership, reader), settings.setup
            if options.definitions:
                publication = membership.wait_definitions(reader.left("timeout"))
                snapshot, setup = publication.snapshot, replace(setup, definitions=publication.definitions)
        _say_portless(snapshot, settings)
    else:
        snapshot, setup = _list_names(names, reader.text("self-name"), settings.setup)
        if setup.self_ip is None and FORMATS[output.format].names_self:
            say("warning: the own name is not written, for --self-name is none of --names: members may not merge")
    content = output.render(snapshot, setup)
    if content is None:
        say("nothing to write: the list has no address, and an empty one would make members start alone")
        return Exit.TIMED_OUT
    if output.target == STDOUT:
        put(content)
    else:
        FileWriter(output.target, None).write(content)
    return Exit.DONE


@subcommand("explain", REPORT_FORMAT)
def explain(reader: Reader, settings: Settings) -> int:
    """Print every address of every slice, in the list or not, and why.

    \b
    Example:
      membership explain --services wso2/is
    """
    format = reader.word("format")
    with _membership(settings) as membership:
        snapshot = _first_list(membership, reader)
        entries = membership.explain()
        if format != "text":
            content = {"unknown_services": snapshot.unknown_services, "addresses": [asdict(entry) for entry in entries]}
            put(write_document(format, msgspec.json.encode(content)))
        elif is_terminal():
            _say_unknown(snapshot)
            put(explanations_table(entries, painter(environment())).encode())
        else:
            put(explain_text(snapshot.unknown_services, entries).encode())
    return Exit.DONE


@subcommand("check", OUT)
def check(reader: Reader, settings: Settings) -> int:
    """Check server, TLS, token and permissions; print the Role and RoleBinding that are missing.

    Findings are comments, so that the output can be given to kubectl apply -f - as it is.

    \b
    Example:
      membership check --services wso2/is | kubectl apply -f -
    """
    deadline = time.monotonic() + reader.left("timeout")
    formats = {text.partition(":")[0] for text in reader.texts("out")}
    definitions = any(name in FORMATS and FORMATS[name].takes_services for name in formats)
    source = settings.options.source
    report = check_access(settings.server, settings.services, source, deadline, definitions=definitions)
    put(report.text.encode())
    return Exit.DONE if report.ok else Exit.REFUSED


@command.command("profiles")
@with_settings((REPORT_FORMAT,))
def profiles(**given: Any) -> int:
    """Print the WSO2 products that --product knows: files, paths, ports, how members get in; and those it refuses."""
    reader = Reader((REPORT_FORMAT,), given, environment())
    format = reader.word("format")
    if reader.problems:
        raise SettingsError(reader.problems)
    if format == "text":
        put(profiles_text().encode())
    else:
        put(write_document(format, profiles_json().encode()))
    return Exit.DONE


command.add_command(import_hiera_command)
command.add_command(history_command)
command.add_command(doctor_command)
command.add_command(completion_command)


@subcommand("verify", REPORT_FORMAT)
def verify(reader: Reader, settings: Settings) -> int:
    """Ask every Hazelcast member for its own view, and compare with the list. Ends with 5 where they differ.

    Asks by REST on the member port; members with REST off by the Hazelcast client, where it is installed,
    --cluster-name is given and --hazelcast-version is 4 or newer. Ends with 3 where nothing is sure at --timeout.

    \b
    Example:
      membership verify --services wso2/is --cluster-name wso2.carbon.domain
    """
    format = reader.word("format")
    verdict = _await_verdict(reader, settings)
    if format == "text":
        put(verdict_text(verdict).encode())
    else:
        put(write_document(format, msgspec.json.encode(verdict_fields(verdict))))
    if verdict.differs:
        return Exit.DIFFERENCE
    return Exit.DONE if verdict.verdict == "agreed" else Exit.TIMED_OUT


def run(arguments: list[str] | None = None) -> int:
    """The whole command; returns the exit code."""
    try:
        return int(command.main(args=arguments, prog_name=PROGRAM, standalone_mode=False) or 0)
    except SettingsError as error:
        say("wrong settings:", *(f"  {problem}" for problem in error.problems))
        return Exit.SETTINGS
    except click.ClickException as error:  # a flag without its value, an unknown subcommand: what click itself finds
        error.show()
        return Exit.SETTINGS
    except (Forbidden, Unauthorized) as error:
        say(str(error), f"{PROGRAM} check says what is missing.")
        return Exit.REFUSED
    except MembershipTimeout as error:
        say(str(error))
        silent = error.cause is None or isinstance(error.cause, Unreachable)
        return Exit.UNREACHABLE if silent else Exit.TIMED_OUT
    except Unreachable as error:
        say(str(error))
        return Exit.UNREACHABLE
    except PublishError as error:
        say(str(error))
        return Exit.SETTINGS
    except ApiError as error:  # it answers, and not as an API server does
        say(str(error))
        return Exit.TIMED_OUT
    except (click.Abort, KeyboardInterrupt) as error:  # click makes the one of the other
        stopped = error.__cause__ or error
        return 128 + (stopped.number if isinstance(stopped, Stopped) else signal.SIGINT)


def _list_names(names: Sequence[Name], own: str | None, setup: Setup) -> tuple[Snapshot, Setup]:
    """The list of these names, and a setup in which the own name stands for the own address."""
    if len(names) == 1:
        say("warning: one name alone: of a name with several addresses Hazelcast takes one, so name each member")
    found = None if own is None else find_own(names, own)
    snapshot = list_names(names, setup.port if isinstance(setup.port, int) else None)
    port = setup.port if found is None or found.port is None else found.port
    return snapshot, replace(setup, self_ip=None if found is None else found.host, port=port)


def _membership(settings: Settings) -> Membership:
    return Membership(settings.server, settings.services, settings.port, options=settings.options)


def _first_list(membership: Membership, reader: Reader) -> Snapshot:
    timeout = reader.left("timeout")
    with Progress("waiting for the API server's first list", timeout):
        return membership.wait(0, timeout, refusal_is_final=True)


def _print_list(reader: Reader, snapshot: Snapshot) -> None:
    format = reader.text("format") or ("table" if is_terminal() else "lines")
    if format == "table":
        put(members_table(snapshot, painter(environment())).encode())
    elif format == "yaml":
        put(write_document("yaml", render_served("json", snapshot)))
    else:
        put(render_served(format, snapshot))


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
            say(f"waiting: {state.reason}; {state.seconds_left:.0f} s left{f'; {problem}' if problem else ''}")
        due = min(gate.next_change(now) or math.inf, now + PROGRESS_INTERVAL)
        membership.wait_newer(snapshot.generation, max(0.0, due - now))


def _await_verdict(reader: Reader, settings: Settings) -> Verdict:
    """Until members and list agree, or differ twice in a row, or the time is up."""
    setup = settings.setup
    cluster = client_cluster(setup.cluster_name, setup.hazelcast_version)
    verification = Verification(VerifyRules("all", setup.self_ip, setup.port, cluster))
    deadline, before = time.monotonic() + reader.left("timeout"), None
    # A round by the client takes 8 s for two members, and is worth waiting for no longer than a second look.
    end = threading.Timer(deadline + 2 * CONFIRM - time.monotonic(), verification.close)
    end.daemon = True
    end.start()
    try:
        while True:
            # A new list each time: that a member is not in it counts only when it is newer than the member's view.
            with _membership(settings) as membership:
                snapshot = membership.wait(0, max(1.0, deadline - time.monotonic()), refusal_is_final=True)
                if before is None:
                    _say_unknown(snapshot)
                verdict = verification.run(membership)
            late = time.monotonic() - deadline
            if verdict.verdict == "agreed" or (verdict.differs and (confirmed(before, verdict) or late > 2 * CONFIRM)):
                return verdict
            if late >= 0 and not verdict.differs:
                return verdict
            before = verdict
            time.sleep(CONFIRM)
    finally:
        end.cancel()
        verification.close()


def _describe_change(before: Snapshot, after: Snapshot) -> str:
    """`3 a:4000,b:4000 joined b:4000 left c:4000`."""
    words = [str(after.generation), ",".join(after.endpoints) or "none"]
    for verb, some, others in (("joined", after, before), ("left", before, after)):
        names = [endpoint for endpoint in some.endpoints if endpoint not in others.endpoints]
        words += [verb, ",".join(names)] if names else []
    return " ".join(words) + "\n"


def _say_unknown(snapshot: Snapshot) -> None:
    for name in snapshot.unknown_services:
        say(f"warning: the API server has no slices of {name}")


def _say_portless(snapshot: Snapshot, settings: Settings, said: str = "") -> str:
    """Unless that was what was `said`; it is what is said now."""
    warning = warn_of_portless(snapshot, settings.port)
    if warning and warning != said:
        say(f"warning: {warning}")
    return warning
