"""Hours in minutes: random churn and random faults on a real control plane; then the list is true, and nothing grew.

    SOAK_MINUTES=10 make soak

Ends with 1 and says what was wrong. SOAK_SEED repeats the order of things, though not their timing.
"""

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed import cluster
from tests.real.world import WHOLE, Place, World, eventually, total
from tests.running import EventStream, Sidecar

WARM_UP = 0.25
"""Part of the time after which the first measure is taken: caches are filled, every way was gone once."""
FAULT_EVERY = 20.0
SETTLED = 60.0
"""Seconds after the last fault within which the list must be true: a backoff that has grown to 30 s, and a list."""
GROWTH = {"MiB": 6.0, "file descriptors": 8, "threads": 2}
"""What is allowed between the two measures: the allocator's fragments, a connection that is just being made."""
MOST_PODS = 40


@dataclass(frozen=True)
class Measure:
    """What a process holds."""

    mib: float
    descriptors: int
    threads: int

    @classmethod
    def take(cls, sidecar: Sidecar) -> "Measure":
        process = Path(f"/proc/{sidecar.pid}")
        found = [len(list((process / name).iterdir())) for name in ("fd", "task")]
        return cls(sidecar.resident(), *found)

    def growth(self, later: "Measure") -> dict[str, float]:
        return {
            "MiB": later.mib - self.mib,
            "file descriptors": later.descriptors - self.descriptors,
            "threads": later.threads - self.threads,
        }


class Soak:
    """The churn and the faults, by one source of chance."""

    def __init__(self, place: Place, sidecar: Sidecar, chance: random.Random) -> None:
        self.place = place
        self.sidecar = sidecar
        self.chance = chance
        self.done = Counter[str]()
        self._pods: dict[str, str] = {}
        self._made = 0

    def churn(self) -> None:
        """One change by somebody."""
        what = self.chance.choice(("add", "add", "remove", "ready", "not ready", "terminate"))
        if what == "add" and len(self._pods) < MOST_PODS:
            name, address = (
                f"is-{self._made}",
                f"10.{1 + self._made // 65025}.{self._made // 255 % 255}.{self._made % 255}",
            )
            self._made += 1
            self._pods[name] = address
            self.place.pod(name, address, ready=self.chance.random() < 0.8)
        elif self._pods:
            name = self.chance.choice(sorted(self._pods))
            if what in ("remove", "terminate"):
                if what == "terminate":
                    self.place.terminate(name)
                del self._pods[name]
                self.place.gone(name)
            else:
                self.place.ready(name, what == "ready")
        self.done[what] += 1

    def fault(self) -> None:
        """One fault, and its end."""
        plane = self.place.plane
        faults: dict[str, Callable[[], object]] = {
            "API server killed": lambda: self._kill("kube-apiserver", self.chance.uniform(0.5, 8)),
            "etcd killed": lambda: self._kill("etcd", self.chance.uniform(0.5, 4)),
            "API server hangs": lambda: self._hang(self.chance.uniform(1, 12)),
            "history expired": plane.expire_history,
            "rights taken away": lambda: self._revoke(self.chance.uniform(1, 5)),
            "token replaced": self.place.mount_token,
            "sidecar stopped for a while": self._stop,
            "clients come and go": self._crowd,
        }
        name = self.chance.choice(sorted(faults))
        self.done[name] += 1
        faults[name]()

    def truth(self) -> list[str]:
        """The addresses in the server's slices that are no longer leaving, in the order of the list."""
        found = cluster.list_endpoints(self.place.plane, self.place.namespace, "is")
        staying = [one["addresses"][0] for one in found if not (one.get("conditions") or {}).get("terminating")]
        return sorted(staying, key=lambda address: tuple(map(int, address.split("."))))

    def _kill(self, component: str, seconds: float) -> None:
        plane = self.place.plane
        plane.kill(component)  # type: ignore[arg-type]
        time.sleep(seconds)
        plane.start_component(component)  # type: ignore[arg-type]
        plane.wait_ready()
        plane.restart("kube-controller-manager")

    def _hang(self, seconds: float) -> None:
        plane = self.place.plane
        plane.kill("kube-apiserver", signal.SIGSTOP)
        time.sleep(seconds)
        plane.kill("kube-apiserver", signal.SIGCONT)
        plane.wait_ready()

    def _revoke(self, seconds: float) -> None:
        self.place.revoke()
        time.sleep(seconds)
        self.place.grant(*WHOLE)

    def _stop(self) -> None:
        self.sidecar.send(signal.SIGSTOP)
        time.sleep(self.chance.uniform(1, 10))
        self.sidecar.send(signal.SIGCONT)

    def _crowd(self) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(EventStream(self.sidecar.port))


def soak(minutes: float, seed: int) -> None:
    """Raises AssertionError with what was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="membership-soak-"))
    try:
        for name in ("world", "place"):
            (folder / name).mkdir()
        world = World.start(folder / "world")
        with world.plane, Place(world, "soak", folder / "place") as place:
            place.service()
            place.pod("anchor", "10.0.0.1")
            place.wait_addresses(["10.0.0.1"])
            outputs = ("--out", f"lines:{folder}/members", "--state", f"{folder}/state", "--stale-after", "15s")
            _run(Soak(place, place.sidecar(*outputs), random.Random(seed)), minutes * 60, folder / "members")
    finally:
        shutil.rmtree(folder)


def _run(soak: Soak, seconds: float, file: Path) -> None:
    began = time.monotonic()
    next_fault, first = began + FAULT_EVERY / 4, None
    while (now := time.monotonic()) < began + seconds:
        soak.churn()
        time.sleep(soak.chance.uniform(0, 0.4))
        if now >= next_fault:
            soak.fault()
            next_fault = time.monotonic() + soak.chance.uniform(0, 2 * FAULT_EVERY)
        if first is None and now >= began + seconds * WARM_UP:
            first = Measure.take(soak.sidecar)
        _show(now - began, seconds, soak)
    sidecar = soak.sidecar
    assert first is not None
    eventually(lambda: sidecar.addresses() == soak.truth(), True, SETTLED, "the list is the truth")
    eventually(lambda: sidecar.get("/readyz").status, 200, SETTLED)
    wanted = [f"{address}:4000" for address in soak.truth()]
    eventually(lambda: file.read_text().splitlines(), wanted, 10, "the file")
    last = Measure.take(sidecar)
    report = {
        "minutes": round(seconds / 60, 1),
        "done": dict(soak.done),
        "generations": sidecar.members()["generation"],
        "requests": total(sidecar, "membership_requests_total"),
        "log lines": len(sidecar.err),
        "first": first,
        "last": last,
    }
    print("\n" + "\n".join(f"{name}: {value}" for name, value in report.items()))
    grown = {name: by for name, by in first.growth(last).items() if by > GROWTH[name]}
    assert not grown, f"it grew: {grown}"
    assert sidecar.count("Traceback") == 0, sidecar.log


def _show(passed: float, seconds: float, soak: Soak) -> None:
    if sys.stderr.isatty():
        print(f"\r{passed:5.0f} of {seconds:.0f} s, {sum(soak.done.values())} things done", end="", file=sys.stderr)


if __name__ == "__main__":
    given = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**32)))
    print(f"SOAK_SEED={given}", flush=True)
    try:
        soak(float(os.environ.get("SOAK_MINUTES", "10")), given)
    except AssertionError as error:
        sys.exit(f"soak failed: {error}")
