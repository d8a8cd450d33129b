"""How far it carries: endpoints, Services, consumers, sidecars; tables, two pictures, and the goals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

from benchmarks.herd import quiet_requests
from benchmarks.measures import fit_line
from benchmarks.pages import Part, Reached, Results, provenance
from benchmarks.svg import Axis, Line, chart, round_down, round_up
from membership.session import Options
from membership.upstream import WAIT

FILES = ("scale-full.json", "scale-look.json")
MODELLED = (100, 1000, 10_000)
SHARE = 1500
"""Pods to one sidecar that they ask, each with a connection: it takes 2048, and the Service deals unevenly."""
_WAIT = Options().stale_after * WAIT
_OUTPUTS = {"ours_callback": "list published", "ours_file": "file renamed", "ours_http": "blocking query answered"}
_COLORS = {"ours_callback": "#0b5fff", "ours_file": "#0a9bd8", "ours_http": "#00a37a"}
_ENDPOINTS = """\
### Endpoints

One change at a time in slices of 100. Milliseconds from the bytes at a bare socket beside it to each output; *list* is
from the library's start to its first list, five times.
"""
_SERVICES = """\
### Services of one sidecar

Three endpoints each, and a file of them all; milliseconds from the PATCH to the file. One namespace is one watch.
"""
_CONSUMERS = """\
### Consumers of /members

All of them wait when the list changes, each asks again at once. Milliseconds from the bytes at a bare socket until the
first, the middle and the last consumer has the whole answer, and until the file is renamed.
"""
_FLEET = """\
### Sidecars on one API server

10 endpoints, 10 changes a second. Server CPU is that of the kube-apiserver's process, less what it took while nothing
changed; bytes are those of the TCP connections.
"""
_MODEL = """\
#### A model of up to 10,000 pods

**Not measured**: lines through the figures above, continued. What a real server does with 10,000 watches on many cores
is not known from two.
"""
_UPSTREAM = """\
#### One watch for all of them

**A model** as well: the same pods behind sidecars that watch in their place ([upstream](upstream.md)), each with its
share of them. What an answer costs is that of {consumers} blocking queries released at once, above; a query without
news comes from each pod every {wait:g} s, and is cheaper than that.
"""
_HERD = """\
#### After an outage

The API server is killed and started. Measured with {sidecars} sidecars, all through a proxy that notes connections: the
server took none for {outage_s} s, and each sidecar was refused {refused_per_sidecar} times; then came {requests_after}
requests, at most {busiest_100_ms} in 100 ms and {busiest_second} in a second, the last {all_back_s} s after the first
connection that the server took (it takes them some 2 s before it answers).

**A model** beyond that: the product's own state machine for each pod, in virtual time, against a server that refuses
for the length of the outage and then accepts at once (benchmarks/herd.py).
"""


def render(results: Results) -> Part:
    """One section of the newest run that there is, the full one first; parts that were not run are left out."""
    texts, pictures, found = ["## How far it carries\n"], dict[str, str](), _found(results)
    if found is None:
        return Part("\n".join([*texts, "Not run yet: `python -m benchmarks.scale --plan full`.\n"]))
    if rows := found.get("endpoints"):
        pictures["scale-endpoints.svg"] = _draw_endpoints(rows)
        texts += [_ENDPOINTS, _endpoints(rows), "![Cost against endpoints](benchmarks/scale-endpoints.svg)\n"]
    if rows := found.get("services"):
        texts += [_SERVICES, _services(rows)]
    if rows := found.get("consumers"):
        pictures["scale-consumers.svg"] = _draw_consumers(rows)
        texts += [_CONSUMERS, _consumers(rows), "![Consumers against p99](benchmarks/scale-consumers.svg)\n"]
    if fleet := found.get("fleet"):
        texts += [_FLEET, _fleet(fleet["measured"]), _MODEL, _model(fleet["measured"])]
        if crowd := _largest_crowd(found):
            texts += [_UPSTREAM.format(consumers=crowd["consumers"], wait=_WAIT), _upstream(fleet["measured"], crowd)]
        texts += [_HERD.format(**fleet["recovery"]), _herd(fleet)]
    return Part("\n".join([*texts, provenance(found)]), pictures)


def reached(results: Results) -> dict[str, Reached]:
    """The rows of goals.py about 20,000 endpoints and 1000 consumers."""
    found, goals = _found(results) or {}, dict[str, Reached]()
    for row in found.get("endpoints", ()):
        if row["endpoints"] == 20_000:
            seconds = row["list_to_synced_s"]["max"]
            goals["synced-20000"] = Reached(f"{seconds:.2f} s, the slowest of five", seconds <= 2)
            times = {name: row[name]["since_bytes_ms"]["p99"] for name in _OUTPUTS}
            figure = ", ".join(f"{what} {times[name]:.1f} ms" for name, what in _OUTPUTS.items())
            goals["publish-20000"] = Reached(figure, times["ours_callback"] <= 25)
    crowds = {(row["kind"], row["consumers"]): row for row in found.get("consumers", ())}
    crowd, alone = crowds.get(("long-poll", 1000)), crowds.get(("none", 0))
    if crowd:
        goals["released"] = Reached(f"{crowd['last_ms']['p99']:.0f} ms", crowd["last_ms"]["p99"] <= 150)
    if crowd and alone:
        beside, without = crowd["file_ms"]["p50"], alone["file_ms"]["p50"]
        goals["file-beside"] = Reached(f"p50 {beside:.1f} ms, without them {without:.1f} ms", beside <= without)
    return {key: replace(one, quiet=found["quiet"]) for key, one in goals.items()}


def _found(results: Results) -> Mapping[str, Any] | None:
    return next((results[name] for name in FILES if results.get(name)), None)


def _endpoints(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["endpoints", "list, s (max)"]
    head += [f"{what}, p50 / p99" for what in _OUTPUTS.values()] + ["CPU ms per change (file)", "MiB (file)"]
    lines = []
    for row in rows:
        times = [_pair(row[name]["since_bytes_ms"]) for name in _OUTPUTS]
        file = row["ours_file"]
        cells = [f"{row['endpoints']:,}", f"{row['list_to_synced_s']['max']:.2f}", *times]
        lines.append([*cells, f"{file['cpu_ms_per_change']:.1f}", f"{file['resident_mib']:.0f}"])
    return _table(head, lines)


def _services(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["Services", "namespaces", "watches", "start to synced, s", "file, p50 / p99", "PATCH answered, p50"]
    head += ["CPU ms per change", "MiB", "lost"]
    return _table(
        head,
        [
            [
                str(row["services"]),
                str(row["namespaces"]),
                str(row["watches"]),
                f"{row['start_to_synced_s']:.2f}",
                _pair(row["file_since_patch_ms"]),
                f"{row['patch_answered_ms']['p50']:.1f}",
                f"{row['cpu_ms_per_change']:.1f}",
                f"{row['resident_mib']:.0f}",
                str(row["lost"]),
            ]
            for row in rows
        ],
    )


def _consumers(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["consumers", "first, p50 / p99", "middle", "last", "file", "CPU ms per change", "MiB", "overtaken"]
    return _table(
        head,
        [
            [
                f"{row['consumers']} by {row['kind']}" if row["consumers"] else "none",
                *(_pair(row[part]) if part in row else "" for part in ("first_ms", "middle_ms", "last_ms")),
                _pair(row["file_ms"]),
                f"{row['cpu_ms_per_change']:.1f}",
                f"{row['resident_mib']:.0f}",
                f"{row.get('overtaken', 0)} of {row['changes']}",
            ]
            for row in rows
        ],
    )


def _fleet(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["sidecars", "requests to start", "server CPU ms per start", "server CPU ms per change"]
    head += ["bytes per change and sidecar", "server idle, %", "server MiB", "a sidecar idle, %", "a sidecar, MiB"]
    keys = [
        "sidecars",
        "requests_to_start",
        "server_cpu_ms_per_start",
        "server_cpu_ms_per_change",
        "bytes_per_change_and_sidecar",
        "server_idle_percent",
        "server_mib",
        "sidecar_idle_percent",
        "sidecar_mib",
    ]
    return _table(head, [[f"{row[key]:g}" for key in keys] for row in rows])


def _model(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["pods", "watches", "lists a second", "watches opened a second", "bytes per change"]
    head += ["server CPU per change", "server CPU when all of them start"]
    lines, start = [], rows[-1]["server_cpu_ms_per_start"]
    base, slope = fit_line([(row["sidecars"], row["server_cpu_ms_per_change"]) for row in rows])
    for pods in MODELLED:
        asked = list(quiet_requests(pods).values())
        sent = pods * rows[-1]["bytes_per_change_and_sidecar"] / 1e6
        lines.append(
            [
                f"{pods:,}",
                f"{pods:,}",
                f"{asked[0]:.1f}",
                f"{asked[2]:.1f} to {asked[1]:.1f}",
                f"{sent:.1f} MB",
                f"{base + slope * pods:.0f} ms" if slope > 0 else "lost in the noise of this run",
                f"{pods * start / 1000:.0f} s",
            ]
        )
    return _table(head, lines)


def _largest_crowd(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    crowds = [row for row in found.get("consumers", ()) if row["kind"] == "long-poll"]
    return max(crowds, key=lambda row: row["consumers"], default=None)


def _upstream(rows: Sequence[Mapping[str, Any]], crowd: Mapping[str, Any]) -> str:
    head = ["pods", "sidecars between", "watches, without and with them", "MB per change from the API server"]
    head += ["CPU time of each until its last pod has the list", "queries without news, % of a core of each, at most"]
    sent = rows[-1]["bytes_per_change_and_sidecar"] / 1e6
    answer = crowd["cpu_ms_per_change"] / crowd["consumers"]
    lines = []
    for pods in MODELLED:
        between = max(2, ceil(pods / SHARE))
        share = pods / between
        lines.append(
            [
                f"{pods:,}",
                f"{between}",
                f"{pods:,} and {between}",
                f"{pods * sent:.2f} and {between * sent:.2f}",
                f"{share * answer:.0f} ms",
                f"{share / _WAIT * answer / 10:.1f}",
            ]
        )
    return _table(head, lines)


def _herd(fleet: Mapping[str, Any]) -> str:
    head = [
        "pods",
        "outage, s",
        "refused per pod",
        "most in 100 ms",
        "most in 1 s",
        "half back, s",
        "99 %, s",
        "all, s",
    ]
    rows = [*fleet["the model of that recovery, 20 times"][:1], *fleet["model"]]
    return _table(head, [[f"{value:,g}" for value in row.values()] for row in rows])


def _draw_endpoints(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        Line(
            f"{what}, {part}",
            [(row["endpoints"], row[name]["since_bytes_ms"][part]) for row in rows],
            _COLORS[name],
            dashed=part == "p99",
            dots=True,
        )
        for name, what in _OUTPUTS.items()
        for part in ("p50", "p99")
    ]
    return _chart("Milliseconds after the bytes, by endpoints", "endpoints", lines)


def _draw_consumers(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        Line(
            f"{kind}, {what}",
            [(row["consumers"], row[key]["p99"]) for row in rows if row["kind"] == kind],
            color,
            dashed=key == "file_ms",
            dots=True,
        )
        for kind, color in (("long-poll", "#0b5fff"), ("sse", "#00a37a"))
        for key, what in (("last_ms", "the last"), ("file_ms", "the file"))
    ]
    return _chart("p99 after the bytes, by consumers", "consumers", [line for line in lines if line.points])


def _chart(title: str, what: str, lines: Sequence[Line]) -> str:
    places = [place for line in lines for place in line.points]
    x = [at for at, _ in places]
    y = [max(0.01, value) for _, value in places]
    low, high = round_down(min(x)), round_up(max(x))
    across = Axis(what, low, high if high > low else 10 * low, log=True)
    return chart(title, across, Axis("ms", round_down(min(y)), round_up(max(y)), log=True), lines)


def _pair(times: Mapping[str, float]) -> str:
    return f"{times['p50']:.1f} / {times['p99']:.1f}" if times else "none seen"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines) + "\n"
