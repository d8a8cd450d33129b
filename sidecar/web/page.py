"""The page at `/`: the state of the list for people, plain HTML without scripts."""

from html import escape

from membership.gate import GateState
from membership.model import Member, Snapshot
from sidecar.health import Report

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8886}
.ok{color:#176b2c}.bad{color:#b3261e}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#8ab4f8}.ok{color:#7bd88f}.bad{color:#ff8a80}}
"""
_PATHS = (
    "/members",
    "/changes?format=text",
    "/explain?format=text",
    "/readyz?verbose",
    "/startupz?verbose",
    "/metrics",
    "/verify",
    "/version",
)


def render_page(snapshot: Snapshot, ready: Report, gate: GateState) -> str:
    """The verdict in one line, the members, each condition, and where to look further."""
    verdict = f"{len(snapshot.members)} members, generation {snapshot.generation}, from {snapshot.source}"
    state = "ready" if ready.ok else "not ready"
    conditions = "".join(
        f"<li class={'ok' if check.ok else 'bad'}>{escape(check.name)}: {escape(check.text)}</li>"
        for check in ready.checks
    )
    links = " ".join(f'<a href="{path}">{escape(path)}</a>' for path in _PATHS)
    rows = "".join(map(_row, snapshot.members)) or "<tr><td colspan=6>none</td></tr>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>members: {escape(', '.join(snapshot.services))}</title><style>{STYLE}</style></head>
<body><h1>{escape(', '.join(snapshot.services))}</h1>
<p class={'ok' if ready.ok else 'bad'}><strong>{state}</strong>: {escape(verdict)}</p>
<table><thead><tr><th>address<th>pod<th>service<th>node<th>zone<th>state</tr></thead><tbody>{rows}</tbody></table>
<h2>conditions</h2><ul>{conditions}
<li class={'ok' if gate.open else 'bad'}>formation gate: {escape(gate.reason)}</li></ul>
<p>{links}</p></body></html>
"""


def _row(member: Member) -> str:
    state = "terminating" if member.terminating else "serving" if member.serving else "not ready"
    cells = (
        member.endpoint or f"{member.address} (no port)",
        member.name or "-",
        f"{member.namespace}/{member.service}",
        member.node or "-",
        member.zone or "-",
        state,
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>"
