"""The parts of docs/benchmarks.md, each made from the results of one script. Pure.

A part is a module with `FILES`, the names in results/ that it is made from; `render`, which gives its text and its
pictures; and `reached`, the figures for rows of the goals (goals.py). Results that are not there are None. A new part
is a line in page.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Results: TypeAlias = Mapping[str, Any]
"""By the name of the file in results/, what is in it; None where it was not run."""


@dataclass(frozen=True, slots=True)
class Part:
    """Markdown, and the pictures in it by file name in docs/benchmarks/."""

    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reached:
    """The figure that stands for a goal, in words, and whether it holds; `quiet`: nobody else was at work then."""

    figure: str
    holds: bool
    quiet: bool = True


def provenance(result: Mapping[str, Any]) -> str:
    """Where and how a result was made, in one paragraph; it says so where the machine had other work."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    busy = " and ".join(f"{share:.0%}" for share in result["busy_with_other_work"])
    warning = (
        ""
        if result["quiet"]
        else f"**Run beside other work** ({busy} of all cores were in use by others before and after): these figures "
        "prove the scripts and are not to be quoted. "
    )
    return f"{warning}`{result['command']}`, {result['date']}, {result['machine']}; {versions}.\n"
