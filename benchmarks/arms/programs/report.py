"""What every program says: one JSON line on stdout for each thing it believes, CLOCK_MONOTONIC in nanoseconds.

- `{"ns": ..., "addresses": [...]}` whenever it has heard something; or, with BENCH_LINES=versions, where a long line
  would be a load of its own: `{"ns": ..., "version": "...", "endpoints": n}` with the newest resource version heard of
  (null: the client hands out none) and the number of endpoints believed in. `read`: when the bytes were there.
- `{"ns": ..., "health": "..."}` where the client has a signal of its own.
- `{"ns": ..., "ended": "..."}` with what ended it.

A SIGTERM ends a program as it would end one in a pod that has installed a handler: SystemExit in the main thread, so
that `with` and `finally` are run. Only the standard library is used here: the programs run in many environments.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

NAMESPACE = os.environ.get("BENCH_NAMESPACE", "wso2")
SERVICE = os.environ.get("BENCH_SERVICE", "is")
SELECTOR = f"kubernetes.io/service-name={SERVICE}"
VERSIONS = os.environ.get("BENCH_LINES") == "versions"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MARK = "10.1."
"""Addresses that begin so are in one change each: who sees no resource version tells them as `marks`."""


def tell(ns: int | None = None, **facts: object) -> None:
    """One line, of now or of `ns`."""
    # One write for each line: programs are killed, and no reader may see half of one.
    os.write(1, (json.dumps({"ns": time.monotonic_ns() if ns is None else ns, **facts}) + "\n").encode())


def tell_addresses(addresses: Iterable[str]) -> None:
    """The whole list that the program now believes in."""
    tell(addresses=sorted(set(addresses)))


def tell_slices(slices: Mapping[str, Sequence[str]], version: str | None) -> None:
    """The addresses of every slice that the program now believes in; `version` is the newest it was told."""
    ns = time.monotonic_ns()
    if VERSIONS:
        tell(ns, version=version, endpoints=sum(map(len, slices.values())))
    else:
        tell_addresses(address for one in slices.values() for address in one)


def tell_marks(ns: int, addresses: Sequence[str]) -> None:
    """A list without a resource version, seen at `ns`: what marks the changes that are in it."""
    tell(ns, marks=[address for address in addresses if address.startswith(MARK)], endpoints=len(addresses))


def run(main: Callable[[], None]) -> None:
    """Run `main` and tell how it ended."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        main()
    except Exception as error:  # whatever it is: that it ended the program is the result
        text = " ".join(str(error).split())
        tell(ended=f"raises {type(error).__name__}", detail=text[:300])
        raise
    tell(ended="ends without an error")
