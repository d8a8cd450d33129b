"""The process around the daemon: signals and the exit code, and nothing else, before anything heavy is imported.

As the first process of a container it would otherwise not even be ended by a SIGTERM that comes while it starts.
"""

import signal
import sys
import threading


def main() -> None:
    stopped, running = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        first = not stopped.is_set()
        stopped.set()
        if first and not running.is_set():  # whatever a start waits for, such as a kubeconfig's plugin
            sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    from sidecar.command import run

    sys.exit(run(stopped, running))


if __name__ == "__main__":
    main()
