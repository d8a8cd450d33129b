"""dns, tcp, tls, server: the way to the API server, step by step, and where it ends."""

import errno
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from membership.doctor.catalogue import common, find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.errors import ApiError, BadAnswer, ServerFault, Silent, Unreachable
from membership.transport import CONNECT_TIMEOUT, Tls

SOON = 7 * 86400.0
"""Seconds before its end at which a certificate is told about."""
_NO_SERVER = "no API server is known"
_NAME, _TIME = {62, 63, 64}, {9, 10}
"""X509_V_ERR_HOSTNAME_MISMATCH and its kin, NOT_YET_VALID and HAS_EXPIRED of OpenSSL."""


def examine_dns(situation: Situation, limit: Limit) -> Iterator[Finding]:
    target = _target(situation)
    if target is None:
        yield common("dns", "skipped", _NO_SERVER)
        return
    host, port = target
    try:
        addresses = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        yield find("dns.unresolved", f"{host}: {error.strerror}\n{_describe_resolver(situation.resolv)}")
        return
    except UnicodeError as error:
        yield find("dns.unresolved", f"{host}: {error}")
        return
    named = "an address, so there is no name to resolve" if addresses == [host] else f"is {', '.join(addresses)}"
    yield find("dns.ok", f"{host} {named}")


def examine_tcp(situation: Situation, limit: Limit) -> Iterator[Finding]:
    target = _target(situation)
    if target is None:
        yield common("tcp", "skipped", _NO_SERVER)
        return
    began = time.monotonic()
    where = f"{target[0]} port {target[1]}"
    try:
        with socket.create_connection(target, min(CONNECT_TIMEOUT, limit.left)) as sock:
            took = 1000 * (time.monotonic() - began)
            proxy = " (the proxy)" if situation.settings.server.proxy else ""
            yield find("tcp.ok", f"{where}{proxy}: {sock.getpeername()[0]} within {took:.0f} ms")
    except (socket.gaierror, UnicodeError):
        yield common("tcp", "skipped", f"{target[0]} cannot be resolved")
    except TimeoutError:
        yield find("tcp.silent", f"{where}: no answer within {time.monotonic() - began:.1f} s")
    except ConnectionRefusedError:
        yield find("tcp.refused", f"{where}: connection refused")
    except OSError as error:
        code = "tcp.silent" if error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH) else "tcp.unreachable"
        yield find(code, f"{where}: {error.strerror or error}")


def examine_tls(situation: Situation, limit: Limit) -> Iterator[Finding]:
    server, target = situation.reading.server, _target(situation)
    if server is None or target is None:
        yield common("tls", "skipped", _NO_SERVER)
        return
    if "ca-file" in situation.reading.left_out:
        yield find("tls.ca-file", "\n".join(p for p in situation.reading.problems if p.startswith("--ca-file")))
        return
    if urlsplit(server.url).scheme != "https":
        yield find("tls.unencrypted", server.url)
        return
    if server.proxy:
        yield common("tls", "skipped", "the way leads through a proxy; see server")
        return
    try:
        context = server.tls.context()
    except (OSError, ssl.SSLError) as error:
        yield find("tls.ca-file", f"{server.tls.ca_file}: {_describe(error)}")
        return
    try:
        plain = socket.create_connection(target, min(CONNECT_TIMEOUT, limit.left))
    except (OSError, UnicodeError) as error:
        yield common("tls", "skipped", f"no connection: {_describe(error)}")
        return
    where = f"{target[0]} port {target[1]}"
    try:
        with plain, context.wrap_socket(plain, server_hostname=server.tls.server_name or target[0]) as sock:
            yield from _judge_peer(sock, server.tls)
    except ssl.SSLCertVerificationError as error:
        code = "name" if error.verify_code in _NAME else "expired" if error.verify_code in _TIME else "untrusted"
        trusted = server.tls.ca_file or "the authorities of this system"
        yield find(f"tls.{code}", f"{where}: {error.verify_message}; trusted: {trusted}")
    except TimeoutError:
        yield find("tls.broken", f"{where}: connected, and no answer to the handshake")
    except OSError as error:
        yield find("tls.broken", f"{where}: connected, and then: {getattr(error, 'reason', '') or _describe(error)}")


def examine_server(situation: Situation, limit: Limit) -> Iterator[Finding]:
    server = situation.reading.server
    if server is None:
        yield common("server", "skipped", _NO_SERVER)
        return
    problem = _connect(situation, limit)
    if problem:
        yield common("server", "skipped", problem)
        return
    try:
        version = server.version(limit.deadline)
    except Silent as error:
        yield find("server.silent", str(error))
    except BadAnswer as error:
        yield find("server.strange", str(error))
    except ServerFault as error:
        yield find("server.fault", str(error))
    except Unreachable as error:
        yield common("server", "skipped", error.message)
    except ApiError as error:  # a 401 or 403 of /version, which some clusters close: it does answer
        yield find("server.ok", f"{server.url} ({server.origin}): {error.message}")
    else:
        if version == "unknown":
            yield find("server.strange", f"{server.url}/version has no gitVersion")
        else:
            yield find("server.ok", f"{server.url} ({server.origin}): {version}")


def _connect(situation: Situation, limit: Limit) -> str:
    """Why there is no connection; empty where there is one. A silent server is one that can be connected to."""
    server, target = situation.settings.server, _target(situation)
    assert target is not None
    try:
        with socket.create_connection(target, min(CONNECT_TIMEOUT, limit.left)) as plain:
            if urlsplit(server.url).scheme == "https" and not server.proxy:
                name = server.tls.server_name or target[0]
                server.tls.context().wrap_socket(plain, server_hostname=name).close()
    except (OSError, UnicodeError) as error:
        return f"no connection: {_describe(error)}"
    return ""


def _judge_peer(sock: ssl.SSLSocket, tls: Tls) -> Iterator[Finding]:
    certificate = sock.getpeercert() or {}
    if tls.skip_verify:
        yield find("tls.unverified", f"--insecure-skip-tls-verify is on; {sock.version()}")
        return
    end = str(certificate.get("notAfter", ""))
    names = ", ".join(str(pair[1]) for pair in certificate.get("subjectAltName", ())[:8])
    evidence = f"{sock.version()}, for {names}, until {end}, authorities: {tls.ca_file or 'of this system'}"
    soon = bool(end) and ssl.cert_time_to_seconds(end) - time.time() < SOON
    yield find("tls.ends-soon" if soon else "tls.ok", evidence)


def _target(situation: Situation) -> tuple[str, int] | None:
    """Where a connection is made to: the proxy, where there is one."""
    server = situation.reading.server
    if server is None:
        return None
    if server.proxy:
        return server.proxy[:2]
    url = urlsplit(server.url)
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _describe_resolver(path: Path) -> str:
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: {_describe(error)}"
    found = [" ".join(line) for line in words if line and line[0] in ("nameserver", "search", "options")]
    return f"{path}: {'; '.join(found) or 'names no server'}"


def _describe(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
