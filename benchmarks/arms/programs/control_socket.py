"""The floor: a bare TLS socket with an open watch, which does nothing but stamp. Its twin is go/socket/main.go."""

import os
import re
import socket
import ssl
import time
from pathlib import Path

from benchmarks.arms.programs.report import ACCOUNT, NAMESPACE, SELECTOR, run, tell

META = re.compile(rb'"metadata":{"name":"([^"]*)".*?"resourceVersion":"(\d+)"')


def main() -> None:
    with open_watch("application/json") as sock:
        parts: list[bytes] = []
        slices: dict[bytes, int] = {}
        while got := sock.recv(256 * 1024):
            ns = time.monotonic_ns()
            parts.append(got)
            # A line is one event; only a complete one counts, for no client can use half of it.
            if b"\n" in got:
                *lines, rest = b"".join(parts).split(b"\n")
                parts = [rest]
                for line in lines:
                    if b'"type":"' in line and b'"type":"BOOKMARK"' not in line and (found := META.search(line)):
                        slices[found[1]] = line.count(b'"addresses":')
                        tell(ns, version=found[2].decode(), endpoints=sum(slices.values()))


def open_watch(accept: str) -> ssl.SSLSocket:
    """Where the answer to a watch will come, head and chunks as they are sent."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    sock = context.wrap_socket(socket.create_connection((host, port)), server_hostname=host)
    token = Path(ACCOUNT, "token").read_text()
    path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?watch=1&allowWatchBookmarks=true"
    sock.sendall(
        f"GET {path}&labelSelector={SELECTOR} HTTP/1.1\r\nHost: kubernetes\r\nAuthorization: Bearer {token}\r\n"
        f"Accept: {accept}\r\n\r\n".encode()
    )
    return sock


if __name__ == "__main__":
    run(main)
