"""The file of `--history`: a line of JSON for each change, appended, and written anew when it is full."""

from collections.abc import Sequence
from pathlib import Path

from membership.errors import PublishError
from membership.files import FileWriter, read_kept
from membership.history import LIMIT, Change
from membership.render.history import read_change, write_change

TRIM = 2 * LIMIT
"""Lines after which the file is written anew with the last `LIMIT`."""


def read_history(path: Path) -> list[Change]:
    """The changes in it, without lines that cannot be read: a run that is killed while it writes leaves half a line.
    Raises OSError."""
    changes = []
    for line in read_kept(path).splitlines():
        try:
            changes.append(read_change(line))
        except (ValueError, RecursionError):
            continue
    return changes


class HistoryFile:
    """Adds to the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = FileWriter(path, None)
        self._writer.remove_leftovers()
        self._lines: int | None = None

    def add(self, changes: Sequence[Change], kept: Sequence[Change]) -> None:
        """Write `changes`, the last ones of `kept`. Raises PublishError, and then the next call writes all of `kept`.

        So does the first one: an earlier run may have left half a line.
        """
        try:
            if self._lines is None or self._lines >= TRIM:
                self._writer.write(b"".join(map(write_change, kept)))
                self._lines = len(kept)
            else:
                with open(self._path, "ab") as file:
                    file.write(b"".join(map(write_change, changes)))
                self._lines += len(changes)
        except PublishError:
            self._lines = None
            raise
        except OSError as error:
            self._lines = None
            raise PublishError(f"cannot write {self._path}: {error.strerror or error}") from error
