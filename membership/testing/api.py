"""The API: what a healthy server answers, given history and access table. Streams are in `watching`."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from . import status
from .access import USER, AccessTable, review_access, token_accepted
from .connection import Drip
from .encoding import asked
from .faults import Fault
from .history import History, Stored
from .messages import Answer, Message, json_answer, status_answer
from .objects import Json, ResourceType
from .routes import Route, review_attributes
from .selectors import Selector, parse_field_selector, parse_label_selector

_OPEN_PATHS: Final = frozenset(("/version", "/version/", "/livez", "/readyz", "/healthz"))
_NO_SUCH_API: Final = Answer(
    404, b"404 page not found\n", "text/plain; charset=utf-8", {"X-Content-Type-Options": "nosniff"}
)


@dataclass(slots=True)
class Site:
    """What the answers depend on. `token`, `bookmark_interval`, `protobuf` and `removed` may change while running."""

    history: History
    access: AccessTable
    version: str
    token: str | None
    bookmark_interval: float
    protobuf: bool = True
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """What the faults of one request change of its real answer: see the table in `faults`."""

    lag: int = 0
    honest: bool = True
    nulls: bool = False
    items: int | None = None
    zipped: bool = False
    drip: Drip | None = None

    @classmethod
    def of(cls, faults: Mapping[str, Fault], message: Message) -> Changes:
        """Those of the faults that strike this request."""
        lag, partial, zipped, drip = (faults.get(name) for name in ("lag", "partial-list", "gzip", "drip"))
        accepted = "gzip" in message.headers.get("accept-encoding", "")
        return cls(
            lag=int(lag.params["rvs"]) if lag else 0,
            honest=bool(lag.params["honest"]) if lag else True,
            nulls="null-lists" in faults,
            items=int(partial.params["items"]) if partial else None,
            zipped=zipped is not None and (accepted or bool(zipped.params["always"])),
            drip=Drip(float(drip.params["delay"]), int(drip.params["size"])) if drip else None,
        )


def answer(site: Site, message: Message, route: Route, changes: Changes) -> Answer | None:
    """The answer to a request; None when it is a watch that may begin."""
    authorization = message.headers.get("authorization")
    if message.path not in _OPEN_PATHS and not token_accepted(site.token, authorization):
        return status_answer(status.failure(401))
    if route.kind == "review":
        return _review(site, message)
    if route.resource is None:
        return _other(site, message)
    if route.resource.plural in site.removed:
        return _NO_SUCH_API
    if message.method not in ("GET", "HEAD"):
        return status_answer(status.failure(405))
    if not site.access.allows(route.verb, route.resource.plural, route.namespace):
        return status_answer(status.forbidden(USER, route.verb, route.resource, route.namespace, route.name))
    if route.kind == "other":
        return _get(site, route, route.resource)
    if (wrong := _check_options(message, route.kind)) is not None:
        return wrong
    if route.kind == "watch":
        return _refuse_expired(site.history, int(message.query.get("resourceVersion") or 0))
    listed = _list(site, message, route, route.resource, changes)
    return _zip(listed) if changes.zipped else listed


def selector_of(message: Message) -> Selector:
    """The label and field selector of a request as one test. Raises ValueError for what cannot be read."""
    labels = parse_label_selector(message.query.get("labelSelector", ""))
    fields = parse_field_selector(message.query.get("fieldSelector", ""))
    return lambda value: labels(value) and fields(value)


def null_lists(stored: Stored) -> Stored:
    """The same object with null in place of its lists."""
    value = stored.value
    lists: Json = {name: None for name in ("endpoints", "ports", "subsets") if name in value}
    return Stored(stored.key, stored.version, {**value, **lists})


def _refuse_expired(history: History, version: int) -> Answer | None:
    """HTTP 410 for a watch from a forgotten version, where that is not told within the stream."""
    if history.expired_as_status and 0 < version < history.oldest:
        return status_answer(status.too_old(version, history.oldest))
    return None


def _check_options(message: Message, kind: str) -> Answer | None:
    version = message.query.get("resourceVersion", "")
    match = message.query.get("resourceVersionMatch", "")
    if version and not version.isdecimal():
        return status_answer(status.failure(400, f'Invalid value: "{version}": invalid resource version'))
    if "sendInitialEvents" in message.query:
        return status_answer(
            status.invalid_option(
                "sendInitialEvents",
                (
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
                    if kind == "watch"
                    else "sendInitialEvents is forbidden for list"
                ),
            )
        )
    if match and kind == "watch":
        return status_answer(
            status.invalid_option(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        )
    if match and not version:
        return status_answer(
            status.invalid_option(
                "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
            )
        )
    seconds = message.query.get("timeoutSeconds", "")
    if seconds and not seconds.isdecimal():
        return status_answer(status.failure(400, f'invalid timeoutSeconds "{seconds}"'))
    try:
        selector_of(message)
    except ValueError as error:
        return status_answer(status.failure(400, str(error)))
    return None


def _list(site: Site, message: Message, route: Route, resource: ResourceType, changes: Changes) -> Answer:
    version_asked = message.query.get("resourceVersion", "")
    exact = message.query.get("resourceVersionMatch") == "Exact"
    history, wanted = site.history, int(version_asked or 0)
    with history.lock:
        current = history.version - changes.lag
        if wanted > current and changes.honest:
            return status_answer(status.too_large(version_asked, current))
        if exact and wanted < history.oldest:
            return status_answer(status.failure(410, "The provided resource version is too old."))
        stored, version = history.objects(resource.plural, route.namespace, wanted if exact else current)
    selector = selector_of(message)
    found = [one for one in stored if selector(one.value)]
    metadata: Json = {"resourceVersion": str(version)}
    if changes.items is not None and len(found) > changes.items:
        metadata |= {"continue": f"{version}/{changes.items}", "remainingItemCount": len(found) - changes.items}
    items = [null_lists(one) if changes.nulls else one for one in found[: changes.items]]
    encoding = asked(message, protobuf=site.protobuf)
    return Answer(200, encoding.list(resource, metadata, items), encoding.type)


def _zip(plain: Answer) -> Answer:
    return replace(plain, body=gzip.compress(plain.body), headers={**plain.headers, "Content-Encoding": "gzip"})


def _get(site: Site, route: Route, resource: ResourceType) -> Answer:
    stored = site.history.get(resource.plural, route.namespace or "", route.name or "")
    if stored is None:
        return status_answer(status.not_found(resource, route.name or ""))
    return Answer(200, stored.full + b"\n", value=stored.value)


def _review(site: Site, message: Message) -> Answer:
    if message.method != "POST":
        return status_answer(status.failure(405))
    return json_answer(201, review_access(site.access, review_attributes(message)))


def _other(site: Site, message: Message) -> Answer:
    if message.path.rstrip("/") == "/version":
        major, minor = (site.version.lstrip("v").split(".") + ["", ""])[:2]
        return json_answer(200, {"major": major, "minor": minor, "gitVersion": site.version, "platform": "linux/amd64"})
    if message.path in _OPEN_PATHS:
        return Answer(200, b"ok", "text/plain; charset=utf-8")
    return status_answer(status.failure(404, details={}))
