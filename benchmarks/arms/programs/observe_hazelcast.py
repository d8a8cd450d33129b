"""Another process that asks a Hazelcast member for its list, again and again; a new list is seen when it is told."""

import http.client
import json
import sys
import time

from benchmarks.arms.programs.report import run, tell_marks

PAUSE = 0.02
LIST = "/hazelcast/rest/config/tcp-ip/member-list"


def main() -> None:
    told: list[str] = []
    while True:
        listed = ask(int(sys.argv[1]))
        ns = time.monotonic_ns()
        if listed != told:
            told = listed
            tell_marks(ns, [entry.rpartition(":")[0] for entry in listed])
        time.sleep(PAUSE)


def ask(port: int) -> list[str]:
    """The list; empty while the member is starting."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", LIST)
        answer = connection.getresponse()
        body = answer.read()
        return list(json.loads(body)["member-list"]) if answer.status == 200 else []
    except (OSError, http.client.HTTPException):
        return []
    finally:
        connection.close()


if __name__ == "__main__":
    run(main)
