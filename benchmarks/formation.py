"""Head to head: how members find each other on Kubernetes, ours beside what WSO2 and Hazelcast bring.

    python -m benchmarks.formation --old-scheme ~/kubernetes-common     everything, 25 minutes, as root
    python -m benchmarks.formation --arm "files only" --server 4.7.1    only these; the others' results stay

Every arm gets the same real control plane, the same node, the same servers and the same Hazelcast times; ours have the
sidecar in native order with --expect 3. Results are in results/formation.json, the table in docs/formation.md is made
from them. The old external scheme needs its sources (see formation_old_scheme.py); without --old-scheme it is left out.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.formation_arms import Arm, list_arms
from benchmarks.formation_old_scheme import build_old_scheme
from benchmarks.formation_table import DOCUMENT, RESULTS, Row, fill_document, read_results, write_results
from testbed import cluster
from testbed.pods import Network
from tests.e2e.pods import MERGE_TIMES, ServerPod
from tests.e2e.test_losses import read_verdict
from tests.e2e.world import Stage, World

COUNT = 3
APART = 0.3
"""Seconds between the addresses of pods that are created together."""
LATE = 20.0
AWAY = 30.0
"""Seconds without an API server."""
START_LIMIT = 150.0
HEAL_TIME = 35.0
"""Seconds for which clusters that do not know each other get a chance to merge: three merge runs."""
SETTLE_LIMIT = 70.0
"""Seconds for a cluster to be as it should before the next member is lost."""
HELD_TIME = 20.0
"""Seconds for which a gate is watched that must stay shut."""
FAULT = "Cannot initialize cluster"
"""What Carbon says when it will not join any more; its JVM lives on with all ports closed."""


@dataclass
class Scene:
    """One arm on its stage, and when its first pod came."""

    arm: Arm
    stage: Stage
    pods: list[ServerPod]
    began: float
    released: bool = False
    """Servers were started, or are about to be."""

    def launch(self, number: int) -> None:
        """What the node does with one pod: the sidecar where there is one, and the server behind its gate."""
        if self.arm.ours:
            self.pods[number].start_sidecar("--expect", str(COUNT), *self.arm.verify)
        else:
            self.pods[number].start()

    def release(self, timeout: float = START_LIMIT) -> None:
        """Start the servers of pods whose gate is open; nothing where there is no gate."""
        self.released = True
        if self.arm.ours:
            for pod in self.pods:
                pod.run(timeout)


def form_at_once(scene: Scene) -> None:
    """As a Deployment of three."""
    for number in range(COUNT):
        scene.pods.append(scene.arm.make(scene.stage, f"is-{number}"))
    scene.began = time.monotonic()
    for number in range(COUNT):
        scene.launch(number)
        time.sleep(APART)
    scene.release()


def form_with_a_late_one(scene: Scene) -> None:
    """The third pod's address comes 20 s after the others'."""
    for number in range(COUNT - 1):
        scene.pods.append(scene.arm.make(scene.stage, f"is-{number}"))
    scene.began = time.monotonic()
    for number in range(COUNT - 1):
        scene.launch(number)
    time.sleep(max(0.0, scene.began + LATE - time.monotonic()))
    scene.pods.append(scene.arm.make(scene.stage, f"is-{COUNT - 1}"))
    scene.launch(COUNT - 1)
    scene.release()


def form_without_api_server(scene: Scene) -> None:
    """The pods are known; the API server is away for 30 s from when they start."""
    plane = scene.stage.world.plane
    for number in range(COUNT):
        scene.pods.append(scene.arm.make(scene.stage, f"is-{number}"))
    scene.stage.wait_endpoints(lambda addresses: len(addresses) == COUNT)
    plane.kill("kube-apiserver")
    try:
        scene.began = time.monotonic()
        for number in range(COUNT):
            scene.launch(number)
        time.sleep(max(0.0, scene.began + AWAY - time.monotonic()))
    finally:
        plane.start_component("kube-apiserver")
        plane.wait_ready()
    scene.release()


def form_without_rights(scene: Scene) -> None:
    """Nobody was given the right to read endpoints or slices; for ours the servers stay behind their gates."""
    stage = scene.stage
    for number in range(COUNT):
        scene.pods.append(scene.arm.make(stage, f"is-{number}"))
    stage.wait_endpoints(lambda addresses: len(addresses) == COUNT)
    for account in (stage.account, "server"):
        cluster.revoke(stage.world.plane, stage.namespace, account)
    scene.began = time.monotonic()
    for number in range(COUNT):
        scene.launch(number)


def judge(scene: Scene) -> dict[str, Any]:
    """One cluster, split, held back or did not start, and the seconds from the first start."""
    if scene.arm.ours and not scene.released:
        return _watch_gates(scene)
    settled_at: float | None = None
    while True:
        sizes = [pod.cluster_size() for pod in scene.pods]
        now = time.monotonic()
        if sizes == [COUNT] * COUNT:
            return {"result": "one cluster", "seconds": round(now - scene.began, 1)}
        failed = [FAULT in pod.log() for pod in scene.pods]
        if settled_at is None and all(size or lost for size, lost in zip(sizes, failed, strict=True)):
            settled_at = now
        if now - scene.began > START_LIMIT or (settled_at is not None and now - settled_at > HEAL_TIME):
            started = [size for size in sizes if size]
            result = "split" if len(started) > 1 and max(started) < len(started) else "did not start"
            return {"result": result, "sizes": sizes, "waited": round(now - scene.began, 1)}
        time.sleep(0.1)


def _watch_gates(scene: Scene) -> dict[str, Any]:
    """Nobody was let go: whether that stays so, and whether the reason is told."""
    opened = _wait(lambda: any(pod.member.get("/startupz")[0] == 200 for pod in scene.pods), HELD_TIME)
    told = all(b"403" in pod.member.get("/readyz?verbose")[1] for pod in scene.pods)
    result = "did not start" if opened or not told else "held back"
    return {"result": result, "waited": round(time.monotonic() - scene.began, 1)}


def lose(scene: Scene, number: int, *, unplugged: bool) -> dict[str, Any]:
    """Kill the server of one pod; who of the first pod's side notices first, and after how long.

    Kubernetes drops the pod at once in both: how long a node's controller takes is the same for all.
    """
    lost, first = scene.pods[number], scene.pods[0]
    before = first.cluster_size()
    if scene.arm.ours:
        _wait(lambda: bool(read_verdict(first.member)["verdict"] == "agreed"), SETTLE_LIMIT)
    if unplugged:
        lost.member.pod.link(False)
    lost.kill()
    lost.member.end_sidecar()
    began = time.monotonic()
    scene.stage.gone(lost.member)
    found: dict[str, Any] = {}

    def look() -> bool:
        if "hazelcast" not in found and first.cluster_size() < before:
            found["hazelcast"] = round(time.monotonic() - began, 1)
        if scene.arm.ours and "verify" not in found and read_verdict(first.member)["verdict"] == "unexpected":
            found["verify"] = round(time.monotonic() - began, 1)
        return bool(found)

    _wait(look, scene.arm.patience)
    return found or {"not within": scene.arm.patience}


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


SCENES: dict[str, Callable[[Scene], None]] = {
    "three at once": form_at_once,
    "one 20 s late": form_with_a_late_one,
    "no API server for 30 s": form_without_api_server,
    "no right to read": form_without_rights,
}


def run_arm(world: World, arm: Arm, folder: Path, scenes: Sequence[str]) -> dict[str, Any]:
    """All scenes of one arm; the dead members are those of the first."""
    cells: dict[str, Any] = {}
    for number, name in enumerate(scenes):
        slug = f"{arm.server} {arm.name} {number} {int(time.time()) % 10000}"
        namespace = "".join(letter if letter.isalnum() else "-" for letter in slug.lower()).strip("-")[-40:].strip("-")
        with Stage(world, namespace, folder / namespace) as stage:
            scene = Scene(arm, stage, [], 0.0)
            try:
                SCENES[name](scene)
                cells[name] = judge(scene)
            except TimeoutError as late:
                cells[name] = {"result": "did not start", "why": str(late)}
            if name == "three at once":
                cells |= _lose_two(scene) if cells[name]["result"] == "one cluster" else {}
        if name == "no API server for 30 s":
            world.plane.restart("kube-controller-manager")  # its backoff would be the next scene's
        print(f"{arm.server}, {arm.name}, {name}: {cells[name]}", flush=True)
    return cells


def _lose_two(scene: Scene) -> dict[str, Any]:
    for pod in scene.pods:
        pod.wait_ready()
    killed = lose(scene, 2, unplugged=False)
    _wait(lambda: scene.pods[0].cluster_size() == 2, SETTLE_LIMIT)
    lost = lose(scene, 1, unplugged=True)
    print(f"{scene.arm.server}, {scene.arm.name}: pod killed {killed}, node lost {lost}", flush=True)
    return {"pod killed": killed, "node lost": lost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old-scheme", type=Path, help="a checkout of wso2/kubernetes-common")
    parser.add_argument("--arm", default="", help="only arms whose name holds this")
    parser.add_argument("--server", default="", help="only servers whose name holds this")
    parser.add_argument("--scene", default="", help="only scenes whose name holds this")
    parser.add_argument("--table", action="store_true", help="measure nothing: make the table from the results")
    arguments = parser.parse_args()
    if not arguments.table:
        measure(arguments)
    DOCUMENT.write_text(fill_document(DOCUMENT.read_text(), read_results(RESULTS)))


def measure(arguments: argparse.Namespace) -> None:
    """Run what was asked for, and write each arm's results as soon as they are there."""
    with tempfile.TemporaryDirectory(prefix="membership-formation-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        given = arguments.old_scheme
        jar = build_old_scheme(given, folder / "old-scheme") if given else None
        arms = [arm for arm in list_arms(jar, MERGE_TIMES) if arguments.arm in arm.name]
        scenes = [name for name in SCENES if arguments.scene in name]
        with Network.claim() as network:
            world = World.start(network, folder / "plane")
            with world.plane:
                for arm in arms:
                    if arguments.server in arm.server:
                        cells = run_arm(world, arm, folder, scenes)
                        write_results(RESULTS, Row(arm.server, arm.name, cells), _describe_run())


def _describe_run() -> dict[str, str]:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.machine()}"
    command = " ".join(["python -m benchmarks.formation", *sys.argv[1:]])
    return {"command": command, "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine}


if __name__ == "__main__":
    main()
