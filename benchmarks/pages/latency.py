"""Watch latency: a table and a picture for each size and rate, the stations of our own way, and the goals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.arms.catalogue import ARMS, arm
from benchmarks.pages import Part, Reached, Results, provenance
from benchmarks.sightings import STEPS
from benchmarks.svg import Axis, Line, chart, round_down, round_up
from benchmarks.writing import JITTER

FILES = ("latency-full.json", "latency-bench.json")
CONTROL, CONTROL_PROTOBUF = "control_python", "control_protobuf"
_HABITS = "poll_1s", "poll_5s", "dns_5s", "dns_30s"
_COLORS = {
    "control_python": "#777777",
    "control_go": "#bbbbbb",
    "control_protobuf": "#95a5b5",
    "ours_callback": "#0b5fff",
    "ours_file": "#0a9bd8",
    "ours_file_disk": "#1f6f8b",
    "ours_http": "#00a37a",
    "ours_sse": "#6fbf3a",
    "ours_push": "#7fd4ff",
    "client_go": "#111111",
    "kubernetes_watch": "#d62728",
    "kubernetes_informer": "#ff7f0e",
    "kubernetes_aio": "#b8860b",
    "lightkube": "#9467bd",
    "kr8s": "#e377c2",
    "kopf": "#8c564b",
    "poll_1s": "#c49c94",
    "poll_5s": "#dbb0a8",
    "dns_5s": "#9aa7b5",
    "dns_30s": "#c3ccd6",
}
_HOW = """\
A writer changes one EndpointSlice of a real kube-apiserver again and again, at jittered times that wait for no answer.
Each change is a JSON patch: one endpoint is new, and the one that was new before is terminating. The clients take turns
in random order, each block with a fresh process that is alone with the server where nothing else is said, and bare TLS
sockets that only stamp take their turns among them: two ask for JSON as nearly all clients do, one for protobuf as ours
and client-go, which spares the server work. A change is correlated by its resource version, all processes stamp
CLOCK_MONOTONIC, the first changes of each block are dropped. *Seen* is when the client's handler has the addresses of
the slice; ours is later than that by more work: its callback, file and answers have the whole member list, sorted and
without duplicates. What a handler does with the addresses is counted for no one. *Best block* is the p50 of the best of
its blocks, which other work on the machine touches least. *Added* is the difference to the bare Python socket's p50 in
the same run. *PATCH answered* is its p50 in this arm's blocks: where it differs from the others', the server was
disturbed. *After it* is the p50 of the time from the answer of a change to its sighting, which does not depend on how
long the server took; it can be negative, for the server tells watchers and writer at the same time. *Overtaken*: seen
with a newer list only. *Twice*: told more than once. The file is in memory, as in the [manifests](../deploy/README.md);
on a disk it waits for that disk at each change (`fsync`), here for the one that etcd writes to.
"""


def render(results: Results) -> Part:
    """One section; the cells of the full run, and those of the short one that it has not."""
    texts, pictures = ["## From a change to a program's hands\n", _HOW], dict[str, str]()
    found = [results[name] for name in FILES if results.get(name)]
    if not found:
        return Part("\n".join([*texts, "Not run yet: `make bench-full`.\n"]))
    for cell in _newest(found):
        name = f"latency-{_slug(cell['name'])}.svg"
        pictures[name] = _picture(cell)
        texts += [
            f"### {cell['name']}\n",
            *_together(cell),
            _table(cell),
            f"![Latency, {cell['name']}](benchmarks/{name})\n",
        ]
        texts += [*_stations(cell), provenance(cell["run"])]
    return Part("\n".join(texts), pictures)


def reached(results: Results) -> dict[str, Reached]:
    """The rows of goals.py that latencies answer."""
    cells = {cell["name"]: cell for cell in _newest([results[name] for name in FILES if results.get(name)])}
    found: dict[str, Reached] = {}
    for name, rows in (("100 endpoints, 16/s", _of_hundred), ("1000 endpoints, 4/s", _of_thousand)):
        if cell := cells.get(name):
            found |= {key: replace(one, quiet=cell["run"]["quiet"]) for key, one in rows(cell["arms"]).items()}
    return found


def _of_hundred(arms: Mapping[str, Any]) -> dict[str, Reached]:
    ours, go, control = (arms[name]["seen_ms"] for name in ("ours_callback", "client_go", CONTROL))
    pythons = [one.name for one in ARMS if one.family == "client" and one.name != "client_go"]
    others = {name: arms[name]["seen_ms"] for name in pythons if "seen_ms" in arms.get(name, {})}
    best = {part: min(others, key=lambda name: others[name][part]) for part in ("p50", "p99")}
    found = {
        "p50-100": Reached(f"{ours['p50']:.2f} ms, client-go {go['p50']:.2f}", ours["p50"] <= go["p50"]),
        "p99-100": Reached(f"{ours['p99'] / go['p99']:.2f} times", ours["p99"] <= 1.2 * go["p99"]),
        "ahead-100": Reached(
            "; ".join(
                f"{part} {ours[part]:.2f} ms, best of them {others[name][part]:.2f} ({arm(name).title})"
                for part, name in best.items()
            ),
            all(ours[part] < others[name][part] for part, name in best.items()),
        ),
    }
    for key, name in (("file", "ours_file"), ("http", "ours_http")):
        if name in arms:
            at = arms[name]["seen_ms"]
            ratios = at["p50"] / control["p50"], at["p99"] / control["p99"]
            holds = ratios[0] <= 1.25 and ratios[1] <= 1.5
            found[key] = Reached(f"p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f} times", holds)
    return found


def _of_thousand(arms: Mapping[str, Any]) -> dict[str, Reached]:
    ours, go, watch, control = (
        arms[name]["seen_ms"]["p50"] for name in ("ours_callback", "client_go", "kubernetes_watch", CONTROL)
    )
    # Each over the socket that reads what it reads; older results have no socket that reads protobuf.
    own = arms.get(CONTROL_PROTOBUF, arms[CONTROL])["seen_ms"]["p50"]
    return {
        "p50-1000": Reached(f"{ours:.1f} ms, client-go {go:.1f}", ours < go),
        "added-1000": Reached(
            f"{ours - own:+.1f} ms, `kubernetes.watch` {watch - control:+.1f}",
            ours - own <= (watch - control) / 20,
        ),
    }


def _newest(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each cell from the first file that has it."""
    cells: dict[str, Mapping[str, Any]] = {}
    for result in found:
        for cell in result["cells"]:
            cells.setdefault(cell["name"], cell)
    return list(cells.values())


def _together(cell: Mapping[str, Any]) -> list[str]:
    """How many shared the server, if it was not one alone; results of before 2026-11-30 do not say it."""
    count = cell.get("together", 1)
    if count == 1:
        return []
    closest = 1000 * JITTER[0] / (cell["rate"] * count)
    return [
        f"{count} clients at a time, each with a Service in a namespace of its own, changed {cell['rate']:g} times a "
        f"second; the changes of these Services take turns, any two at least {closest:.0f} ms apart.\n"
    ]


def _table(cell: Mapping[str, Any]) -> str:
    heads = ["", "p50 ms", "p90", "p99", "max", "best block", "added", "PATCH answered", "after it"]
    heads += ["changes", "lost", "overtaken", "twice"]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    base = cell["arms"].get(CONTROL, {}).get("seen_ms", {}).get("p50")
    for name, one in cell["arms"].items():
        values = [arm(name).title]
        if "failed" in one:
            values.append(f"failed: {one['failed'].splitlines()[-1][:80]}")
        else:
            values += _times(name, one, base)
            values += [str(one[key]) for key in ("changes", "lost", "overtaken", "told_twice")]
        values += [""] * (len(heads) - len(values))
        rows.append(f"| {' | '.join(values)} |")
    return "\n".join(rows) + "\n"


def _times(name: str, one: Mapping[str, Any], base: float | None) -> list[str]:
    at = one["seen_ms"]
    if not at:
        return [""] * 8
    best = min(block["p50"] for block in one["blocks_ms"] if block)
    times = [_ms(value) for value in (at["p50"], at["p90"], at["p99"], at["max"], best)]
    added = f"{at['p50'] - base:+.2f}" if base is not None and name not in (CONTROL, *_HABITS) else ""
    return [*times, added, _ms(one["patch_answered_ms"]["p50"]), f"{one['since_answer_ms']['p50']:+.2f}"]


def _stations(cell: Mapping[str, Any]) -> list[str]:
    """The way of one change through ours."""
    arms = cell["arms"]
    ours = arms.get("ours_callback", {})
    if "bytes_at_socket_ms" not in ours:
        return []
    stations = [
        ("PATCH answered", ours["patch_answered_ms"]),
        ("its bytes read from the socket", ours["bytes_at_socket_ms"]),
        ("snapshot swapped", ours["seen_ms"]),
    ]
    for name, what in (
        ("ours_file", "file renamed, seen by another process"),
        ("ours_file_disk", "the same on the disk that etcd writes to"),
        ("ours_http", "blocking query answered in another process"),
        ("ours_sse", "event received by another process"),
        ("ours_push", "Hazelcast's list changed"),
    ):
        if "seen_ms" in arms.get(name, {}):
            stations.append((what, arms[name]["seen_ms"]))
    rows = ["| ms since the PATCH was sent | p50 | p90 | p99 |", "|---|---|---|---|"]
    rows += [f"| {what} | {_ms(at['p50'])} | {_ms(at['p90'])} | {_ms(at['p99'])} |" for what, at in stations if at]
    return ["\n".join(rows) + "\n"]


def _picture(cell: Mapping[str, Any]) -> str:
    curves = {name: one["quantiles_ms"] for name, one in cell["arms"].items() if one.get("quantiles_ms")}
    low = round_down(min(curve[0] for curve in curves.values()))
    high = round_up(max(curve[-1] for curve in curves.values()))
    lines = [
        Line(
            arm(name).title,
            [(at, step / STEPS) for step, at in enumerate(curve)],
            _COLORS[name],
            dashed=arm(name).family in ("control", "habit"),
            width=2.6 if arm(name).family == "ours" else 1.5,
        )
        for name, curve in curves.items()
    ]
    title = f"From PATCH sent to seen: {cell['name']}"
    x = Axis("milliseconds, logarithmic", low, high, log=True)
    return chart(title, x, Axis("part of all changes", 0, 1, percent=True), lines)


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _slug(name: str) -> str:
    return (
        name.replace(" endpoints", "").replace(" in ", "-").replace(" slices", "").replace(", ", "-").replace("/s", "")
    )
