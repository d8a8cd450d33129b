"""The formats of the member list: `FORMATS` is the one place where a format is added, a module and a line.

Each renderer is a pure function of a snapshot and a `Setup`. It returns None where there is nothing to write, so that
no caller can write an empty list by accident: an empty list makes Hazelcast form a cluster alone. It raises RenderError
where the source is not what it should be. What only one format needs (a parser, Jinja2) is imported when it renders, so
that a format costs no memory where it is not used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from membership.model import Snapshot
from membership.render.axis2_xml import render_axis2_xml
from membership.render.csv import render_csv
from membership.render.deployment_toml import render_deployment_toml
from membership.render.haproxy import render_haproxy
from membership.render.hazelcast_xml import render_hazelcast_xml
from membership.render.hiera import render_hiera
from membership.render.json import render_json
from membership.render.lines import render_lines
from membership.render.prometheus_sd import render_prometheus_sd
from membership.render.setup import Rest, Setup, Source
from membership.render.template import render_template


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its renderer, and what must be known to use it."""

    render: Callable[[Snapshot, Setup], bytes | None]
    served: bool = False
    """Needs nothing but the list: given by `?format=` and `membership list --format`, too."""
    takes_source: bool = False
    """Starts from a file of the user's."""
    names_self: bool = False
    """Writes the own address and port."""
    ipv4_only: bool = False
    """Carbon reads it: it splits members at ":" and runs with preferIPv4Stack=true."""
    takes_services: bool = False
    """Needs what the Services say of themselves: list and watch of `services` are asked for."""
    empty: bytes = b""
    """How a reader is told that there are no addresses; files are not written then."""


def _served(render: Callable[[Snapshot], bytes | None], empty: bytes = b"") -> Format:
    return Format(lambda snapshot, _: render(snapshot), served=True, empty=empty)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "json": _served(render_json),
        "lines": _served(render_lines),
        "csv": _served(render_csv),
        "prometheus-sd": _served(render_prometheus_sd, empty=b"[]\n"),
        "hazelcast-xml": Format(render_hazelcast_xml, names_self=True),
        "deployment-toml": Format(render_deployment_toml, takes_source=True, names_self=True, ipv4_only=True),
        "axis2-xml": Format(render_axis2_xml, takes_source=True, names_self=True, ipv4_only=True),
        "template": Format(render_template, takes_source=True),
        "haproxy": Format(render_haproxy, takes_services=True),
        "hiera": Format(render_hiera, names_self=True, ipv4_only=True),
    }
)
"""By the name used in `--out` and `membership render`."""

SERVED = tuple(name for name, format in FORMATS.items() if format.served)
"""Formats of `?format=` and `membership list --format`."""


def render_served(name: str, snapshot: Snapshot) -> bytes:
    """The list in a format of `SERVED`."""
    return FORMATS[name].render(snapshot, Setup()) or FORMATS[name].empty


__all__ = ["FORMATS", "Format", "Rest", "SERVED", "Setup", "Source", "render_served"]
