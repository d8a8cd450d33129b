"""F3, F4, F5 and F8: connections that break, or cannot be made."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from membership import connect
from membership.testing import FakeKube
from tests.faults.stage import (
    FOUR,
    THREE,
    TWO,
    Machine,
    Seen,
    following,
    heals,
    kept,
    lists,
    rest,
    unhurried,
    watches,
)
from tests.running import HOST, Command, Sidecar, clean_environ, pods, until

_MINOR = 0 if sys.version_info < (3, 12) else 1
"""Of the HTTP version that Python's http.client asks a proxy with."""


def test_f03_connection_refused(kube: FakeKube) -> None:
    """F3, nobody listens: keep version and list, back off with jitter, watch again, and do not list."""
    with following(kube) as sidecar:
        held = kube.resource_version
        kube.stop_listening(cut=True)
        line = sidecar.wait_log("refused")
        assert kube.url in line and "watch endpointslices" in line and '"level": "warning"' in line
        until(lambda: (sidecar.metric("membership_requests_total", code="error") or 0) >= 3, 15, "three tries")
        kept(sidecar)
        assert "refused" in sidecar.get("/readyz?verbose").text
        kube.listen_again()
        heals(kube, sidecar)
        assert sidecar.count("refused") == 1, "one line for a change of state, not one for each try"
        assert kube.count("list") == 1 and set(watches(kube)) == {held}


def test_f04_watch_that_ends_at_once(kube: FakeKube) -> None:
    """F4, 200 and then the end: shorter than a second without an event is a fault to back off from, not an end."""
    with following(kube) as sidecar:
        short = kube.fault("close", times=2)
        kube.cut_watches()
        kube.wait_for(lambda: short.left == 0, 10)
        kept(sidecar)
        heals(kube, sidecar)
        assert sidecar.metric("membership_watch_restarts_total", reason="short") == 2
        assert kube.count("list") == 1


@pytest.mark.parametrize("how", ["eof", "reset", "503", "lag"])
def test_f05_rolling_and_lagging_api_servers(kube: FakeKube, how: str) -> None:
    """F5, streams end and the next server is behind: watch on from the version held, and never go back in time."""
    with Seen(kube) as seen:
        kube.set_service("wso2", "is", pods(3))
        seen.becomes(THREE)
        held = seen.membership.current().resource_versions["wso2"]
        if how == "503":
            kube.fault("status", on="watch", times=1, code=503, retry_after=1)
        lag = kube.fault("lag", on="watch", rvs=4) if how == "lag" else None
        kube.cut_watches("reset" if how == "reset" else "eof")
        if lag:
            kube.wait_for_watch()
            rest(seen.membership, 0.3)
            lag.clear()
            kube.cut_watches()
        kube.set_service("wso2", "is", pods(4))
        seen.becomes(FOUR)
        assert seen.lists == [TWO, THREE, FOUR]
        assert seen.membership.status()[0].restored == 0
    assert lists(kube) == [""]
    assert watches(kube)[1] == held
    unhurried(kube)


def test_f08_dns_failure(kube: FakeKube, machine: Machine, tmp_path: Path) -> None:
    """F8, the API server's name cannot be resolved: that is no answer, and never "no members"."""
    port = urlsplit(kube.url).port
    machine.break_names()
    out = tmp_path / "members.json"
    with Sidecar(f"http://kube.test:{port}", "--out", f"json:{out}", environ=machine.environ) as sidecar:
        line = sidecar.wait_log("cannot be resolved")
        assert "kube.test" in line and "list endpointslices" in line
        assert sidecar.get("/members").status == 503 and not out.exists()
        machine.mend_names()
        sidecar.synced()
        kube.wait_for_watch()
        machine.break_names()
        kube.cut_watches()
        until(lambda: "cannot be resolved" in sidecar.get("/readyz?verbose").text, what="the second failure")
        kept(sidecar)
        machine.mend_names()
        heals(kube, sidecar)


def test_in_a_cluster_no_name_is_resolved() -> None:
    """The address is in two variables; one of IPv6 needs brackets in a URL."""
    for host, url in (("10.96.0.1", "https://10.96.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")):
        environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}
        assert connect(environ=environ, service_account=Path("/nonexistent")).url == url


class Tunnels:
    """An HTTP proxy on loopback that tunnels for who has the password, and notes what it was asked."""

    def __init__(self, authorization: str) -> None:
        self.asked: list[str] = []
        self._authorization = authorization
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Tunnels:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)  # what follows is not ours
            self.asked.append(head.decode().splitlines()[0])
            if f"Proxy-Authorization: {self._authorization}\r\n".encode() not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            host, _, port = self.asked[-1].split()[1].rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_a_proxy_of_the_kubeconfig_is_tunnelled_through(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    pem, config = str(tmp_path / "server.pem"), tmp_path / "config"
    # "user:p@ss" in base64
    with FakeKube(tls=(pem, pem)) as kube, Tunnels("Basic dXNlcjpwQHNz") as tunnels:
        kube.set_service("wso2", "is", pods(2))
        cluster = f"server: '{kube.url}', certificate-authority: '{tmp_path}/ca.crt'"

        def write(proxy: str) -> None:
            config.write_text(
                f"clusters: [{{name: c, cluster: {{{cluster}, proxy-url: '{proxy}'}}}}]\n"
                "contexts: [{name: one, context: {cluster: c, user: u, namespace: wso2}}]\n"
                "users: [{name: u, user: {}}]\ncurrent-context: one\n"
            )

        write(f"http://user:p%40ss@{HOST}:{tunnels.port}")
        with Sidecar(None, "--kubeconfig", str(config)) as sidecar:
            assert sidecar.synced().addresses() == TWO
            kube.wait_for_watch()
            kube.set_service("wso2", "is", pods(3))
            sidecar.follows(THREE)
        assert set(tunnels.asked) == {f"CONNECT {kube.url.removeprefix('https://')} HTTP/1.{_MINOR}"}
        assert len(tunnels.asked) == len(kube.requests)

        arguments = ("list", "--kubeconfig", str(config), "--services", "is", "--timeout", "2s")
        spared = Command(*arguments, environ=clean_environ(NO_PROXY="10.0.0.0/8,127.0.0.0/8"))
        assert spared.result() == 0 and len(tunnels.asked) == len(kube.requests) - 1, "NO_PROXY counts"
        write(f"http://user:s3cr3t@{HOST}:{tunnels.port}")
        refused = Command(*arguments, environ=clean_environ())
        assert refused.result() == 6 and "407" in refused.log and "s3cr3t" not in refused.log


def test_bad_times_for_one_namespace_are_not_the_others(kube: FakeKube) -> None:
    kube.set_service("apps", "gateway", pods(1, 20))
    with Sidecar(kube, services="wso2/is,apps/gateway") as sidecar:
        sidecar.synced()
        kube.wait_for_watch(2)
        kube.fault("status", on="any", namespace="apps", code=500)
        kube.cut_watches(namespace="apps")
        sidecar.wait_log("500")
        kube.set_service("wso2", "is", pods(3))
        sidecar.follows(["10.244.0.20", *THREE])
