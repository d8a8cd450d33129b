"""The terminal: whether there is one, in which form things are printed, colours, and progress of what takes long."""

import sys
import threading
import time
from collections.abc import Mapping

import click
import msgspec

from membership.errors import PublishError
from membership.render.table import Paint, plain

PROGRAM = "membership"
REDRAW = 0.5
"""Seconds between lines of progress, which replace each other."""


def say(*lines: str) -> None:
    """To people, on stderr: stdout is for programs. Nothing where stderr was closed."""
    if sys.stderr is None:  # print would take stdout in its place
        return
    for line in lines:
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)


def put(content: bytes) -> None:
    """To stdout.

    Raises:
        click.exceptions.Exit: nobody reads it any more, as of `membership watch | head -1`: done.
        PublishError: it is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise PublishError("stdout is closed: let it go somewhere")
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        sys.stdout = None  # what is left in its buffer would be tried again at exit
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(0) from error
        raise PublishError(f"stdout cannot be written: {error.strerror}") from error


def is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def painter(environ: Mapping[str, str]) -> Paint:
    """Colours on a terminal only, and not where NO_COLOR is set (https://no-color.org)."""
    if not is_terminal() or environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return plain
    return lambda text, colour: click.style(text, fg=colour) if colour else text


def write_document(format: str, document: bytes) -> bytes:
    """A JSON document as JSON for people to read, or as YAML."""
    if format == "json":
        return msgspec.json.format(document, indent=2) + b"\n"
    import yaml  # 2 MiB, for this alone

    return yaml.safe_dump(msgspec.json.decode(document), sort_keys=False, allow_unicode=True).encode()


class Progress:
    """Says on stderr, around what takes long, for how long it is waited for: on a terminal only, and from 1 s on."""

    def __init__(self, what: str, timeout: float) -> None:
        self._what = what
        self._deadline = time.monotonic() + timeout
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _show(self) -> None:
        shown = False
        while not self._over.wait(REDRAW if shown else 1.0):
            left = max(0.0, self._deadline - time.monotonic())
            print(f"\r\033[K{PROGRAM}: {self._what}, {left:.0f} s left", end="", file=sys.stderr, flush=True)
            shown = True
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
