"""One server in a pod's surroundings: FakeKube with TLS, the files of a service account, and the truth at each time.

A stage runs in a mount and a network namespace of its own (see `enter`), so that every client finds the API server as
it does in a pod, at the same paths, and so that refused connections can be counted.
"""

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping
from fcntl import ioctl
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from benchmarks.faults.arms import Arm
from membership.testing import FakeKube
from membership.testing.history import Checkpoint

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE, SERVICE = "wso2", "is"
FIRST: Mapping[str, tuple[str, ...]] = {"is-a": ("10.244.0.5", "10.244.0.6"), "is-b": ("10.244.0.7",)}
"""Two slices, so that one can go as a whole."""

_TCP_REPAIR = 19


def enter() -> None:
    """Make the namespaces of this process a pod's: an empty /run, and a loopback that is up.

    To be called below `unshare --mount --net`. Raises OSError or CalledProcessError.
    """
    subprocess.run(["mount", "-t", "tmpfs", "none", os.path.realpath("/var/run")], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        ioctl(sock, 0x8913, request)  # SIOCGIFFLAGS
        (flags,) = struct.unpack_from("h", request, 16)
        ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP


def refused_connections() -> int:
    """How many connections were refused in this network namespace so far."""
    rows = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:")]
    return int(dict(zip(*rows))["AttemptFails"])


class Stage:
    """`truth` is the list of (monotonic seconds, addresses) of every change, oldest first. `note`: an annotation."""

    def __init__(self, arm: Arm) -> None:
        ACCOUNT.mkdir(parents=True)
        self.arm = arm
        self.truth: list[tuple[float, frozenset[str]]] = []
        self.note = ""
        self._slices: dict[str, tuple[str, ...]] = {}
        (ACCOUNT / "namespace").write_text(NAMESPACE)
        self._certificates = 0
        certificate = self._issue()
        self.kube = FakeKube(token="first", tls=certificate, version="v1.35.0")
        (ACCOUNT / "token").write_text("first")
        self.write(FIRST)

    def __enter__(self) -> Self:
        self.kube.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kube.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a pod's process would find, and nothing else."""
        host, _, port = self.kube.url.removeprefix("https://").partition(":")
        return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    def write(self, slices: Mapping[str, Iterable[str] | None], moving: Iterable[str] = ()) -> None:
        """Bring each named slice to these addresses; None deletes it. One truth after all of them.

        `moving`: members that are in no slice for a moment and have not gone.
        """
        for name, addresses in slices.items():
            if addresses is None:
                del self._slices[name]
            else:
                self._slices[name] = tuple(addresses)
        self._note_truth(moving)
        for name, addresses in slices.items():
            self._write(name, None if addresses is None else tuple(addresses))

    def restore(self, backup: Checkpoint, slices: Mapping[str, tuple[str, ...]]) -> None:
        """Go back to a backup, in which these were the slices."""
        self._slices = dict(slices)
        self._note_truth()
        self.kube.restore(backup)

    def put(self, name: str, extra: Mapping[str, object]) -> None:
        """Write a slice (or ConfigMap) of the Service with these fields and no addresses."""
        if self.arm.resource == "configmaps":
            self.kube.put_config_map(_config_map(name, (), self.note) | dict(extra))
        else:
            self.kube.put_slice(_slice(name, (), self.note) | dict(extra))

    def rotate_token(self) -> None:
        """The server takes a new token only, and the file holds it."""
        self.kube.token = "second"
        _replace(ACCOUNT / "token", b"second")

    def rotate_authority(self) -> None:
        """The server has a certificate of a new authority, and ca.crt names that one only."""
        self.kube.tls = self._issue()

    def vanish(self) -> None:
        """Lose all connections without a word, as a server whose node is lost: no FIN, no RST, until the client sends.

        Closing a socket in repair mode does that (tcp(7)); it needs CAP_NET_ADMIN in this network namespace only.
        """
        port = int(self.kube.url.rpartition(":")[2])
        for name in os.listdir("/proc/self/fd"):
            if not os.path.realpath(f"/proc/self/fd/{name}").partition("socket:")[1]:
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.family == socket.AF_INET and sock.getsockname()[1] == port and _is_connected(sock):
                    sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        self.kube.stop_listening(cut=True)
        self.kube.listen_again()

    def touch(self, times: int = 1) -> None:
        """Write so many unrelated objects of the same type elsewhere."""
        for _ in range(times):
            self.kube.touch(self.arm.resource)

    def _note_truth(self, moving: Iterable[str] = ()) -> None:
        addresses = frozenset(address for one in self._slices.values() for address in one)
        self.truth.append((time.monotonic(), addresses | frozenset(moving)))

    def _write(self, name: str, addresses: tuple[str, ...] | None) -> None:
        if self.arm.resource == "configmaps":
            if addresses is None:
                self.kube.delete_config_map(NAMESPACE, name)
            else:
                self.kube.put_config_map(_config_map(name, addresses, self.note))
        elif addresses is None:
            self.kube.delete_slice(NAMESPACE, name)
        else:
            self.kube.put_slice(_slice(name, addresses, self.note))

    def _issue(self) -> tuple[str, str]:
        self._certificates += 1
        authority = trustme.CA()
        folder = Path(os.path.realpath("/var/run")) / f"server-{self._certificates}"
        folder.mkdir()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(str(folder / "key"))
        for part in certificate.cert_chain_pems:
            part.write_to_path(str(folder / "certificate"), append=True)
        _replace(ACCOUNT / "ca.crt", authority.cert_pem.bytes())
        return str(folder / "certificate"), str(folder / "key")


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _replace(path: Path, content: bytes) -> None:
    """As kubelet does: the name never stands for half a file."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


def _slice(name: str, addresses: Iterable[str], note: str) -> dict[str, object]:
    conditions = {"ready": True, "serving": True, "terminating": False}
    return {
        "metadata": _metadata(name, "kubernetes.io/service-name", note),
        "addressType": "IPv4",
        "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": conditions,
                "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"pod-{address}", "uid": f"uid-{address}"},
            }
            for address in addresses
        ],
    }


def _config_map(name: str, addresses: Iterable[str], note: str) -> dict[str, object]:
    return {
        "metadata": _metadata(name, "member", note),
        "data": {address: f"{address}\n" for address in addresses},
    }


def _metadata(name: str, label: str, note: str) -> dict[str, object]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {label: SERVICE},
        **({"annotations": {"note": note}} if note else {}),
    }
