"""What the fault tests share: lists, a sidecar that follows, a machine to be broken, and what must hold after all.

A generation counts lists, so "generation 2" after a fault and one change says it all: nothing was emptied, nothing
shrank and nothing came twice in between.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membership import ApiServer, Membership, Options, Snapshot, connect
from membership.testing import FakeKube
from tests.running import HOST, Sidecar, busiest_second, clean_environ, pods, until

LIMIT = 5
"""Requests per second, whatever fails."""
TWO = ["10.244.0.5", "10.244.0.6"]
THREE = [*TWO, "10.244.0.7"]
FOUR = [*THREE, "10.244.0.8"]


def server_of(kube: FakeKube, **more: Any) -> ApiServer:
    return connect(kube.url, environ={}, service_account=Path("/nonexistent"), **more)


def addresses(snapshot: Snapshot) -> list[str]:
    return [member.address for member in snapshot.members]


def rest(membership: Membership, seconds: float) -> None:
    """Let a fault last."""
    membership.wait_newer(membership.current().generation, seconds)


def watches(kube: FakeKube) -> list[str]:
    """The resource versions from which was watched, in order."""
    return [request.query["resourceVersion"] for request in kube.requests if request.kind == "watch"]


def lists(kube: FakeKube) -> list[str]:
    """The resource versions that lists asked for, in order; "" is the most recent one."""
    return [request.query.get("resourceVersion", "") for request in kube.requests if request.kind == "list"]


@contextmanager
def following(kube: FakeKube, *flags: str, **more: Any) -> Iterator[Sidecar]:
    """A sidecar that has its list and its stream."""
    with Sidecar(kube, *flags, **more) as sidecar:
        sidecar.synced()
        kube.wait_for_watch()
        yield sidecar


@contextmanager
def answering(first: bytes, more: bytes, delay: float = 0.0) -> Iterator[int]:
    """The port of a server that says `first` after `delay` seconds, then `more` ten times a second, 6 s long."""
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError), listener.accept()[0] as client:
            ended.wait(delay)
            client.sendall(first)
            for _ in range(60):
                client.sendall(more)
                if ended.wait(0.1):
                    return

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        ended.set()
        thread.join(5)


class Seen:
    """The library on `wso2/is`, and every list it has handed out."""

    def __init__(self, kube: FakeKube, **options: Any) -> None:
        self.kube = kube
        self.lists: list[list[str]] = []
        self.membership = Membership(server_of(kube), ["wso2/is"], options=Options(**options))

    def __enter__(self) -> Seen:
        self.membership.subscribe(lambda publication: self.lists.append(addresses(publication.snapshot)))
        self.membership.start()
        self.membership.wait(0, 10)
        self.kube.wait_for_watch(1, 10)
        return self

    def __exit__(self, *_: object) -> None:
        self.membership.close()

    def becomes(self, wanted: list[str], timeout: float = 10.0) -> None:
        until(lambda: self.lists[-1] == wanted, timeout, f"{wanted}, after {self.lists}, {self.membership.problem};")


def kept(sidecar: Sidecar, wanted: list[str] = TWO) -> None:
    """The last good list is served, and nobody restarts the pod for it."""
    assert sidecar.addresses() == wanted
    assert sidecar.members()["generation"] == 1
    assert sidecar.get("/livez").status == 200


def heals(kube: FakeKube, sidecar: Sidecar, within: float = 10.0) -> None:
    """The fault is over: the next change is the next list, the first since the start; and nobody has hurried."""
    kube.set_service("wso2", "is", pods(3))
    sidecar.follows(THREE, within)
    assert sidecar.members()["generation"] == 2
    until(lambda: sidecar.get("/readyz").status == 200, within, "readiness")
    unhurried(kube)


def unhurried(kube: FakeKube) -> None:
    assert busiest_second(kube.requests) <= LIMIT


@dataclass(frozen=True)
class Machine:
    """The clock and the resolver of a sidecar: see machine/sitecustomize.py."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        self.step_clock(0)
        return clean_environ(PYTHONPATH=str(Path(__file__).parent / "machine"), MACHINE=str(self.folder))

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock: wrong by so much from now on."""
        new = self.folder / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "clock")

    def break_names(self) -> None:
        (self.folder / "no-names").touch()

    def mend_names(self) -> None:
        (self.folder / "no-names").unlink()


def keepalive_left(pid: int, port: int) -> float | None:
    """Seconds until the kernel probes the silent peer of a process' connection to `port`; None where it never will.

    https://docs.kernel.org/networking/proc_net_tcp.html: `tr` is 2 where a keepalive timer runs, `when` is in 1/100 s.
    """
    owned = {re.sub(r"\D", "", str(fd.readlink())) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        timer, _, when = fields[5].partition(":")
        if fields[9] in owned and fields[3] == "01" and int(fields[2].partition(":")[2], 16) == port:
            return int(when, 16) / 100 if timer == "02" else None
    raise AssertionError(f"process {pid} has no connection to port {port}")
