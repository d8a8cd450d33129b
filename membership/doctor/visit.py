"""One visit: all areas of one pod, from the settings that could be read to the findings."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from membership.doctor.carbon import examine_carbon
from membership.doctor.catalogue import find
from membership.doctor.cluster import examine_hazelcast
from membership.doctor.connection import examine_dns, examine_server, examine_tcp, examine_tls
from membership.doctor.examination import Examine, examine_all
from membership.doctor.files import examine_files
from membership.doctor.findings import Finding, soften
from membership.doctor.members import examine_own, examine_slices
from membership.doctor.rbac import examine_rbac
from membership.doctor.service import examine_service
from membership.doctor.situation import Reading, Situation
from membership.doctor.token import examine_token
from membership.doctor.upstream import ask_upstream
from membership.flags import Environ
from membership.session import Membership
from membership.settings import IGNORED

UPSTREAM_LIMIT = 2.0
"""Seconds for the sidecar that --upstream names."""

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


def examine_pod(
    reading: Reading, environ: Environ, staging: str | None, home: str | None, seconds: float
) -> tuple[Finding, ...]:
    """What is found within `seconds`, and at most UPSTREAM_LIMIT more."""
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
        with _quiet():
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
