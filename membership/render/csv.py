"""`csv`: every `host:port` on one line, separated by commas."""

from membership.model import Snapshot


def render_csv(snapshot: Snapshot) -> bytes | None:
    """Each `host:port` once, and a newline at the end; None without any."""
    return (",".join(snapshot.endpoints) + "\n").encode() if snapshot.endpoints else None
