"""`json`: Services and members with all their fields."""

import msgspec

from membership.model import Snapshot


def render_json(snapshot: Snapshot) -> bytes:
    """`{"services": [...], "members": [...]}`: no times and no counters, so the same list is the same bytes for ever.

    The one format that says `[]` for an empty list.
    """
    content = {"services": snapshot.services, "members": snapshot.members}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
