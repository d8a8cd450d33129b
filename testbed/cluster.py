"""Small verbs over `ControlPlane.request`: the objects that tests need, and what the server makes of them."""

from collections.abc import Mapping, Sequence

from testbed.plane import ControlPlane
from testbed.rest import Json, RequestFailed
from testbed.waiting import wait_for

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def create_namespace(plane: ControlPlane, name: str) -> Json:
    """A namespace that takes pods at once. No namespace controller runs: it is never deleted."""
    namespace = plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    # Pods are refused until the account "default" is there. The controller makes it too, only later.
    create_service_account(plane, name, "default")
    return namespace


def create_service_account(plane: ControlPlane, namespace: str, name: str) -> Json:
    """A service account; the one that is there, if it is."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    try:
        return plane.request("POST", path, {"metadata": {"name": name}})
    except RequestFailed as failed:
        if failed.status != 409:
            raise
        return plane.request("GET", f"{path}/{name}")


def create_node(plane: ControlPlane, name: str, *, zone: str | None = None) -> Json:
    """A node, in `zone` if named; the one that is there, if it is. `Kubelet` makes those it needs."""
    labels = {"kubernetes.io/hostname": name, **({"topology.kubernetes.io/zone": zone} if zone else {})}
    try:
        return plane.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
    except RequestFailed as failed:
        if failed.status != 409:
            raise
        return plane.request("GET", f"/api/v1/nodes/{name}")


def create_service(
    plane: ControlPlane,
    namespace: str,
    name: str,
    *,
    selector: Mapping[str, str] | None,
    ports: Mapping[str, int | str] | None = None,
    headless: bool = True,
    publish_not_ready: bool = False,
    families: Sequence[str] = (),
) -> Json:
    """A Service for the pods with all labels of `selector`; with None nobody makes slices for it.

    `ports` maps port names to target ports: a number, or a container port's name (`Kubelet.run(ports=...)`).
    None gives a headless Service without ports, another one port 80. A single port may be named "".
    `families` is ("IPv4",), ("IPv6",) or both; both are dual stack.
    """
    if ports is None:
        ports = {} if headless else {"": 80}
    spec: Json = {
        "ports": [
            {
                **({"name": port} if port else {}),
                "port": target if isinstance(target, int) else 1000 + number,
                "targetPort": target,
            }
            for number, (port, target) in enumerate(ports.items())
        ],
        "publishNotReadyAddresses": publish_not_ready,
    }
    if selector is not None:
        spec["selector"] = dict(selector)
    if headless:
        spec["clusterIP"] = "None"
    if families:
        spec["ipFamilies"] = list(families)
        spec["ipFamilyPolicy"] = "RequireDualStack" if len(families) > 1 else "SingleStack"
    body = {"metadata": {"name": name}, "spec": spec}
    return plane.request("POST", f"/api/v1/namespaces/{namespace}/services", body)


def delete_service(plane: ControlPlane, namespace: str, name: str, *, slices: bool = True) -> None:
    """Delete a Service. No garbage collector runs, so its `slices` are deleted here, or stay."""
    plane.request("DELETE", f"/api/v1/namespaces/{namespace}/services/{name}")
    if slices:
        plane.request(
            "DELETE",
            f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
            f"?labelSelector=kubernetes.io/service-name={name}",
        )


def list_slices(plane: ControlPlane, namespace: str, service: str) -> list[Json]:
    """The EndpointSlices of a Service, as they are now."""
    answer = plane.request(
        "GET",
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        f"?labelSelector=kubernetes.io/service-name={service}",
    )
    items: list[Json] = answer["items"]
    return items


def list_endpoints(plane: ControlPlane, namespace: str, service: str) -> list[Json]:
    """The endpoints of all slices of a Service, as they are now."""
    return [endpoint for piece in list_slices(plane, namespace, service) for endpoint in piece["endpoints"] or ()]


def wait_endpoints(
    plane: ControlPlane,
    namespace: str,
    service: str,
    count: int,
    *,
    ready: bool | None = None,
    timeout: float = 20,
) -> list[Json]:
    """The endpoints, once there are exactly `count`; only those with this `ready`, unless it is None."""

    def look() -> tuple[list[Json]] | None:
        found = [
            endpoint
            for endpoint in list_endpoints(plane, namespace, service)
            if ready is None or endpoint.get("conditions", {}).get("ready", True) is ready
        ]
        return (found,) if len(found) == count else None

    what = f"{count} endpoints of {namespace}/{service}"
    return wait_for(look, timeout=timeout, what=what, every=0.02)[0]


def grant(
    plane: ControlPlane,
    namespace: str,
    service_account: str,
    rules: Sequence[Json],
    *,
    account_namespace: str | None = None,
    timeout: float = 10,
) -> None:
    """Allow `rules` (PolicyRules of a Role) in `namespace` to an account, in place of those granted before.

    The account lives in `account_namespace`, `namespace` by default. Returns when the server applies it.
    """
    account_namespace = account_namespace or namespace
    name = _role_name(account_namespace, service_account)
    role: Json = {"metadata": {"name": name}, "rules": list(rules)}
    binding: Json = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": account_namespace}],
    }
    before = _read_rules(plane, namespace, name)
    for kind, body in (("roles", role), ("rolebindings", binding)):
        _put(plane, f"{_RBAC}/namespaces/{namespace}/{kind}", name, body)
    user = f"system:serviceaccount:{account_namespace}:{service_account}"
    wanted = _list_permissions(rules)
    _wait_access(plane, namespace, user, wanted, True, timeout)
    _wait_access(plane, namespace, user, _list_permissions(before) - wanted, False, timeout)


def revoke(
    plane: ControlPlane,
    namespace: str,
    service_account: str,
    *,
    account_namespace: str | None = None,
    timeout: float = 10,
) -> None:
    """Take back what `grant` gave, if anything. Returns when the server refuses it."""
    account_namespace = account_namespace or namespace
    name = _role_name(account_namespace, service_account)
    rules = _read_rules(plane, namespace, name)
    for kind in ("rolebindings", "roles"):
        try:
            plane.request("DELETE", f"{_RBAC}/namespaces/{namespace}/{kind}/{name}")
        except RequestFailed as failed:
            if failed.status != 404:
                raise
    user = f"system:serviceaccount:{account_namespace}:{service_account}"
    _wait_access(plane, namespace, user, _list_permissions(rules), False, timeout)


def is_allowed(plane: ControlPlane, namespace: str, user: str, verb: str, resource: str, group: str) -> bool:
    """Whether RBAC lets `user` do this, by SubjectAccessReview."""
    attributes = {"namespace": namespace, "verb": verb, "resource": resource, "group": group}
    answer = plane.request(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"spec": {"user": user, "resourceAttributes": attributes}},
    )
    return bool(answer["status"]["allowed"])


def _wait_access(
    plane: ControlPlane,
    namespace: str,
    user: str,
    permissions: set[tuple[str, str, str]],
    allowed: bool,
    timeout: float,
) -> None:
    for permission in permissions:
        wait_for(
            lambda: is_allowed(plane, namespace, user, *permission) is allowed,
            timeout=timeout,
            what=f"{permission} {'granted to' if allowed else 'taken from'} {user} in {namespace}",
        )


def _list_permissions(rules: Sequence[Json]) -> set[tuple[str, str, str]]:
    # Rules for named objects are left out: a review without a name would say no.
    return {
        (verb, resource, group)
        for rule in rules
        if not rule.get("resourceNames")
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }


def _read_rules(plane: ControlPlane, namespace: str, name: str) -> list[Json]:
    try:
        return plane.request("GET", f"{_RBAC}/namespaces/{namespace}/roles/{name}").get("rules") or []
    except RequestFailed as failed:
        if failed.status != 404:
            raise
        return []


def _put(plane: ControlPlane, path: str, name: str, body: Json) -> None:
    try:
        plane.request("POST", path, body)
    except RequestFailed as failed:
        if failed.status != 409:
            raise
        plane.request("PUT", f"{path}/{name}", body)


def _role_name(account_namespace: str, service_account: str) -> str:
    return f"testbed-{account_namespace}-{service_account}"
