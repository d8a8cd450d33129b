"""Kubernetes' protobuf: its envelope, and the twenty fields this library uses of its messages.

https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding; the numbers are those of generated.proto
in k8s.io/api/discovery/v1, k8s.io/api/core/v1 and k8s.io/apimachinery. Strings that JSON leaves out where they are
empty are None here as well, so that both codecs give equal objects.

Of a slice that is known from before only the endpoints that have changed are decoded (memory.py).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from membership.errors import BadAnswer
from membership.wire.codec import ListMetadata, demand_kind
from membership.wire.fields import (
    BYTES,
    PAIR,
    Message,
    as_dict,
    as_tuple,
    flag,
    integer,
    long,
    mapping,
    message,
    optional,
    place,
    run,
    text,
)
from membership.wire.framing import Frames, Framing
from membership.wire.memory import Seen
from membership.wire.objects import (
    Conditions,
    Endpoint,
    EndpointSlice,
    Metadata,
    OwnerReference,
    Port,
    Resource,
    TargetRef,
)
from membership.wire.shapes import (
    Cause,
    Details,
    EndpointAddress,
    Endpoints,
    Object,
    PortOfService,
    Service,
    ServiceMetadata,
    ServiceSpec,
    Status,
    Subset,
)

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_SLICE_METADATA, _SLICE_ENDPOINT = 1 << 3 | BYTES, 2 << 3 | BYTES
_EPOCH = datetime(1970, 1, 1)


class Protobuf:
    """The codec that kube-apiserver speaks with its own; `seen` outlives it, so that a new stream is quick at once."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def framing(self) -> Framing:
        return Frames()

    def list(self, body: bytes, resource: Resource) -> tuple[ListMetadata, Iterable[Object]]:
        kind, raw = _unwrap(body, 0, len(body))
        demand_kind(kind, f"{resource.kind}List")
        found = _LIST.read(raw)
        metadata = ListMetadata(**_LIST_METADATA.read(_demand(found, "metadata")))
        objects = [self._read(item, resource) for item in found.get("items", ())]
        if resource is Resource.ENDPOINTSLICES:
            self._seen.keep(object.metadata.name for object in objects)
        return metadata, objects

    def envelope(self, frame: bytes) -> tuple[str, Any]:
        found = _EVENT.read(frame)
        start, end = _demand(found, "object")
        start, end = _EVENT_OBJECT.read(frame, start, end).get("raw", (end, end))
        return _demand(found, "type"), (frame, start, end)

    def object(self, raw: Any, resource: Resource) -> Object:
        kind, data = _unwrap(*raw)
        demand_kind(kind, resource.kind)
        return self._read(data, resource)

    def bookmark(self, raw: Any) -> Metadata:
        return _metadata(_demand(_BOOKMARK.read(_unwrap(*raw)[1]), "metadata"))

    def status(self, raw: Any) -> tuple[Status, bytes]:
        data, start, end = (raw, 0, len(raw)) if isinstance(raw, bytes) else raw
        shown = data[start:end]
        try:
            kind, data = _unwrap(data, start, end)
            return Status(kind=kind, **(_STATUS.read(data) if kind == "Status" else {})), shown
        except BadAnswer:
            return Status(), shown

    def _read(self, data: bytes, resource: Resource) -> Object:
        if resource is Resource.ENDPOINTSLICES:
            return self._slice(data)
        return _service(data) if resource is Resource.SERVICES else _endpoints(data)

    def _slice(self, data: bytes) -> EndpointSlice:
        """Metadata first, then the endpoints, then the rest: as Go writes it. Another order is read all the same."""
        values, borders = run(data, _SLICE_METADATA)
        if len(values) == 1:
            metadata = self._seen.metadata(_METADATA.read(values[0]), _build_metadata)
            version = self._seen.read(metadata.name, data[borders[1] :], _SLICE_ENDPOINT, _endpoint, _SLICE.read)
            if version.rest.keys().isdisjoint(("metadata", "endpoints")):
                return _build_slice(metadata, version.endpoints, version.rest)
        found = _SLICE.read(data)
        endpoints = tuple(map(_endpoint, found.get("endpoints", ())))
        return _build_slice(_metadata(_demand(found, "metadata")), endpoints, found)


def _build_slice(metadata: Metadata, endpoints: tuple[Endpoint, ...], rest: dict[str, Any]) -> EndpointSlice:
    return EndpointSlice(metadata, _demand(rest, "address_type"), endpoints or None, as_tuple(rest.get("ports")))


def _unwrap(data: bytes, start: int, end: int) -> tuple[str, bytes]:
    """Kind and bytes of the object in a runtime.Unknown, as which all but the frames themselves come."""
    if not data.startswith(MAGIC, start, end):
        shown = " ".join(data[start : min(end, start + 200)].decode("utf-8", "replace").split())
        raise BadAnswer(f"not what Kubernetes sends: no protobuf object: {shown!r}")
    found = _UNKNOWN.read(data, start + len(MAGIC), end)
    if found.get("encoding") or found.get("type", MEDIA_TYPE) not in ("", MEDIA_TYPE):
        raise BadAnswer("not what Kubernetes sends: a protobuf object that holds another encoding")
    first, last = found.get("raw", (end, end))
    return found.get("kind", ""), data[first:last]


def _demand(found: dict[str, Any], name: str) -> Any:
    try:
        return found[name]
    except KeyError:
        raise BadAnswer(f"not what Kubernetes sends: an object without {name}") from None


def _metadata(data: bytes) -> Metadata:
    return _build_metadata(_METADATA.read(data))


def _build_metadata(found: dict[str, Any]) -> Metadata:
    labels, owners = found.get("labels"), found.get("owner_references")
    return Metadata(
        found.get("name", ""),
        found.get("namespace", ""),
        found.get("resource_version", ""),
        _time(found["creation_timestamp"]) if "creation_timestamp" in found else None,
        as_dict(None if labels is None else map(PAIR.read, labels)),
        as_tuple(None if owners is None else [OwnerReference(**_OWNER.read(data)) for data in owners]),
    )


def _time(data: bytes) -> str | None:
    """As JSON has it; None for Go's zero time, which is an empty message."""
    if not data:
        return None
    try:
        return (_EPOCH + timedelta(seconds=_TIME.read(data).get("seconds", 0))).isoformat() + "Z"
    except OverflowError:
        raise BadAnswer("not what Kubernetes sends: a time out of range") from None


def _endpoint(data: bytes) -> Endpoint:
    found = _ENDPOINT.read(data)
    return Endpoint(addresses=as_tuple(found.pop("addresses", None)), **found)


def _endpoints(data: bytes) -> Endpoints:
    found = _ENDPOINTS.read(data)
    return Endpoints(_metadata(_demand(found, "metadata")), as_tuple(found.get("subsets")))


def _subset(data: bytes) -> Subset:
    return Subset(**{name: tuple(values) for name, values in _SUBSET.read(data).items()})


def _service(data: bytes) -> Service:
    found = _SERVICE.read(data)
    metadata = _SERVICE_METADATA.read(_demand(found, "metadata"))
    annotations = as_dict(metadata.pop("annotations", None))
    return Service(ServiceMetadata(annotations=annotations, **metadata), found.get("spec"))


def _spec(data: bytes) -> ServiceSpec:
    found = _SPEC.read(data)
    return ServiceSpec(as_tuple(found.get("ports")), found.get("session_affinity"))


def _details(data: bytes) -> Details:
    found = _DETAILS.read(data)
    # JSON leaves out a zero (omitempty).
    return Details(as_tuple(found.get("causes")), found.get("retry_after_seconds") or None)


_TYPE = Message(text(2, "kind"))
_UNKNOWN = Message(
    message(1, "kind", lambda data: _TYPE.read(data).get("kind", "")),
    place(2, "raw"),
    text(3, "encoding"),
    text(4, "type"),
)
_EVENT, _EVENT_OBJECT = Message(text(1, "type"), place(2, "object")), Message(place(1, "raw"))
_BOOKMARK = Message(message(1, "metadata", bytes))
_LIST = Message(message(1, "metadata", bytes), message(2, "items", bytes, many=True))
_LIST_METADATA = Message(text(2, "resource_version"), optional(3, "continue_"))

_TIME = Message(long(1, "seconds"))
_OWNER = Message(text(1, "kind"), text(4, "uid"))
_NAMES = (text(1, "name"), text(3, "namespace"), text(6, "resource_version"))
_METADATA = Message(
    *_NAMES,
    message(8, "creation_timestamp", bytes),
    message(11, "labels", bytes, many=True),
    message(13, "owner_references", bytes, many=True),
)
"""What of it changes with an event is the resource version: the rest is compared as bytes, and seldom built anew."""

_PORT = Message(text(1, "name"), integer(3, "port"))
_SLICE = Message(
    message(1, "metadata", bytes),
    message(2, "endpoints", bytes, many=True),
    message(3, "ports", lambda data: Port(**_PORT.read(data)), many=True),
    text(4, "address_type"),
)
_CONDITIONS = Message(flag(1, "ready"), flag(2, "serving"), flag(3, "terminating"))
_TARGET = Message(optional(1, "kind"), optional(3, "name"), optional(4, "uid"))
_ENDPOINT = Message(
    text(1, "addresses", many=True),
    message(2, "conditions", lambda data: Conditions(**_CONDITIONS.read(data))),
    text(3, "hostname"),
    message(4, "target_ref", lambda data: TargetRef(**_TARGET.read(data))),
    text(6, "node_name"),
    text(7, "zone"),
)

_ENDPOINTS_PORT = Message(optional(1, "name"), integer(2, "port"))
_ADDRESS = Message(
    text(1, "ip"),
    message(2, "target_ref", lambda data: TargetRef(**_TARGET.read(data))),
    optional(3, "hostname"),
    text(4, "node_name"),
)
_SUBSET = Message(
    message(1, "addresses", lambda data: EndpointAddress(**_ADDRESS.read(data)), many=True),
    message(2, "not_ready_addresses", lambda data: EndpointAddress(**_ADDRESS.read(data)), many=True),
    message(3, "ports", lambda data: Port(**_ENDPOINTS_PORT.read(data)), many=True),
)
_ENDPOINTS = Message(message(1, "metadata", bytes), message(2, "subsets", _subset, many=True))

_SERVICE_PORT = Message(optional(1, "name"), optional(2, "protocol"), integer(3, "port"), text(6, "app_protocol"))
_SPEC = Message(
    message(1, "ports", lambda data: PortOfService(**_SERVICE_PORT.read(data)), many=True),
    optional(7, "session_affinity"),
)
_SERVICE = Message(message(1, "metadata", bytes), message(2, "spec", _spec))
_SERVICE_METADATA = Message(*_NAMES, mapping(12, "annotations"))

_CAUSE = Message(text(1, "reason"))
_DETAILS = Message(
    message(4, "causes", lambda data: Cause(**_CAUSE.read(data)), many=True), integer(5, "retry_after_seconds")
)
_STATUS = Message(text(3, "message"), text(4, "reason"), message(5, "details", _details), integer(6, "code"))
