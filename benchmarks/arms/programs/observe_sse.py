"""Another process that reads the server-sent events of `/members/stream`; seen when an event is there whole."""

import json
import socket
import sys
import time

from benchmarks.arms.programs.report import NAMESPACE, run, tell


def main() -> None:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
        sock.sendall(b"GET /members/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        rest = b""
        while got := sock.recv(256 * 1024):
            ns = time.monotonic_ns()
            *events, rest = (rest + got).split(b"\n\n")
            for event in events:
                for line in event.split(b"\n"):
                    if line.startswith(b"data:"):
                        content = json.loads(line[5:])
                        version = content["resource_versions"][NAMESPACE]
                        tell(ns, version=version, endpoints=len(content["members"]))


if __name__ == "__main__":
    run(main)
