"""Python loads this at the start of a program whose PYTHONPATH names its folder: a machine that can be broken.

`MACHINE` is a folder. Its file `clock` holds the seconds by which the wall clock is wrong. Names that end in `.test`
are this host; while there is a file `no-names` they cannot be resolved. Nothing of the program itself is replaced.
"""

import datetime
import os
import socket
import time
from pathlib import Path
from typing import Any

_machine = Path(os.environ["MACHINE"])
_time, _getaddrinfo = time.time, socket.getaddrinfo


def _wrong_time() -> float:
    return _time() + float((_machine / "clock").read_text() or 0)


class _WrongDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_WrongDatetime":
        return cls.fromtimestamp(_wrong_time(), tz)

    @classmethod
    def utcnow(cls) -> "_WrongDatetime":
        return cls.fromtimestamp(_wrong_time(), datetime.UTC).replace(tzinfo=None)


def _resolve(host: Any, *arguments: Any, **more: Any) -> Any:
    if not str(host).endswith(".test"):
        return _getaddrinfo(host, *arguments, **more)
    if (_machine / "no-names").exists():
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _getaddrinfo("127.0.0.1", *arguments, **more)


time.time = _wrong_time
time.time_ns = lambda: int(_wrong_time() * 1e9)
datetime.datetime = _WrongDatetime  # type: ignore[misc]
socket.getaddrinfo = _resolve
