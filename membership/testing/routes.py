"""Which resource and which kind of request a path means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from .messages import Message
from .objects import RESOURCES, Json, ResourceType

REVIEW_PATH: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_RESOURCE: Final = re.compile(
    r"(?:/api/(?P<core>v1)|/apis/(?P<version>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)


@dataclass(frozen=True, slots=True)
class Route:
    """`kind`: list, watch, review or other. `verb`: as RBAC names it. `namespace` None: all namespaces."""

    kind: str
    verb: str = "get"
    resource: ResourceType | None = None
    namespace: str | None = None
    name: str | None = None


def find_route(message: Message) -> Route:
    """The route of a request; `Route("other")` without a resource for paths that are no resource."""
    if message.path == REVIEW_PATH:
        return Route("review", "create", namespace=review_attributes(message).get("namespace"))
    match = _RESOURCE.fullmatch(message.path)
    resource = RESOURCES.get(match["plural"]) if match else None
    if match is None or resource is None or resource.api_version != (match["core"] or match["version"]):
        return Route("other")
    if match["name"]:
        return Route("other", "get", resource, match["namespace"], match["name"])
    # As RBAC sees it: a list of metadata.name=x is about the object x.
    name = re.search(r"(?:^|,)metadata\.name==?([^,]+)", message.query.get("fieldSelector", ""))
    verb = "watch" if message.query.get("watch", "").lower() in ("1", "true") else "list"
    return Route(verb, verb, resource, match["namespace"], name[1] if name else None)


def review_attributes(message: Message) -> Json:
    """`spec.resourceAttributes` of a SelfSubjectAccessReview; empty where there are none."""
    try:
        attributes = json.loads(message.body)["spec"]["resourceAttributes"]
    except (ValueError, KeyError, TypeError):
        return {}
    return attributes if isinstance(attributes, dict) else {}
