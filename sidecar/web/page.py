"""The page at `/`: what an operator looks at first. The server makes all of it; `status.js` only fetches it anew."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from membership.gate import GateState
from membership.history import Change
from membership.model import Member, Snapshot
from membership.render.table import describe_state
from sidecar.health import Report
from sidecar.publishers import PublisherStatus

FOLDER = Path(__file__).parent
ASSETS = {"/status.css": "text/css", "/status.js": "text/javascript"}
"""Files of this folder by path; the page loads nothing else."""
PATHS = (
    *("/members", "/changes?format=text", "/explain?format=text", "/readyz?verbose", "/startupz?verbose"),
    *("/metrics", "/verify", "/version"),
)
ROWS = 500
"""Members in the table; /members has all of them."""
CHANGES = 50
PICTURE = timedelta(hours=1)
WIDTH, HEIGHT = 600, 80
"""Of the picture, in its own units."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the member table."""

    endpoint: str
    pod: str
    service: str
    node: str
    zone: str
    state: str
    since: datetime | None
    """When it joined or became what it is; None where that is longer ago than the history."""
    joined: str
    """Whether Hazelcast has it: yes, no, unknown, or "" where nobody is asked."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The number of members over the last hour, as the points of a line."""

    points: str
    least: int
    most: int


def render_page(
    snapshot: Snapshot,
    ready: Report,
    gate: GateState,
    verdict: Mapping[str, Any],
    changes: Sequence[Change],
    outputs: Sequence[PublisherStatus],
    now: datetime,
    monotonic: float,
) -> str:
    """The page as HTML. `changes` are the oldest first, `monotonic` is the clock of `outputs`."""
    since = find_since(change for change in changes if change.epoch == snapshot.epoch)
    return str(
        _template().render(
            snapshot=snapshot,
            ready=ready,
            gate=gate,
            verdict=verdict,
            age=describe_seconds(snapshot.age_seconds),
            rows=[make_row(member, since, verdict) for member in snapshot.members[:ROWS]],
            hidden=max(0, len(snapshot.members) - ROWS),
            changes=changes[: -CHANGES - 1 : -1],
            picture=draw(changes, len(snapshot.members), now),
            width=WIDTH,
            height=HEIGHT,
            outputs=[(output, describe_output(output, monotonic)) for output in outputs],
            now=now,
            paths=PATHS,
        )
    )


def find_since(changes: Iterable[Change]) -> dict[tuple[str, str], datetime]:
    """When each member joined or became what it is, by Service and endpoint. `changes` are the oldest first."""
    parties = ((change.at, party) for change in changes for party in (*change.joined, *change.altered))
    return {(party.service, party.endpoint): at for at, party in parties}


def make_row(member: Member, since: Mapping[tuple[str, str], datetime], verdict: Mapping[str, Any]) -> Row:
    """`since` is what `find_since` made of the changes of this process."""
    service = f"{member.namespace}/{member.service}"
    return Row(
        endpoint=member.endpoint or f"{member.address} (no port)",
        pod=member.name or "-",
        service=service,
        node=member.node or "-",
        zone=member.zone or "-",
        state=describe_state(member),
        since=since.get((service, member.endpoint or member.address)),
        joined=_find_joined(member, verdict),
    )


def draw(changes: Sequence[Change], members: int, now: datetime) -> Picture | None:
    """A line of steps from an hour ago to now, from the oldest change on; None while there is none."""
    if not changes:
        return None
    start = now - PICTURE
    before = [change for change in changes if change.at <= start]
    counts = [(start, before[-1].members)] if before else []
    counts += [(change.at, change.members) for change in changes if change.at > start]
    counts.append((now, members))
    most = max(count for _, count in counts)
    points: list[str] = []
    for index, (at, count) in enumerate(counts):
        x = round(WIDTH * max(0.0, (at - start) / PICTURE), 1)
        if index:
            points.append(f"{x},{_height(counts[index - 1][1], most)}")
        points.append(f"{x},{_height(count, most)}")
    return Picture(" ".join(points), min(count for _, count in counts), most)


def describe_seconds(seconds: float) -> str:
    """`3 s`, `2 min`, `5 h`, `3 d`; `never` for what is infinitely long ago."""
    if seconds == math.inf:
        return "never"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def describe_output(output: PublisherStatus, monotonic: float) -> str:
    """How it fares, and when it last went well."""
    ago = "" if output.put_out_at is None else f"{describe_seconds(monotonic - output.put_out_at)} ago"
    last = f"; last success {ago}" if ago else "; never yet"
    if output.problem:
        return output.problem + last
    if output.waiting:
        return f"waiting: {output.waiting}{last}"
    if output.kept_empty:
        return f"the list has no address: what was there stays{last}"
    return f"generation {output.generation}, {ago}" if ago else "nothing written yet"


def _find_joined(member: Member, verdict: Mapping[str, Any]) -> str:
    if verdict["scope"] == "off":
        return ""
    ready = [view for view in verdict["views"] if view["state"] == "ready"]
    if not ready:
        return "unknown"
    return "yes" if any(member.endpoint in view["members"] for view in ready) else "no"


def _height(count: int, most: int) -> float:
    """From the top, with room for the line's width."""
    return round(HEIGHT - 4 - (HEIGHT - 8) * count / max(1, most), 1)


@lru_cache(maxsize=1)
def _template() -> Any:
    """Loaded with the first page: most sidecars never show one, and Jinja2 costs 3 MiB."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["show"] = lambda value: msgspec.json.encode(value).decode()
    environment.filters["clock"] = lambda at: at.strftime("%H:%M:%S")
    environment.filters["iso"] = lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return environment.get_template("status.html")
