"""`membership doctor`: examines all there is to go wrong in a pod, and says what to do."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from membership.doctor.carbon import examine_carbon
from membership.doctor.catalogue import find
from membership.doctor.cluster import examine_hazelcast
from membership.doctor.connection import examine_dns, examine_server, examine_tcp, examine_tls
from membership.doctor.examination import Examine, examine_all
from membership.doctor.files import examine_files
from membership.doctor.findings import Finding, Severity, choose_exit, report_fields, report_text, soften
from membership.doctor.members import examine_own, examine_slices
from membership.doctor.rbac import examine_rbac
from membership.doctor.service import examine_service
from membership.doctor.situation import Reading, Situation, read_leniently
from membership.doctor.token import examine_token
from membership.doctor.upstream import ask_upstream
from membership.errors import SettingsError
from membership.flags import Reader, Setting, SettingsCommand, with_settings
from membership.session import Membership
from membership.settings import EPILOG, IGNORED, SETTINGS, environment

OWN = (
    Setting("output", "text or json.", "text", metavar="FORMAT", choices=("text", "json")),
    Setting("timeout", "How long the whole may take.", "10s", metavar="DURATION"),
    Setting(
        "fail-on",
        "From which severity on the exit code is not 0: warning or error.",
        "warning",
        metavar="SEVERITY",
        choices=("warning", "error"),
    ),
    Setting(
        "out",
        "As given to the sidecar: the files to look at, and with --product the tree that is copied.",
        metavar="FORMAT:[SOURCE:]TARGET",
        many=True,
    ),
    Setting("staging", "As given to the sidecar.", metavar="FOLDER"),
    Setting(
        "carbon-home",
        "The server's home, to look at its own configuration; there is one in the server's container only.",
        wso2=("CARBON_HOME", "WSO2_SERVER_HOME"),
        metavar="FOLDER",
    ),
)
TABLE = (*OWN, *SETTINGS)
UPSTREAM_LIMIT = 2.0
"""Seconds for the sidecar that --upstream names."""


@click.command(
    "doctor",
    cls=SettingsCommand,
    context_settings={"ignore_unknown_options": True, "max_content_width": 110},
    epilog=EPILOG,
)
@with_settings(TABLE)
@click.argument("unknown", nargs=-1, type=click.UNPROCESSED)
def doctor_command(unknown: tuple[str, ...], **given: Any) -> int:
    """Examine settings, DNS, TCP, TLS, token, RBAC, Services, slices, own address, files, Hazelcast and Carbon's files.

    Prints each finding with evidence and the fix, the gravest first; run it in the sidecar's container, whose settings
    and files it then has: kubectl exec POD -c membership -- membership doctor. It changes nothing.

    Ends with 0 where nothing is worse than information. Else the first error decides: 2 wrong settings, 6 API server
    unreachable (dns, tcp, tls, server), 4 refused by it (token, rbac), 5 anything else, and warnings; 1 is a bug.
    """
    environ = environment()
    reader = Reader(TABLE, given, environ)
    reader.refuse(unknown)
    output, seconds = reader.word("output"), reader.duration("timeout")
    fail_on = reader.word("fail-on")
    if reader.problems:
        raise SettingsError(reader.problems)
    reading = read_leniently(TABLE, given, environ)
    with _quiet():
        findings = _examine(reading, environ, reader.text("staging"), reader.text("carbon-home"), seconds)
    exit_code = choose_exit(findings, Severity(fail_on))
    if output == "json":
        sys.stdout.write(
            msgspec.json.format(msgspec.json.encode(report_fields(findings, exit_code)), indent=2).decode() + "\n"
        )
    else:
        sys.stdout.write(report_text(findings))
    return exit_code


EXAMINATIONS: Mapping[str, Examine] = {
    "settings": lambda situation, limit: _examine_settings(situation),
    "dns": examine_dns,
    "tcp": examine_tcp,
    "tls": examine_tls,
    "server": examine_server,
    "token": examine_token,
    "rbac": examine_rbac,
    "service": examine_service,
    "slices": examine_slices,
    "own": examine_own,
    "files": examine_files,
    "hazelcast": examine_hazelcast,
    "carbon": examine_carbon,
}
"""One for each of `findings.AREAS`."""


def _examine(
    reading: Reading, environ: Mapping[str, str], staging: str | None, home: str | None, seconds: float
) -> tuple[Finding, ...]:
    settings, membership, problem = reading.settings, None, ""
    upstream = settings.options.upstream if reading.services else None
    if upstream is not None:
        problem = ask_upstream(reading, min(UPSTREAM_LIMIT, seconds / 2))
    if reading.server is not None and reading.services:
        options = replace(settings.options, upstream=None if problem else upstream)
        membership = Membership(reading.server, reading.services, settings.port, options=options)
    situation = Situation(
        reading,
        environ,
        membership,
        staging=Path(staging) if staging else None,
        carbon_home=Path(home) if home else None,
        upstream_problem=problem,
    )
    situation.note_secrets()
    try:
        if membership is not None:
            membership.start()
        findings = examine_all(EXAMINATIONS, situation, seconds)
    finally:
        if membership is not None:
            membership.close()
    if upstream is None or problem:
        return findings
    return soften(findings, "it counts only while --upstream does not give the list")


def _examine_settings(situation: Situation) -> Iterator[Finding]:
    reading = situation.reading
    for problem in reading.problems:
        yield find("settings.wrong", problem)
    ignored = [name for name in IGNORED if situation.environ.get(name)]
    if ignored:
        yield find("settings.ignored", ", ".join(ignored))
    if not reading.problems:
        named = ", ".join(reading.services)
        yield find(
            "settings.ok",
            f"Services {named}, port {reading.settings.port}, own address {reading.settings.gate.self_ip or 'none'}",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """What the library would log are findings here."""
    log = logging.getLogger("membership")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
