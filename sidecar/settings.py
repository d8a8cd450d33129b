"""The daemon's own settings, besides those it shares with the `membership` command (membership/settings.py)."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from membership.errors import SettingsError
from membership.files import find_mount
from membership.flags import Environ, Reader, Setting, is_service_link
from membership.hazelcast import client_cluster
from membership.names import EVERY
from membership.outputs import PRODUCT, Output, make_output, split_out
from membership.push import SINCE
from membership.render import FORMATS, Setup
from membership.settings import SETTINGS as SHARED
from membership.settings import Settings as Shared
from membership.settings import PUSH, read, read_product, read_push
from membership.values import choice, parse_positive_duration, parse_time
from membership.verify import Scope
from sidecar.publishers.http import bind

SETTINGS = (
    *SHARED,
    Setting("http", "Where the HTTP endpoint listens: [HOST]:PORT, or off.", ":4080", metavar="[HOST]:PORT"),
    Setting(
        "out",
        "Keep the file TARGET current in this format: "
        + ", ".join(FORMATS)
        + f"; or {PRODUCT}, the one of --product. "
        + ", ".join(name for name, format in FORMATS.items() if format.takes_source)
        + " start from the file SOURCE. With --product a TARGET that ends in / is the folder that is copied over the "
        "product's home. May be given several times. A list without members is never written over a file, but for "
        "json.",
        metavar="FORMAT:[SOURCE:]TARGET",
        many=True,
    ),
    Setting(
        "staging",
        "Folder for temporary files, on the file system of the targets; for a tree that an entrypoint copies, a "
        "folder beside the tree, and then a file is replaced only when no copy is about to read it, within 1 s. "
        "Default: the target's folder.",
        metavar="FOLDER",
    ),
    Setting(
        "on-change",
        "Command to run after the files are written, for the first list and for each that differs. Run without a "
        "shell; MEMBERSHIP_GENERATION and MEMBERSHIP_MEMBERS are in its environment.",
        metavar="COMMAND",
    ),
    Setting("on-change-timeout", "How long the command may take before it is ended.", "30s", metavar="DURATION"),
    Setting(
        "state",
        "File that keeps the last good list; read at start when the API server cannot be reached, and served as stale.",
        metavar="FILE",
    ),
    Setting(
        "history",
        "File that keeps the last changes over restarts, a line of JSON for each; /changes and membership history show "
        "them. Without it they are kept in memory.",
        metavar="FILE",
    ),
    Setting(
        "verify",
        "Ask Hazelcast whether it sees these members, by REST on the member port, and tell the verdict in /verify, "
        "metrics and log: off, local (the own member, found by --self-ip, else on 127.0.0.1) or all (each member of "
        "the list). Members with REST off are asked by the Hazelcast client where that is installed, --cluster-name is "
        "given and --hazelcast-version is 4 or newer.",
        "off",
        metavar="SCOPE",
    ),
    Setting("verify-interval", "How often to ask; after a change of the list at once.", "5s", metavar="DURATION"),
    PUSH,
)

_REST_IS_OFF = (
    "--verify asks by REST, which hazelcast-xml leaves off: give --hazelcast-rest read, or --cluster-name for the "
    "Hazelcast client"
)


OF_THE_COMMAND = tuple(
    f"MEMBERSHIP_{name}"
    for name in ("CARBON_HOME", "FAIL_ON", "FORMAT", "NAMES", "SELF_NAME", "SINCE", "TIMEOUT", "URL")
)
"""Variables that the `membership` command alone takes: an init container may have the environment of the sidecar."""

_COPIED_WITHOUT_STAGING = (
    "a TARGET is a folder that is copied, and there is no --staging: the entrypoint's cp -RL may meet a temporary file "
    "and end the container; name a folder beside the tree"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of the daemon's settings, parsed."""

    shared: Shared
    http: tuple[str, int] | None
    """Host ("" for every address) and port; None for off."""
    outputs: tuple[Output, ...]
    staging: Path | None
    on_change: tuple[str, ...]
    """The command's words; empty for none."""
    on_change_timeout: float
    state: Path | None
    history: Path | None
    verify: Scope | None
    """None for off."""
    verify_interval: float
    push: bool
    """By REST."""


def parse_settings(given: Mapping[str, Any], environ: Environ, unknown: Sequence[str] = ()) -> Settings:
    """Raises SettingsError that names everything that is wrong; `unknown` are words that are no flags of ours."""
    reader = Reader(SETTINGS, given, environ)
    reader.refuse(unknown)
    http = reader.parse("http", _http, None)
    profile = read_product(reader)
    requests = [split_out(text, profile) for text in reader.texts("out")]
    outputs = tuple(output for request in requests if (output := make_output(request, profile, reader.problems)))
    staging = reader.parse("staging", _folder, None)
    nothing: tuple[str, ...] = ()
    on_change = reader.parse("on-change", _command, nothing)
    on_change_timeout = reader.parse("on-change-timeout", parse_positive_duration, 30.0)
    state = reader.parse("state", _file, None)
    history = reader.parse("history", _file, None)
    scope: Literal["off"] | Scope = reader.parse("verify", choice("off", "local", "all"), "off")
    verify = None if scope == "off" else scope
    verify_interval = reader.parse("verify-interval", _verify_interval, 5.0)
    push = read_push(reader)
    _check_targets(outputs, staging, {"--state": state, "--history": history}, reader.problems)
    _check_port(http, reader.problems)
    every = any(item.strip().rpartition("/")[2] == EVERY for item in (reader.text("services") or "").split(","))
    if every and (push or verify is not None):
        reader.problems.append(
            f"--services: {EVERY} is every Service, whose pods are no one cluster to verify or push to"
        )
    shared = read(reader, environ, outputs, check=lambda setup: _check_push(setup, outputs) if push else ())
    if verify is not None and _has_no_rest(shared.setup, outputs):
        shared = replace(shared, warnings=(*shared.warnings, _REST_IS_OFF))
    if staging is None and any(request.target.endswith("/") for request in requests):
        shared = replace(shared, warnings=(*shared.warnings, _COPIED_WITHOUT_STAGING))
    unheard = _list_unheard(environ)
    if unheard:
        shared = replace(shared, warnings=(*shared.warnings, f"ignored, for no setting has this name: {unheard}"))
    return Settings(
        shared, http, outputs, staging, on_change, on_change_timeout, state, history, verify, verify_interval, push
    )


def _list_unheard(environ: Environ) -> str:
    """Variables that look like settings of ours and are none: with a misspelt one a default counts, silently."""
    known = {*OF_THE_COMMAND, *(name for setting in SETTINGS for name in setting.variables)}
    names = [name for name in environ if name.startswith("MEMBERSHIP_") and name not in known]
    return ", ".join(sorted(name for name in names if not is_service_link(name, environ[name])))


def _check_push(setup: Setup, outputs: Sequence[Output]) -> list[str]:
    """What --push rest lacks."""
    problems, version = [], setup.hazelcast_version
    if version is None:
        problems.append("--push rest: which Hazelcast it is has to be known; name --hazelcast-version")
    elif version < SINCE:
        wanted = ".".join(map(str, SINCE))
        problems.append(
            f"--push rest: Hazelcast before {wanted} has no REST for its member list, and --hazelcast-version says "
            "it is older; docs/live.md names the other ways"
        )
    if setup.cluster_name is None:
        problems.append("--push rest: needs --cluster-name, for the member refuses a list without its cluster's name")
    if _writes_xml(outputs) and setup.hazelcast_rest != "write":
        problems.append(
            f"--push rest: needs the group CLUSTER_WRITE, which --hazelcast-rest {setup.hazelcast_rest} leaves shut in "
            "hazelcast-xml"
        )
    return problems


def _has_no_rest(setup: Setup, outputs: Sequence[Output]) -> bool:
    """Whether --verify can only find REST off, because our own file says so, and has no second way."""
    by_client = client_cluster(setup.cluster_name, setup.hazelcast_version) is not None
    return _writes_xml(outputs) and setup.hazelcast_rest == "off" and not by_client


def _writes_xml(outputs: Sequence[Output]) -> bool:
    return any(output.format == "hazelcast-xml" for output in outputs)


def _http(text: str) -> tuple[str, int] | None:
    if text == "off":
        return None
    name = r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{0,63}"  # longer ones, and others, end the lookup as a bug would
    match = re.fullmatch(rf"(?:\[([0-9a-fA-F:.%]+)\]|({name})):([0-9]{{1,5}})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError(f"{text!r} is neither off nor [HOST]:PORT, such as :4080 or 127.0.0.1:4080")
    return match[1] or match[2] or "", int(match[3])


def _verify_interval(text: str) -> float:
    seconds = parse_time(text)
    if seconds < 1:
        raise ValueError(f"{text!r} is shorter than 1s: each round asks members twice")
    return seconds


def _folder(text: str) -> Path | None:
    if os.path.exists(text) and not os.path.isdir(text):  # Path's own raise where a folder above may not be looked into
        raise ValueError(f"{text!r} is not a folder")
    return Path(text)


def _file(text: str) -> Path | None:
    if os.path.isdir(text):
        raise ValueError(f"{text!r} is a folder; name a file")
    return Path(text)


def _command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{text!r} cannot be split into words: {error}") from None
    if not words:
        raise ValueError("the command is empty")
    return words


def _check_port(http: tuple[str, int] | None, problems: list[str]) -> None:
    """A port that is taken is named together with whatever else is wrong."""
    try:
        if http is not None:
            bind(*http).close()
    except SettingsError as error:
        problems += error.problems


def _check_targets(
    outputs: tuple[Output, ...], staging: Path | None, kept: Mapping[str, Path | None], problems: list[str]
) -> None:
    seen: dict[Path, str] = {}
    for flag, path in kept.items():
        if path is not None and flag != (other := seen.setdefault(Path(os.path.abspath(path)), flag)):
            problems.append(f"{flag}: {other} is the same file")
    for output in outputs:
        target = Path(os.path.abspath(output.target))
        if target in seen:
            verb = "is" if seen[target].startswith("-") else "writes"
            problems.append(f"--out {output.name!r}: {seen[target]} {verb} the same file")
        seen[target] = repr(output.name)
        if staging is not None and find_mount(staging) != find_mount(target.parent):
            problems.append(f"--staging {str(staging)!r} is on another file system than {str(output.target)!r}")


__all__ = ["Output", "SETTINGS", "Settings", "SettingsError", "parse_settings"]
