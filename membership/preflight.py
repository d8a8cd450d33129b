"""`membership check`: may we do what we need to do, and if not, what has to be applied."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from membership.errors import Forbidden, NotFound, Rejected
from membership.jwt import read_claims
from membership.kube import ApiServer
from membership.names import parse_services
from membership.wire import Resource

VERBS = ("list", "watch")
ROLE = "membership"


@dataclass(frozen=True, slots=True)
class AccessReport:
    """`text`: findings as comments, then the YAML of what is missing; `ok` where nothing is."""

    ok: bool
    text: str


def check_access(
    server: ApiServer, services: Iterable[str], source: str, deadline: float, *, definitions: bool = False
) -> AccessReport:
    """Ask the API server, permission by permission, until `deadline` (monotonic).

    `definitions`: there are outputs that need the Services themselves. Raises ApiError where it cannot be asked.
    """
    namespaces = sorted({namespace for namespace, _ in parse_services(services, server.namespace)})
    slices = Resource.ENDPOINTS if source == "endpoints" else Resource.ENDPOINTSLICES
    wanted = (slices, Resource.SERVICES) if definitions else (slices,)
    lines = [f"ok: server {server.url} ({server.origin}), {_version(server, deadline)}"]
    if not server.url.startswith("https:"):
        lines.append("warning: the connection is not encrypted")
    elif server.tls.skip_verify:
        lines.append("warning: the server's certificate is not verified")
    else:
        lines.append(f"ok: the server's certificate is signed by {server.tls.ca_file or 'an authority of this system'}")
    account = find_account(server, deadline)
    lines.append(f"ok: we are {account}" if account else "warning: the server does not say who we are")
    manifests = []
    for namespace in namespaces:
        complete = True
        for resource in wanted:
            missing = [verb for verb in VERBS if not server.may(verb, resource, namespace, deadline)]
            complete = complete and not missing
            for verb in VERBS:
                state = "missing" if verb in missing else "ok"
                lines.append(f"{state}: {verb} {resource.qualified} in namespace {namespace}")
            if missing:
                falls_back = resource is Resource.ENDPOINTSLICES and source == "auto"
                endpoints_serve = falls_back and server.may("list", Resource.ENDPOINTS, namespace, deadline)
                lines.append(_describe_fallback(namespace, resource, missing, endpoints_serve))
        if not complete:
            manifests.append(render_role(namespace, wanted, account))
    comments = "".join(f"# {line}\n" for line in lines)
    return AccessReport(not manifests, comments + "---\n".join(manifests))


def _version(server: ApiServer, deadline: float) -> str:
    try:
        return server.version(deadline)
    except Forbidden:  # some clusters close /version to accounts; what we need is asked for by itself
        return "which does not tell us its version"


def find_account(server: ApiServer, deadline: float) -> str | None:
    """Our user name as the API server sees it, `system:serviceaccount:NAMESPACE:NAME` for a service account."""
    try:
        return server.whoami(deadline)
    except (NotFound, Rejected):  # before 1.28 there is no SelfSubjectReview: read the token itself
        return _subject(server.credentials.header() or "")


def render_role(namespace: str, resources: Iterable[Resource], account: str | None) -> str:
    """The Role and RoleBinding that allow what we need in one namespace, all of it: the Role replaces an older one.

    Both are named after the account, for what is applied replaces the subjects of a binding of that name: those of
    another account would lose what they have.
    """
    if names := _service_account(account):
        subject = f"- kind: ServiceAccount\n  name: {names[1]}\n  namespace: {names[0]}\n"
    elif account:
        subject = f"- kind: User\n  name: {json.dumps(account)}\n  apiGroup: rbac.authorization.k8s.io\n"
    else:
        subject = f"- kind: ServiceAccount\n  name: default # the pod's serviceAccountName\n  namespace: {namespace}\n"
    role = _name_role(namespace, account)
    rules = "\n".join(f"""- apiGroups: ["{resource.group}"]
  resources: ["{resource.value}"]
  verbs: ["{'", "'.join(VERBS)}"]""" for resource in resources)
    return f"""apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {role}
  namespace: {namespace}
rules:
{rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {role}
  namespace: {namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {role}
subjects:
{subject}"""


def _service_account(account: str | None) -> tuple[str, str] | None:
    """Namespace and name of system:serviceaccount:NAMESPACE:NAME; None for anybody else."""
    match (account or "").split(":"):
        case [_, "serviceaccount", namespace, name]:
            return namespace, name
    return None


def _name_role(namespace: str, account: str | None) -> str:
    """That of the manifests for their own account, `membership` of this namespace."""
    if names := _service_account(account):
        words = [name for name, usual in zip(names, (namespace, ROLE), strict=True) if name != usual]
    else:
        words = [re.sub(r"[^a-z0-9]+", "-", account.lower()).strip("-")] if account else ["default"]
    return "-".join([ROLE, *words])


def _describe_fallback(namespace: str, resource: Resource, missing: list[str], endpoints_serve: bool) -> str:
    """What happens without the missing permission."""
    if resource is Resource.SERVICES:
        if missing == ["watch"]:
            return f"until then the Services of namespace {namespace} are polled"
        return "until then nothing is written in the format haproxy; the list itself does not depend on it"
    if missing == ["watch"]:
        return f"until then the list of namespace {namespace} is polled"
    if endpoints_serve:
        return f"until then v1 Endpoints serve in namespace {namespace}: deprecated, one family, no terminating"
    return f"until then there is no list of namespace {namespace} at all"


def _subject(header: str) -> str | None:
    """The subject of a JWT; None for any other token."""
    claims = read_claims(header.removeprefix("Bearer "))
    return None if claims is None else claims.subject
