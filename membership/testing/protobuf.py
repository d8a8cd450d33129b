"""Kubernetes' protobuf, written: JSON objects become the bytes that kube-apiserver sends for them.

Written from the generated.proto files of k8s.io/api and k8s.io/apimachinery 0.36, and from what their Go code makes of
them: fields in the order of their numbers, and a field that is no pointer in Go even where it is empty. It shares
nothing with `membership.wire`, which reads it.
"""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Mapping
from typing import Final, TypeAlias

from .objects import Json

MAGIC: Final = b"k8s\x00"
_Fields: TypeAlias = tuple[tuple[int, str, str], ...]
"""Number, name in JSON, and type: `string`, `bool`, `int`, `time`, `json` or a message. `?`: left out where it is null;
`*`: repeated; `map`: of strings to strings."""

_META: Final[_Fields] = (
    (1, "name", "string"),
    (2, "generateName", "string"),
    (3, "namespace", "string"),
    (4, "selfLink", "string"),
    (5, "uid", "string"),
    (6, "resourceVersion", "string"),
    (7, "generation", "int"),
    (8, "creationTimestamp", "time"),
    (9, "deletionTimestamp", "time?"),
    (10, "deletionGracePeriodSeconds", "int?"),
    (11, "labels", "map"),
    (12, "annotations", "map"),
    (13, "ownerReferences", "OwnerReference*"),
    (14, "finalizers", "string*"),
    (17, "managedFields", "ManagedFieldsEntry*"),
)
_NAMED: Final[_Fields] = ((1, "metadata", "ObjectMeta"),)
_MESSAGES: Final[Mapping[str, _Fields]] = {
    "ObjectMeta": _META,
    "OwnerReference": (
        (1, "kind", "string"),
        (3, "name", "string"),
        (4, "uid", "string"),
        (5, "apiVersion", "string"),
        (6, "controller", "bool?"),
        (7, "blockOwnerDeletion", "bool?"),
    ),
    "ManagedFieldsEntry": (
        (1, "manager", "string"),
        (2, "operation", "string"),
        (3, "apiVersion", "string"),
        (4, "time", "time?"),
        (6, "fieldsType", "string"),
        (7, "fieldsV1", "FieldsV1?"),
        (8, "subresource", "string"),
    ),
    "FieldsV1": ((1, "", "json"),),
    "ListMeta": (
        (1, "selfLink", "string"),
        (2, "resourceVersion", "string"),
        (3, "continue", "string"),
        (4, "remainingItemCount", "int?"),
    ),
    "EndpointSlice": (
        (1, "metadata", "ObjectMeta"),
        (2, "endpoints", "Endpoint*"),
        (3, "ports", "EndpointPort*"),
        (4, "addressType", "string"),
    ),
    "Endpoint": (
        (1, "addresses", "string*"),
        (2, "conditions", "EndpointConditions"),
        (3, "hostname", "string?"),
        (4, "targetRef", "ObjectReference?"),
        (5, "deprecatedTopology", "map"),
        (6, "nodeName", "string?"),
        (7, "zone", "string?"),
        (8, "hints", "EndpointHints?"),
    ),
    "EndpointConditions": ((1, "ready", "bool?"), (2, "serving", "bool?"), (3, "terminating", "bool?")),
    "EndpointHints": ((1, "forZones", "ForZone*"),),
    "ForZone": ((1, "name", "string"),),
    "EndpointPort": (
        (1, "name", "string?"),
        (2, "protocol", "string?"),
        (3, "port", "int?"),
        (4, "appProtocol", "string?"),
    ),
    "ObjectReference": tuple(
        (number, name, "string")
        for number, name in enumerate(
            ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), 1
        )
    ),
    "Endpoints": ((1, "metadata", "ObjectMeta"), (2, "subsets", "EndpointSubset*")),
    "EndpointSubset": (
        (1, "addresses", "EndpointAddress*"),
        (2, "notReadyAddresses", "EndpointAddress*"),
        (3, "ports", "CoreEndpointPort*"),
    ),
    "EndpointAddress": (
        (1, "ip", "string"),
        (2, "targetRef", "ObjectReference?"),
        (3, "hostname", "string"),
        (4, "nodeName", "string?"),
    ),
    "CoreEndpointPort": (
        (1, "name", "string"),
        (2, "port", "int"),
        (3, "protocol", "string"),
        (4, "appProtocol", "string?"),
    ),
    "Service": ((1, "metadata", "ObjectMeta"), (2, "spec", "ServiceSpec"), (3, "status", "ServiceStatus")),
    "ServiceSpec": (
        (1, "ports", "ServicePort*"),
        (2, "selector", "map"),
        (3, "clusterIP", "string"),
        (4, "type", "string"),
        (5, "externalIPs", "string*"),
        (7, "sessionAffinity", "string"),
        (8, "loadBalancerIP", "string"),
        (9, "loadBalancerSourceRanges", "string*"),
        (10, "externalName", "string"),
        (11, "externalTrafficPolicy", "string"),
        (12, "healthCheckNodePort", "int"),
        (13, "publishNotReadyAddresses", "bool"),
        (14, "sessionAffinityConfig", "SessionAffinityConfig?"),
        (17, "ipFamilyPolicy", "string?"),
        (18, "clusterIPs", "string*"),
        (19, "ipFamilies", "string*"),
        (20, "allocateLoadBalancerNodePorts", "bool?"),
        (22, "internalTrafficPolicy", "string?"),
    ),
    "SessionAffinityConfig": ((1, "clientIP", "ClientIPConfig?"),),
    "ClientIPConfig": ((1, "timeoutSeconds", "int?"),),
    "ServicePort": (
        (1, "name", "string"),
        (2, "protocol", "string"),
        (3, "port", "int"),
        (4, "targetPort", "IntOrString"),
        (5, "nodePort", "int"),
        (6, "appProtocol", "string?"),
    ),
    "IntOrString": ((1, "type", "int"), (2, "intVal", "int"), (3, "strVal", "string")),
    "ServiceStatus": ((1, "loadBalancer", "LoadBalancerStatus"),),
    "LoadBalancerStatus": (),
    "Status": (
        (1, "metadata", "ListMeta"),
        (2, "status", "string"),
        (3, "message", "string"),
        (4, "reason", "string"),
        (5, "details", "StatusDetails?"),
        (6, "code", "int"),
    ),
    "StatusDetails": (
        (1, "name", "string"),
        (2, "group", "string"),
        (3, "kind", "string"),
        (4, "causes", "StatusCause*"),
        (5, "retryAfterSeconds", "int"),
        (6, "uid", "string"),
    ),
    "StatusCause": ((1, "reason", "string"), (2, "message", "string"), (3, "field", "string")),
    "ConfigMap": _NAMED,
    "Pod": _NAMED,
}


def known(value: object) -> bool:
    """Whether `encode_object` takes this: an object or a list of a kind that is written here."""
    return isinstance(value, dict) and str(value.get("kind", "")).removesuffix("List") in _MESSAGES


def encode_object(value: Json) -> bytes:
    """A whole answer, or what an event holds: the magic, and the object in a runtime.Unknown."""
    kind: str = value["kind"]
    return wrap(kind, value.get("apiVersion", ""), encode_message(value))


def encode_message(value: Json) -> bytes:
    """An object or a list without its kind: as an item of a list."""
    kind: str = value["kind"]
    item = kind.removesuffix("List")
    if kind == item:
        return _message(kind, value)
    items = [_message(item, one) for one in value.get("items") or ()]
    return encode_list(value["metadata"], items)


def encode_list(metadata: Json, items: list[bytes]) -> bytes:
    """A list of messages."""
    return _bytes(1, _message("ListMeta", metadata)) + b"".join(_bytes(2, item) for item in items)


def wrap(kind: str, api_version: str, message: bytes) -> bytes:
    """The magic and the runtime.Unknown around a message."""
    types = _bytes(1, api_version.encode()) + _bytes(2, kind.encode())
    return MAGIC + _bytes(1, types) + _bytes(2, message) + _bytes(3, b"") + _bytes(4, b"")


def encode_event(name: str, object: bytes) -> bytes:
    """A watch event in its frame; `object` as `encode_object` gives it."""
    event = _bytes(1, name.encode()) + _bytes(2, _bytes(1, object))
    return len(event).to_bytes(4, "big") + event


def _message(kind: str, value: Json) -> bytes:
    parts: list[bytes] = []
    for number, name, type in _MESSAGES[kind]:
        given = value.get(name) if name else value
        if type == "map":
            parts += [_bytes(number, _pair(key, text)) for key, text in sorted((given or {}).items())]
        elif type.endswith("*"):
            parts += [_field(number, type[:-1], one) for one in given or ()]
        elif given is not None or not type.endswith("?"):
            parts.append(_field(number, type.removesuffix("?"), given))
    return b"".join(parts)


def _field(number: int, type: str, value: object) -> bytes:
    match type:
        case "string":
            return _bytes(number, str(value or "").encode())
        case "bool" | "int":
            assert value is None or isinstance(value, int)
            return _varint(number << 3) + _varint(int(value or 0))
        case "time":
            return _bytes(number, _time(value) if isinstance(value, str) else b"")
        case "json":
            return _bytes(number, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
        case "IntOrString":
            value = {"type": 1, "strVal": value} if isinstance(value, str) else {"intVal": value}
    assert value is None or isinstance(value, dict)
    return _bytes(number, _message(type, value or {}))


def _time(text: str) -> bytes:
    seconds = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    return _varint(1 << 3) + _varint(seconds) + _varint(2 << 3) + _varint(0)


def _pair(key: str, value: str) -> bytes:
    return _bytes(1, key.encode()) + _bytes(2, value.encode())


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
