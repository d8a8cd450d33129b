"""Patching deployment.toml: what is set, that nothing else changes, and what is refused."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership import RenderError
from membership.render import FORMATS, Setup, Source
from tests.unit.lists import member, snapshot
from tests.unit.wso2_files import TOML_IS_5_11, TOML_IS_7_1

NAME = "/in/deployment.toml"
TWO = ("10.244.0.5", "10.244.0.6")
BOTH = ["10.244.0.5:4000", "10.244.0.6:4000"]


def patch(
    text: str | bytes, *addresses: str, self_ip: str | None = "10.244.0.5", port: int | str = 4000, **more: Any
) -> str:
    """The patched text; patching it again must change nothing."""
    members = snapshot(*(addresses or TWO))

    def once(content: bytes) -> bytes:
        setup = Setup(self_ip=self_ip, port=port, source=Source(NAME, content), **more)
        patched = FORMATS["deployment-toml"].render(members, setup)
        assert patched is not None
        return patched

    first = once(text if isinstance(text, bytes) else text.encode())
    assert once(first) == first
    return first.decode()


def other_than(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The document without these keys of its clustering table."""
    table = {key: value for key, value in document.get("clustering", {}).items() if key not in keys}
    return {**document, "clustering": table}


def test_is_5_11_leaves_the_old_scheme_and_adds_what_is_missing() -> None:
    expected = TOML_IS_5_11.replace('membership_scheme = "kubernetes"', 'membership_scheme = "wka"').replace(
        'properties.USE_DNS = "false"\n',
        'properties.USE_DNS = "false"\n'
        'local_member_host = "10.244.0.5"\n'
        'local_member_port = "4000"\n'
        'members = ["10.244.0.5:4000", "10.244.0.6:4000"]\n',
    )
    assert patch(TOML_IS_5_11) == expected


def test_is_7_1_keeps_layout_comments_and_a_number_as_the_port() -> None:
    expected = TOML_IS_7_1.replace('"$env{NODE_IP}" #', '"10.244.0.5" #').replace(
        '"127.0.0.1:4001",  # placeholder', '"10.244.0.5:4000",\n    "10.244.0.6:4000",  # placeholder'
    )
    assert patch(TOML_IS_7_1) == expected.replace("local_member_port = 4001", "local_member_port = 4000")


def test_what_is_not_given_stays() -> None:
    patched = patch(TOML_IS_7_1, self_ip=None)
    assert 'local_member_host = "$env{NODE_IP}" # downward API' in patched and "domain = 'wso2.is.domain'" in patched


def test_the_domain_is_set_where_a_cluster_name_is_given() -> None:
    patched = patch(TOML_IS_5_11, cluster_name='a "b" \\ é')
    assert tomllib.loads(patched)["clustering"]["domain"] == 'a "b" \\ é'
    assert patch("", cluster_name="d").startswith('[clustering]\nmembership_scheme = "wka"\ndomain = "d"\n')


def test_what_says_the_same_in_other_words_is_not_touched() -> None:
    same = (
        "clustering.membership_scheme = 'wka'\r\n"
        "clustering . \"local_member_host\" = '''10.244.0.5'''  \r\n"
        "clustering.local_member_port=4000\r\n"
        "clustering.members = [ '10.244.0.5:4000' ,\r\n\t\"10.244.0.6:\\u0034000\", # x\r\n ]\r\n"
    )
    assert patch(same) == same


LINES = (
    'membership_scheme = "wka"',
    'local_member_host = "10.244.0.5"',
    'local_member_port = "4000"',
    'members = ["10.244.0.5:4000", "10.244.0.6:4000"]',
)
TABLE = "".join(f"{line}\n" for line in LINES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"[clustering]\n{TABLE}"),
        ("a = 1", f"a = 1\n\n[clustering]\n{TABLE}"),
        ("a = 1\r\n", f"a = 1\r\n\r\n[clustering]\r\n{TABLE}".replace("\n", "\r\n").replace("\r\r", "\r")),
        ("\ufeff[clustering]\n[x]\n", f"\ufeff[clustering]\n{TABLE}[x]\n"),
        ("[clustering]", f"[clustering]\n{TABLE.rstrip()}"),
        ("[ clustering ] # c\n\n# about x\n[x]\n", f"[ clustering ] # c\n{TABLE}\n# about x\n[x]\n"),
        ("clustering = {}", f"clustering = {{{', '.join(LINES)}}}"),
        ("clustering = { domain = 'd' } # c\n", f"clustering = {{ domain = 'd', {', '.join(LINES)} }} # c\n"),
        (
            "clustering.domain = 'd' # c\n[x]\n",
            "clustering.domain = 'd' # c\n" + "".join(f"clustering.{line}\n" for line in LINES) + "[x]\n",
        ),
        (
            "[x]\n# p\n[clustering.properties]\na = 1\n",
            f"[x]\n# p\n[clustering]\n{TABLE}\n[clustering.properties]\na = 1\n",
        ),
        ("[[clustering.list]]\na = 1\n", f"[clustering]\n{TABLE}\n[[clustering.list]]\na = 1\n"),
        ("[clustering.p]\na=1\n[x]\n[clustering]\nb = 1\n", f"[clustering.p]\na=1\n[x]\n[clustering]\nb = 1\n{TABLE}"),
        (
            '"clustering".members = []\n[x]\n',
            '"clustering".members = ["10.244.0.5:4000", "10.244.0.6:4000"]\n'
            + "".join(f"clustering.{line}\n" for line in LINES[:3])
            + "[x]\n",
        ),
        ("[x.clustering]\na = 1\n", f"[x.clustering]\na = 1\n\n[clustering]\n{TABLE}"),
    ],
)
def test_each_way_to_write_the_table(text: str, expected: str) -> None:
    assert patch(text) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ("[]", '["10.244.0.5:4000", "10.244.0.6:4000"]'),
        ("[ # none\n]", '["10.244.0.5:4000", "10.244.0.6:4000" # none\n]'),
        ("['a']", '["10.244.0.5:4000", "10.244.0.6:4000"]'),
        ("['a','b','c']", '["10.244.0.5:4000","10.244.0.6:4000"]'),
        ("['a', 'b', 'c', ]", '["10.244.0.5:4000", "10.244.0.6:4000", ]'),
        ("[\n\t'a'\n]", '[\n\t"10.244.0.5:4000",\n\t"10.244.0.6:4000"\n]'),
        (
            "[\n  'a', # one\n  'b', # two\n  'c' # three\n]",
            '[\n  "10.244.0.5:4000", # one\n  "10.244.0.6:4000" # two # three\n]',
        ),
        ("[\n  # self\n  'a' # one\n  ,]", '[\n  # self\n  "10.244.0.5:4000",\n  "10.244.0.6:4000" # one\n  ,]'),
        ("'$env{MEMBERS}'", '["10.244.0.5:4000", "10.244.0.6:4000"]'),
        ("[1, 2.5]", '["10.244.0.5:4000", "10.244.0.6:4000"]'),
    ],
)
def test_members_in_each_way_to_write_a_list(array: str, expected: str) -> None:
    patched = patch(f"[clustering]\nmembers = {array} # end\nx = 1\n")
    assert f"[clustering]\nmembers = {expected} # end\nx = 1\n" in patched


def test_a_member_is_named_once_by_its_ipv4_address() -> None:
    members = snapshot("10.0.0.1", member("10.0.0.1", service="other"), member("fd00::2", "10.0.0.2"), "fd00::3")
    patched = FORMATS["deployment-toml"].render(members, Setup(source=Source(NAME, b"")))
    assert tomllib.loads((patched or b"").decode())["clustering"]["members"] == ["10.0.0.1:4000", "10.0.0.2:4000"]


def test_the_own_port_is_that_of_the_own_member_where_the_port_is_a_name() -> None:
    members = snapshot(member("10.0.0.1", port=4100), member("10.0.0.2", port=4200))
    setup = Setup(self_ip="10.0.0.2", port="hazelcast", source=Source(NAME, b""))
    patched = FORMATS["deployment-toml"].render(members, setup)
    assert b'local_member_port = "4200"' in (patched or b"")
    with pytest.raises(RenderError, match="own port is not known.*'hazelcast'.*10.0.0.2"):
        FORMATS["deployment-toml"].render(snapshot(member("10.0.0.1", port=4100)), setup)


@pytest.mark.parametrize("empty", [snapshot(), snapshot(member("10.0.0.1", port=None))])
def test_nothing_is_made_of_an_empty_list(empty: Any) -> None:
    assert FORMATS["deployment-toml"].render(empty, Setup(source=Source(NAME, b"not [ toml"))) is None


@pytest.mark.parametrize(
    ("self_ip", "address", "said"),
    [
        ("fd00::5", "10.0.0.1", "own address fd00::5.*IPv6.*preferIPv4Stack"),
        (None, "fd00::1", r"no member.*\[fd00::1\]:4000.*IPv4"),
    ],
)
def test_ipv6_alone_is_refused(self_ip: str | None, address: str, said: str) -> None:
    with pytest.raises(RenderError, match=said):
        patch("", address, self_ip=self_ip)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"a = 1\nb = '\xff'\n", 2, "not UTF-8"),
        (b"a = 1\n\nb =\n", 3, "not TOML: Invalid value"),
        (b"a = 1\nb = [1,\n", 3, "not TOML: "),
        (b"[a]\n[clustering]\nx = 1\n[clustering]\n", 4, "not TOML: Cannot declare"),
        (b"<axisconfig/>", 1, "not TOML"),
        (b"[a]\n[[clustering]]\nx = 1\n", 2, "clustering is an array of tables; expected a table"),
        (b"\nclustering = 'wka'\n", 2, "clustering is a value; expected a table"),
        (b"\n\nclustering = [1]\n", 3, "expected a table"),
        (b"[clustering]\nx = 1\n\nmembers = [{a = 1}]\n", 4, "clustering.members.*expected an array"),
        (b"[clustering.domain]\nx = 1\n[clustering.members]\n", 3, "clustering.members.*expected an array"),
        (b"[clustering]\nlocal_member_port = ['4000']\n", 2, "clustering.local_member_port.*expected a text"),
        (b"clustering.membership_scheme.x = 1\n", 1, "clustering.membership_scheme.*expected a text"),
    ],
)
def test_what_is_not_a_deployment_toml_is_refused_with_file_and_line(content: bytes, line: int, said: str) -> None:
    with pytest.raises(RenderError, match=said) as caught:
        patch(content)
    assert str(caught.value).startswith(f"{NAME}:{line}: ") and "expected" in str(caught.value)
    assert (caught.value.source, caught.value.line) == (NAME, line)


def test_values_nested_without_end_are_refused() -> None:
    with pytest.raises(RenderError, match="nested too deep"):
        patch(b"a = " + b"[" * 100_000)


# -- properties: documents made of parts, of which we know which may change

KEYS = {
    "membership_scheme": ("'kubernetes'", '"multicast"', '"wka"', "'''x\n[clustering]\ny'''"),
    "local_member_host": ('"$env{NODE_IP}"', "'127.0.0.1'", '"10.244.0.5"', '"a\\"#b"'),
    "local_member_port": ("4001", '"4000"', "'$sys{port}'", "4_000"),
    "members": ("[]", '["127.0.0.1:4000"]', "['a','b',]", "[\n  # }]\n  'x' , # ]\n 'y'\n , 'z'  ]", "'$env{M}'"),
}
FIXED = st.sampled_from(
    (
        "",
        "\n",
        "# [clustering] members = []\n",
        "  # é\t \n",
        '# "\n',
        "# '''\n",
    )
)
PROPERTIES = st.sampled_from(
    (
        "",
        'properties.X = "$secret{x}"\n',
        'properties."members.y" = 1e5\n',
        "domain   =\t'd' #'\n",
        'text = """\nmembers = [\n\\""" # no end\n"""\n',
        "'local host' = { members = [1, {a = '}'}], b = nan }\n",
        "numbers = [[1, 2], [3,],\n]\n",
        "when = 1979-05-27 07:32:00Z # t\n",
    )
)
OTHERS = st.sampled_from(
    (
        "",
        "[server]\nnode_ip = '$ref{server.hostname}'\n",
        "[[list]]\nmembers = ['no']\n[[list]]\n",
        "[x.clustering]\nmembers = []\n",
        '[database]\nurl = "a\\\\"\n',
        "[\"a.b\".'c d']\nlocal_member_port = 1\n",
        "[hazelcast]\n\"hazelcast.x\" = '''y'''\n",
    )
)
ADDRESSES = st.lists(st.integers(1, 250), min_size=1, max_size=5, unique=True).map(
    lambda numbers: tuple(f"10.244.0.{number}" for number in sorted(numbers))
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str]:
    """A document, and a pattern for it in which only the values of our keys are left open."""
    style = draw(st.sampled_from(("table", "dotted")))
    parts: list[str | None] = [draw(FIXED)]
    values = []
    prefix = "clustering." if style == "dotted" else ""
    if style == "table":
        parts += [draw(OTHERS), "[clustering]", draw(st.sampled_from(("\n", " # c\n", "\t\n")))]
    for key in draw(st.permutations(sorted(KEYS))):
        value = draw(st.sampled_from(KEYS[key]))
        space = draw(st.sampled_from(("", " ", "\t ")))
        more = draw(PROPERTIES)
        if more and more not in parts and f"{prefix}{more}" not in parts:
            parts.append(prefix + more)
        parts += [draw(FIXED), f"{prefix}{key}{space}={space}", None]
        values.append(value)
        parts.append(draw(st.sampled_from(("\n", " # c ]\n", "  \n"))))
    parts += [draw(OTHERS.filter(lambda text: text not in parts)), draw(FIXED)]
    left = iter(values)
    text = "".join(next(left) if part is None else part for part in parts)
    pattern = "".join("(.+?)" if part is None else re.escape(part) for part in parts)
    if draw(st.booleans()):
        text, pattern = text.replace("\n", "\r\n"), pattern.replace("\\\n", "\\\r\\\n")
    if draw(st.booleans()):
        text, pattern = "\ufeff" + text, "\ufeff" + pattern
    return text, pattern


@settings(max_examples=120, deadline=None)
@given(documents(), ADDRESSES)
def test_outside_of_the_values_every_byte_stays(document: tuple[str, str], addresses: tuple[str, ...]) -> None:
    text, pattern = document
    patched = patch(text, *addresses)
    assert re.fullmatch(pattern, text, re.DOTALL) and re.fullmatch(pattern, patched, re.DOTALL)
    for comment in re.findall(r"# \}\]|# \]", text):
        assert comment in patched  # those within the list, too


@settings(max_examples=120, deadline=None)
@given(documents(), ADDRESSES, st.sets(st.sampled_from(sorted(KEYS))))
def test_the_parsed_document_differs_in_the_named_keys_only(
    document: tuple[str, str], addresses: tuple[str, ...], removed: set[str]
) -> None:
    text = document[0].removeprefix("\ufeff")
    for key in removed:  # comment the line out, where the value has only one
        text = re.sub(rf"(?m)^((?:clustering\.)?{key}[ \t]*=[^\r\n\[']*\r?)$", r"#\1", text)
    before, after = tomllib.loads(text, parse_float=str), tomllib.loads(patch(text, *addresses), parse_float=str)
    assert other_than(after, *KEYS) == other_than(before, *KEYS)
    table = after["clustering"]
    assert table["members"] == [f"{address}:4000" for address in addresses]
    assert (table["membership_scheme"], table["local_member_host"]) == ("wka", "10.244.0.5")
    assert str(table["local_member_port"]) == "4000"


@settings(max_examples=100, deadline=None)
@given(st.lists(OTHERS, unique=True).map("".join), FIXED, ADDRESSES, st.booleans())
def test_added_lines_are_all_that_is_new(others: str, comment: str, addresses: tuple[str, ...], crlf: bool) -> None:
    text = (comment + others + comment).replace("\n", "\r\n" if crlf else "\n")
    patched = patch(text, *addresses)
    assert patched.startswith(text) and patched.count("\r") == (patched.count("\n") if crlf and "\n" in text else 0)


SHORTER = {
    "the bracket behind the last item": ('["a", # is-0\n  "b"] # is-1', '["10.244.0.5:4000" # is-0\n] # is-1'),
    "a line for each": ('[\n  "a", # is-0\n  "b", # is-1\n]', '[\n  "10.244.0.5:4000", # is-0 # is-1\n]'),
    "three": ('["a", # 0\n "b", # 1\n "c"] # 2', '["10.244.0.5:4000" # 0 # 1\n] # 2'),
    "one line": ('["a", "b", "c"] # all', '["10.244.0.5:4000"] # all'),
    "CRLF": ('["a", # is-0\r\n "b"]', '["10.244.0.5:4000" # is-0\r\n]'),
}


@pytest.mark.parametrize("before, after", list(SHORTER.values()), ids=list(SHORTER))
def test_a_shorter_list_keeps_comments_and_the_bracket_out_of_them(before: str, after: str) -> None:
    patched = patch(f"[clustering]\nmembers = {before}\n", "10.244.0.5")
    assert tomllib.loads(patched)["clustering"]["members"] == ["10.244.0.5:4000"]
    assert after in patched, patched
