"""docs/benchmarks.md and its pictures, made from the results.

python -m benchmarks.page        writes them; tests/unit/test_benchmarks.py holds that they are what the results say
"""

import json
from collections.abc import Mapping

from benchmarks.environments import ROOT
from benchmarks.pages import Reached, Results, blackhole, cost, goals, latency, scale

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"
CHANGES = RESULTS / "made-faster.md"
"""Written by hand: what was made faster, with the figures before and after."""
PARTS = (latency, cost, scale, blackhole)
_HEAD = """\
# Benchmarks

Made by `python -m benchmarks.page` from [the results](../benchmarks/results); do not edit. `make bench` (10 minutes)
and `make bench-full` (3.5 hours, on a quiet machine) make new results, `make bench-check` (3 minutes) compares the
ratios of a fresh run with these. How to read them and what each script asks: [benchmarks](../benchmarks/README.md).

## Goals

Ratios within one run. A goal that is not reached says so.

"""


def read_results() -> Results:
    """Every result file that a part names; None for those that are not there."""
    names = [name for part in PARTS for name in part.FILES]
    return {name: json.loads((RESULTS / name).read_text()) if (RESULTS / name).exists() else None for name in names}


def compose(results: Results, changes: str = "") -> tuple[str, Mapping[str, str]]:
    """The page, and its pictures by file name."""
    reached: dict[str, Reached] = {}
    for part in PARTS:
        reached |= part.reached(results)
    parts = [part.render(results) for part in PARTS]
    text = "\n".join([_HEAD + goals.render(reached), *(part.text for part in parts), *([changes] if changes else [])])
    return text, {name: picture for part in parts for name, picture in part.pictures.items()}


def main() -> None:
    text, pictures = compose(read_results(), CHANGES.read_text() if CHANGES.exists() else "")
    PAGE.write_text(text)
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for name, picture in pictures.items():
        (PICTURES / name).write_text(picture)


if __name__ == "__main__":
    main()
