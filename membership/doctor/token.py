"""token: what we prove ourselves with, until when it counts, and whether the API server takes it."""

import time
from collections.abc import Iterator

from membership.doctor.catalogue import common, find
from membership.doctor.claims import judge_claims
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation, describe_file
from membership.errors import ApiError, Forbidden, Unauthorized, Unreachable
from membership.jwt import Claims, read_claims
from membership.kube import ApiServer
from membership.preflight import find_account

ANONYMOUS = "system:anonymous"
"""https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests"""


def examine_token(situation: Situation, limit: Limit) -> Iterator[Finding]:
    server = situation.reading.server
    if "token-file" in situation.reading.left_out:
        problems = (problem for problem in situation.reading.problems if problem.startswith("--token-file"))
        yield find("token.unreadable", "\n".join(problems))
        return
    if server is None:
        yield common("token", "skipped", "no API server is known, to which it would be shown")
        return
    path, header = server.credentials.token_file, None
    try:
        header = server.credentials.header()
        written = f"{describe_file(path, time.time())}; " if path and not server.credentials.token else ""
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not text"
        yield find("token.unreadable", f"{path}: {words}")
        return
    scheme, _, word = (header or "").partition(" ")
    if header is None:
        yield _ask_without(server, limit)
        return
    claims = None
    if scheme == "Bearer":
        if not word.strip():
            yield find("token.unreadable", f"{written}it is empty")
            return
        if len(word.split()) > 1 or not (word.isascii() and word.isprintable()):
            yield find("token.unreadable", f"{written}it has white space inside, or characters that no token has")
            return
        claims = read_claims(word)
        yield from judge_claims(claims, time.time()) if claims else (find("token.opaque"),)
    yield _ask(server, written, claims, limit)


def _ask_without(server: ApiServer, limit: Limit) -> Finding:
    """Without a token a client certificate says who we are, or a proxy that has one, such as kubectl's."""
    try:
        account = find_account(server, limit.deadline)
    except (Unauthorized, Forbidden):
        account = None
    except ApiError as error:
        return common("token", "skipped", f"there is none, and the API server did not say who we are: {error}")
    if account in (None, ANONYMOUS):
        return find("token.none", f"the server was found as: {server.origin}; no token file, and no variable holds one")
    return find("token.ok", f"without a token we are {account}")


def _ask(server: ApiServer, written: str, claims: Claims | None, limit: Limit) -> Finding:
    try:
        account = find_account(server, limit.deadline)
    except Unauthorized as error:
        if claims is not None and not claims.is_for_issuer:
            return find("token.audience", f"{written}audience: {', '.join(claims.audience)}; issuer: {claims.issuer}")
        return find("token.refused", f"{written}{error}")
    except Unreachable as error:
        return common("token", "skipped", f"the API server was not asked whether it takes it: {error.message}")
    except (Forbidden, ApiError) as error:
        return common("token", "skipped", f"the API server did not say whether it takes it: {error}")
    return find("token.ok", f"{written}we are {account or 'somebody whom the server does not name'}")
