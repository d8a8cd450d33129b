"""What the API server's answers say, in the few fields that this library uses, whichever codec they came in."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from membership.model import ServiceDefinition

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name"""
_MOST_DIGITS = 40
"""etcd's revisions have 64 bits; int() takes quadratic time and refuses more than 4300 digits."""


class Resource(StrEnum):
    """The two resources that name a Service's addresses, and Services; the value is the plural in URLs and RBAC."""

    ENDPOINTSLICES = "endpointslices"
    ENDPOINTS = "endpoints"
    SERVICES = "services"

    @property
    def group(self) -> str:
        return "discovery.k8s.io" if self is Resource.ENDPOINTSLICES else ""

    @property
    def kind(self) -> str:
        return _KINDS[self]

    @property
    def qualified(self) -> str:
        """The name the API server uses in its own messages."""
        return f"{self.value}.{self.group}" if self.group else self.value


_KINDS = {Resource.ENDPOINTSLICES: "EndpointSlice", Resource.ENDPOINTS: "Endpoints", Resource.SERVICES: "Service"}


class Struct(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Fields as Kubernetes names them in JSON; without cycles, so the garbage collector need not look at them."""


class Conditions(Struct, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class TargetRef(Struct, frozen=True):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None


class Endpoint(Struct, frozen=True):
    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: TargetRef | None = None


class Port(Struct, frozen=True):
    name: str | None = None
    port: int | None = None


class OwnerReference(Struct, frozen=True):
    kind: str = ""
    uid: str = ""


class Metadata(Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class EndpointSlice(Struct, frozen=True):
    metadata: Metadata
    address_type: str
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[Port, ...] | None = None

    @property
    def service(self) -> str:
        """The Service's name, by label alone: a slice's own name says nothing (watch.md section 2)."""
        return (self.metadata.labels or {}).get(SERVICE_NAME_LABEL, "")

    @property
    def owner_uid(self) -> str:
        """The uid of the owning Service; "" for slices made by users or third parties."""
        for owner in self.metadata.owner_references or ():
            if owner.kind == "Service":
                return owner.uid
        return ""


@dataclass(frozen=True, slots=True)
class Item:
    """One object of the API server: its name, and the slices it amounts to (several for a v1 Endpoints object).

    A Service has no slices and a `definition` in their place.
    """

    name: str
    slices: tuple[EndpointSlice, ...]
    definition: ServiceDefinition | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole list answer and the resource version it is true at."""

    resource_version: str
    items: tuple[Item, ...]


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch; `item` is None for a bookmark, which carries a resource version and nothing else."""

    type: EventType
    resource_version: str
    item: Item | None


def newer(version: str, than: str) -> bool | None:
    """Whether resource version `version` is newer than `than`; None where they cannot be compared."""
    ours, others = number(version), number(than)
    return None if ours is None or others is None else ours > others


def number(version: str) -> int | None:
    """A resource version as the ordered integer it is, officially since 1.35; None for anything else.

    https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version
    """
    return int(version) if version.isascii() and version.isdigit() and len(version) <= _MOST_DIGITS else None
