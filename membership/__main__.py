"""The process around `membership.cli`: signals and the exit code."""

import signal
import sys
from types import FrameType

from membership.cli import run
from membership.subcommand import Stopped


def main() -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run())


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


if __name__ == "__main__":
    main()
