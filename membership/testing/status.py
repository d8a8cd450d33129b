"""Kubernetes `Status` objects with the wording of the real API server."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .objects import Json, ResourceType

REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "BadRequest",
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        405: "MethodNotAllowed",
        406: "NotAcceptable",
        409: "Conflict",
        410: "Expired",
        413: "RequestEntityTooLarge",
        415: "UnsupportedMediaType",
        422: "Invalid",
        429: "TooManyRequests",
        500: "InternalError",
        503: "ServiceUnavailable",
        504: "Timeout",
    }
)
_MESSAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "Unauthorized",
        404: "the server could not find the requested resource",
        405: "the server does not allow this method on the requested resource",
        429: "the server has received too many requests and has asked us to try again later",
        500: "Internal error occurred: etcdserver: leader changed",
        503: "the server is currently unable to handle the request",
        504: (
            "the server was unable to return a response in the time allotted, but may still be processing "
            "the request"
        ),
    }
)


def failure(code: int, message: str | None = None, *, reason: str | None = None, details: Json | None = None) -> Json:
    """A failed Status; reason and message have the server's defaults for `code`."""
    if message is None:
        message = _MESSAGES.get(code, REASONS.get(code, f"code {code}"))
    result: Json = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or REASONS.get(code, ""),
        "code": code,
    }
    if details is not None:
        result["details"] = details
    return result


def forbidden(user: str, verb: str, resource: ResourceType, namespace: str | None, name: str | None) -> Json:
    """403 as RBAC words it."""
    quoted = f' "{name}"' if name else ""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{resource.qualified}{quoted} is forbidden: User "{user}" cannot {verb} resource '
        f'"{resource.plural}" in API group "{resource.group}" {where}'
    )
    return failure(403, message, details=_details(resource, name))


def not_found(resource: ResourceType, name: str) -> Json:
    """404 for one object."""
    return failure(404, f'{resource.qualified} "{name}" not found', details=_details(resource, name))


def too_old(version: int | str, oldest: int) -> Json:
    """410 of a watch from a compacted version."""
    return failure(410, f"too old resource version: {version} ({oldest})")


def too_large(version: int | str, current: int) -> Json:
    """504 of a list that asks for a version this server has not seen yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return failure(
        504,
        f"Timeout: Too large resource version: {version}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
    )


def invalid_option(field: str, message: str) -> Json:
    """422 of list options."""
    detail = f"{field}: Forbidden: {message}"
    return failure(
        422,
        f'ListOptions.meta.k8s.io "" is invalid: {detail}',
        details={
            "group": "meta.k8s.io",
            "kind": "ListOptions",
            "causes": [{"reason": "FieldValueForbidden", "message": f"Forbidden: {message}", "field": field}],
        },
    )


def _details(resource: ResourceType, name: str | None) -> Json:
    details = {"name": name} if name else {}
    return {**details, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}
