"""Explanations as text for people; not a format of the list."""

from collections.abc import Iterable

from membership.model import Explanation


def explain_text(unknown_services: Iterable[str], entries: Iterable[Explanation]) -> str:
    """A line for each address of each slice: in or out, whose it is, and why."""
    lines = [
        f"{'in ' if entry.included else 'out'} {entry.address or '-'} {entry.namespace}/{entry.service} "
        f"pod {entry.name or '-'} slice {entry.slice or '-'}: {entry.reason}"
        for entry in entries
    ]
    lines += [
        f"{name}: the API server has no slices of it: it does not exist, or has no selector and none were made"
        for name in unknown_services
    ]
    return "".join(f"{line}\n" for line in lines) or "no address is in any slice\n"
