"""Lists of host names that nobody is asked for."""

import pytest

from membership import RenderError
from membership.render import FORMATS, Setup, Source
from membership.static import Name, find_own, list_names, parse_names

LONG = "a" * 63


def test_names_and_addresses_with_and_without_a_port() -> None:
    text = " is-0.is-hl, is-1.is-hl.:4001,10.0.0.1,[fd00::1]:4000,[fd00::2],,is-0.is-hl"
    assert parse_names(text) == (
        Name("is-0.is-hl"), Name("is-1.is-hl.", 4001), Name("10.0.0.1"), Name("fd00::1", 4000), Name("fd00::2"),
    )  # fmt: skip
    assert list_names(parse_names(text), 4000).endpoints == (
        "is-0.is-hl:4000", "is-1.is-hl.:4001", "10.0.0.1:4000", "[fd00::1]:4000", "[fd00::2]:4000",
    )  # fmt: skip
    assert parse_names(".".join([LONG] * 3)) == (Name(".".join([LONG] * 3)),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "is_0",
        "IS-0",
        "-a",
        "a..b",
        "a:0",
        "a:65536",
        "a:b",
        "fd00::1",
        "10.0.0.256",
        "[a]",
        "http://a",
        "a b",
    ]
    + ["a;b", f"{LONG}a", ".".join([LONG] * 4 + ["a"]), "<a>", 'a"'],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_names(text)


def test_a_name_without_a_port_is_left_out_where_there_is_no_number() -> None:
    assert list_names(parse_names("a,b:1"), None).endpoints == ("b:1",)


def test_the_own_name_is_the_whole_or_its_first_label() -> None:
    names = parse_names("is-0.is-hl,is-10.is-hl:4001,is-1.is-hl")
    assert [find_own(names, own) for own in ("is-1", "is-10", "is-0.is-hl")] == [names[2], names[1], names[0]]
    assert [find_own(names, own) for own in ("is", "is-2", "is-hl", "is-0.is")] == [None] * 4


def test_wso2_files_take_names_and_still_no_ipv6() -> None:
    list_ = list_names(parse_names("is-0.is-hl,is-1.is-hl:4001,[fd00::1]"), 4000)
    toml = FORMATS["deployment-toml"].render(list_, Setup("10.0.0.5", source=Source("s", b"[clustering]\n")))
    assert toml is not None and b'members = ["is-0.is-hl:4000", "is-1.is-hl:4001"]' in toml
    with pytest.raises(RenderError, match="IPv4"):
        FORMATS["deployment-toml"].render(list_names(parse_names("[fd00::1]"), 4000), Setup(source=Source("s", b"")))
