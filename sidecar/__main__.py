"""The process around the daemon: signals and the exit code, and nothing else, before anything heavy is imported.

As the first process of a container it would otherwise not even be ended by a SIGTERM that comes while it starts.
"""

import signal
import sys
import threading


def main() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    from sidecar.command import run

    sys.exit(run(stopped))


if __name__ == "__main__":
    main()
