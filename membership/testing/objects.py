"""Builders of the Kubernetes objects that a clustering Service consists of, as plain JSON dicts.

Pure: the same arguments give the same dict. Server-owned metadata (resourceVersion, uid, creationTimestamp,
generation) is added by `history.History.put`.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

SERVICE_LABEL: Final = "kubernetes.io/service-name"
MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
CONTROLLER: Final = "endpointslice-controller.k8s.io"
ENDPOINTS_CAPACITY: Final = 1000
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"

_UID_SPACE: Final = uuid.UUID("6b1f1c8e-4f5e-4f0a-9a63-1f6c6e0f7d11")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One served resource: its API group ("" is core), apiVersion and kind."""

    plural: str
    group: str
    api_version: str
    kind: str

    @property
    def qualified(self) -> str:
        """The name used in error messages, e.g. `endpointslices.discovery.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


RESOURCES: Final[Mapping[str, ResourceType]] = MappingProxyType(
    {
        kind.plural: kind
        for kind in (
            ResourceType("endpointslices", "discovery.k8s.io", "discovery.k8s.io/v1", "EndpointSlice"),
            ResourceType("endpoints", "", "v1", "Endpoints"),
            ResourceType("services", "", "v1", "Service"),
            ResourceType("configmaps", "", "v1", "ConfigMap"),
        )
    }
)


def derive_uid(text: str) -> str:
    """A UID that is always the same for `text`."""
    return str(uuid.uuid5(_UID_SPACE, text))


def address_family(address: str) -> str:
    """`IPv4` or `IPv6`. Raises ValueError for anything that is not an IP address."""
    return f"IPv{ipaddress.ip_address(address).version}"


@dataclass(frozen=True)
class Pod:
    """One pod behind a Service.

    `address` is the main IP, `addresses` holds those of further families. `name` is derived from the address
    and `uid` from the name where they are not given. `ready` is the pod's Ready condition, `terminating`
    means that its deletion has begun. Raises ValueError for an address that is not an IP.
    """

    address: str
    name: str = ""
    uid: str | None = None
    ready: bool = True
    terminating: bool = False
    node: str | None = "n1"
    zone: str | None = None
    hostname: str | None = None
    addresses: Sequence[str] = ()

    def __post_init__(self) -> None:
        for address in (self.address, *self.addresses):
            address_family(address)
        if not self.name:
            object.__setattr__(self, "name", "pod-" + self.address.replace(".", "-").replace(":", "-"))
        if self.uid is None:
            object.__setattr__(self, "uid", derive_uid(f"pod/{self.name}"))

    def address_in(self, family: str) -> str | None:
        """The pod's first address in `family`, or None."""
        return next((a for a in (self.address, *self.addresses) if address_family(a) == family), None)


def build_service(
    namespace: str,
    name: str,
    *,
    ports: Mapping[str, int | None],
    families: Sequence[str],
    publish_not_ready: bool,
    headless: bool,
    annotations: Mapping[str, str] = MappingProxyType({}),
    exposed: Mapping[str, int] = MappingProxyType({}),
    session_affinity: str = "None",
) -> Json:
    """A minimal v1 Service; `exposed` are its own ports by name, where they are not those of its pods."""
    ip = "None" if headless else "10.96.0.10"
    metadata: Json = {"name": name, "namespace": namespace, "labels": {"app": name}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "selector": {"app": name},
            "ports": [
                port
                | {"targetPort": port.get("port")}
                | ({"port": exposed[port["name"]]} if port["name"] in exposed else {})
                for port in build_ports(ports)
            ],
            "sessionAffinity": session_affinity,
            "publishNotReadyAddresses": publish_not_ready,
            "ipFamilies": list(families),
            "ipFamilyPolicy": "SingleStack" if len(families) == 1 else "RequireDualStack",
        },
        "status": {"loadBalancer": {}},
    }


def build_ports(ports: Mapping[str, int | None]) -> list[Json]:
    """The `ports` list of a slice or a subset, from name to number (None leaves the number out)."""
    return [
        {"name": name, "protocol": "TCP", **({} if number is None else {"port": number})}
        for name, number in ports.items()
    ]


def build_endpoint(pod: Pod, namespace: str, family: str, publish_not_ready: bool) -> Json:
    """One `endpoints[]` entry of a slice, with the conditions the controller would set."""
    endpoint: Json = {
        "addresses": [pod.address_in(family)],
        "conditions": {
            "ready": publish_not_ready or (pod.ready and not pod.terminating),
            "serving": pod.ready,
            "terminating": pod.terminating,
        },
    }
    if pod.hostname is not None:
        endpoint["hostname"] = pod.hostname
    endpoint["targetRef"] = _reference(pod, namespace)
    if pod.node is not None:
        endpoint["nodeName"] = pod.node
    if pod.zone is not None:
        endpoint["zone"] = pod.zone
    return endpoint


def build_slice(service: Json, slice_name: str, family: str, endpoints: Iterable[Json], ports: Sequence[Json]) -> Json:
    """An EndpointSlice owned by `service` (a stored Service with a uid)."""
    metadata = service["metadata"]
    labels = {MANAGED_BY_LABEL: CONTROLLER, SERVICE_LABEL: metadata["name"]}
    if service["spec"]["clusterIP"] == "None":
        labels[HEADLESS_LABEL] = ""
    return {
        "metadata": {
            "name": slice_name,
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": list(ports),
    }


def build_endpoints(service: Json, pods: Iterable[Pod], ports: Sequence[Json]) -> Json:
    """The v1 Endpoints object of `service`: its first family, ready addresses first, cut at 1000."""
    metadata, spec = service["metadata"], service["spec"]
    family, everyone = spec["ipFamilies"][0], spec["publishNotReadyAddresses"]
    listed = [pod for pod in pods if pod.address_in(family) and (everyone or not pod.terminating)]
    listed.sort(key=lambda pod: ipaddress.ip_address(pod.address_in(family) or "").packed)
    ready = [pod for pod in listed if everyone or pod.ready]
    waiting = [pod for pod in listed if not (everyone or pod.ready)]
    kept, kept_waiting = ready[:ENDPOINTS_CAPACITY], waiting[: max(0, ENDPOINTS_CAPACITY - len(ready))]
    result: Json = {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {**metadata.get("labels", {}), "endpoints.kubernetes.io/managed-by": "endpoint-controller"},
        }
    }
    if spec["clusterIP"] == "None":
        result["metadata"]["labels"][HEADLESS_LABEL] = ""
    if len(listed) > ENDPOINTS_CAPACITY:
        result["metadata"]["annotations"] = {OVER_CAPACITY: "truncated"}
    namespace = metadata["namespace"]
    subset: Json = {
        key: [_endpoint_address(pod, namespace, family) for pod in some]
        for key, some in (("addresses", kept), ("notReadyAddresses", kept_waiting))
        if some
    }
    if subset:
        result["subsets"] = [{**subset, **({"ports": list(ports)} if ports else {})}]
    return result


def build_stray(resource: str) -> Json:
    """An object of `resource` that belongs to nothing, in the namespace `elsewhere`."""
    value: Json = {"metadata": {"name": "stray", "namespace": "elsewhere"}}
    if resource == "endpointslices":
        value |= {"addressType": "IPv4", "endpoints": [], "ports": []}
    return value


def _endpoint_address(pod: Pod, namespace: str, family: str) -> Json:
    address: Json = {"ip": pod.address_in(family)}
    if pod.hostname is not None:
        address["hostname"] = pod.hostname
    if pod.node is not None:
        address["nodeName"] = pod.node
    return {**address, "targetRef": _reference(pod, namespace)}


def _reference(pod: Pod, namespace: str) -> Json:
    return {"kind": "Pod", "namespace": namespace, "name": pod.name, "uid": pod.uid}
