"""carbon: Carbon's own configuration, where it can be found: in its home, and where `--out` writes it."""

from collections.abc import Iterator
from pathlib import Path

from membership.doctor.carbon_file import PLACEHOLDER, CarbonFile, judge_carbon, read_carbon
from membership.doctor.catalogue import find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.errors import MembershipError, RenderError
from membership.model import Snapshot
from membership.render import Source

TOML, AXIS2, HAZELCAST = "deployment-toml", "axis2-xml", "hazelcast-xml"
_FOLDERS = ("repository/conf", "conf")


def examine_carbon(situation: Situation, limit: Limit) -> Iterator[Finding]:
    places = find_places(situation)
    if not places:
        home = situation.carbon_home
        yield find("carbon.none", f"{home} has no deployment.toml and no axis2.xml" if home else "")
        return
    files, broken = read_places(places)
    for error in broken:
        yield find("carbon.unreadable", str(error))
    for format, path in places:
        yield from _examine_neighbours(format, path, situation)
    first = files[0] if files else None
    for file in files[1:]:
        if first is None or any(PLACEHOLDER.search(one.cluster) for one in (file, first)):
            continue
        if file.cluster != first.cluster and situation.settings.setup.cluster_name is None:
            yield find("carbon.domain", f"{file.name}: {file.cluster}; {first.name}: {first.cluster}")
    snapshot = _list(situation, limit) if files else None
    for file in files:
        found = list(judge_carbon(file, situation.settings.setup, snapshot))
        yield from found or (find("carbon.ok", file.describe()),)


def find_places(situation: Situation) -> list[tuple[str, Path]]:
    """Format and path of each file that exists, the targets of --out first."""
    found = [(output.format, output.target) for output in situation.reading.outputs if output.format in (TOML, AXIS2)]
    home, profile = situation.carbon_home, situation.reading.profile
    if home is not None:
        path = profile.path(profile.format) if profile else None
        if profile is not None and path is not None:
            found.append((profile.format, home / path))
        else:
            for folder in _FOLDERS:
                pair = ((TOML, home / folder / "deployment.toml"), (AXIS2, home / folder / "axis2/axis2.xml"))
                found += [place for place in pair if place[1].is_file()][:1]  # the second is made of the first
    return [(format, path) for format, path in dict.fromkeys(found) if path.is_file()]


def read_places(places: list[tuple[str, Path]]) -> tuple[list[CarbonFile], list[RenderError]]:
    """The files that can be read, and what is wrong with the others."""
    files, broken = [], []
    for format, path in places:
        try:
            files.append(read_carbon(format, Source(str(path), path.read_bytes())))
        except RenderError as error:
            broken.append(error)
        except OSError as error:
            broken.append(RenderError(f"cannot be read: {error.strerror}", str(path)))
    return files, broken


def _examine_neighbours(format: str, path: Path, situation: Situation) -> Iterator[Finding]:
    conf = path.parent.parent if format == AXIS2 else path.parent
    ours = {output.format for output in situation.reading.outputs}
    hazelcast, toml = conf / "etc/hazelcast.xml", conf / "deployment.toml"
    if hazelcast.is_file() and HAZELCAST not in ours:
        yield find("carbon.overridden", str(hazelcast))
    if format == AXIS2 and toml.is_file():
        yield find("carbon.regenerated", f"{path}; {toml}")


def _list(situation: Situation, limit: Limit) -> Snapshot | None:
    try:
        return situation.wait_list(limit)
    except MembershipError:
        return None  # the rest of the file can be judged without
