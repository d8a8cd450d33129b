"""Another process that asks one blocking query after the other on one connection; seen when an answer is read whole."""

import http.client
import json
import sys
import time

from benchmarks.arms.programs.report import NAMESPACE, run, tell


def main() -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    index = 0
    while True:
        connection.request("GET", f"/members?index={index}&wait=60s")
        answer = connection.getresponse()
        body = answer.read()
        ns = time.monotonic_ns()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:200]!r}")
        content = json.loads(body)
        index = content["generation"]
        tell(ns, version=content["resource_versions"][NAMESPACE], endpoints=len(content["members"]))


if __name__ == "__main__":
    run(main)
