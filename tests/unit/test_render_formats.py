"""The table of formats: its promises, and what it costs to know a format that nobody uses."""

import subprocess
import sys

import pytest

from membership import RenderError
from membership.model import ServiceDefinition, ServicePort
from membership.render import FORMATS, SERVED, Setup, Source, render_served
from tests.unit.lists import member, snapshot

DEFINITIONS = (ServiceDefinition("wso2", "is", (ServicePort("http", 80),)),)
SOURCES = {"axis2-xml": b"<a><clustering/></a>", "template": b"{{ members | length }}"}


@pytest.mark.parametrize("name", FORMATS)
def test_only_json_says_that_a_list_is_empty(name: str) -> None:
    setup = Setup(self_ip="10.0.0.1", source=Source("s", SOURCES.get(name, b"")), definitions=DEFINITIONS)
    assert (FORMATS[name].render(snapshot(), setup) is None) == (name != "json")
    assert FORMATS[name].render(snapshot("10.0.0.1"), setup)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_list_is_the_same_bytes(name: str) -> None:
    setup = Setup(self_ip="10.0.0.1", source=Source("s", SOURCES.get(name, b"")), definitions=DEFINITIONS)
    first, second = (FORMATS[name].render(snapshot("10.0.0.1", generation=number), setup) for number in (1, 2))
    assert first == second


def test_served_formats_need_nothing_but_the_list() -> None:
    assert SERVED == ("json", "lines", "csv", "prometheus-sd")
    for name in SERVED:
        assert not FORMATS[name].takes_source and not FORMATS[name].names_self
        assert render_served(name, snapshot("10.0.0.1"))
    assert render_served("lines", snapshot(member("10.0.0.1", port=None))) == b""


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.takes_source])
def test_a_source_is_needed_where_one_is_taken(name: str) -> None:
    with pytest.raises(RenderError, match="starts from a file"):
        FORMATS[name].render(snapshot("10.0.0.1"), Setup())


def test_what_only_one_format_needs_is_not_imported_before() -> None:
    program = "import sys, membership.cli, sidecar.app\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    needed = {"jinja2", "lxml", "pyexpat", "tomllib", "tomlkit", "membership.wso2.deployment_toml", "yaml"}
    assert not needed & set(loaded)
