"""One finding of `membership doctor`, the order in which findings are told, and the exit code they end with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from membership.render.table import Paint, plain

AREAS = (
    "settings",
    "dns",
    "tcp",
    "tls",
    "server",
    "token",
    "rbac",
    "service",
    "slices",
    "own",
    "files",
    "hazelcast",
    "carbon",
)
"""In the order of the data's way: what is wrong in one is often the cause of what is wrong in a later one."""


class Severity(StrEnum):
    """error: the members do not find each other like this. warning: they may, today. The others are no reproach."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"
    OK = "ok"


ORDER = tuple(Severity)
"""The gravest first."""


_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFORMATION: "", Severity.OK: "green"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A finding that there can be; `fix` is empty where there is nothing to do."""

    severity: Severity
    says: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found. `code` is `area.word`, the same in every version; the texts are for people."""

    code: str
    severity: Severity
    says: str
    evidence: str
    fix: str

    @property
    def area(self) -> str:
        return self.code.partition(".")[0]


class Exit:
    """The contract's exit codes that a doctor may end with; those of `membership` have the same meaning."""

    DONE, BUG, SETTINGS, REFUSED, FOUND, UNREACHABLE = 0, 1, 2, 4, 5, 6


_OF_AREAS: Mapping[str, int] = {
    "settings": Exit.SETTINGS,
    **dict.fromkeys(("dns", "tcp", "tls", "server"), Exit.UNREACHABLE),
    **dict.fromkeys(("token", "rbac"), Exit.REFUSED),
}
"""What an error of this area means; `FOUND` for the others."""


_WAY = ("dns", "tcp", "tls", "server", "token", "rbac")
"""The areas that are about the API server alone."""


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first; of equals the one that is earlier on the data's way."""
    return tuple(sorted(findings, key=lambda found: (ORDER.index(found.severity), AREAS.index(found.area))))


def soften(findings: Iterable[Finding], why: str) -> tuple[Finding, ...]:
    """The findings where the list does not come from the API server: what is wrong on the way to it does not count."""
    return tuple(
        (
            replace(found, severity=Severity.INFORMATION, evidence=f"{found.evidence}; {why}")
            if found.area in _WAY and found.severity in (Severity.ERROR, Severity.WARNING)
            else found
        )
        for found in findings
    )


def worst(findings: Sequence[Finding]) -> Severity:
    return min((found.severity for found in findings), key=ORDER.index, default=Severity.OK)


def choose_exit(findings: Sequence[Finding], fail_on: Severity = Severity.WARNING) -> int:
    """0 where nothing is as grave as `fail_on`; else by the first error on the data's way, and 5 for warnings alone."""
    if any(found.code.endswith(".bug") for found in findings):
        return Exit.BUG
    grave = [found for found in sort_findings(findings) if ORDER.index(found.severity) <= ORDER.index(fail_on)]
    if not grave:
        return Exit.DONE
    first = grave[0]
    return _OF_AREAS.get(first.area, Exit.FOUND) if first.severity is Severity.ERROR else Exit.FOUND


def report_fields(findings: Sequence[Finding], exit_code: int) -> dict[str, object]:
    """What `--format json` shows."""
    return {
        "worst": worst(findings),
        "exit_code": exit_code,
        "counts": {severity: sum(found.severity is severity for found in findings) for severity in ORDER},
        "findings": [
            {
                "area": found.area,
                "code": found.code,
                "severity": found.severity,
                "says": found.says,
                "evidence": found.evidence,
                "fix": found.fix,
            }
            for found in sort_findings(findings)
        ],
    }


def report_text(findings: Sequence[Finding], paint: Paint = plain) -> str:
    """The sum in one line, then the findings: evidence and fix below those that ask for something."""
    counts = {severity: sum(found.severity is severity for found in findings) for severity in ORDER}
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    many = f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
    lines = [f"{many}; begin with the first" if errors + warnings > 1 else many if errors + warnings else "all is well"]
    width = max((len(found.severity) for found in findings), default=0)
    for found in sort_findings(findings):
        head = f"{paint(f'{found.severity:{width}}', _COLOURS[found.severity])} {found.code}: {found.says}"
        if found.severity in (Severity.ERROR, Severity.WARNING):
            lines += [head, *_block("  evidence: ", found.evidence), *_block("  fix: ", found.fix)]
        else:
            evidence = "; ".join(line.strip() for line in found.evidence.splitlines())
            lines += [f"{head}{f': {evidence}' if evidence else ''}", *_block("  fix: ", found.fix)]
    return "\n".join(lines) + "\n"


def _block(label: str, text: str) -> list[str]:
    """Each further line is indented like the first."""
    if not text:
        return []
    first, *rest = text.splitlines()
    return [label + first, *(" " * len(label) + line for line in rest)]
