"""The processes that stamp: each prints one JSON line per sighting, {"key": ..., "ns": time.monotonic_ns()}.

CLOCK_MONOTONIC is one clock for all processes of a Linux machine, so stamps of different processes compare. Run as
`python -m benchmarks.watchers KIND ARGUMENT...`; a line "ready" tells that the process has begun to watch.
"""

import ctypes
import http.client
import json
import os
import re
import select
import socket
import ssl
import struct
import sys
import time
from pathlib import Path

VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
IN_MOVED_TO = 0x80


def watch_socket(host: str, port: str, ca_file: str, token: str, namespace: str, version: str) -> None:
    """The floor: a bare TLS socket with an open watch, that does nothing but stamp; key is the resource version."""
    context = ssl.create_default_context(cafile=ca_file)
    with context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host) as sock:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?watch=1&resourceVersion={version}"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
        )
        sock.sendall(head.encode())
        tell("ready")
        rest = b""
        while got := sock.recv(256 * 1024):
            now = time.monotonic_ns()
            # A line is one event; only a complete one counts, for no client can use half of it.
            *lines, rest = (rest + got).split(b"\n")
            for line in lines:
                if b'"type":"' in line and (found := VERSION.findall(line)):
                    tell(found[0].decode(), now)


def watch_members(url: str, namespace: str) -> None:
    """A blocking query after the other, on one connection; key is the resource version in the answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    index = 0
    tell("ready")
    while True:
        connection.request("GET", f"/members?index={index}&wait=60s")
        body = connection.getresponse().read()
        now = time.monotonic_ns()
        content = json.loads(body)
        index = content["generation"]
        tell(content["resource_versions"][namespace], now)


def watch_file(path: str) -> None:
    """A rename onto the file, seen through inotify; key is the file's first line."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init()
    if libc.inotify_add_watch(descriptor, os.fsencode(str(Path(path).parent)), IN_MOVED_TO) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch")
    tell("ready")
    name = Path(path).name
    while True:
        select.select([descriptor], [], [])
        events = os.read(descriptor, 64 * 1024)
        now = time.monotonic_ns()
        if any(moved == name for moved in _names(events)):
            tell(Path(path).read_text().split("\n", 1)[0], now)


def _names(events: bytes) -> list[str]:
    names, at = [], 0
    while at < len(events):
        (length,) = struct.unpack_from("=12xI", events, at)
        names.append(events[at + 16 : at + 16 + length].rstrip(b"\0").decode())
        at += 16 + length
    return names


def tell(key: str, ns: int = 0) -> None:
    print(json.dumps({"key": key, "ns": ns}), flush=True)


def main(kind: str, *arguments: str) -> None:
    if kind == "socket":
        watch_socket(*arguments)
    elif kind == "members":
        watch_members(*arguments)
    else:
        watch_file(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
