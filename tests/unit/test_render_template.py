"""Templates: what they see, that they run in a sandbox, and that errors name file and line."""

import json

import pytest

from membership import RenderError
from membership.render import FORMATS, Setup, Source
from tests.unit.lists import member, snapshot

NAME = "/in/list.j2"


def render(template: str | bytes, *members: str) -> str:
    content = template if isinstance(template, bytes) else template.encode()
    made = FORMATS["template"].render(
        snapshot(*(members or ("10.0.0.1", "10.0.0.2"))), Setup(source=Source(NAME, content))
    )
    assert made is not None
    return made.decode()


def test_members_and_snapshot() -> None:
    template = (
        "# {{ snapshot.services | join }} {{ snapshot.generation }}\n"
        "{% for member in members %}\n"
        "{{ member.endpoint }} {{ member.name }} {{ member.node }} "
        "{{ member.ports.hazelcast }} {{ member.zone is none }}\n"
        "{% endfor %}é"
    )
    expected = "# wso2/is 7\n\n10.0.0.1:4000 is-1 n1 4000 True\n\n10.0.0.2:4000 is-2 n1 4000 True\né"
    assert render(template) == expected


def test_bytes_around_the_tags_stay() -> None:
    assert render("<{{ members | length }}> & '\"'  \r\n\r\n") == "<2> & '\"'  \r\n\r\n"


def test_tojson_takes_an_indent() -> None:
    assert render("{{ members[:1] | tojson(2) }}").startswith('[\n  {\n    "address": "10.0.0.1"')


def test_tojson_knows_members() -> None:
    assert [one["address"] for one in json.loads(render("{{ members | tojson }}"))] == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize(
    ("template", "line", "said"),
    [
        ("a\n{{ missing }}", 2, "'missing' is undefined"),
        ("a\n\n{{ members[0].nope }}\n", 3, "has no attribute 'nope'"),
        ("{% for x in members %}\n{{ x.port / 0 }}\n{% endfor %}", 2, "division by zero"),
        ("a\n{% if %}", 2, "not a Jinja2 template"),
        ("a\n{% for x in members %}\n", 2, "not a Jinja2 template: Unexpected end"),
        ("{{ members.__class__ }}", 1, "unsafe|undefined"),
        ("\n{{ ''.__class__.__mro__ }}", 2, "unsafe"),
        ("\n{% for i in range(10000000) %}x{% endfor %}", 2, "Range too big"),
        ("\n{{ 1 | nope }}", 2, "No filter named 'nope'"),
        ("\n{% include '/etc/passwd' %}", 2, "loader"),
        (b"a\n\n\xff", 3, "not UTF-8"),
    ],
)
def test_errors_name_file_and_line(template: str | bytes, line: int, said: str) -> None:
    with pytest.raises(RenderError, match=said) as caught:
        render(template)
    assert str(caught.value).startswith(f"{NAME}:{line}: ")


def test_members_without_a_port_are_seen_and_no_members_give_nothing() -> None:
    setup = Setup(source=Source(NAME, b"{{ members[0].port is none }}"))
    assert FORMATS["template"].render(snapshot(member("10.0.0.1", port=None)), setup) == b"True"
    assert FORMATS["template"].render(snapshot(), setup) is None
