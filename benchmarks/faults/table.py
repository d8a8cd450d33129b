"""docs/faults.md from benchmarks/results/faults.json. Pure, but for the paths."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from benchmarks.environments import ROOT
from benchmarks.faults.arms import ARMS
from benchmarks.faults.claims import CLAIMS
from benchmarks.faults.scenarios import NOT_DRIVEN, SCENARIOS
from benchmarks.faults.verdict import is_good, verdict
from tests.faults.catalogue import CATALOGUE
from tests.real.mistakes import MISTAKES
from tests.real.mistakes import RESULTS as SEEN

RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
LONG_RUNS = ROOT / "benchmarks" / "results" / "long-runs.md"
"""Written by hand: what the runs printed that are too long for CI."""
PAGE = ROOT / "docs" / "faults.md"
SAID = 90
"""Characters of a failing test's words that are shown."""

Results: TypeAlias = Mapping[tuple[str, str], Mapping[str, Any]]

_HEAD = """\
# What clients do when the API server fails

Made by `{command}` on {date}, {machine}.
Do not edit: `python -m benchmarks.faults --table-only` writes it from [the results](../benchmarks/results/faults.json).

Each cell is one run. A client watches a Service of three endpoints in two slices, on a
[FakeKube](../membership/testing/server.py) that makes one fault; while the fault lasts one endpoint is replaced, one
slice is deleted with its endpoint and one comes. Once the fault is over the client has 20 s (75 to 460 s where a
time-out decides) to have the list, then one more endpoint is replaced to see whether it still follows. Each client runs
in a virtual environment, a mount and a network namespace of its own and finds what a pod finds: TLS, a service
account's token and CA, two variables. Its program is what [its documentation shows](../benchmarks/arms/programs),
with no retry of ours. k8s-sidecar runs unchanged; it follows ConfigMaps only, so each slice is a ConfigMap for it and
the files it writes are its list. The server counts requests from the begin of the fault until the list is right.

- *undisturbed*: right within 1 s of the change. *recovers in*: seconds after the end of the fault. *late*: after the
  change, while the fault lasted. *ghost*: a member that has gone is in the list for good.
- *raises*, *ends without an error*: the program is over; in a pod it is started again, with back-off.
- *no such signal*: nothing in its interface tells how old the list is; that is read from its source, not measured.
- *requests/s*: the busiest second, where it had more than 10. Cases ran {busy} at a time beside others on {cores}, so
  rates are lower bounds. Who asks a thousand times a second recovers in 0.0 s: read both figures.
- Seconds of this library include 0.5 s for which a pod that vanishes without a word is held back, and a random delay.
"""
_TAIL = """\
This library's slow rows are meant so: a refusal by RBAC is asked about again after 30 to 60 s, a restored server is
found by the list that verifies the stream every 5 minutes +-50 % (`--relist-interval`), a silent stream is opened anew
after 60 to 75 s, and `stale` is told after 90 s (`--stale-after`).
"""
_HELD = """\
## What holds this library to it

Each failure mode has a test of its own over real HTTP in [tests/faults](../tests/faults), and on a real kube-apiserver
and etcd in [tests/real](../tests/real) where it can be produced there. `make test` runs the first, `make test-real` the
second.

| | failure mode | what is right | FakeKube | real |
|---|---|---|---|---|
"""
_BROKEN = """\
`python -m tests.real.mistakes` puts [mistakes](../tests/real/mistakes.py) into a copy of the product, one at a time,
and runs the test on the real control plane that must fail then. *Not run yet*: not since the test was changed.

| test | mistake | what it says |
|---|---|---|
"""
_BEFORE = """\
## Where this differs from what we had measured before

Before: a throwaway server over plain HTTP, and programs without the recovery that the clients' documentation shows.
"""


def render(found: Mapping[str, Any]) -> str:
    """The page."""
    results = {(one["fault"], one["arm"]): one for one in found["results"]}
    cores, _, _ = found["machine"].partition(",")
    head = _HEAD.format(**{key: found[key] for key in ("command", "date", "machine", "busy")}, cores=cores)
    parts = [
        head,
        "\n".join(_table(results)) + "\n",
        _TAIL,
        "Not driven:\n\n" + "".join(f"- {name}: {why}.\n" for name, why in NOT_DRIVEN.items()),
        _HELD + "\n".join(_held()) + "\n",
        _BROKEN + "\n".join(_broken(json.loads(SEEN.read_text()))) + "\n",
        LONG_RUNS.read_text(),
        _BEFORE + "\n" + "".join(_differences(results)),
        "## Versions\n\n" + "".join(f"- {name}: {version}\n" for name, version in found["versions"].items()),
    ]
    return "\n".join(parts)


def _table(results: Results) -> Iterator[str]:
    yield "| | fault | " + " | ".join(arm.title for arm in ARMS) + " |"
    yield "|" + "---|" * (len(ARMS) + 2)
    for scenario in SCENARIOS:
        cells = [_cell(results, scenario.name, number) for number in range(len(ARMS))]
        yield f"| {scenario.mode} | {scenario.name}: {scenario.text} | " + " | ".join(cells) + " |"
    counts = [
        sum(
            is_good(results[scenario.name, arm.name], arm)
            for scenario in SCENARIOS
            if (scenario.name, arm.name) in results
        )
        for arm in ARMS
    ]
    yield (
        f"| | *right in the end and after it, nobody lost on the way, at most 10 requests in any second; of "
        f"{len(SCENARIOS)}* | " + " | ".join(f"**{count}**" for count in counts) + " |"
    )


def _held() -> Iterator[str]:
    for fault in CATALOGUE:
        real = ", ".join(f"`{_short(test)}`" for test in fault.real) or f"no: {fault.why_not}"
        yield f"| {fault.id} | {fault.name} | {fault.right} | `{_short(fault.test)}` | {real} |"


def _broken(seen: Mapping[str, str]) -> Iterator[str]:
    for mistake in MISTAKES:
        said = re.sub(r"; (its|the) log:.*", "", seen.get(mistake.key, "not run yet")).replace("|", "\\|")
        text = said if len(said) <= SAID else f"{said[:SAID]}..."
        yield f"| `{_short(mistake.test)}` | {mistake.name} | {text} |"


def _short(test: str) -> str:
    return test.partition("::")[2]


def _cell(results: Results, fault: str, number: int) -> str:
    result = results.get((fault, ARMS[number].name))
    return "not run" if result is None else verdict(result, ARMS[number])


def _differences(results: Results) -> Iterator[str]:
    """One line for each claim that the runs do not bear out."""
    arms = {arm.name: arm for arm in ARMS}
    for claim in CLAIMS:
        result = results.get((claim.fault, claim.arm))
        now = "not run" if result is None else verdict(result, arms[claim.arm])
        if not re.search(claim.holds, now):
            why = f" ({claim.why})" if claim.why else ""
            yield f'- {arms[claim.arm].title}, {claim.fault}: before, "{claim.said}"; here, {now}{why}.\n'
