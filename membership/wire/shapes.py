"""The objects that codecs read besides slices, and what becomes of them: slices, definitions of Services, errors."""

from membership.errors import ApiError, TooLarge, by_status
from membership.model import ServiceDefinition, ServicePort
from membership.wire.objects import (
    SERVICE_NAME_LABEL,
    Conditions,
    Endpoint,
    EndpointSlice,
    Item,
    Metadata,
    Port,
    Struct,
    TargetRef,
)

ANNOTATIONS = "serviceloadbalancer/"
"""What the annotations of a Service that are kept begin with: those of Kubernetes' old Service LoadBalancer."""

RETRY_AFTER_MOST = 86_400
"""Seconds, more than anyone waits: a number in JSON may have any length, and not all of them are floats."""
_CODES = {"Expired": 410, "Gone": 410}
"""By reason, for a Status without a code: for this one the code decides what is asked next."""


class EndpointAddress(Struct, frozen=True):
    ip: str = ""
    hostname: str | None = None
    node_name: str | None = None
    target_ref: TargetRef | None = None


class Subset(Struct, frozen=True):
    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[Port, ...] | None = None


class Endpoints(Struct, frozen=True):
    metadata: Metadata
    subsets: tuple[Subset, ...] | None = None


class ServiceMetadata(Metadata, frozen=True):
    annotations: dict[str, str] | None = None


class PortOfService(Struct, frozen=True):
    port: int | None = None
    name: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class ServiceSpec(Struct, frozen=True):
    ports: tuple[PortOfService, ...] | None = None
    session_affinity: str | None = None


class Service(Struct, frozen=True):
    metadata: ServiceMetadata
    spec: ServiceSpec | None = None


class Cause(Struct, frozen=True):
    reason: str = ""


class Details(Struct, frozen=True):
    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: int | None = None


class Status(Struct, frozen=True):
    """`kind` is "" for what is no Status."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: Details | None = None


Object = EndpointSlice | Endpoints | Service


def item_of(object: Object) -> Item:
    """What the rest of the library takes of an object.

    A v1 Endpoints object is turned into the slices that would say the same, so that nothing behind this package knows
    which of the two was asked for.
    """
    if isinstance(object, EndpointSlice):
        return Item(object.metadata.name, (object,))
    return _service_item(object) if isinstance(object, Service) else _endpoints_item(object)


def error_of(status: Status, code: int, body: bytes) -> ApiError:
    """The error behind an answer with HTTP status `code`; the code of `status` counts where it has one.

    The text is the server's own where `body` is a Kubernetes Status, else the first 200 characters of what came: a
    proxy's page, or what API Priority and Fairness says, which kube-apiserver writes as plain text with its 429.
    """
    if status.kind != "Status":
        shown = " ".join(body[:200].decode("utf-8", "replace").split())
        return by_status(code)(f"HTTP {code}, and no Status: {shown!r}" if shown else f"HTTP {code}")
    code = status.code or _CODES.get(status.reason, code)
    details = status.details or Details()
    seconds = details.retry_after_seconds
    retry_after = None if seconds is None else float(max(0, min(seconds, RETRY_AFTER_MOST)))
    too_large = any(cause.reason == "ResourceVersionTooLarge" for cause in details.causes or ())
    # Servers before 1.19 give no cause; client-go matches the text for them as well.
    if code == 504 and (too_large or "Too large resource version" in status.message):
        return TooLarge(status.message, retry_after=retry_after)
    return by_status(code)(f"{code} {status.reason}: {status.message}", retry_after=retry_after)


def _service_item(service: Service) -> Item:
    metadata, spec = service.metadata, service.spec or ServiceSpec()
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


def _endpoints_item(endpoints: Endpoints) -> Item:
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


def _endpoint(address: EndpointAddress, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(address.ip,),
        conditions=Conditions(ready=ready, serving=ready, terminating=False),
        hostname=address.hostname,
        node_name=address.node_name,
        target_ref=address.target_ref,
    )
