"""Who notices that the network drops every packet, and when: a table."""

from collections.abc import Mapping
from typing import Any

from benchmarks.arms.catalogue import arm
from benchmarks.pages import Part, Reached, Results, provenance

FILES = ("blackhole.json",)
_HOW = """\
Each client in a network namespace of its own, all at the same time. Every packet between them and the API server is
dropped for {bound:.0f} s: no reset, no ICMP, no link that goes down; the Service is changed meanwhile. *Noticed* is
when the client gives up the connection that it watched on, as the kernel tells. Then packets go through again.
"""


def render(results: Results) -> Part:
    """One section."""
    title, found = "## A network that drops everything\n", results.get(FILES[0])
    if found is None:
        return Part("\n".join([title, "Not run yet: `python -m benchmarks.blackhole --bound 1000`, as root.\n"]))
    rows = ["| | noticed after | list true again, after the network is |", "|---|---|---|"]
    rows += [_row(name, one, found["bound_s"]) for name, one in found["arms"].items()]
    return Part("\n".join([title, _HOW.format(bound=found["bound_s"]), "\n".join(rows) + "\n", provenance(found)]))


def reached(results: Results) -> dict[str, Reached]:
    """No row of goals.py is about this."""
    return {}


def _row(name: str, one: Mapping[str, Any], bound: float) -> str:
    noticed = f"not in {bound:.0f} s" if one["noticed_s"] is None else f"{one['noticed_s']:.0f} s"
    true = one["true_after_mending_s"]
    again = "its process had ended" if one["ended"] else "not within 60 s" if true is None else f"{true:.1f} s"
    return f"| {arm(name).title} | {noticed} | {again} |"
