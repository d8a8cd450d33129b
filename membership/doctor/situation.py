"""What is examined: the settings, as far as they can be read, the files they name, and the list."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from membership.errors import Forbidden, MembershipTimeout, SettingsError, Unauthorized
from membership.flags import Environ, Reader, Setting
from membership.kube import ApiServer
from membership.model import Snapshot
from membership.outputs import Output, make_output, split_out
from membership.session import Membership
from membership.settings import PASSWORD, TOKEN, Settings, read, read_product, read_push
from membership.transport import Interrupt
from membership.wso2.profiles import Profile

PATIENCE = 1.0
"""Seconds for which the API server may fail until nobody waits for a list any more."""
_NOBODY = "unnamed"
"""In place of Services that are not named: the rest can be examined all the same."""
_FLAG = re.compile(r"--([a-z-]+)")
_JWT = re.compile(r"eyJ[\w-]{8,}(\.[\w-]*)*")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True, slots=True)
class Limit:
    """Until when an examination has to end, monotonic seconds, and what ends its requests then."""

    deadline: float
    interrupt: Interrupt

    @property
    def left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Reading:
    """The settings without those that are wrong."""

    settings: Settings
    outputs: tuple[Output, ...] = ()
    profile: Profile | None = None
    problems: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    """Flags whose values are wrong."""
    services: tuple[str, ...] = ()
    """() where they are not named."""
    tells_version: bool = False
    """--hazelcast-version was given, or --product, which knows it."""

    @property
    def server(self) -> ApiServer | None:
        """None where none is known."""
        return self.settings.server if self.settings.server.url else None


@dataclass(frozen=True, slots=True)
class Situation:
    """What the examinations are given. `membership` is None where there is nobody to ask for a list, or nobody's."""

    reading: Reading
    environ: Environ
    membership: Membership | None = None
    staging: Path | None = None
    carbon_home: Path | None = None
    upstream_problem: str = ""
    """Why the sidecar that --upstream names does not give its list."""
    resolv: Path = field(default=Path("/etc/resolv.conf"))

    @property
    def settings(self) -> Settings:
        return self.reading.settings

    def wait_list(self, limit: Limit) -> Snapshot:
        """The first list. Raises MembershipError where none comes, soon where the API server fails."""
        if self.membership is None:
            raise MembershipTimeout("there is no list without a server and Services")
        while True:
            try:
                return self.membership.wait(0, min(PATIENCE, limit.left), refusal_is_final=True)
            except (Forbidden, Unauthorized):
                raise
            except MembershipTimeout as error:
                if error.cause is not None or limit.left <= 0:
                    raise

    def redact(self, text: str) -> str:
        """Without secrets: what we prove ourselves with, and whatever looks like it."""
        text = _USERINFO.sub("[secret]", _JWT.sub("[secret]", text))
        return self.settings.server.secrets.redact(text)

    def note_secrets(self) -> None:
        """Know what must not be shown."""
        server = self.settings.server
        for name in (TOKEN, PASSWORD):
            server.secrets.note(self.environ.get(name) or "")
        try:
            server.secrets.note(server.credentials.header() or "")
        except (OSError, ValueError):
            pass  # told by the area `token`


def read_leniently(table: Sequence[Setting], given: Mapping[str, Any], environ: Environ) -> Reading:
    """Leave out what is wrong until the rest can be read. Raises SettingsError for what is not settings of ours."""
    given, environ = dict(given), dict(environ)
    problems: dict[str, None] = {}
    left_out: set[str] = set()
    server_known, outputs_fit = True, True
    while True:
        reader = Reader(table, given, environ)
        profile = read_product(reader)
        read_push(reader)
        wrong: list[str] = []
        made = (make_output(split_out(text, profile), profile, wrong) for text in reader.texts("out"))
        outputs = tuple(output for output in made if output is not None)
        problems.update(dict.fromkeys(wrong))
        try:
            settings = read(reader, environ, outputs if outputs_fit else (), offline=not server_known)
            nobody = given.get("services") == _NOBODY
            services = () if nobody else settings.services
            version = profile is not None or reader.is_given("hazelcast-version")
            return Reading(settings, outputs, profile, tuple(problems), frozenset(left_out), services, version)
        except SettingsError as error:
            problems.update(dict.fromkeys(error.problems))
            flags = {match[1] for problem in error.problems if (match := _FLAG.match(problem))} - left_out
        if flags:
            left_out |= flags
            _drop(flags, table, given, environ)
        elif server_known:
            server_known = False
        elif outputs_fit:
            outputs_fit = False
        else:
            raise SettingsError(tuple(problems))


def describe_file(path: Path, now: float) -> str:
    """Mode, owner, size and age, as evidence. Raises OSError."""
    found = os.stat(path)
    age = _describe_age(now - found.st_mtime)
    return f"{path}: mode {found.st_mode & 0o7777:04o}, uid {found.st_uid}, {found.st_size} bytes, written {age}"


def _describe_age(seconds: float) -> str:
    if seconds < 0:
        return "in the future"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _drop(flags: set[str], table: Sequence[Setting], given: dict[str, Any], environ: dict[str, str]) -> None:
    for setting in table:
        if setting.flag in flags:
            given[setting.flag.replace("-", "_")] = None
            for name in setting.variables:
                environ.pop(name, None)
    if "services" in flags:
        given["services"] = _NOBODY
