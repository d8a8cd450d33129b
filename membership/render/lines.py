"""`lines`: one `host:port` per line."""

from membership.model import Snapshot


def render_lines(snapshot: Snapshot) -> bytes | None:
    """Each `host:port` once; None without any."""
    endpoints = snapshot.endpoints
    return ("\n".join(endpoints) + "\n").encode() if endpoints else None
