"""When a file may be replaced without disturbing a `cp -R` that is just walking its folder.

WSO2's entrypoints copy a volume with `cp -RL volume/* home/` under `set -e`. GNU cp looks at a file, opens it, and
gives up with 1 ("skipping file, as it was replaced while being copied") if a rename came between the two: with
50 changes a second it failed once in 50 copies (tests/deploy/test_copy.py). But before it looks at a file it, or the
shell for the `*`, opens the folder; so a folder that was opened is left alone until the copy has passed our file.
https://github.com/coreutils/coreutils/blob/v9.1/src/copy.c#L1222-L1230
"""

import ctypes
import os
import select
import struct
import threading
import time
from pathlib import Path

CALM = 1.0
"""Seconds after the last sign of a walk until the next one is no longer expected."""
LONGEST = 1.0
"""Seconds for which a file is held back at most."""

_OPEN, _CLOSE_NOWRITE, _OVERFLOW, _ISDIR = 0x20, 0x10, 0x4000, 0x40000000
_FIONREAD = 0x541B
_EVENT = struct.Struct("iIII")


class CopyWatch:
    """Watches the folder of one file, by inotify. Raises OSError where that cannot be had."""

    def __init__(self, file: Path) -> None:
        self._name = os.fsencode(file.name)
        self._libc = ctypes.PyDLL(None)  # unlike CDLL it keeps the interpreter to itself during a call
        self._walked_at: float | None = None
        self._has_passed = True
        self.folder = identify(file.parent)
        """Which folder it was when the watch began: another one under that name is not watched."""
        self._events = _watch(file.parent)
        self._poll = select.poll()
        self._poll.register(self._events, select.POLLIN)

    def rename(self, temporary: str, file: str) -> None:
        """Rename `temporary` to `file` where no copy can be before our file, or after `LONGEST` seconds.

        That is when nobody walked the folder for `CALM` seconds, or right after a copy has closed our file. Nothing may
        come between the last look at the queue and the rename: os.read has just given this thread a fresh turn of the
        interpreter, and the look keeps it.
        """
        deadline = time.monotonic() + LONGEST
        self._take()
        while not self._is_calm() and (remaining := deadline - time.monotonic()) > 0:
            self._has_passed = False  # from here on only a close that is waited for is fresh
            self._poll.poll(1000 * min(CALM, remaining))
            self._take()
            if self._has_passed and not self._is_queued():
                break
        os.rename(temporary, file)

    def close(self) -> None:
        os.close(self._events)

    def _is_calm(self) -> bool:
        is_calm = self._walked_at is None or time.monotonic() - self._walked_at >= CALM
        return is_calm and not self._is_queued()

    def _is_queued(self) -> bool:
        count = ctypes.c_int()
        self._libc.ioctl(self._events, _FIONREAD, ctypes.byref(count))
        return count.value > 0

    def _take(self) -> None:
        try:
            data = os.read(self._events, 1 << 16)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            _, mask, _, size = _EVENT.unpack_from(data, at)
            at += _EVENT.size + size
            name = data[at - size : at].rstrip(b"\0")
            if mask & _OVERFLOW or (mask & _ISDIR and mask & _OPEN and not name):
                self._walked_at, self._has_passed = time.monotonic(), False
            elif name == self._name and mask & _CLOSE_NOWRITE:
                self._has_passed = True


class OpenFolders:
    """Folders held open for fsync, by all writers of a process: to open one each time would look like a walk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptors: dict[Path, int] = {}

    def open(self, folder: Path) -> int:
        """Its descriptor, which stays open. Raises OSError."""
        with self._lock:
            descriptor = self._descriptors.get(folder)
            if descriptor is not None and identify(descriptor) != identify(folder):  # replaced meanwhile
                os.close(self._descriptors.pop(folder))
                descriptor = None
            if descriptor is None:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._descriptors[folder] = descriptor
            return descriptor


def identify(folder: Path | int) -> tuple[int, int]:
    """Device and inode of a folder, by path or descriptor."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _watch(folder: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(folder), _OPEN | _CLOSE_NOWRITE) < 0:
        error = ctypes.get_errno()
        if descriptor >= 0:
            os.close(descriptor)
        raise OSError(error, os.strerror(error), str(folder))
    return descriptor
