"""This repository's library from `start` to its first list: `read` is when it was started."""

import threading
import time

from benchmarks.arms.programs.report import NAMESPACE, SERVICE, run, tell
from membership import Membership, connect


def main() -> None:
    membership = Membership(connect(), services=[f"{NAMESPACE}/{SERVICE}"], port=4000)
    began = time.monotonic_ns()
    with membership:
        snapshot = membership.wait(minimum=1)
        tell(version=snapshot.resource_versions[NAMESPACE], endpoints=len(snapshot.members), read=began)
        threading.Event().wait()


if __name__ == "__main__":
    run(main)
