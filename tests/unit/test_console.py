"""What people see on a terminal: tables, colours, the live view; and that man pages can be made."""

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import click
import pytest

from docs.make_man import write_pages
from membership.cli import command
from membership.history import compare
from membership.model import Explanation
from membership.render.table import explanations_table, make_table, members_table
from membership.top import cut, draw, fit
from tests.unit.lists import member, snapshot

A = member("10.0.0.1")


def paint(text: str, colour: str) -> str:
    return f"<{colour}:{text}>" if colour else text


def test_columns_line_up_and_colours_take_no_room() -> None:
    lines = members_table(snapshot(A, replace(member("10.0.0.200"), serving=False)), paint).splitlines()
    assert lines == [
        "POD      ADDRESS           SERVICE   STATE       NODE   ZONE",
        "is-1     10.0.0.1:4000     wso2/is   <green:serving>     n1     -",
        "is-200   10.0.0.200:4000   wso2/is   <yellow:not ready>   n1     -",
    ]


def test_nothing_is_said_in_words() -> None:
    assert members_table(snapshot()) == "no members\n"
    assert explanations_table([]) == "no addresses\n"


def test_explanations() -> None:
    entry = Explanation("10.0.0.1", "wso2", "is", "is-abc", None, None, False, "terminating")
    assert explanations_table([entry]).splitlines()[1] == "out   10.0.0.1   -     wso2/is   is-abc   terminating"


def test_a_table_of_one_column() -> None:
    assert make_table(("A",), [("long",), ("b",)]) == "A\nlong\nb\n"


def test_the_live_view_shows_the_newest_change_first() -> None:
    at = datetime(2026, 11, 21, tzinfo=timezone.utc)
    changes = (compare(None, snapshot(A, generation=1), at), compare(snapshot(A), snapshot(generation=2), at))
    text = draw(replace(snapshot(), stale=True), changes, "12:00:00", paint)
    assert text.startswith("12:00:00  wso2/is: 0 members, <red:stale>, from endpointslices, proved 0 s ago")
    assert text.index("generation 2") < text.index("generation 1")


@pytest.mark.parametrize(
    "line, columns, expected",
    [
        ("abcdef", 3, "abc"),
        ("abc", 80, "abc"),
        ("", 3, ""),
        ("\033[32mabcdef\033[0m", 3, "\033[32mabc\033[0m"),
        ("ab\033[31mcd", 4, "ab\033[31mcd\033[0m"),
    ],
)
def test_a_line_is_cut_at_the_edge(line: str, columns: int, expected: str) -> None:
    assert cut(line, columns) == expected


def test_no_more_lines_than_the_screen_has() -> None:
    assert fit("a\nb\nc\nd\n", 10, 3).count("\n") == 2


@pytest.mark.parametrize("name", sorted(command.commands))
def test_each_subcommand_says_what_it_does_and_gives_an_example(name: str) -> None:
    text = command.commands[name].help or ""
    assert text.split("\n")[0].endswith(".")
    assert name in ("profiles", "import-hiera") or f"membership {name}" in text


@pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")  # click-man's business
def test_man_pages_are_made_and_are_in_order(tmp_path: Path) -> None:
    write_pages(tmp_path)
    pages = {path.name for path in tmp_path.iterdir()}
    assert {"membership.1", "membership-sidecar.1"} | {f"membership-{name}.1" for name in command.commands} == pages
    sidecar = (tmp_path / "membership-sidecar.1").read_text()
    assert r"\-\-gate\-timeout" in sidecar and isinstance(command, click.Group)
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert text.startswith('.TH "MEMBERSHIP') and ".SH DESCRIPTION" in text, path.name
