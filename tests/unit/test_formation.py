"""The table of the head to head: what it says of each kind of result, and that the document holds what was measured."""

import json
from pathlib import Path

import pytest

from benchmarks.formation_table import (
    BEGIN,
    DOCUMENT,
    END,
    RESULTS,
    Row,
    fill_document,
    read_results,
    render_table,
    write_results,
)

RUN = {"date": "2026-11-21", "machine": "2 cores"}


def test_the_document_holds_what_was_measured() -> None:
    rows = read_results(RESULTS)
    assert rows, "there are results"
    text = DOCUMENT.read_text()
    assert fill_document(text, rows) == text, "run python -m benchmarks.formation --table"


def test_each_result_in_words() -> None:
    row = Row(
        "Carbon 4.5.1",
        "one",
        {
            "three at once": {"result": "one cluster", "seconds": 21.4},
            "one 20 s late": {"result": "split", "sizes": [2, 2, 1], "waited": 60.2},
            "no API server for 30 s": {"result": "did not start", "sizes": [0, 0, 1], "waited": 70.0},
            "no right to read": {"result": "held back", "waited": 35.0},
            "pod killed": {"hazelcast": 0.42, "verify": 2.0},
            "node lost": {"not within": 75.0},
        },
    )
    line = render_table([row]).splitlines()[-1]
    assert line == (
        "| Carbon 4.5.1 | one | one cluster, 21 s | **split** (clusters of 2, 2, 1; still after 60 s) | "
        "**did not start** (1 of 3 started) | held back, and `/readyz` says why | "
        "0.4 s, by Hazelcast | **not noticed** in 75 s |"
    )


def test_what_was_not_run_is_said() -> None:
    split = {"three at once": {"result": "split", "sizes": [1, 1, 1], "waited": 50.0}}
    assert render_table([Row("s", "a", {})]).splitlines()[-1].count("not run") == 6
    assert render_table([Row("s", "a", split)]).splitlines()[-1].count("not run: no cluster") == 2


def test_a_new_run_replaces_its_own_scenes_only(tmp_path: Path) -> None:
    file = tmp_path / "formation.json"
    write_results(file, Row("s", "peer", {"pod killed": {"hazelcast": 1.0}}), RUN)
    write_results(file, Row("s", "ours", {"pod killed": {"hazelcast": 2.0}, "node lost": {"verify": 3.0}}), RUN)
    write_results(file, Row("s", "ours", {"pod killed": {"hazelcast": 4.0}}), {**RUN, "date": "2026-11-22"})
    assert read_results(file) == [
        Row("s", "ours", {"pod killed": {"hazelcast": 4.0}, "node lost": {"verify": 3.0}}),
        Row("s", "peer", {"pod killed": {"hazelcast": 1.0}}),
    ]
    assert [each["date"] for each in json.loads(file.read_text())] == ["2026-11-22", "2026-11-21"]


def test_only_what_is_between_the_markers_changes() -> None:
    before = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    assert fill_document(before, []).startswith(f"above\n{BEGIN}\n| server |")
    assert fill_document(before, []).endswith(f"|\n{END}\nbelow\n")
    with pytest.raises(ValueError):
        fill_document("no markers", [])
