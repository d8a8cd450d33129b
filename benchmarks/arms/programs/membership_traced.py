"""This repository's library with tracemalloc: what an event allocates, and what stays. Ends after BENCH_EVENTS lists.

Tells `{"transient": [bytes, ...], "kept": bytes}`: the most that was allocated at once between two lists, for each of
the second half, and by how much what is held grew over that half. Tracing makes it slow: its times mean nothing.
"""

import os
import threading
import tracemalloc

from benchmarks.arms.programs.report import NAMESPACE, SERVICE, run, tell
from membership import Membership, connect
from membership.session import Publication


def main() -> None:
    wanted, over = int(os.environ["BENCH_EVENTS"]), threading.Event()
    transient: list[int] = []
    held: list[int] = []
    tracemalloc.start()

    def told(publication: Publication) -> None:
        if over.is_set():
            return
        now, peak = tracemalloc.get_traced_memory()
        if held:
            transient.append(peak - held[-1])
        held.append(now)
        if len(held) == 1:
            tell(version=publication.snapshot.resource_versions[NAMESPACE], endpoints=len(publication.snapshot.members))
        if len(held) > wanted:
            over.set()
        tracemalloc.reset_peak()

    with Membership(connect(), services=[f"{NAMESPACE}/{SERVICE}"], port=4000) as membership:
        membership.subscribe(told)
        over.wait()
    half = len(held) // 2
    tell(transient=transient[half:], kept=held[-1] - held[half])


if __name__ == "__main__":
    run(main)
