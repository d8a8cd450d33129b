"""Three members at once, again and again: no split, and none that starts alone.

MEMBERSHIP_E2E_ROUNDS says which rounds: 30 for the first thirty, 10-19 for ten of them. In every third the API server
is away while the pods start.
"""

import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.hazelcast import START_LIMIT, HazelcastMember
from tests.e2e.test_discovery import PROPERTIES
from tests.e2e.world import LIMIT, Stage, wait_sizes

BACK_LIMIT = 20.0
"""Seconds to a gate once the API server is back: its first answers are 403, which is doubted for 2.5 s."""
LONGEST_DELAY = 6.0
"""Seconds between an open gate and the server's start: image pulls, slow disks, busy nodes."""


def read_rounds(text: str) -> range:
    """`30` is 0 to 29, `10-19` is 10 to 19."""
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(text))


CASES = [
    pytest.param(version, round_, marks=[pytest.mark.quick] if (version, round_) == ("5.3.6", 2) else [])
    for version in ("3.12.2", "5.3.6")
    for round_ in read_rounds(os.environ.get("MEMBERSHIP_E2E_ROUNDS", "3"))
]
"""The quick one is without an API server."""


@pytest.mark.parametrize("version, round_", CASES)
def test_parallel_starts(
    stage: Stage, version: str, round_: int, discovery_jar: Path, figures: dict[str, float]
) -> None:
    delays = random.Random(f"{version} {round_}")
    plane = stage.world.plane
    pods = [stage.add(f"is-{number}") for number in range(3)]
    stage.wait_endpoints(lambda addresses: len(addresses) == 3)
    servers = [HazelcastMember(version, pod, discovery_jar, PROPERTIES) for pod in pods]
    for server in servers:
        stage.at_end(server.kill)
    is_away = round_ % 3 == 2
    if is_away:
        plane.kill("kube-apiserver")
    try:
        for pod in pods:
            pod.start_sidecar("--expect", "3")
        if is_away:
            shut = [pod.wait_answer("/startupz") for pod in pods]
            assert shut == [503] * 3, "no gate opens without a list"
    finally:
        if is_away:
            plane.start_component("kube-apiserver")
            plane.wait_ready()

    began, gates = time.monotonic(), list[float]()

    def start(number: int, delay: float) -> None:
        pods[number].wait_gate(BACK_LIMIT if is_away else LIMIT)
        gates.append(time.monotonic())
        time.sleep(delay)
        servers[number].start()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(start, number, delays.uniform(0, LONGEST_DELAY)) for number in range(3)]:
            done.result()
    figures["gates after the API server was back" if is_away else "gates"] = max(gates) - began
    figures["one cluster after the last start"] = wait_sizes(servers, 3, START_LIMIT)
    for server in servers:
        first = re.search(r"Members by the sidecar: \[([^\]]*)\]", server.log())
        assert first and first[1].split(", ") == [pod.endpoint for pod in pods]
    if is_away:
        plane.restart("kube-controller-manager")  # its backoff would be the next test's
