"""`membership doctor`: examines all there is to go wrong in a pod, and says what to do."""

from typing import Any

import click
import msgspec

from membership.access import connect_within
from membership.console import Progress, painter, put, write_document
from membership.errors import SettingsError
from membership.flags import Reader, Setting, SettingsCommand, with_settings
from membership.settings import EPILOG, PUSH, SETTINGS, environment
from membership.subcommand import REPORT_FORMAT

OWN = (
    REPORT_FORMAT,
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
    PUSH,
    Setting(
        "carbon-home",
        "The server's home, to look at its own configuration; there is one in the server's container only.",
        wso2=("CARBON_HOME", "WSO2_SERVER_HOME"),
        metavar="FOLDER",
    ),
)
TABLE = (*OWN, *SETTINGS)


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
    and files it then has. It changes nothing.

    Ends with 0 where nothing is worse than information. Else the first error decides: 2 wrong settings, 6 API server
    unreachable (dns, tcp, tls, server), 4 refused by it (token, rbac), 5 anything else, and warnings; 1 is a bug.

    \b
    Examples:
      kubectl exec is-0 -c membership -- membership doctor --staging /membership/staging
      membership doctor --services wso2/is --product is-7.1 --carbon-home /home/wso2carbon/wso2is-7.1.0
    """
    # Only here: the other commands, which init containers wait for, would pay 10 ms for what they do not need.
    from membership.doctor.findings import Severity, choose_exit, report_fields, report_text
    from membership.doctor.situation import read_leniently
    from membership.doctor.visit import examine_pod

    environ = environment()
    reader = Reader(TABLE, given, environ)
    reader.refuse(unknown)
    format, fail_on = reader.word("format"), reader.word("fail-on")
    timeout = reader.left("timeout")
    if reader.problems:
        raise SettingsError(reader.problems)
    reading = connect_within(timeout, lambda: read_leniently(TABLE, given, environ))
    seconds = reader.left("timeout")
    with Progress("examining", seconds):
        findings = examine_pod(reading, environ, reader.text("staging"), reader.text("carbon-home"), seconds)
    exit_code = choose_exit(findings, Severity(fail_on))
    if format == "text":
        put(report_text(findings, painter(environ)).encode())
    else:
        put(write_document(format, msgspec.json.encode(report_fields(findings, exit_code))))
    return exit_code
