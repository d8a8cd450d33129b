"""Changes of the list, as lines of JSON and as text for people."""

from collections.abc import Sequence

import msgspec

from membership.history import Change, Party


def write_change(change: Change) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(change) + b"\n"


def read_change(line: bytes) -> Change:
    """What `write_change` wrote; ValueError for anything else."""
    change = msgspec.json.decode(line, type=Change)
    if change.at.tzinfo is None:
        raise ValueError("its time has no zone")
    return change


def changes_text(changes: Sequence[Change]) -> str:
    """A line for each change and one for each member in it.

    2026-11-21T12:00:00Z  generation 8 of 9f2c…, 3 members, from endpointslices
        + is-2  10.244.0.7:4000  wso2/is
        ~ is-1  10.244.0.6:4000  wso2/is  serving: false -> true
    """
    return "\n".join(line for change in changes for line in _describe(change)) + "\n" if changes else "no changes\n"


def _describe(change: Change) -> list[str]:
    at = change.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    plural = "" if change.members == 1 else "s"
    head = f"{at}  generation {change.generation} of {change.epoch[:8]}, {change.members} member{plural}"
    lines = [f"{head}, from {change.source}"]
    for sign, group in (("+", change.joined), ("-", change.left), ("~", change.altered)):
        lines += [f"    {sign} {_describe_party(party)}" for party in group]
    if change.unnamed:
        lines.append(f"    and {change.unnamed} more")
    lines += [f"    ? {service} is not found" for service in change.unknown_services]
    return lines


def _describe_party(party: Party) -> str:
    became = ", ".join(f"{name}: {_show(old)} -> {_show(new)}" for name, (old, new) in (party.became or {}).items())
    return "  ".join(word for word in (party.name, party.endpoint, party.service, became) if word)


def _show(value: object) -> str:
    return msgspec.json.encode(value).decode()
