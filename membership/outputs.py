"""Files made from the list: `--out FORMAT:[SOURCE:]TARGET`, and `membership render FORMAT [SOURCE] -o TARGET`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from membership.errors import RenderError
from membership.model import Snapshot
from membership.render import FORMATS, Setup, Source
from membership.render.hazelcast_xml import REST_SINCE
from membership.wso2.clustering import WHY_IPV4
from membership.wso2.profiles import Profile

PRODUCT = "product"
"""As a format: the one of `--product`."""
STDOUT = Path("-")
"""As a target of the command: standard output."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, in the user's words."""

    label: str
    """Where, for messages."""
    format: str
    source: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Output:
    """One file to make; `source` is None where the format takes none."""

    format: str
    source: Path | None
    target: Path

    @property
    def name(self) -> str:
        """FORMAT:TARGET, the `output` label of the metrics."""
        return f"{self.format}:{self.target}"

    def render(self, snapshot: Snapshot, setup: Setup) -> bytes | None:
        """Reads the source anew each time. None where the list has nothing for it; raises RenderError."""
        source = None if self.source is None else _read(self.source)
        return FORMATS[self.format].render(snapshot, replace(setup, source=source))


def needs_services(outputs: Iterable[Output]) -> bool:
    """Whether any of them needs what the Services say of themselves."""
    return any(FORMATS[output.format].takes_services for output in outputs)


def split_out(text: str, profile: Profile | None) -> Request:
    """The parts of an `--out`. A target may hold colons, a source may not."""
    format, _, rest = text.partition(":")
    source = None
    if _resolve(format, profile) in FORMATS and FORMATS[_resolve(format, profile)].takes_source:
        source, colon, target = rest.partition(":")
        source, rest = (source, target) if colon else ("", rest)
    return Request(f"--out {text!r}", format, source, rest)


def make_output(request: Request, profile: Profile | None, problems: list[str]) -> Output | None:
    """The output, or None where it cannot be, which is noted."""
    found: list[str] = []
    format = _resolve(request.format, profile)
    if request.format == PRODUCT and profile is None:
        found.append("the format is that of --product, which is not given")
    elif format not in FORMATS:
        found.append(f"{format!r} is no format; there are {', '.join(FORMATS)}, and {PRODUCT} with --product")
    elif profile is not None and (why_not := profile.why_not(format)):
        found.append(f"{profile.name} does not read {format}: {why_not}; its format is {profile.format}")
    else:
        found += _check_source(request, format)
        target = _target(request, format, profile, found)
        if not found:
            source = Path(request.source) if request.source else None
            if source and _same(source, target):
                found.append(f"source and target are the same file {request.source!r}; the source must stay as it is")
            else:
                return Output(format, source, target)
    problems += [f"{request.label}: {problem}" for problem in found]
    return None


def check_outputs(outputs: Sequence[Output], setup: Setup, family: str) -> list[str]:
    """What is wrong with the settings that these outputs need."""
    problems = []
    for output in outputs:
        format = FORMATS[output.format]
        if format.ipv4_only and setup.self_ip is not None and ":" in setup.self_ip:
            problems.append(f"{output.format} with --self-ip {setup.self_ip}: {WHY_IPV4}")
        if format.ipv4_only and family == "ipv6":
            problems.append(f"{output.format} with --family ipv6: {WHY_IPV4}")
        if format.names_self and setup.self_ip is None and not isinstance(setup.port, int):
            problems.append(
                f"{output.format}: --port is a name, and whose number counts is told by --self-ip, not given"
            )
        if output.format == "hazelcast-xml" and setup.hazelcast_version is None:
            problems.append("hazelcast-xml: this product comes with several Hazelcasts; name --hazelcast-version")
        if (
            output.format == "hazelcast-xml"
            and setup.hazelcast_rest != "off"
            and (setup.hazelcast_version or REST_SINCE) < REST_SINCE
        ):
            problems.append("hazelcast-xml: --hazelcast-rest needs Hazelcast 3.12, which is the first with <rest-api>")
    return list(dict.fromkeys(problems))


def warn_of_outputs(outputs: Sequence[Output], setup: Setup) -> list[str]:
    """What is likely not meant."""
    names = sorted({output.format for output in outputs if FORMATS[output.format].ipv4_only})  # Hazelcast picks one
    if setup.self_ip is not None or not names:
        return []
    return [
        f"{', '.join(names)} without --self-ip (or NODE_IP): the local host stays as it is in the file, and Carbon's "
        "default is 127.0.0.1, which no other member can reach"
    ]


def warn_of_portless(snapshot: Snapshot, port: int | str) -> str:
    """Who is in the list, and in no output that names addresses; empty where everybody has a port."""
    portless = ", ".join(member.address for member in snapshot.members if member.port is None)
    return f"left out of addresses, for no slice of theirs names a port {port!r}: {portless}" if portless else ""


def _resolve(format: str, profile: Profile | None) -> str:
    return profile.format if format == PRODUCT and profile is not None else format


def _check_source(request: Request, format: str) -> list[str]:
    if not FORMATS[format].takes_source:
        return [f"{format} takes no SOURCE, which {request.source!r} would be"] if request.source else []
    if not request.source:
        return [f"{format} starts from a file: name its SOURCE, as in {format}:SOURCE:TARGET"]
    if not os.path.exists(request.source):
        return [f"SOURCE {request.source!r} does not exist"]
    return [] if os.path.isfile(request.source) else [f"SOURCE {request.source!r} is not a file"]


def _target(request: Request, format: str, profile: Profile | None, problems: list[str]) -> Path:
    """A target that ends in "/" is a folder that is copied over the product's home."""
    text = request.target
    if not text:
        problems.append(f"no target; write {format}:{'SOURCE:' * FORMATS[format].takes_source}/path/of/the/file")
    elif text.endswith("/"):
        path = profile.path(format) if profile else None
        if path:
            return Path(text) / path
        problems.append(
            f"TARGET {text!r} is a folder: name a file, or give --product and one of its formats to have it named"
        )
    return Path(text)


def _same(one: Path, other: Path) -> bool:
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _read(path: Path) -> Source:
    try:
        return Source(str(path), path.read_bytes())
    except OSError as error:
        raise RenderError(f"cannot be read: {error.strerror or error}", str(path)) from error
