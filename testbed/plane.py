"""A real Kubernetes control plane to test against: start it, break it, ask it.

    with ControlPlane.start(directory) as plane:
        plane.request("GET", "/api/v1/namespaces/default")

One etcd, one kube-apiserver (RBAC, TLS, watch cache), one kube-controller-manager: unchanged upstream
programs on loopback. Nothing of it outlives the `with`, nor the process.
"""

import contextlib
import dataclasses
import json
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import urllib3
from cryptography.hazmat.primitives.asymmetric import ec

from testbed import layout
from testbed.authority import Authority, write_key
from testbed.binary import build_binary
from testbed.components import Component, Components
from testbed.etcd import EtcdClient
from testbed.exposition import sum_samples
from testbed.ports import find_free_ports
from testbed.rest import Json, RequestFailed, RestClient
from testbed.tokens import sign_token

# For `start(apiserver_flags=...)`: slices are watched straight from etcd, so `compact` alone gives 410.
UNCACHED_SLICES = ("--watch-cache-sizes=endpointslices.discovery.k8s.io#0",)


class ControlPlane:
    """Made by `start`. Threads may share the questions; leave starting and killing to one of them."""

    def __init__(
        self,
        at: layout.Layout,
        binary: str,
        *,
        apiserver_flags: Sequence[str],
        etcd_flags: Sequence[str],
        manager_flags: Sequence[str],
        controllers: bool,
    ) -> None:
        self._at = at
        self._binary = binary
        self._apiserver_flags = tuple(apiserver_flags)
        self.directory = at.directory
        self.url = at.url
        self.ca_file = at.ca_file
        self.admin_token = secrets.token_urlsafe(24)
        commands: dict[Component, list[str]] = {
            "etcd": layout.etcd_command(binary, at, etcd_flags),
            "kube-apiserver": layout.apiserver_command(binary, at, apiserver_flags),
        }
        if controllers:
            commands["kube-controller-manager"] = layout.controller_manager_command(binary, at, manager_flags)
        self._etcd = EtcdClient(at.etcd_port)
        self._rest: RestClient | None = None
        self._components = Components(commands, at.directory, self._is_ready)

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        bind: str = "127.0.0.1",
        apiserver_flags: Sequence[str] = (),
        etcd_flags: Sequence[str] = (),
        manager_flags: Sequence[str] = (),
        controllers: bool = True,
        timeout: float = 60.0,
    ) -> "ControlPlane":
        """A running, ready control plane with all its files in `directory` (made if need be, else empty).

        The flags are added to ours and win over them; the manager's `--controllers` are added to ours. BuildFailed
        without a binary and a way to build it.
        StartFailed if a program ends or is not ready after `timeout` seconds; nothing is left running then.
        The controllers start last and take some 0.3 s more: wait for what they make.
        """
        binary = build_binary()
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FileExistsError(f"{directory} is not empty")
        plane = cls(
            layout.Layout.choose(directory.absolute(), bind),
            binary,
            apiserver_flags=apiserver_flags,
            etcd_flags=etcd_flags,
            manager_flags=manager_flags,
            controllers=controllers,
        )
        try:
            plane._write_files()
            plane._components.start_all(timeout)
        except BaseException:
            plane.close()
            raise
        return plane

    # -- questions --------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Json | None = None, content_type: str | None = None) -> Json:
        """A JSON call as the admin. PATCH is a merge patch unless `content_type` says otherwise.

        RequestFailed with the Status' text for 400 and above; urllib3's HTTPError if there is no answer.
        """
        return self._client().request(method, path, body, content_type=content_type)

    def kubeconfig(self) -> Path:
        """A kubeconfig file for the admin."""
        return self._at.kubeconfig

    def write_kubeconfig(self, path: Path, *, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig for the bearer of `token` (see `token`) to `path`; `path`."""
        path.write_text(json.dumps(_kubeconfig(self.url, self.ca_file, token, namespace), indent=2))
        return path

    def token(
        self,
        namespace: str,
        service_account: str,
        seconds: int = 3600,
        audiences: Sequence[str] | None = None,
    ) -> str:
        """A real service account token by TokenRequest. The server takes no `seconds` below 600."""
        answer = self.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token",
            {"spec": {"expirationSeconds": seconds, "audiences": list(audiences or ())}},
        )
        return str(answer["status"]["token"])

    def short_token(self, namespace: str, service_account: str, seconds: float) -> str:
        """A token as TokenRequest gives, but refused `seconds` (rounded up) from now; signed here.

        The server remembers a token it accepted for 10 s, so one in use is refused up to 10 s later. Its
        `exp` is 60 s before that: the server allows as much for wrong clocks.
        """
        account = self.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}")
        return sign_token(self._at.signing_key.read_bytes(), account, layout.ISSUER, seconds)

    def metrics(self, name: Component = "kube-apiserver") -> str:
        """The metrics of the API server or of etcd in Prometheus' text format."""
        if name == "etcd":
            return self._etcd.read_metrics()
        if name == "kube-apiserver":
            return self._client().call("GET", "/metrics").decode()
        raise ValueError(f"{name} serves no metrics here")

    def open_watches(self, resource: str, *, scope: str = "namespace") -> int:
        """How many watches of `resource` (plural) are open now that are confined to a namespace.

        The controllers' own watches are of `scope` "cluster". A closed connection counts for some 30 ms more.
        """
        labels = {"verb": "WATCH", "resource": resource, "scope": scope}
        return int(sum_samples(self.metrics(), "apiserver_longrunning_requests", **labels))

    def count_requests(self, resource: str, *, verb: str | None = None, scope: str = "namespace") -> int:
        """How many requests for `resource` (LIST, WATCH, ... or all) ended since the API server started."""
        labels = {"resource": resource, "scope": scope, **({"verb": verb} if verb else {})}
        return int(sum_samples(self.metrics(), "apiserver_request_total", **labels))

    # -- faults -----------------------------------------------------------------------------------

    def kill(self, name: Component, signal: signal.Signals = signal.SIGKILL) -> None:
        """Send `signal` to a component; after an ending one, return when it is gone. SIGSTOP hangs it."""
        self._components[name].kill(signal)

    def start_component(self, name: Component) -> None:
        """Start a component that was killed; returns at once, `wait_ready` waits."""
        self._components[name].start()

    def restart(self, name: Component, *, timeout: float = 60.0) -> None:
        """Kill a component with SIGKILL, start it, and wait until the API server is ready again.

        The API server's history starts anew, but a resourceVersion that is still the newest one stays good:
        for a sure 410 take `expire_history`.
        """
        self.kill(name)
        self.start_component(name)
        self.wait_ready(timeout)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when the API server's /readyz says ok. StartFailed if it ended, or after `timeout`."""
        self._components.wait_ready(timeout)

    @property
    def etcd_port(self) -> int:
        """Where etcd listens, on loopback: to put something in front of it."""
        return self._at.etcd_port

    @contextlib.contextmanager
    def twin(self, *flags: str, etcd_port: int | None = None, timeout: float = 60.0) -> Iterator[int]:
        """A second kube-apiserver on the same etcd, for the length of a `with` block: its port, when it is ready.

        `etcd_port` is where it finds etcd, such as a proxy that makes it lag; `flags` are added to those of the first.
        """
        (port,) = find_free_ports(1)
        at = dataclasses.replace(self._at, api_port=port, etcd_port=etcd_port or self._at.etcd_port)
        directory = self.directory / f"twin-{port}"
        directory.mkdir()
        command = layout.apiserver_command(self._binary, at, (*self._apiserver_flags, *flags))
        client = RestClient(at.bind, port, ca_file=at.ca_file, token=self.admin_token)
        twin = Components({"kube-apiserver": command}, directory, lambda: _says_ready(client))
        try:
            twin.start_all(timeout)
            yield port
        finally:
            twin.kill_all()
            client.close()

    def compact(self) -> int:
        """Compact etcd: it forgets every revision handed out before this call. The compacted revision.

        The API server's watch cache has a history of its own and goes on serving watches from old versions. A
        LIST at an old version (`continue`, or resourceVersionMatch=Exact) gets 410 within 15 s.
        """
        return self._etcd.compact()

    def expire_history(self, *, timeout: float = 60.0) -> int:
        """Make every resourceVersion handed out so far a 410, by compaction and an API server restart.

        For about 2 s there is no server, and open watches are cut. The compacted revision.
        """
        self.kill("kube-apiserver")
        # While the server is down, so that no bookmark brings a newer version to anyone in between.
        revision = self.compact()
        self.start_component("kube-apiserver")
        self.wait_ready(timeout)
        return revision

    def snapshot(self) -> Path:
        """Copy etcd's data as it is now, for `restore`; nothing is restarted. The copy's path."""
        copy = self.directory / f"snapshot-{time.monotonic_ns()}"
        # A stopped process' files are what a killed one would leave, and etcd is made to start from those.
        self.kill("etcd", signal.SIGSTOP)
        try:
            _copy_folder(self._at.etcd_data, copy)
        finally:
            self.kill("etcd", signal.SIGCONT)
        return copy

    def restore(self, snapshot: Path, *, timeout: float = 60.0) -> None:
        """Stop all, put `snapshot` back, start all: resourceVersions go back, as after a disaster."""
        self._components.kill_all()
        shutil.rmtree(self._at.etcd_data)
        _copy_folder(snapshot, self._at.etcd_data)
        self._components.start_all(timeout)

    def rotate_authority(self) -> None:
        """Replace the CA and the server's certificate; `ca_file` then holds the new CA alone.

        Returns when new connections get the new certificate. Open ones stay; the server is not restarted.
        """
        self._write_certificates()
        self.wait_ready()
        if "kube-controller-manager" in self._components:
            self.kill("kube-controller-manager")
            self.start_component("kube-controller-manager")

    def close(self) -> None:
        """Kill everything. May be called twice."""
        self._components.kill_all()
        self._etcd.close()
        if self._rest is not None:
            self._rest.close()

    def __enter__(self) -> "ControlPlane":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside -----------------------------------------------------------------------------------

    def _write_files(self) -> None:
        self._at.token_file.write_text(f'{self.admin_token},admin,admin,"system:masters"\n')
        self._at.signing_key.write_bytes(write_key(ec.generate_private_key(ec.SECP256R1())))
        self._write_certificates()
        self.write_kubeconfig(self._at.kubeconfig, token=self.admin_token)

    def _write_certificates(self) -> None:
        at, authority = self._at, Authority()
        pair = authority.issue([at.bind, "127.0.0.1", "localhost", "kubernetes.default.svc"])
        at.ca_file.write_bytes(authority.certificate)
        at.server_key.write_bytes(pair.key)
        at.server_certificate.write_bytes(pair.certificate)
        if self._rest is not None:
            self._rest.close()
        self._rest = RestClient(at.bind, at.api_port, ca_file=at.ca_file, token=self.admin_token)

    def _client(self) -> RestClient:
        if self._rest is None:
            raise RuntimeError("the control plane was not started")
        return self._rest

    def _is_ready(self) -> bool:
        return _says_ready(self._client())


def _says_ready(client: RestClient) -> bool:
    with contextlib.suppress(urllib3.exceptions.HTTPError, RequestFailed):
        return client.call("GET", "/readyz", timeout=5) == b"ok"
    return False


def _copy_folder(source: Path, target: Path) -> None:
    # cp, since shutil writes out etcd's 128 MiB of preallocated, empty log files.
    subprocess.run(["cp", "--archive", "--sparse=always", source, target], check=True)


def _kubeconfig(url: str, ca_file: Path, token: str, namespace: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": url, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user", "namespace": namespace}}],
        "current-context": "testbed",
    }
