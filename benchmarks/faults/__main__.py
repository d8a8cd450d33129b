"""All faults against all clients: benchmarks/results/faults.json and docs/faults.md.

    make bench-faults                                    everything, 10 minutes; root, or user namespaces
    python -m benchmarks.faults --faults refused,500     some faults; the others keep their results
    python -m benchmarks.faults --table-only             the page from the results that are there

The virtual environments are made once, below MEMBERSHIP_CACHE (~/.cache/kubernetes-membership). k8s-sidecar is cloned
from GitHub, or from where MEMBERSHIP_SIDECAR_GIT says.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from typing import Any

from benchmarks.environments import ROOT, prepare
from benchmarks.faults.arms import ARMS, versions
from benchmarks.faults.run import BUSY, run_all
from benchmarks.faults.scenarios import SCENARIOS
from benchmarks.faults.table import PAGE, RESULTS, render

COMMAND = "make bench-faults"


def measure(names: list[str]) -> dict[str, Any]:
    """Run these faults (none: all) and give the results, with those of earlier runs for the others."""
    chosen = [scenario for scenario in SCENARIOS if not names or scenario.name in names]
    prepare(arm.environment for arm in ARMS)
    os.nice(10)
    before = json.loads(RESULTS.read_text()) if names else {"results": []}
    results = [one for one in before["results"] if one["fault"] not in names] + run_all(chosen, ARMS)
    commit = _commit()
    if names:
        commit = f"{before['versions']['this repository']}; {', '.join(names)} again at {commit}"
    order = [(scenario.name, arm.name) for scenario in SCENARIOS for arm in ARMS]
    return {
        "command": COMMAND,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, {platform.machine()}",
        "busy": BUSY,
        "versions": {"Python": platform.python_version(), "this repository": commit} | versions(),
        "results": sorted(results, key=lambda one: order.index((one["fault"], one["arm"]))),
    }


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", default="", help="comma list of names; default: all")
    parser.add_argument("--table-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table_only:
        found = measure([name for name in arguments.faults.split(",") if name])
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(render(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
