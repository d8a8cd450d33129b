"""`membership top`: the list and its last changes, drawn anew whenever something changes."""

import shutil
import sys
import time
from collections import deque
from datetime import datetime, timezone

from membership.history import Change, compare
from membership.model import Snapshot
from membership.render.history import changes_text
from membership.render.table import Paint, members_table
from membership.session import Membership

INTERVAL = 1.0
"""Seconds between drawings while nothing but the age changes."""
CHANGES = 20
ENTER, LEAVE = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"
"""The terminal's second screen, without a cursor, and back to what was there before."""
HOME, TO_END = "\033[H", "\033[J"


def show_top(membership: Membership, first: Snapshot, paint: Paint) -> None:
    """Until interrupted."""
    changes: deque[Change] = deque([compare(None, first, datetime.now(timezone.utc))], CHANGES)
    before = first
    sys.stdout.write(ENTER)
    try:
        while True:
            snapshot = membership.current()
            if snapshot.generation != before.generation:
                changes.append(compare(before, snapshot, datetime.now(timezone.utc)))
                before = snapshot
            columns, lines = shutil.get_terminal_size()
            text = draw(snapshot, tuple(changes), time.strftime("%H:%M:%S"), paint)
            sys.stdout.write(HOME + fit(text, columns, lines) + TO_END)
            sys.stdout.flush()
            membership.wait_newer(before.generation, INTERVAL)
    except KeyboardInterrupt:
        pass  # nothing else ends it
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()


def draw(snapshot: Snapshot, changes: tuple[Change, ...], clock: str, paint: Paint) -> str:
    """Verdict, members, and the changes, the newest first."""
    state = paint("stale", "red") if snapshot.stale else paint("synced", "green")
    head = (
        f"{clock}  {', '.join(snapshot.services)}: {len(snapshot.members)} members, {state}, from {snapshot.source}, "
        f"proved {snapshot.age_seconds:.0f} s ago, generation {snapshot.generation}"
    )
    return f"{head}\n\n{members_table(snapshot, paint)}\n{changes_text(changes[::-1])}"


def fit(text: str, columns: int, lines: int) -> str:
    """What has room on the screen; each line ends by clearing what an earlier drawing left of it."""
    shown = text.splitlines()[: max(1, lines - 1)]
    return "".join(f"{cut(line, columns)}\033[K\n" for line in shown)


def cut(line: str, columns: int) -> str:
    """At most so many characters; the sequences that colour take no room."""
    taken, out, at = 0, "", 0
    while at < len(line) and taken < columns:
        if line[at] == "\033":
            end = line.index("m", at) + 1
            out, at = out + line[at:end], end
            continue
        out, at, taken = out + line[at], at + 1, taken + 1
    return out + ("\033[0m" if "\033" in out else "")
