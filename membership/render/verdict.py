"""A verdict, as JSON fields and as text for people."""

from dataclasses import asdict

from membership.verify import Verdict, View


def verdict_fields(verdict: Verdict) -> dict[str, object]:
    """What `/verify` and `membership verify --format json` show of it."""
    return asdict(verdict)


def verdict_text(verdict: Verdict) -> str:
    """The verdict in one line, then the halves, then a line for each member that was asked."""
    lines = [f"{verdict.verdict}: {verdict.reason}"]
    lines += [f"  half {number}: {', '.join(half)}" for number, half in enumerate(verdict.halves, 1)]
    width = max((len(view.asked) for view in verdict.views), default=0)
    lines += [f"  {view.asked:{width}}  {_describe(view)}" for view in verdict.views]
    return "\n".join(lines) + "\n"


def _describe(view: View) -> str:
    if view.state != "ready":
        return f"{view.state}: {view.why}"
    others = [address for address in view.members if address != (view.own or view.asked)]
    count = f"{len(others)} other{'' if len(others) == 1 else 's'}"
    words = f"sees {count}: {', '.join(others)}" if others else "sees itself alone"
    named = f" (as {view.own})" if view.own not in (None, view.asked) else ""
    return f"{words}{named}{'' if view.version is None else f', Hazelcast {view.version}'}"
