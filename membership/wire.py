"""Kubernetes' JSON, and only here: list answers and watch lines become slices and events.

Decodes straight into the few fields this library uses; unknown fields are skipped and null lists are empty lists, both
of which the API allows (https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/).
A v1 Endpoints object is turned into the slices that would say the same, so that nothing behind this file knows which
of the two was asked for. A second codec would stand behind the same two functions, `decode_list` and `decode_event`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

from membership.errors import ApiError, BadAnswer, TooLarge, by_status
from membership.model import ServiceDefinition, ServicePort

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name"""
ANNOTATIONS = "serviceloadbalancer/"
"""What the annotations of a Service that are kept begin with: those of Kubernetes' old Service LoadBalancer."""


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
        kinds = {"endpointslices": "EndpointSlice", "endpoints": "Endpoints", "services": "Service"}
        return kinds[self.value]

    @property
    def qualified(self) -> str:
        """The name the API server uses in its own messages."""
        return f"{self.value}.{self.group}" if self.group else self.value


class _Struct(msgspec.Struct, frozen=True, rename="camel", gc=False):
    pass


class Conditions(_Struct, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class TargetRef(_Struct, frozen=True):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None


class Endpoint(_Struct, frozen=True):
    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    target_ref: TargetRef | None = None


class Port(_Struct, frozen=True):
    name: str | None = None
    port: int | None = None


class OwnerReference(_Struct, frozen=True):
    kind: str = ""
    uid: str = ""


class Metadata(_Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class EndpointSlice(_Struct, frozen=True):
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
    """One watch line; `item` is None for a bookmark, which carries a resource version and nothing else."""

    type: EventType
    resource_version: str
    item: Item | None


class _EndpointAddress(_Struct, frozen=True):
    ip: str = ""
    hostname: str | None = None
    node_name: str | None = None
    target_ref: TargetRef | None = None


class _Subset(_Struct, frozen=True):
    addresses: tuple[_EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[_EndpointAddress, ...] | None = None
    ports: tuple[Port, ...] | None = None


class _Endpoints(_Struct, frozen=True):
    metadata: Metadata
    subsets: tuple[_Subset, ...] | None = None


class _ServiceMetadata(Metadata, frozen=True):
    annotations: dict[str, str] | None = None


class _ServicePort(_Struct, frozen=True):
    port: int | None = None
    name: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class _ServiceSpec(_Struct, frozen=True):
    ports: tuple[_ServicePort, ...] | None = None
    session_affinity: str | None = None


class _Service(_Struct, frozen=True):
    metadata: _ServiceMetadata
    spec: _ServiceSpec | None = None


class _ListMetadata(_Struct, frozen=True):
    resource_version: str = ""
    continue_: str | None = msgspec.field(name="continue", default=None)


class _SliceList(_Struct, frozen=True):
    metadata: _ListMetadata
    items: tuple[EndpointSlice, ...] | None = None


class _EndpointsList(_Struct, frozen=True):
    metadata: _ListMetadata
    items: tuple[_Endpoints, ...] | None = None


class _ServiceList(_Struct, frozen=True):
    metadata: _ListMetadata
    items: tuple[_Service, ...] | None = None


class _Kind(_Struct, frozen=True):
    kind: str = ""


class _Line(_Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Bookmark(_Struct, frozen=True):
    metadata: Metadata
    kind: str = ""


class _EndpointsObject(_Endpoints, frozen=True):
    kind: str = ""


class _ServiceObject(_Service, frozen=True):
    kind: str = ""


class _Cause(_Struct, frozen=True):
    reason: str = ""


class _Details(_Struct, frozen=True):
    causes: tuple[_Cause, ...] | None = None
    retry_after_seconds: int | None = None


class _Status(_Struct, frozen=True):
    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


# Decoders hold a compiled schema and no state: building one per line would cost more than the decoding.
_KIND = msgspec.json.Decoder(_Kind)
_LINE = msgspec.json.Decoder(_Line)
_STATUS = msgspec.json.Decoder(_Status)
_BOOKMARK = msgspec.json.Decoder(_Bookmark)
_SLICE_LIST = msgspec.json.Decoder(_SliceList)
_SLICE = msgspec.json.Decoder(EndpointSlice)
_ENDPOINTS_LIST = msgspec.json.Decoder(_EndpointsList)
_ENDPOINTS = msgspec.json.Decoder(_EndpointsObject)
_SERVICE_LIST = msgspec.json.Decoder(_ServiceList)
_SERVICE = msgspec.json.Decoder(_ServiceObject)

_MOST_DIGITS = 40
"""etcd's revisions have 64 bits; int() takes quadratic time and refuses more than 4300 digits."""

_T = TypeVar("_T")


def decode_list(body: bytes, resource: Resource) -> Listing:
    """A LIST answer.

    Raises BadAnswer unless `body` is the whole list of just this kind, with a resource version: anything less, such as
    the `{}` of a confused proxy, would read as "no members at all", and the first page of a list, which we never ask
    for, as "no more than these".
    """
    _demand_utf8(body)
    expected = f"{resource.kind}List"
    kind = _decode(_KIND, body).kind
    if kind != expected:
        raise BadAnswer(f"the answer is of kind {kind!r}, not {expected!r}")
    if resource is Resource.ENDPOINTSLICES:
        slices = _decode(_SLICE_LIST, body)
        metadata, items = slices.metadata, tuple(_slice_item(slice) for slice in slices.items or ())
    elif resource is Resource.SERVICES:
        services = _decode(_SERVICE_LIST, body)
        metadata, items = services.metadata, tuple(_service_item(item) for item in services.items or ())
    else:
        endpoints = _decode(_ENDPOINTS_LIST, body)
        metadata, items = endpoints.metadata, tuple(_endpoints_item(item) for item in endpoints.items or ())
    if not metadata.resource_version:
        raise BadAnswer(f"the {expected} has no resourceVersion")
    if metadata.continue_:
        raise BadAnswer(f"the {expected} is only the first page of a list that was asked for whole")
    return Listing(metadata.resource_version, items)


def decode_event(line: bytes, resource: Resource) -> Event:
    """One line of a watch stream.

    Raises BadAnswer for what is no watch event of this kind, and for an ERROR event the error that its Status names:
    Expired for 410, Throttled for 429 and so on.
    """
    _demand_utf8(line)
    envelope = _decode(_LINE, line)
    if envelope.type == "ERROR":
        raise decode_status(bytes(envelope.object), 500)
    if envelope.type == EventType.BOOKMARK:
        bookmark = _decode(_BOOKMARK, envelope.object)
        return Event(EventType.BOOKMARK, _version(bookmark.metadata), None)
    if envelope.type not in EventType.__members__:
        raise BadAnswer(f"unknown watch event type {envelope.type[:40]!r}")
    if resource is Resource.ENDPOINTSLICES:
        # No look at its kind: addressType, which only a slice has, is demanded by the decoder.
        slice = _decode(_SLICE, envelope.object)
        return Event(EventType(envelope.type), _version(slice.metadata), _slice_item(slice))
    if resource is Resource.SERVICES:
        service = _decode(_SERVICE, envelope.object)
        if service.kind != resource.kind:
            raise BadAnswer(f"the watch sent a {service.kind!r}, not a {resource.kind!r}")
        return Event(EventType(envelope.type), _version(service.metadata), _service_item(service))
    endpoints = _decode(_ENDPOINTS, envelope.object)
    if endpoints.kind != resource.kind:
        raise BadAnswer(f"the watch sent a {endpoints.kind!r}, not a {resource.kind!r}")
    return Event(EventType(envelope.type), _version(endpoints.metadata), _endpoints_item(endpoints))


def decode_status(body: bytes, code: int) -> ApiError:
    """The error behind an answer with HTTP status `code`, or behind an ERROR event, whose own code then counts.

    The text is the server's own where `body` is a Kubernetes Status, else the first 200 characters of what came: a
    proxy's page, or what API Priority and Fairness says, which kube-apiserver writes as plain text with its 429.
    """
    try:
        status = _decode(_STATUS, body)
    except BadAnswer:
        status = _Status()
    if status.kind != "Status":
        shown = " ".join(body[:200].decode("utf-8", "replace").split())
        return by_status(code)(f"HTTP {code}, and no Status: {shown!r}" if shown else f"HTTP {code}")
    code = status.code or code
    details = status.details or _Details()
    retry_after = None if details.retry_after_seconds is None else float(details.retry_after_seconds)
    too_large = any(cause.reason == "ResourceVersionTooLarge" for cause in details.causes or ())
    # Servers before 1.19 give no cause; client-go matches the text for them as well.
    if code == 504 and (too_large or "Too large resource version" in status.message):
        return TooLarge(status.message, retry_after=retry_after)
    return by_status(code)(f"{code} {status.reason}: {status.message}", retry_after=retry_after)


def newer(version: str, than: str) -> bool | None:
    """Whether resource version `version` is newer than `than`; None where they cannot be compared."""
    ours, others = number(version), number(than)
    return None if ours is None or others is None else ours > others


def number(version: str) -> int | None:
    """A resource version as the ordered integer it is, officially since 1.35; None for anything else.

    https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version
    """
    return int(version) if version.isascii() and version.isdigit() and len(version) <= _MOST_DIGITS else None


def _demand_utf8(data: bytes) -> None:
    """JSON is UTF-8 (RFC 8259 section 8.1), and the decoder checks only what it takes.

    A field whose name was damaged would be skipped as unknown: `endpoints` left out reads as a slice without any.
    """
    try:
        str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise BadAnswer(f"not what Kubernetes sends: {error.reason} at byte {error.start}") from error


def _decode(decoder: "msgspec.json.Decoder[_T]", data: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        shown = " ".join(bytes(data)[:200].decode("utf-8", "replace").split())
        raise BadAnswer(f"not what Kubernetes sends: {error}: {shown!r}") from error


def _version(metadata: Metadata) -> str:
    if not metadata.resource_version:
        raise BadAnswer("the watch sent an object without a resourceVersion")
    return metadata.resource_version


def _slice_item(slice: EndpointSlice) -> Item:
    return Item(slice.metadata.name, (slice,))


def _service_item(service: _Service) -> Item:
    metadata, spec = service.metadata, service.spec or _ServiceSpec()
    definition = ServiceDefinition(
        namespace=metadata.namespace,
        name=metadata.name,
        ports=tuple(
            ServicePort(port.name or "", port.port, port.protocol or "TCP", port.app_protocol or "")
            for port in spec.ports or ()
            if port.port
        ),
        by_client=spec.session_affinity == "ClientIP",
        annotations={
            key.removeprefix(ANNOTATIONS): value
            for key, value in (metadata.annotations or {}).items()
            if key.startswith(ANNOTATIONS)
        },
    )
    return Item(metadata.name, (), definition)


def _endpoints_item(endpoints: _Endpoints) -> Item:
    """One slice per subset and family; one without endpoints where there is no subset: the Service exists, empty."""
    name = endpoints.metadata.name
    metadata = Metadata(
        name=name,
        namespace=endpoints.metadata.namespace,
        resource_version=endpoints.metadata.resource_version,
        labels={SERVICE_NAME_LABEL: name},
    )
    slices = []
    for subset in endpoints.subsets or ():
        families: dict[str, list[Endpoint]] = {}
        for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses)):
            for address in addresses or ():
                family = "IPv6" if ":" in address.ip else "IPv4"
                families.setdefault(family, []).append(_endpoint(address, ready))
        for family, found in families.items():
            slices.append(EndpointSlice(metadata, family, tuple(found), subset.ports))
    return Item(name, tuple(slices) or (EndpointSlice(metadata, "IPv4"),))


def _endpoint(address: _EndpointAddress, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(address.ip,),
        conditions=Conditions(ready=ready, serving=ready, terminating=False),
        hostname=address.hostname,
        node_name=address.node_name,
        target_ref=address.target_ref,
    )
