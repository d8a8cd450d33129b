"""What each client costs: a table, and the goals of memory and CPU."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.arms.catalogue import SIDECAR, arm
from benchmarks.pages import Part, Reached, Results, provenance

FILES = ("cost-full.json", "cost-look.json")
_HOW = """\
Each client in turn, alone with a real kube-apiserver and a Service of {endpoints} endpoints in one slice: started, left
alone, then shown changes. CPU and memory are those of its process, from /proc; the process that asks a sidecar is not
counted. *Requests*: lists, polls and watches that ended while it was left alone; a watch that stays open is none.
*Installed*: the package with all that it needs, without Python and without compiled copies of sources.
"""


def render(results: Results) -> Part:
    """One section of the newest run that there is, the full one first."""
    title = "## What a client costs\n"
    found = _found(results)
    if found is None:
        return Part("\n".join([title, "Not run yet: `python -m benchmarks.cost --plan full`.\n"]))
    traced = found["traced"]
    kept = f"keeps {traced['kept_bytes_per_event']} bytes of it"
    tracing = (
        f"By tracemalloc, our library allocates {traced['transient_kib']} KiB at once for an event of "
        f"{found['endpoints']} endpoints and {kept} (over {traced['events']} events).\n"
    )
    return Part(
        "\n".join([title, _HOW.format(endpoints=found["endpoints"]), _table(found), tracing, provenance(found)])
    )


def reached(results: Results) -> dict[str, Reached]:
    """The rows of goals.py about an idle sidecar, and about CPU for each event."""
    found = _found(results)
    if found is None:
        return {}
    arms = {name: one for name, one in found["arms"].items() if "failed" not in one}
    goals: dict[str, Reached] = {}
    if sidecar := arms.get(SIDECAR):
        mib, load, asked = (sidecar[key] for key in ("idle_mib", "idle_percent_of_a_core", "requests_ended_while_idle"))
        # A list to verify every 5 minutes, or half of that; a watch opened anew after a minute of silence.
        allowed = sidecar["idle_s"] // 60 + sidecar["idle_s"] // 150 + 1
        goals["idle-memory"] = Reached(f"{mib:.1f} MiB", mib <= 45)
        goals["idle-cpu"] = Reached(f"{load:.3f} %", load <= 0.05)
        goals["idle-requests"] = Reached(f"{asked:.0f} ended in {sidecar['idle_s']} s", asked <= allowed)
    if ours := arms.get("ours_callback"):
        for key, name, limit in (("cpu-kubernetes", "kubernetes_watch", 1 / 3), ("cpu-client-go", "client_go", 2.0)):
            if other := arms.get(name):
                ratio = ours["cpu_s_per_1000_events"] / other["cpu_s_per_1000_events"]
                goals[key] = Reached(f"{ratio:.2f} times", ratio <= limit)
    return {key: replace(one, quiet=found["quiet"]) for key, one in goals.items()}


def _found(results: Results) -> Mapping[str, Any] | None:
    return next((results[name] for name in FILES if results.get(name)), None)


def _table(found: Mapping[str, Any]) -> str:
    rows = [
        "| | start to synced, s | idle, MiB | idle, % of a core | requests | CPU s per 1000 events "
        "| under changes, MiB | installed, MiB | lost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found["arms"].items():
        if "failed" in one:
            rows.append(f"| {arm(name).title} | failed: {one['failed'].splitlines()[-1][:80]} | | | | | | | |")
            continue
        cells = (
            f"{one['start_to_synced_s']:.2f}",
            f"{one['idle_mib']:.1f}",
            f"{one['idle_percent_of_a_core']:.3f}",
            f"{one['requests_ended_while_idle']:.0f} in {one['idle_s']} s",
            f"{one['cpu_s_per_1000_events']:.2f}",
            f"{one['churn_mib']:.1f}",
            f"{one['installed_mib']:.1f}",
            f"{one['lost']} of {one['events']}",
        )
        rows.append(f"| {arm(name).title} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
