"""Where and when a result was made, and how busy the machine was with other things."""

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.arms.catalogue import ARMS
from benchmarks.environments import ROOT, pinned, pinned_go

QUIET = 0.05
"""Share of all cores that others may take in a run whose figures are quoted."""


def busy_share(seconds: float = 2.0) -> float:
    """The share of all cores that is in use, while we do nothing."""
    idle, whole = _jiffies()
    time.sleep(seconds)
    idle_after, whole_after = _jiffies()
    return round(1 - (idle_after - idle) / max(1, whole_after - whole), 3)


def describe(command: str, others: list[float]) -> dict[str, Any]:
    """The head of every result. `others`: `busy_share` before and after the run."""
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {_model()}, {_memory()} GiB, {platform.system()} {platform.release()}",
        "busy_with_other_work": others,
        "quiet": max(others) <= QUIET,
        "niceness": os.nice(0),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of this repository, of Python and Kubernetes, and of the clients."""
    go = pinned_go()
    found = {
        "this repository": _commit(),
        "Python": platform.python_version(),
        "kube-apiserver": go["k8s.io/client-go"].replace("v0", "v1"),
        "client-go": go["k8s.io/client-go"],
        "CoreDNS": go["github.com/coredns/coredns"],
    }
    for name in sorted({arm.environment for arm in ARMS} - {"go", "membership"}):
        found[name] = pinned(name)[name]
    return found


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def _jiffies() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
