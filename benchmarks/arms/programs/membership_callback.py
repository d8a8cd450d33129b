"""This repository's library: `Membership.subscribe`, which calls back on the thread that read, once the list is new.

`read` is when the bytes were read from the socket, as the library itself knows it (`Publication.read_at`).
"""

import threading
import time

from benchmarks.arms.programs.report import NAMESPACE, SERVICE, run, tell
from membership import Membership, connect
from membership.session import Publication


def told(publication: Publication) -> None:
    ns = time.monotonic_ns()
    snapshot = publication.snapshot
    version = snapshot.resource_versions.get(NAMESPACE)
    tell(ns, version=version, endpoints=len(snapshot.members), read=int(publication.read_at * 1e9))


def main() -> None:
    with Membership(connect(), services=[f"{NAMESPACE}/{SERVICE}"], port=4000) as membership:
        membership.subscribe(told)
        threading.Event().wait()


if __name__ == "__main__":
    run(main)
