"""Pods as network namespaces: each has an address of its own, and a link that can be cut.

    with Network.claim() as network:
        pod = network.add("is-0")
        run(pod.namespace, ["ip", "-4", "address"])
        pod.link(False)

A bridge in a namespace of its own joins them, and this process as their node (`network.node`), where a control plane
may listen: `ControlPlane.start(directory, bind=network.node)`. Needs root and iproute2.
"""

import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_NUMBERS = range(64)
_BLOCKS = 4
"""Of 254 addresses each: thirty rounds of all tests take more than one has, and none is used twice."""
_FIRST_POD = 10
_NOBODY = "02:00:00:00:00:01"
"""A hardware address that no link has: what is sent there is dropped by all, and nobody is told."""


class NetworkFailed(Exception):
    """What `ip` said, or why there is no network."""


def enter(namespace: str, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` in a namespace, as the same process: for Program and subprocess."""
    return ["ip", "netns", "exec", namespace, *command]


def run(
    namespace: str, command: Sequence[str], *, timeout: float = 30.0, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `command` in a namespace to its end; NetworkFailed with its output if it fails and `check` is set."""
    done = subprocess.run(enter(namespace, command), capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise NetworkFailed(f"{' '.join(command)} in {namespace}: {done.stderr.strip() or done.stdout.strip()}")
    return done


class Pod:
    """A network namespace with loopback and one link. Made by `Network.add`."""

    def __init__(self, name: str, namespace: str, hub: str, port: str, address: str) -> None:
        self.name = name
        self.namespace = namespace
        self.address = address
        self._hub = hub
        self._port = port

    def link(self, up: bool) -> None:
        """Plug the pod in or out. Its peers get no answer while it is out, as from a node that was lost."""
        _ip("-n", self._hub, "link", "set", self._port, "up" if up else "down")


@dataclass(frozen=True)
class _End:
    """Where packets leave and arrive: how to reach its namespace with `ip`, its address and its device."""

    inside: tuple[str, ...]
    address: str
    device: str


def _end_of(pod: Pod) -> _End:
    return _End(("-n", pod.namespace), pod.address, "eth0")


class Network:
    """The pods of one run. Made by `claim`; `close` removes all of it, by name."""

    def __init__(self, number: int, lock: IO[bytes]) -> None:
        self._prefix = f"km{number}-"
        self._lock = lock
        self._hub = f"{self._prefix}hub"
        self._first = number * _BLOCKS
        self._subnet = f"10.244.{self._first}.0/22"
        self._pods: dict[str, Pod] = {}
        self._added = 0
        self.node = f"10.244.{self._first}.1"
        """The address of this process, which all pods reach and which reaches all pods."""

    @classmethod
    def claim(cls) -> "Network":
        """A network that no other run has: 10.244.0.0/22, or the next that is free.

        A run that was killed leaves its namespaces behind, but not the lock: they are removed here.
        """
        if os.geteuid() != 0:
            raise NetworkFailed("network namespaces need root")
        for number in _NUMBERS:
            lock = _lock(Path(tempfile.gettempdir()) / f"kubernetes-membership-pods-{number}.lock")
            if lock is None:
                continue
            network = cls(number, lock)
            try:
                network._clear()
                if not _ip("-4", "route", "show", "root", network._subnet):
                    network._build()
                    return network
            except BaseException:
                network.close()
                raise
            lock.close()
        raise NetworkFailed(f"none of the {len(_NUMBERS)} networks from 10.244.0.0/22 on is free")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Pod]:
        return iter(list(self._pods.values()))

    def add(self, name: str) -> Pod:
        """A pod with the next address; addresses are never used again."""
        if name in self._pods:
            raise ValueError(f"there is a pod {name}")
        block, host = divmod(_FIRST_POD + self._added, 254)
        if block == _BLOCKS:
            raise NetworkFailed(f"no address is left in {self._subnet}")
        address, port = f"10.244.{self._first + block}.{host + 1}", f"pod{self._added}"
        self._added += 1
        pod = self._pods[name] = Pod(name, f"{self._prefix}{name}", self._hub, port, address)
        inside = ("-n", pod.namespace)
        _ip("netns", "add", pod.namespace)
        _ip("-n", self._hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pod.namespace)
        _ip("-n", self._hub, "link", "set", port, "master", "bridge", "up")
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "address", "add", f"{address}/22", "dev", "eth0")
        _ip(*inside, "link", "set", "eth0", "up")
        return pod

    def cut(self, left: Iterable[Pod], right: Iterable[Pod] | None = None) -> None:
        """Drop every packet between each of `left` and each of `right`, or this process if that is None.

        A black hole: links stay up, routes stay, nobody gets a reset or an ICMP message. `mend` undoes it.
        """
        for one, other in self._pairs(left, right):
            entry = (other.address, "lladdr", _NOBODY, "dev", one.device, "nud", "permanent")
            _ip(*one.inside, "neigh", "replace", *entry)

    def mend(self, left: Iterable[Pod], right: Iterable[Pod] | None = None) -> None:
        """Let packets through again after `cut` with the same arguments."""
        for one, other in self._pairs(left, right):
            _ip(*one.inside, "neigh", "del", other.address, "dev", one.device)

    def _pairs(self, left: Iterable[Pod], right: Iterable[Pod] | None) -> Iterator[tuple["_End", "_End"]]:
        """Sender and receiver, in both directions."""
        others = [_End((), self.node, f"{self._prefix}node")] if right is None else [_end_of(pod) for pod in right]
        for one in map(_end_of, left):
            for other in others:
                yield one, other
                yield other, one

    def remove(self, pod: Pod) -> None:
        """Take the pod away: from now on nobody has its address. End its processes first, or after a moment."""
        del self._pods[pod.name]
        # By its link first: a namespace lives on for as long as a process is in it.
        _ip("-n", self._hub, "link", "delete", pod._port)
        _ip("netns", "delete", pod.namespace)

    def close(self) -> None:
        """Remove everything. May be called twice."""
        if self._lock.closed:
            return
        try:
            self._pods.clear()
            self._clear()
        finally:
            self._lock.close()

    def _build(self) -> None:
        link = f"{self._prefix}node"
        _ip("netns", "add", self._hub)
        _ip("-n", self._hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "bridge", "up")
        _ip("link", "add", link, "type", "veth", "peer", "name", "node", "netns", self._hub)
        _ip("-n", self._hub, "link", "set", "node", "master", "bridge", "up")
        _ip("address", "add", f"{self.node}/22", "dev", link)
        _ip("link", "set", link, "up")

    def _clear(self) -> None:
        """Remove what has our names, whoever left it."""
        link = f"{self._prefix}node"
        if Path(f"/sys/class/net/{link}").exists():
            _ip("link", "delete", link)
        names = [line.split()[0] for line in _ip("netns", "list").splitlines() if line.startswith(self._prefix)]
        for name in sorted(names, key=lambda name: name == self._hub):
            # The link goes with the hub; a process that is left in a pod must not keep the bridge up.
            with contextlib.suppress(NetworkFailed):
                _ip("-n", name, "link", "delete", "eth0")
            _ip("netns", "delete", name)


def _ip(*arguments: str) -> str:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        raise NetworkFailed("ip is needed: apt-get install iproute2") from None
    if done.returncode != 0:
        raise NetworkFailed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _lock(path: Path) -> IO[bytes] | None:
    """The file, locked until it is closed or this process ends; None if another run has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
