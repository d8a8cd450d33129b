"""The formats of the member list: `FORMATS` is the one place where a format is added, a module and a line.

Each renderer is a pure function of a snapshot. It returns None where there is nothing to write, so that no caller can
write an empty list by accident: an empty list makes Hazelcast form a cluster alone.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from membership.model import Snapshot
from membership.render.csv import render_csv
from membership.render.json import render_json
from membership.render.lines import render_lines
from membership.render.prometheus_sd import render_prometheus_sd

Renderer = Callable[[Snapshot], bytes | None]

FORMATS: Mapping[str, Renderer] = MappingProxyType(
    {"json": render_json, "lines": render_lines, "csv": render_csv, "prometheus-sd": render_prometheus_sd}
)
"""By the name used in `--out` and `?format=`."""

__all__ = ["FORMATS", "Renderer"]
