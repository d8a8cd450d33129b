"""What every driver says: one JSON line on stdout for each thing it believes, CLOCK_MONOTONIC in nanoseconds.

`{"ns": ..., "addresses": [...]}` whenever it has heard something; `{"ns": ..., "health": "..."}` where the client has
a signal of its own; `{"ns": ..., "ended": "..."}` with what ended it. A SIGTERM ends a driver as it would end a program
in a pod that has installed a handler: SystemExit in the main thread, so that `with` and `finally` are run.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

NAMESPACE = os.environ.get("BENCH_NAMESPACE", "wso2")
SERVICE = os.environ.get("BENCH_SERVICE", "is")
SELECTOR = f"kubernetes.io/service-name={SERVICE}"


def tell(**facts: object) -> None:
    """One line."""
    print(json.dumps({"ns": time.monotonic_ns(), **facts}), flush=True)


def tell_addresses(addresses: Iterable[str]) -> None:
    """The whole list that the driver now believes in."""
    tell(addresses=sorted(set(addresses)))


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
