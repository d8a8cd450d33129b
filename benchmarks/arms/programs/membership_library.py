"""This repository's library, as README.md shows it; `snapshot.stale` is its own signal."""

import threading
import time

from benchmarks.arms.programs.report import NAMESPACE, SERVICE, run, tell, tell_addresses
from membership import Membership, connect

HEALTH_EVERY = 0.5


def main() -> None:
    with Membership(connect(), services=[f"{NAMESPACE}/{SERVICE}"], port=4000) as membership:
        threading.Thread(target=follow_health, args=(membership,), daemon=True).start()
        for snapshot in membership.changes():
            tell_addresses(address for member in snapshot.members for address in member.addresses)


def follow_health(membership: Membership) -> None:
    told = ""
    while True:
        health = "stale" if membership.current().stale else "not stale"
        if health != told:
            told = health
            tell(health=health)
        time.sleep(HEALTH_EVERY)


if __name__ == "__main__":
    run(main)
