"""What the endpointslice controller would write: how pods are packed into slices, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .objects import Json, Pod, build_endpoint, build_slice

# The alphabet of Kubernetes' generated names: no vowels, no look-alikes.
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Plan:
    """Slices to write (creates before updates) and names of slices to delete, in that order."""

    puts: tuple[Json, ...]
    deletes: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    name: str
    endpoints: list[Json]
    old: Json | None = None
    changed: bool = field(default=False)


def slice_name(service: Json, family: str, index: int) -> str:
    """`<service>-<5 characters>`: the same for the same Service uid, family and index."""
    metadata = service["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']}/{family}/{index}".encode()).digest()
    return f"{metadata['name']}-" + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:5])


def plan_slices(
    service: Json, family: str, pods: Iterable[Pod], ports: Sequence[Json], existing: Sequence[Json], per_slice: int
) -> Plan:
    """The writes that bring `existing` (this Service's slices of `family`) to `pods`, without rebalancing.

    As in the real one: pods stay in their slice; new pods first fill slices that change anyway, then the
    fullest other slice with room for all of them, then new slices. A slice that ran empty goes, unless it
    is the last one: that becomes the placeholder. A slice with other ports is rewritten in place.
    """
    namespace, publish = service["metadata"]["namespace"], service["spec"]["publishNotReadyAddresses"]
    wanted = {
        _identity(endpoint): endpoint
        for pod in pods
        if pod.address_in(family)
        for endpoint in (build_endpoint(pod, namespace, family, publish),)
    }
    drafts, spare = _keep(wanted, ports, existing)
    fresh = _place(wanted, drafts, per_slice)
    emptied = [draft.old for draft in drafts if not draft.endpoints and draft.old is not None]
    spare = [*spare, *emptied]
    drafts = [draft for draft in drafts if draft.endpoints]
    final_ports: Sequence[Json] = ports
    if not drafts and not fresh:
        fresh, final_ports = [[]], ()
    taken = {old["metadata"]["name"] for old in existing}
    creates: list[Json] = []
    updates = [build_slice(service, draft.name, family, draft.endpoints, ports) for draft in drafts]
    for endpoints in fresh:
        if spare:
            name, target = spare.pop(0)["metadata"]["name"], updates
        else:
            name, target = _free_name(service, family, taken), creates
            taken.add(name)
        target.append(build_slice(service, name, family, endpoints, final_ports))
    known = {old["metadata"]["name"]: old for old in existing}
    changed = [new for new in updates if not _same(known[new["metadata"]["name"]], new)]
    return Plan((*creates, *changed), tuple(old["metadata"]["name"] for old in spare))


def _keep(wanted: dict[str, Json], ports: Sequence[Json], existing: Sequence[Json]) -> tuple[list[_Draft], list[Json]]:
    """Slices with what stays in them (taken out of `wanted`), and those whose ports no longer fit."""
    drafts: list[_Draft] = []
    spare: list[Json] = []
    for old in existing:
        if list(old.get("ports") or []) != list(ports) or not old.get("endpoints"):
            spare.append(old)
            continue
        kept = [wanted.pop(key) for endpoint in old["endpoints"] if (key := _identity(endpoint)) in wanted]
        drafts.append(_Draft(old["metadata"]["name"], kept, old, kept != old["endpoints"]))
    return drafts, spare


def _place(wanted: dict[str, Json], drafts: list[_Draft], per_slice: int) -> list[list[Json]]:
    """Put the remaining endpoints into drafts with room; what is left comes back as new slices."""
    queue = list(wanted.values())
    for draft in sorted((d for d in drafts if d.changed and d.endpoints), key=lambda d: -len(d.endpoints)):
        room = max(0, per_slice - len(draft.endpoints))
        draft.endpoints.extend(queue[:room])
        del queue[:room]
    fresh: list[list[Json]] = []
    while queue:
        roomy = [
            draft
            for draft in drafts
            if draft.endpoints and not draft.changed and len(draft.endpoints) + len(queue) <= per_slice
        ]
        if len(queue) < per_slice and roomy:
            max(roomy, key=lambda d: len(d.endpoints)).endpoints.extend(queue)
            break
        fresh.append(queue[:per_slice])
        del queue[:per_slice]
    return fresh


def _free_name(service: Json, family: str, taken: set[str]) -> str:
    index = 0
    while (name := slice_name(service, family, index)) in taken:
        index += 1
    return name


def _identity(endpoint: Json) -> str:
    return f"{endpoint['targetRef']['uid']}/{endpoint['addresses'][0]}"


def _same(old: Json, new: Json) -> bool:
    fields = ("addressType", "endpoints", "ports")
    same_labels = bool(old["metadata"].get("labels") == new["metadata"]["labels"])
    return same_labels and all(old.get(key) == new.get(key) for key in fields)
