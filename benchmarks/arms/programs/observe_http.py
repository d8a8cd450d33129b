"""Another process that asks one blocking query after the other on one connection; seen when an answer is there whole.

A bare socket, as its control is one: http.client, of which half a millisecond would be counted, is not what is asked.
"""

import json
import re
import socket
import sys
import time

from benchmarks.arms.programs.report import NAMESPACE, run, tell

LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


def main() -> None:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
        index = 0
        while True:
            sock.sendall(f"GET /members?index={index}&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            ns, head, body = read_answer(sock)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"{head!r}: {body[:200]!r}")
            content = json.loads(body)
            index = content["generation"]
            tell(ns, version=content["resource_versions"][NAMESPACE], endpoints=len(content["members"]))


def read_answer(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """When its last byte was read, its head and its body."""
    answer = b""
    while got := sock.recv(256 * 1024):
        ns = time.monotonic_ns()
        answer += got
        head, end, body = answer.partition(b"\r\n\r\n")
        found = LENGTH.search(head + b"\r\n") if end else None
        if found and len(body) >= int(found[1]):
            return ns, head, body
    raise RuntimeError(f"the sidecar closed the connection after {answer[:200]!r}")


if __name__ == "__main__":
    run(main)
