"""Writes docs/doctor.md from the catalogue in the code: python -m docs.make_doctor. A test holds them equal."""

from pathlib import Path

from membership.doctor.catalogue import CATALOGUE, COMMON
from membership.doctor.findings import AREAS, Severity

PAGE = Path(__file__).parent / "doctor.md"
HEAD = """# membership doctor

One command in a broken pod: what is wrong, how that is known, and what to do. It changes nothing.

    kubectl exec POD -c membership -- membership doctor

In the sidecar's container it has the sidecar's settings, as far as they are variables; `--staging` and `--out` that are
flags there have to be given again. `--carbon-home` (`CARBON_HOME`, `WSO2_SERVER_HOME`) shows it the server's own
configuration, which only the server's container has.

    1 error, 1 warning; begin with the first
    error       own.absent: the own address is not in the list: the others do not learn of this member
      evidence: 10.244.0.9: in no slice; the list: 10.244.0.5, 10.244.0.6
      fix: see that the selector of the Service matches the labels of this pod
    warning     carbon.members-old: Carbon's list of members is not the list of now
      ...

Thirteen areas are examined at once, and `--timeout` (10s) is for the whole: a name that cannot be resolved does not
keep it from looking at files. A wrong setting is told and left out. What cannot be examined because of something else
is `skipped` and says so. `--format json` (or `yaml`) is for programs: `worst`, `exit_code`, `counts`, and `findings`, each with
`area`, `code`, `severity`, `says`, `evidence`, `fix`. Codes stay as they are; texts may change. No secret is shown: of
a token only what it says of itself (issuer, subject, audience, until when).

The areas are in the order of the data's way, and of two errors the earlier one is told first: it is likely the cause.

| exit code | when |
|---|---|
| 0 | nothing is worse than information (with `--fail-on error`: than a warning) |
| 1 | an examination failed by a mistake of ours |
| 2 | the first error is in `settings`; or the doctor's own flags are wrong |
| 4 | the first error is in `token` or `rbac` |
| 5 | the first error is in any other area; or there are only warnings |
| 6 | the first error is in `dns`, `tcp`, `tls` or `server` |

The Role of the sidecar does not grant `get` of Services, and need not: the area `service` then says so, and the slices
tell what there is. Cluster names are asked of members that answer by REST
(`POST /hazelcast/rest/management/cluster/state`, which changes nothing, and is told to those only who know the name):
the name is `--cluster-name`, else the domain in Carbon's file.

Where `--upstream` gives the list, what is wrong on the way to the API server is information: it counts only while the
other sidecar is gone.

Not looked at: settings that only the sidecar has (`--http`, `--on-change` and the like; it names what is wrong with them
itself), `--state` and `--history`, what is inside the server's container unless the doctor runs there.

## Every finding

| finding | severity | what it says | what to do |
|---|---|---|---|
"""


def render() -> str:
    """The page."""
    rows = [
        f"| `{code}` | {kind.severity} | {kind.says} | {kind.fix} |"
        for area in AREAS
        for code, kind in CATALOGUE.items()
        if code.partition(".")[0] == area and kind.severity is not Severity.OK
    ]
    rows += [f"| `AREA.{word}` | {kind.severity} | {kind.says} | {kind.fix} |" for word, kind in COMMON.items()]
    return HEAD + "\n".join(rows) + "\n\nMade by `python -m docs.make_doctor` from the code.\n"


if __name__ == "__main__":
    PAGE.write_text(render())
