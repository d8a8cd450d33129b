"""`lines`: one `host:port` per line."""

from membership.model import Snapshot


def render_lines(snapshot: Snapshot) -> bytes | None:
    """Each `host:port` once; None without any."""
    return "".join(f"{endpoint}\n" for endpoint in snapshot.endpoints).encode() or None
