"""The story of the demo. Every step waits until the sidecar has followed, so it ends with 0 only when it worked."""

import json
import math
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.demo.world import NAMESPACE, SERVICE, World, fake_world, real_world
from testbed.ports import find_free_ports

PACE = 1.6
"""Seconds between steps, so that a reader can follow."""
PATIENCE = 30.0
A, B, C, D = ("10.244.0.11", "10.244.0.12", "10.244.0.13", "10.244.0.14")


def tell(world: World, directory: Path) -> None:
    """The whole story, on this world."""
    file, (port,) = directory / "shared" / "members.txt", find_free_ports(1, "127.0.0.1")
    url = f"http://127.0.0.1:{port}/members"
    command = [sys.executable, "-m", "sidecar", "--services", f"{NAMESPACE}/{SERVICE}", *world.settings]
    command += ["--http", f"127.0.0.1:{port}", "--out", f"lines:{file}", "--log-level", "error"]
    _say("$ " + " ".join(("membership-sidecar", *command[3:])))
    sidecar = subprocess.Popen(command)
    try:

        def start() -> None:
            world.show([("is-0", A, False)])

        def step(text: str, expected: list[str], act: Callable[[], None], within: float = math.inf) -> None:
            _say(f"\n== {text}")
            act()
            _show(_await_members(url, expected, within), file)
            time.sleep(PACE)

        step("one pod, not ready yet: a member all the same, for members must find each other first", [A], start)
        pods = [("is-0", A, True), ("is-1", B, False), ("is-2", C, False)]
        step("scaled to three", [A, B, C], lambda: world.show(pods))
        pods = [("is-0", A, True), ("is-1", B, True), ("is-2", C, True)]
        step("all ready", [A, B, C], lambda: world.show(pods))
        pods = [("is-0", A, True), ("is-1", B, True), ("is-3", D, False)]
        step("is-2 is replaced by is-3", [A, B, D], lambda: world.show(pods))
        step("the API server goes away: the list stays, and says its age", [A, B, D], world.outage)
        step("still away", [A, B, D], lambda: time.sleep(PACE))
        step("the API server is back: nothing changed, and the list is proved anew", [A, B, D], world.recover, 1.0)
        step("one pod left", [A], lambda: world.show([("is-0", A, True)]))
        step("none left: /members says so; the file keeps the last members, for an empty list makes Hazelcast start "
             "a cluster of its own", [], lambda: world.show([]))  # fmt: skip
        sidecar.send_signal(signal.SIGTERM)
        code = sidecar.wait(5)
        _say(f"\n== SIGTERM: the sidecar ended with {code}")
        if code:
            raise SystemExit(f"the sidecar ended with {code}")
    finally:
        if sidecar.poll() is None:
            sidecar.kill()
            sidecar.wait()


def _await_members(url: str, expected: list[str], within: float) -> dict[str, Any]:
    """`/members` once it names just these addresses, proved not longer than `within` seconds ago."""
    deadline, seen = time.monotonic() + PATIENCE, "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                content: dict[str, Any] = json.load(answer)
            addresses = [member["address"] for member in content["members"]]
            if addresses == expected and content["age_seconds"] <= within:
                return content
            seen = str(addresses)
        except (urllib.error.URLError, OSError) as error:
            seen = str(error)
        time.sleep(0.05)
    raise SystemExit(f"expected the members {expected} within {PATIENCE:g} s, saw {seen}")


def _show(content: dict[str, Any], file: Path) -> None:
    _say(
        f"GET /members   generation {content['generation']}, source {content['source']}, proved "
        f"{content['age_seconds']:.1f} s ago"
    )
    for member in content["members"]:
        _say(f"               {member['address']}:{member['port']} {member['name']} serving={member['serving']}")
    deadline = time.monotonic() + PATIENCE
    wanted = [f"{member['address']}:{member['port']}" for member in content["members"]]
    while wanted and (not file.exists() or file.read_text().split() != wanted):
        if time.monotonic() > deadline:
            raise SystemExit(f"{file} does not follow /members")
        time.sleep(0.01)
    _say(f"members.txt    {' '.join(file.read_text().split())}")


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="membership-demo-") as folder:
        directory = Path(folder)
        with real_world(directory) if "--real" in sys.argv[1:] else fake_world() as world:
            tell(world, directory)


if __name__ == "__main__":
    main()
