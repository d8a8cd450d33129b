"""Who may do what: the bearer token and the table of `deny` and `allow`."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from .objects import Json

USER: Final = "system:serviceaccount:default:membership"
_VERBS: Final = frozenset(("get", "list", "watch", "*"))


@dataclass(frozen=True, slots=True)
class _Rule:
    allowed: bool
    verb: str
    resource: str
    namespace: str


class AccessTable:
    """Everything is allowed until denied; of the rules that match, the last one decides. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def add(self, allowed: bool, verb: str, resource: str, namespace: str) -> None:
        """Add a rule; `*` stands for any. Raises ValueError for an unknown verb."""
        if verb not in _VERBS:
            raise ValueError(f"unknown verb {verb!r}; known: {', '.join(sorted(_VERBS))}")
        with self._lock:
            self._rules.append(_Rule(allowed, verb, resource, namespace))

    def allows(self, verb: str, resource: str, namespace: str | None) -> bool:
        """Whether a request may pass; namespace None asks for all, which a rule for one does not decide."""
        with self._lock:
            for rule in reversed(self._rules):
                if rule.verb in ("*", verb) and rule.resource in ("*", resource) and rule.namespace in ("*", namespace):
                    return rule.allowed
        return True


def review_access(table: AccessTable, attributes: Json) -> Json:
    """The answer to a SelfSubjectAccessReview."""
    verb, resource = str(attributes.get("verb", "")), str(attributes.get("resource", ""))
    verbs = ("get", "list", "watch") if verb == "*" else (verb,)
    allowed = all(table.allows(one, resource, attributes.get("namespace") or None) for one in verbs)
    status: Json = {"allowed": allowed}
    if allowed:
        status["reason"] = "RBAC: allowed by fake rule"
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": None},
        "spec": {"resourceAttributes": attributes},
        "status": status,
    }


def token_accepted(token: str | None, authorization: str | None) -> bool:
    """Whether an Authorization header holds the token this server wants (None: anything goes).

    The scheme's case does not count: the official client in a pod sends "bearer".
    """
    scheme, _, given = (authorization or "").partition(" ")
    return token is None or (scheme.lower() == "bearer" and given == token)
