"""The results of the head to head as a file, and as a table in docs/formation.md between two marker comments."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "formation.json"
DOCUMENT = Path(__file__).parents[1] / "docs" / "formation.md"
BEGIN = "<!-- made by python -m benchmarks.formation from benchmarks/results/formation.json -->"
END = "<!-- end of what is made -->"
STARTS = ("three at once", "one 20 s late", "no API server for 30 s", "no right to read")
LOSSES = ("pod killed", "node lost")
_WORDS = {"verify": "`/verify`", "hazelcast": "Hazelcast"}


@dataclass(frozen=True)
class Row:
    """One arm on one server; `cells` by the scene's name."""

    server: str
    arm: str
    cells: Mapping[str, Any]


def read_results(file: Path) -> list[Row]:
    """Those of the file, in its order; none without a file."""
    if not file.exists():
        return []
    return [Row(each["server"], each["arm"], each["cells"]) for each in json.loads(file.read_text())]


def write_results(file: Path, row: Row, run: Mapping[str, str]) -> None:
    """Put this row in place of the older one of the same arm; scenes that it lacks stay as they were."""
    kept: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    mine = {"server": row.server, "arm": row.arm}
    found = next((each for each in kept if each["server"] == row.server and each["arm"] == row.arm), None)
    if found is None:
        kept.append({**mine, **run, "cells": dict(row.cells)})
    else:
        found.update({**run, "cells": {**found["cells"], **row.cells}})
    kept.sort(key=lambda each: (each["server"], not each["arm"].startswith("ours"), each["arm"]))
    file.write_text(json.dumps(kept, indent=2) + "\n")


def render_table(rows: list[Row]) -> str:
    """Markdown: what came of the starts, and who noticed a dead member after how many seconds."""
    head = ["server", "members by", *STARTS, *LOSSES]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [_say_start(row.cells.get(name)) for name in STARTS]
        cells += [_say_loss(row.cells.get(name), row.cells.get("three at once")) for name in LOSSES]
        lines.append("| " + " | ".join([row.server, row.arm, *cells]) + " |")
    return "\n".join(lines)


def fill_document(text: str, rows: list[Row]) -> str:
    """The document with the table between its markers; ValueError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document lacks the markers of the table")
    return f"{before}{BEGIN}\n{render_table(rows)}\n{END}{after}"


def _say_start(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not run"
    if cell["result"] == "one cluster":
        return f"one cluster, {cell['seconds']:.0f} s"
    if cell["result"] == "held back":
        return "held back, and `/readyz` says why"
    sizes = cell.get("sizes", [])
    if cell["result"] == "split":
        clusters = ", ".join(str(size) for size in sizes)
        return f"**split** (clusters of {clusters}; still after {cell['waited']:.0f} s)"
    told = f"{sum(size > 0 for size in sizes)} of {len(sizes)} started" if sizes else str(cell.get("why", ""))
    return f"**did not start** ({told})"


def _say_loss(cell: Mapping[str, Any] | None, start: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not run" if start is None or start["result"] == "one cluster" else "not run: no cluster"
    if "not within" in cell:
        return f"**not noticed** in {cell['not within']:.0f} s"
    who, seconds = min(cell.items(), key=lambda item: float(item[1]))
    return f"{seconds:.1f} s, by {_WORDS[who]}"
