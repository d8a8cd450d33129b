"""Small builders for unit tests: slices, endpoints and their JSON, with the defaults of an ordinary StatefulSet."""

from typing import Any

from membership.wire import (
    SERVICE_NAME_LABEL,
    Conditions,
    Endpoint,
    EndpointSlice,
    Event,
    EventType,
    Item,
    Metadata,
    OwnerReference,
    Port,
    TargetRef,
)

NAMESPACE, SERVICE = "wso2", "is"
HAZELCAST = {"hazelcast": 4000}

SERVING = Conditions(ready=True, serving=True, terminating=False)
STARTING = Conditions(ready=False, serving=False, terminating=False)
DYING = Conditions(ready=False, serving=False, terminating=True)
DRAINING = Conditions(ready=False, serving=True, terminating=True)


def pod(address: str | None, uid: str | None = None, conditions: Conditions | None = SERVING, **more: Any) -> Endpoint:
    """An endpoint; without `uid` one that names no pod, as in a Service without a selector."""
    target = None if uid is None else TargetRef(kind="Pod", name=f"pod-{uid}", uid=uid)
    addresses = None if address is None else (address,)
    return Endpoint(**{"addresses": addresses, "conditions": conditions, "target_ref": target, **more})


def piece(
    *endpoints: Endpoint,
    rv: int | str = 1,
    name: str = "",
    family: str = "IPv4",
    ports: dict[str, int] | None = HAZELCAST,
    service: str = SERVICE,
    owner: str = "",
    created: str | None = None,
    labels: dict[str, str] | None = None,
) -> EndpointSlice:
    """An EndpointSlice; its resource version is `rv` and so, unless given, is its name."""
    metadata = Metadata(
        name=name or f"{service}-{rv}",
        namespace=NAMESPACE,
        resource_version=str(rv),
        creation_timestamp=created,
        labels={SERVICE_NAME_LABEL: service, **(labels or {})},
        owner_references=(OwnerReference(kind="Service", uid=owner),) if owner else None,
    )
    found = None if ports is None else tuple(Port(name, number) for name, number in ports.items())
    return EndpointSlice(metadata, family, endpoints, found)


def item(*slices: EndpointSlice) -> Item:
    return Item(slices[0].metadata.name, slices)


def event(kind: str, slice: EndpointSlice, rv: int | str | None = None) -> Event:
    return Event(EventType(kind), str(rv or slice.metadata.resource_version), item(slice))


def bookmark(rv: int | str) -> Event:
    return Event(EventType.BOOKMARK, str(rv), None)


def slice_json(name: str = "is-a", rv: str = "7", **more: Any) -> dict[str, Any]:
    """An EndpointSlice as the API server writes it, with the fields that we do not use."""
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": name,
            "generateName": "is-",
            "namespace": NAMESPACE,
            "resourceVersion": rv,
            "generation": 3,
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "labels": {SERVICE_NAME_LABEL: SERVICE, "service.kubernetes.io/headless": ""},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": SERVICE, "uid": "s1"}],
            "managedFields": [{"manager": "kube-controller-manager", "fieldsV1": {"f:x": {}}}],
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.244.0.5"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hostname": "is-0",
                "nodeName": "n1",
                "zone": "z1",
                "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": "is-0", "uid": "u0"},
                "hints": {"forZones": [{"name": "z1"}]},
            }
        ],
        "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP", "appProtocol": None}],
        **more,
    }


def endpoints_json(name: str = SERVICE, rv: str = "7", **more: Any) -> dict[str, Any]:
    return {"kind": "Endpoints", "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": rv}, **more}
