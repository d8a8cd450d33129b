"""What is wrong with a token by its own claims."""

from collections.abc import Iterator
from datetime import datetime, timezone

from membership.doctor.catalogue import find
from membership.doctor.findings import Finding
from membership.jwt import Claims

LATE = 0.1
"""The rest of a token's time at which it should have been renewed: the kubelet does so at 80 % of it, or 24 h.
https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#launch-a-pod-using-service-account-token-projection
"""
SKEW = 10.0
"""Seconds by which clocks may differ."""


def judge_claims(claims: Claims, now: float) -> Iterator[Finding]:
    """`now`: seconds since 1970."""
    said = [
        f"{name}: {value}"
        for name, value in (
            ("issuer", claims.issuer),
            ("subject", claims.subject),
            ("audience", ", ".join(claims.audience) or None),
            ("until", None if claims.ends is None else describe_time(claims.ends, now)),
        )
        if value
    ]
    yield find("token.claims", "\n".join(said))
    begins = claims.begins if claims.begins is not None else claims.issued
    if claims.ends is not None and claims.ends <= now:
        yield find("token.expired", f"it ended {describe_time(claims.ends, now)}")
    elif begins is not None and begins > now + SKEW:
        yield find("token.early", f"it begins {describe_time(begins, now)}")
    elif claims.ends is not None and claims.issued is not None:
        left, whole = claims.ends - now, claims.ends - claims.issued
        if left < LATE * whole:
            yield find("token.ends-soon", f"it ends {describe_time(claims.ends, now)}, of {whole / 60:.0f} min")


def describe_time(at: float, now: float) -> str:
    """As a date, and how far away."""
    away = abs(at - now)
    size, unit = next(((s, u) for s, u in ((86400, "d"), (3600, "h"), (60, "min")) if away >= 2 * s), (1, "s"))
    try:
        date = datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        date = f"{at:.0f}"
    return f"{date} ({f'in {away / size:.0f} {unit}' if at > now else f'{away / size:.0f} {unit} ago'})"
