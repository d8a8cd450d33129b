"""Where a control plane keeps its files, where it listens, and how its three programs are called."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.ports import find_free_ports

ISSUER = "https://kubernetes.default.svc.cluster.local"
CONTROLLERS = (
    "endpointslice-controller",
    "endpoints-controller",
    "endpointslice-mirroring-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
)
_RANGES = ("10.96.0.0/16", "fd00:96::/108")


@dataclass(frozen=True, slots=True)
class Layout:
    """One control plane's directory, address and ports."""

    directory: Path
    bind: str
    etcd_port: int
    peer_port: int
    api_port: int

    @classmethod
    def choose(cls, directory: Path, bind: str) -> "Layout":
        """A layout with three ports that are free now."""
        etcd_port, peer_port, api_port = find_free_ports(3)
        return cls(directory, bind, etcd_port, peer_port, api_port)

    @property
    def etcd_data(self) -> Path:
        return self.directory / "etcd"

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def server_certificate(self) -> Path:
        return self.directory / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    @property
    def signing_key(self) -> Path:
        """Signs service account tokens."""
        return self.directory / "service-account.key"

    @property
    def token_file(self) -> Path:
        return self.directory / "tokens.csv"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "admin.kubeconfig"

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"

    @property
    def url(self) -> str:
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"https://{host}:{self.api_port}"


def choose_environment() -> dict[str, str]:
    """What the programs see: no proxy settings, which would send loopback calls elsewhere."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "NO_PROXY": "*"}


def etcd_command(binary: str, at: Layout, extra: Sequence[str]) -> list[str]:
    """etcd on loopback only. Writes are not synced to disk: fast, and safe against killing processes."""
    peer = f"http://127.0.0.1:{at.peer_port}"
    flags = {
        "name": "testbed",
        "data-dir": str(at.etcd_data),
        "listen-client-urls": at.etcd_url,
        "advertise-client-urls": at.etcd_url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"testbed={peer}",
        "unsafe-no-fsync": "true",
        # A lone member has no one to wait for: elect it at once.
        "heartbeat-interval": "20",
        "election-timeout": "200",
        "log-level": "warn",
        # As kubeadm does: bookmarks of quiet resources follow etcd's progress, every 10 min by default.
        "watch-progress-notify-interval": "5s",
    }
    return _command(binary, "etcd", flags, extra)


def apiserver_command(binary: str, at: Layout, extra: Sequence[str]) -> list[str]:
    """kube-apiserver: TLS, RBAC, watch cache, dual stack; compaction only when a test asks for it."""
    flags = {
        "etcd-servers": at.etcd_url,
        "bind-address": at.bind,
        # Without it the server looks for a default route and refuses to start where there is none.
        "advertise-address": at.bind,
        "secure-port": str(at.api_port),
        "tls-cert-file": str(at.server_certificate),
        "tls-private-key-file": str(at.server_key),
        "token-auth-file": str(at.token_file),
        "authorization-mode": "RBAC",
        "service-account-issuer": ISSUER,
        "service-account-key-file": str(at.signing_key),
        "service-account-signing-key-file": str(at.signing_key),
        # The first range must be of the family of the advertised address.
        "service-cluster-ip-range": ",".join(reversed(_RANGES) if ":" in at.bind else _RANGES),
        "endpoint-reconciler-type": "none",
        # Only tests compact. Not 0, which also keeps the server from noticing that someone else compacted.
        "etcd-compaction-interval": "24h",
        # SIGTERM then ends open watches cleanly at once; by default an HTTP/1.1 watch holds it up for 60 s.
        "shutdown-watch-termination-grace-period": "5s",
        "max-requests-inflight": "2000",
        "max-mutating-requests-inflight": "2000",
        "profiling": "false",
    }
    return _command(binary, "kube-apiserver", flags, extra)


def controller_manager_command(binary: str, at: Layout, extra: Sequence[str] = ()) -> list[str]:
    """kube-controller-manager with the few controllers that make slices, accounts and CA bundles.

    `--controllers` in `extra` adds to them.
    """
    flags = {
        "kubeconfig": str(at.kubeconfig),
        "controllers": ",".join(CONTROLLERS),
        "leader-elect": "false",
        "secure-port": "0",
        "root-ca-file": str(at.ca_file),
        "kube-api-qps": "1000",
        "kube-api-burst": "2000",
        "kube-api-content-type": "application/vnd.kubernetes.protobuf",
    }
    return _command(binary, "kube-controller-manager", flags, extra)


def _command(binary: str, program: str, flags: dict[str, str], extra: Sequence[str]) -> list[str]:
    # Where a flag comes twice the later one counts, so `extra` may override.
    return [binary, program, *(f"--{name}={value}" for name, value in flags.items()), *extra]
