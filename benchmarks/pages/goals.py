"""The goals, and the figure reached for each, also where it falls short."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.pages import Reached


@dataclass(frozen=True, slots=True)
class Goal:
    """One row; parts of the page answer by `key`."""

    key: str
    what: str
    goal: str


GOALS = (
    Goal("p50-100", "PATCH sent to snapshot swapped, 100 endpoints", "p50 not above client-go's informer"),
    Goal("p99-100", "the same", "p99 within 1.2 times client-go's"),
    Goal("ahead-100", "the same", "ahead of every Python client at p50 and p99"),
    Goal(
        "p50-1000", "PATCH sent to snapshot swapped, 1000 endpoints in one slice", "p50 ahead of client-go's informer"
    ),
    Goal(
        "added-1000",
        "the same, over the bare socket of its encoding (p50)",
        "at most 1/20 of what `kubernetes.watch` adds",
    ),
    Goal(
        "file", "PATCH sent to file renamed, 100 endpoints", "p50 at most 1.25, p99 at most 1.5 times the bare socket's"
    ),
    Goal("http", "PATCH sent to a blocking query answered in another process, 100 endpoints", "the same"),
    Goal("released", "1000 blocked queries released by one change, last one answered", "p99 at most 150 ms on 2 cores"),
    Goal("file-beside", "the file beside these 1000", "no later than without them"),
    Goal("idle-memory", "idle sidecar, resident", "at most 45 MiB"),
    Goal("idle-cpu", "idle sidecar, CPU", "at most 0.05 % of one core"),
    Goal("idle-requests", "idle sidecar, requests", "none besides the watch and the 5-minute verify list"),
    Goal("cpu-kubernetes", "CPU per 1000 events of 100 endpoints", "at most 1/3 of `kubernetes.watch`"),
    Goal("cpu-client-go", "the same", "at most 2 times client-go's"),
    Goal("synced-20000", "20,000 endpoints in 200 slices: list to synced", "at most 2 s"),
    Goal("publish-20000", "the same: one change to publish", "p99 at most 25 ms"),
)


def render(reached: Mapping[str, Reached]) -> str:
    """The table. Raises KeyError for a figure of no goal."""
    for key in reached.keys() - {goal.key for goal in GOALS}:
        raise KeyError(key)
    rows = ["| what | goal | reached | |", "|---|---|---|---|"]
    for goal in GOALS:
        found = reached.get(goal.key)
        rows.append(f"| {goal.what} | {goal.goal} | {found.figure if found else 'not run'} | {_verdict(found)} |")
    return "\n".join(rows) + "\n"


def _verdict(found: Reached | None) -> str:
    if found is None:
        return ""
    return ("holds" if found.holds else "**falls short**") + ("" if found.quiet else ", on a busy machine")
