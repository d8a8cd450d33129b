"""Another process that uses a file of ours: each rename onto it, by inotify. `lines` files have no version."""

import ctypes
import os
import select
import struct
import sys
import time
from pathlib import Path

from benchmarks.arms.programs.report import run, tell_marks

IN_MOVED_TO = 0x80


def main() -> None:
    path = Path(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init()
    if libc.inotify_add_watch(descriptor, os.fsencode(str(path.parent)), IN_MOVED_TO) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch")
    if path.exists():
        read(path, time.monotonic_ns())
    while True:
        select.select([descriptor], [], [])
        events = os.read(descriptor, 64 * 1024)
        ns = time.monotonic_ns()
        if path.name in names(events):
            read(path, ns)


def read(path: Path, ns: int) -> None:
    tell_marks(ns, [line.rpartition(":")[0] for line in path.read_text().splitlines()])


def names(events: bytes) -> list[str]:
    found, at = [], 0
    while at < len(events):
        (length,) = struct.unpack_from("=12xI", events, at)
        found.append(events[at + 16 : at + 16 + length].rstrip(b"\0").decode())
        at += 16 + length
    return found


if __name__ == "__main__":
    run(main)
