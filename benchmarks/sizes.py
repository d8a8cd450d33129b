"""How long a list and a change take as endpoints and Services grow."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.arms.catalogue import Arm, arm
from benchmarks.arms.pod import Pod
from benchmarks.arms.running import Running
from benchmarks.measures import read_usage
from benchmarks.service import NAMESPACE, SERVICE, Shape, Writer, endpoint, slices
from benchmarks.sightings import Change, Seen, match, percentiles
from benchmarks.writing import write
from testbed.cluster import create_namespace
from testbed.plane import ControlPlane
from testbed.rest import RequestFailed, RestClient

SYNC_LIMIT = 120.0
SETTLE = 3.0
RATE = 4.0
"""Changes per second: each is over before the next comes, so that this is latency and not throughput."""
WARM_UP_RATE = 20.0
SERVICES_RATE = 10.0
OURS = ("ours_callback", "ours_file", "ours_http")
START = Arm("ours_start", "ours: start to first list", "membership", "membership_start", "ours")
STARTS = 5


def measure_endpoints(pod: Pod, writer: Writer, shape: Shape, changes: int, random: Random) -> dict[str, Any]:
    """One size: the list, then changes, each output in turn beside a bare socket."""
    writer.reset(shape)
    found: dict[str, Any] = {"endpoints": shape.endpoints, "slices": shape.slices, "changes": changes}
    found["list_to_synced_s"] = percentiles([_start(pod, shape) for _ in range(STARTS)])
    first = 0
    for name in OURS:
        writer.reset(shape)
        with Running(arm("control_python"), pod, NAMESPACE, SERVICE) as floor:
            floor.wait_synced(shape.endpoints, SYNC_LIMIT)
            with Running(arm(name), pod, NAMESPACE, SERVICE) as running:
                synced = running.wait_synced(shape.endpoints, SYNC_LIMIT)
                warm_up = max(shape.slices // 10, changes // 10)
                write(writer, shape, warm_up, WARM_UP_RATE, first, random)
                time.sleep(1.0)  # a member that vanishes with the first change of a slice is held for half a second
                before = read_usage(running.pid)
                made = write(writer, shape, changes, RATE, first + warm_up, random)
                seen = settle(running, made)
                after = read_usage(running.pid)
                first += warm_up + changes
                found[name] = {
                    "start_to_synced_s": round(synced, 3),
                    "since_bytes_ms": percentiles(beyond(seen, match(made, floor.observations()))),
                    "lost": seen.lost,
                    "cpu_ms_per_change": round(1000 * (after.cpu - before.cpu) / changes, 2),
                    "resident_mib": round(after.mib, 1),
                }
    return found


def _start(pod: Pod, shape: Shape) -> float:
    """Seconds from the library's `start` to its first list."""
    with Running(START, pod, NAMESPACE, SERVICE) as running:
        running.wait_synced(shape.endpoints, SYNC_LIMIT)
        (told,) = running.observations()
        assert told.read_ns is not None
        return (told.ns - told.read_ns) / 1e9


def settle(running: Running, made: Sequence[Change]) -> Seen:
    """What it has seen once it has seen all, or after a while."""
    until = time.monotonic() + SETTLE
    while (seen := match(made, running.observations())).lost and time.monotonic() < until:
        time.sleep(0.1)
    running.check()
    return seen


def beyond(seen: Seen, floor: Seen) -> list[float]:
    """Milliseconds from the bytes at the bare socket to the sighting, of what both saw."""
    base = {one.change.version: one.ns for one in floor.sightings}
    return [(one.ns - base[one.change.version]) / 1e6 for one in seen.sightings if one.change.version in base]


@dataclass(frozen=True, slots=True)
class Spread:
    """So many Services, in turn in so many namespaces; three endpoints each."""

    services: int
    namespaces: int = 1

    @property
    def names(self) -> list[tuple[str, str]]:
        """(namespace, name) of each; the first namespace is that of the pod."""
        return [
            (NAMESPACE if number % self.namespaces == 0 else f"ns-{number % self.namespaces}", f"s-{number}")
            for number in range(self.services)
        ]

    @property
    def shape(self) -> Shape:
        return Shape(3 * self.services, self.services)


class ServicesWriter:
    """Changes Services, each the only slice of its own: a `Writer` whose slice numbers are those of the Services."""

    def __init__(self, plane: ControlPlane, spread: Spread) -> None:
        host, _, port = plane.url.partition("://")[2].partition(":")
        self._rest = RestClient(host, int(port), ca_file=plane.ca_file, token=plane.admin_token)
        self._plane = plane
        self._names = spread.names

    def reset(self, shape: Shape) -> None:
        for namespace in sorted({namespace for namespace, _ in self._names} - {NAMESPACE}):
            try:
                create_namespace(self._plane, namespace)
            except RequestFailed as failed:
                if failed.status != 409:
                    raise
        for (namespace, name), body in zip(self._names, slices(shape), strict=True):
            body["metadata"]["namespace"], body["metadata"]["name"] = namespace, name
            body["metadata"]["labels"]["kubernetes.io/service-name"] = name
            path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
            try:
                self._rest.request("POST", path, body)
            except RequestFailed as failed:
                if failed.status != 409:
                    raise
                self._rest.request("DELETE", f"{path}/{name}")
                self._rest.request("POST", path, body)

    def change(self, number: int, mark: str, before: str | None) -> str:
        namespace, name = self._names[number]
        operations = [{"op": "replace", "path": "/endpoints/0", "value": endpoint(mark)}]
        if before is not None:
            operations.append({"op": "replace", "path": "/endpoints/1", "value": endpoint(before, terminating=True)})
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"
        answer = self._rest.call("PATCH", path, operations, content_type="application/json-patch+json")
        version: str = json.loads(answer)["metadata"]["resourceVersion"]
        return version


def measure_services(plane: ControlPlane, pod: Pod, spread: Spread, changes: int, random: Random) -> dict[str, Any]:
    """One sidecar that follows them all and keeps one file of them."""
    writer = ServicesWriter(plane, spread)
    writer.reset(spread.shape)
    first, *others = [f"{namespace}/{name}" for namespace, name in spread.names]
    watches = plane.open_watches("endpointslices")
    with Running(arm("ours_file"), pod, NAMESPACE, ",".join([first.partition("/")[2], *others])) as running:
        synced = running.wait_synced(spread.shape.endpoints, SYNC_LIMIT)
        opened = plane.open_watches("endpointslices") - watches
        write(writer, spread.shape, changes // 10 + 1, SERVICES_RATE, 0, random)
        before = read_usage(running.pid)
        made = write(writer, spread.shape, changes, SERVICES_RATE, changes, random)
        seen = settle(running, made)
        after = read_usage(running.pid)
    since_sent = [(one.ns - one.change.sent) / 1e6 for one in seen.sightings]
    answered = [(one.answered - one.sent) / 1e6 for one in made]
    return {
        "services": spread.services,
        "namespaces": spread.namespaces,
        "changes": changes,
        "start_to_synced_s": round(synced, 3),
        "watches": opened,
        "file_since_patch_ms": percentiles(since_sent),
        "patch_answered_ms": percentiles(answered),
        "lost": seen.lost,
        "cpu_ms_per_change": round(1000 * (after.cpu - before.cpu) / changes, 2),
        "resident_mib": round(after.mib, 1),
    }
