"""Tables for terminals: columns that line up, and colours where the caller paints."""

from collections.abc import Callable, Sequence

from membership.model import Explanation, Member, Snapshot

Paint = Callable[[str, str], str]
"""Text and the name of a colour; the painted text."""
COLOURS = {"serving": "green", "not ready": "yellow", "terminating": "red", "in": "green", "out": "yellow"}


def plain(text: str, colour: str) -> str:
    """No colours."""
    return text


def members_table(snapshot: Snapshot, paint: Paint = plain) -> str:
    """A line for each member, or the word that there is none."""
    rows = [
        (
            member.name or "-",
            member.endpoint or f"{member.address} (no port)",
            f"{member.namespace}/{member.service}",
            describe_state(member),
            member.node or "-",
            member.zone or "-",
        )
        for member in snapshot.members
    ]
    return make_table(("POD", "ADDRESS", "SERVICE", "STATE", "NODE", "ZONE"), rows, paint) if rows else "no members\n"


def explanations_table(entries: Sequence[Explanation], paint: Paint = plain) -> str:
    """A line for each address of each slice."""
    rows = [
        (
            "in" if entry.included else "out",
            entry.address or "-",
            entry.name or "-",
            f"{entry.namespace}/{entry.service}",
            entry.slice or "-",
            entry.reason,
        )
        for entry in entries
    ]
    return make_table(("", "ADDRESS", "POD", "SERVICE", "SLICE", "WHY"), rows, paint) if rows else "no addresses\n"


def make_table(head: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint = plain) -> str:
    """As kubectl prints them: three spaces between columns, no lines. Cells of `COLOURS` are painted."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [paint(cell, COLOURS.get(cell, "")) + " " * (width - len(cell)) for cell, width in zip(row, widths)]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def describe_state(member: Member) -> str:
    return "terminating" if member.terminating else "serving" if member.serving else "not ready"
