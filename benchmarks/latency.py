"""From a change on the API server to whoever needs it: how long, and how much of that is ours?

    make bench                                  300 changes, 3 endpoints
    python -m benchmarks.latency --changes 1000 --endpoints 1000

A writer patches a slice of its own (own managed-by label: the endpointslice controller leaves it alone) on the real
control plane, at jittered intervals that wait for nobody. Three processes stamp: a bare TLS socket that watches the
same slices (the floor), a blocking query on the sidecar's /members, and inotify on the file that the sidecar keeps.
Sightings are matched by resource version, and for the file by an address that only this change has. "Ours" is the
difference to the bare socket in the same run: what the sidecar adds to the server and the network.
"""

import argparse
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from testbed.cluster import create_namespace, create_service_account, grant
from testbed.plane import ControlPlane

NAMESPACE, SERVICE = "wso2", "is"
WARM_UP = 20
INTERVAL = (0.04, 0.12)
"""Seconds between changes, uniform: not in step with anything."""
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Change:
    """One write: its resource version, the address that only it has, and when it was sent and answered."""

    version: str
    address: str
    sent: int
    answered: int


class Watcher:
    """A process that stamps; `seen` is what it saw first of each key."""

    def __init__(self, *arguments: str) -> None:
        self.seen: dict[str, int] = {}
        command = [sys.executable, "-m", "benchmarks.watchers", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if not self._ready.wait(20):
            raise SystemExit(f"watcher {arguments[0]} did not start")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            sighting = json.loads(line)
            if sighting["ns"]:
                self.seen.setdefault(sighting["key"], sighting["ns"])
            else:
                self._ready.set()


def measure(plane: ControlPlane, directory: Path, changes: int, endpoints: int) -> dict[str, Any]:
    """One run; percentiles in milliseconds."""
    create_namespace(plane, NAMESPACE)
    create_service_account(plane, NAMESPACE, "sidecar")
    rules = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch", "patch"]}]
    grant(plane, NAMESPACE, "sidecar", rules)
    token = plane.token(NAMESPACE, "sidecar", seconds=7200)
    (directory / "token").write_text(token)
    created = plane.request(
        "POST", f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices", _slice(endpoints)
    )
    file, port = directory / "shared" / "members.txt", _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "sidecar", "--services", f"{NAMESPACE}/{SERVICE}", "--server", plane.url]
    command += [
        "--ca-file",
        str(plane.ca_file),
        "--token-file",
        str(directory / "token"),
        "--http",
        f"127.0.0.1:{port}",
    ]
    started = time.monotonic()
    sidecar = subprocess.Popen([*command, "--out", f"lines:{file}", "--log-level", "error"])
    watchers: list[Watcher] = []
    try:
        synced = _await_synced(url) - started
        host, _, server_port = plane.url.removeprefix("https://").partition(":")
        at = created["metadata"]["resourceVersion"]
        floor = Watcher("socket", host, server_port, str(plane.ca_file), token, NAMESPACE, at)
        watchers.append(floor)
        members = Watcher("members", url, NAMESPACE)
        watchers.append(members)
        renamed = Watcher("file", str(file))
        watchers.append(renamed)
        made = _write(plane, changes + WARM_UP, endpoints)[WARM_UP:]
        time.sleep(1.0)  # what was not seen by now counts as lost
        cost = _cost(sidecar.pid)
    finally:
        for watcher in watchers:
            watcher.close()
        sidecar.terminate()
        sidecar.wait(5)
    arms = {
        "bare socket": {change.version: floor.seen.get(change.version) for change in made},
        "blocking query": {change.version: members.seen.get(change.version) for change in made},
        "file renamed": {change.version: renamed.seen.get(f"{change.address}:4000") for change in made},
    }
    return {
        "changes": changes,
        "endpoints": endpoints,
        "seconds_to_synced": round(synced, 3),
        "sidecar": cost,
        "patch_answered_ms": _percentiles([(c.answered - c.sent) / 1e6 for c in made]),
        "arms": {name: _summarize(made, seen, arms["bare socket"]) for name, seen in arms.items()},
    }


def _write(plane: ControlPlane, count: int, endpoints: int) -> list[Change]:
    generator, made = random.Random(1), []
    path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices/measured"
    next_at = time.monotonic()
    for number in range(count):
        next_at += generator.uniform(*INTERVAL)
        time.sleep(max(0.0, next_at - time.monotonic()))
        # The lowest address of all, so that it is the file's first line, and another one each time.
        address = f"10.1.{number // 250}.{number % 250 + 1}"
        body = {"endpoints": [_endpoint(address), *_slice(endpoints)["endpoints"][1:]]}
        sent = time.monotonic_ns()
        answer = plane.request("PATCH", path, body)
        made.append(Change(answer["metadata"]["resourceVersion"], address, sent, time.monotonic_ns()))
    return made


def _slice(endpoints: int) -> dict[str, Any]:
    addresses = ["10.1.255.1", *(f"10.{2 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(endpoints - 1))]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "measured",
            "labels": {
                "kubernetes.io/service-name": SERVICE,
                "endpointslice.kubernetes.io/managed-by": "benchmarks.kubernetes-membership",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP"}],
        "endpoints": [_endpoint(address) for address in addresses],
    }


def _endpoint(address: str) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False}}


def _summarize(made: list[Change], seen: Mapping[str, int | None], floor: Mapping[str, int | None]) -> dict[str, Any]:
    both = [
        (c, at, base) for c in made if (at := seen[c.version]) is not None and (base := floor[c.version]) is not None
    ]
    return {
        "lost": sum(1 for c in made if seen[c.version] is None),
        "since_patch_sent_ms": _percentiles([(at - c.sent) / 1e6 for c, at, _ in both]),
        "ours_ms": _percentiles([(at - base) / 1e6 for _, at, base in both]),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)

    def at(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)

    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)} if ordered else {}


def _await_synced(url: str) -> float:
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return time.monotonic()
        except OSError:
            time.sleep(0.01)


def _cost(pid: int) -> dict[str, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    ticks = os.sysconf("SC_CLK_TCK")
    return {"cpu_seconds": (int(fields[11]) + int(fields[12])) / ticks, "resident_mib": round(resident / 1024, 1)}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--endpoints", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membership-bench-") as folder:
        with ControlPlane.start(Path(folder) / "plane") as plane:
            result = measure(plane, Path(folder), arguments.changes, arguments.endpoints)
    result["command"] = f"python -m benchmarks.latency --changes {arguments.changes} --endpoints {arguments.endpoints}"
    result["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    result["machine"] = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.machine()}"
    result["versions"] = {"python": platform.python_version(), "ours": version("kubernetes-membership")}
    text = json.dumps(result, indent=2) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"latency-{arguments.endpoints}.json").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
