"""Small builders for tests of formats: members and snapshots of ordinary pods."""

from collections.abc import Mapping
from typing import Any

from membership.model import Member, Snapshot


def member(*addresses: str, port: int | None = 4000, **more: Any) -> Member:
    """A ready pod with these addresses."""
    name = f"is-{addresses[0].replace(':', '.').rsplit('.', 1)[-1]}"
    fields: Mapping[str, Any] = {
        "address": addresses[0],
        "port": port,
        "addresses": addresses,
        "service": "is",
        "namespace": "wso2",
        "name": name,
        "uid": f"uid-{name}",
        "ready": True,
        "serving": True,
        "terminating": False,
        "node": "n1",
        "zone": None,
        "hostname": None,
        "ports": {} if port is None else {"hazelcast": port},
    }
    return Member(**{**fields, **more})


def snapshot(*members: Member | str, generation: int = 7) -> Snapshot:
    """A fresh list of these members, or of pods with these addresses."""
    return Snapshot(
        generation=generation,
        epoch="e",
        synced=True,
        stale=False,
        age_seconds=0.0,
        source="endpointslices",
        services=("wso2/is",),
        unknown_services=(),
        resource_versions={"wso2": "1"},
        members=tuple(member(one) if isinstance(one, str) else one for one in members),
    )
