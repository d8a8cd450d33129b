"""`prometheus-sd`: targets for Prometheus' file and HTTP service discovery.

https://prometheus.io/docs/prometheus/latest/http_sd/#http_sd-format: label values are strings, always the whole list.
"""

import msgspec

from membership.model import Member, Snapshot


def render_prometheus_sd(snapshot: Snapshot) -> bytes | None:
    """One target group for each `host:port`, labelled with what is known of the first member that has it."""
    first: dict[str, Member] = {}
    for member in snapshot.members:
        if member.endpoint is not None:
            first.setdefault(member.endpoint, member)
    groups = [{"targets": [endpoint], "labels": _labels(member)} for endpoint, member in first.items()]
    return msgspec.json.encode(groups) + b"\n" if groups else None


def _labels(member: Member) -> dict[str, str]:
    labels = {
        "namespace": member.namespace,
        "service": member.service,
        "pod": member.name,
        "node": member.node,
        "zone": member.zone,
        "serving": "true" if member.serving else "false",
        "terminating": "true" if member.terminating else "false",
    }
    return {f"__meta_membership_{name}": value for name, value in labels.items() if value is not None}
