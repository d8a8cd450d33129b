"""A clustering Service in the history: Service, EndpointSlices and Endpoints, kept as the controllers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .controller import plan_slices
from .history import History
from .objects import Json, Pod, address_family, build_endpoints, build_ports, build_service


def write_service(
    history: History,
    namespace: str,
    name: str,
    pods: Sequence[Pod],
    *,
    ports: Mapping[str, int | None],
    per_slice: int,
    publish_not_ready: bool,
    headless: bool,
    families: Sequence[str] | None,
    annotations: Mapping[str, str],
    exposed: Mapping[str, int],
    session_affinity: str,
) -> None:
    """Write what differs from `pods`. `families` None: those of pods and Service so far, else IPv4."""
    with history.lock:
        old = history.get("services", namespace, name)
        used = families or _families(pods, old.value if old else None)
        wanted = build_service(
            namespace,
            name,
            ports=ports,
            families=used,
            headless=headless,
            publish_not_ready=publish_not_ready,
            annotations=annotations,
            exposed=exposed,
            session_affinity=session_affinity,
        )
        if old is None or _said(old.value) != _said(wanted):
            old = history.put("services", wanted)
        service = old.value
        for family in ("IPv4", "IPv6"):
            existing = _owned_slices(history, service, family)
            if family in used:
                plan = plan_slices(service, family, pods, build_ports(ports), existing, per_slice)
                puts, deletes = plan.puts, plan.deletes
            else:
                puts, deletes = (), tuple(old["metadata"]["name"] for old in existing)
            for value in puts:
                history.put("endpointslices", value)
            for slice_name in deletes:
                history.delete("endpointslices", namespace, slice_name)
        endpoints = build_endpoints(service, pods, build_ports(ports))
        before = history.get("endpoints", namespace, name)
        if before is None or not _same_endpoints(before.value, endpoints):
            history.put("endpoints", endpoints)


def _said(service: Json) -> tuple[object, object]:
    """What a user writes into a Service, and may change."""
    return service["spec"], service["metadata"].get("annotations")


def remove_service(history: History, namespace: str, name: str, *, leave_slices: bool) -> None:
    """Delete Service, Endpoints and (without `leave_slices`) slices. Raises KeyError if there is none."""
    with history.lock:
        service = history.get("services", namespace, name)
        history.delete("services", namespace, name)
        if history.get("endpoints", namespace, name) is not None:
            history.delete("endpoints", namespace, name)
        if service is not None and not leave_slices:
            for old in _owned_slices(history, service.value):
                history.delete("endpointslices", namespace, old["metadata"]["name"])


def _owned_slices(history: History, service: Json, family: str | None = None) -> list[Json]:
    metadata = service["metadata"]
    stored, _ = history.objects("endpointslices", metadata["namespace"])
    return [
        one.value
        for one in stored
        if family in (None, one.value.get("addressType"))
        and any(owner.get("uid") == metadata["uid"] for owner in one.value["metadata"].get("ownerReferences") or [])
    ]


def _families(pods: Sequence[Pod], service: Json | None) -> list[str]:
    found = list(service["spec"]["ipFamilies"]) if service else []
    found += [address_family(address) for pod in pods for address in (pod.address, *pod.addresses)]
    return list(dict.fromkeys(found)) or ["IPv4"]


def _same_endpoints(old: Json, new: Json) -> bool:
    parts = ("labels", "annotations")
    return old.get("subsets") == new.get("subsets") and all(
        old["metadata"].get(part) == new["metadata"].get(part) for part in parts
    )
