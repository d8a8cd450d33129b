"""Kubernetes' JSON, straight into the few fields this library uses.

Unknown fields are skipped and null lists are empty lists, both of which the API allows
(https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/).
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from membership.errors import BadAnswer
from membership.wire.codec import ListMetadata, demand_kind
from membership.wire.framing import Framing, Lines
from membership.wire.objects import EndpointSlice, Metadata, Resource, Struct
from membership.wire.shapes import Endpoints, Object, Service, Status


class _SliceList(Struct, frozen=True):
    metadata: ListMetadata
    items: tuple[EndpointSlice, ...] | None = None


class _EndpointsList(Struct, frozen=True):
    metadata: ListMetadata
    items: tuple[Endpoints, ...] | None = None


class _ServiceList(Struct, frozen=True):
    metadata: ListMetadata
    items: tuple[Service, ...] | None = None


class _Kind(Struct, frozen=True):
    kind: str = ""


class _Line(Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Bookmark(Struct, frozen=True):
    metadata: Metadata
    kind: str = ""


class _EndpointsObject(Endpoints, frozen=True):
    kind: str = ""


class _ServiceObject(Service, frozen=True):
    kind: str = ""


# Decoders hold a compiled schema and no state: building one per line would cost more than the decoding.
_KIND = msgspec.json.Decoder(_Kind)
_LINE = msgspec.json.Decoder(_Line)
_STATUS = msgspec.json.Decoder(Status)
_BOOKMARK = msgspec.json.Decoder(_Bookmark)
_SLICE_LIST = msgspec.json.Decoder(_SliceList)
_SLICE = msgspec.json.Decoder(EndpointSlice)
_ENDPOINTS_LIST = msgspec.json.Decoder(_EndpointsList)
_ENDPOINTS = msgspec.json.Decoder(_EndpointsObject)
_SERVICE_LIST = msgspec.json.Decoder(_ServiceList)
_SERVICE = msgspec.json.Decoder(_ServiceObject)

_T = TypeVar("_T")


class Json:
    """The codec that every server and proxy knows."""

    def framing(self) -> Framing:
        return Lines()

    def list(self, body: bytes, resource: Resource) -> tuple[ListMetadata, Iterable[Object]]:
        _demand_utf8(body)
        demand_kind(_decode(_KIND, body).kind, f"{resource.kind}List")
        if resource is Resource.ENDPOINTSLICES:
            slices = _decode(_SLICE_LIST, body)
            return slices.metadata, slices.items or ()
        if resource is Resource.SERVICES:
            services = _decode(_SERVICE_LIST, body)
            return services.metadata, services.items or ()
        endpoints = _decode(_ENDPOINTS_LIST, body)
        return endpoints.metadata, endpoints.items or ()

    def envelope(self, frame: bytes) -> tuple[str, Any]:
        _demand_utf8(frame)
        line = _decode(_LINE, frame)
        return line.type, line.object

    def object(self, raw: Any, resource: Resource) -> Object:
        if resource is Resource.ENDPOINTSLICES:
            # No look at its kind: addressType, which only a slice has, is demanded by the decoder.
            return _decode(_SLICE, raw)
        if resource is Resource.SERVICES:
            service = _decode(_SERVICE, raw)
            demand_kind(service.kind, resource.kind)
            return service
        endpoints = _decode(_ENDPOINTS, raw)
        demand_kind(endpoints.kind, resource.kind)
        return endpoints

    def bookmark(self, raw: Any) -> Metadata:
        return _decode(_BOOKMARK, raw).metadata

    def status(self, raw: Any) -> tuple[Status, bytes]:
        try:
            return _decode(_STATUS, raw), bytes(raw)
        except BadAnswer:
            return Status(), bytes(raw)


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
