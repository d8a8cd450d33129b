"""`membership history`: what changed, as a running sidecar or its file of `--history` says."""

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import msgspec

from membership.console import put, write_document
from membership.errors import SettingsError, Unreachable
from membership.flags import Reader, Setting, with_settings
from membership.history import Change, History, parse_since
from membership.history_file import read_history
from membership.peer import parse_sidecar_url
from membership.render.history import changes_text
from membership.settings import environment
from membership.subcommand import REPORT_FORMAT, TIMEOUT
from membership.transport import Address, Exchange, Interrupt

URL = Setting("url", "The sidecar to ask.", "http://127.0.0.1:4080", metavar="URL")
HISTORY = Setting("history", "Instead of asking a sidecar: the file that its --history names.", metavar="FILE")
SINCE = Setting(
    "since",
    "Only changes from this time on: 2026-11-21T12:00:00Z, or so long ago: 15m; or a generation of the newest epoch: "
    "those after it.",
    metavar="WHEN",
)
SETTINGS = (URL, HISTORY, SINCE, REPORT_FORMAT, TIMEOUT)


class _Answer(msgspec.Struct):
    epoch: str
    changes: tuple[Change, ...]


@click.command("history")
@with_settings(SETTINGS)
def history_command(**given: Any) -> int:
    """Print what changed: who joined (+), who left (-), who became another (~).

    Asks the sidecar of this pod, or reads the file that it keeps with --history, which reaches back over restarts.

    \b
    Examples:
      membership history --since 15m
      membership history --history /state/history --output json
    """
    reader = Reader(SETTINGS, given, environment())
    format, timeout = reader.word("format"), reader.duration("timeout")
    since = reader.parse("since", lambda text: parse_since(text, datetime.now(timezone.utc)), None)
    path = reader.parse("history", Path, None)
    address = reader.parse("url", parse_sidecar_url, None)
    if reader.problems:
        raise SettingsError(reader.problems)
    if path is not None:
        kept = _read(path)
    else:
        assert address is not None, "it has a default"
        kept = _ask(address, time.monotonic() + timeout)
    found = History(kept).since(since, kept[-1].epoch if kept else "")
    put(changes_text(found).encode() if format == "text" else write_document(format, msgspec.json.encode(found)))
    return 0


def _read(path: Path) -> list[Change]:
    try:
        return read_history(path)
    except OSError as error:
        raise SettingsError([f"--history: {path} cannot be read: {error.strerror or error}"]) from error


def _ask(address: Address, deadline: float) -> list[Change]:
    """All that the sidecar has. Raises Unreachable where there is none."""
    exchange, where = Exchange(address, Interrupt()), f"{address.host}:{address.port}"
    try:
        exchange.request("GET", "/changes", {"Connection": "close"}, None, deadline)
        body = exchange.read_all(deadline)
        return list(msgspec.json.decode(body, type=_Answer).changes)
    except Unreachable as error:
        raise Unreachable(f"no sidecar answers at {where} (--url): {error}; --history FILE reads its file") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SettingsError([f"--url: what answers at {where} is no sidecar: {body[:60]!r}"]) from error
    finally:
        exchange.close()
