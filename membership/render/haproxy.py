"""`haproxy`: frontends and backends for the Services, as Kubernetes' old Service LoadBalancer made them.

Global settings, defaults and timeouts are the user's, in a file before this one: `haproxy -f base.cfg -f services.cfg`.
The annotations are those of the old controller (`serviceloadbalancer/lb.*`), and the lines those of its template, with
three things mended: `reqrep` is gone since HAProxy 2.1; `inter 5` was 5 ms; and a cookie that named a server by its
place in the list sent sessions elsewhere whenever a pod before it went, so servers are named after their pods.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from membership.errors import RenderError
from membership.model import Member, ServiceDefinition, ServicePort, Snapshot, join_host_port
from membership.render.setup import Setup

ALGORITHMS = ("roundrobin", "leastconn", "first", "source")
"""Those of the old controller; the first is its default."""
CERTIFICATE = '"${HAPROXY_CRT-/etc/haproxy/certs}"'
"""A file or folder, by a variable of haproxy's own environment."""

_HEAD = """\
# Written by kubernetes-membership, and again with each new member list: what is changed here by hand is lost.
# Global settings, defaults and timeouts are those of the file before this one: haproxy -f base.cfg -f THIS
"""


@dataclass(frozen=True, slots=True)
class _Balanced:
    """One port of one Service."""

    service: ServiceDefinition
    port: ServicePort
    servers: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Of its backend. No part can hold a dot, so no two have the same."""
        return f"{self.service.namespace}.{self.service.name}.{self.port.port}"

    @property
    def plain(self) -> bool:
        """Whether its name says http, and not https."""
        named = f"{self.port.app_protocol} {self.port.name}".lower()
        return "http" in named and "https" not in named

    @property
    def ends_tls(self) -> bool:
        return self.says("lb.sslTerm") and not self.plain

    @property
    def sticky(self) -> bool:
        return self.says("lb.cookie-sticky-session")

    @property
    def host(self) -> str:
        """ "" where there is none, or what cannot be one."""
        host = self.service.annotations.get("lb.host", "")
        return host if re.fullmatch(r"[A-Za-z0-9*]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host) else ""

    @property
    def http(self) -> bool:
        """Whether requests can be looked into: TLS that is not ended here is passed through."""
        if self.ends_tls or self.plain:
            return True
        named = f"{self.port.app_protocol} {self.port.name}".lower()
        return "https" not in named and (bool(self.host) or self.sticky)

    @property
    def told_by(self) -> str:
        """What tells its requests from those of others on one port: a host name, or a path."""
        return self.host.lower() or f"/{self.service.name}"

    @property
    def kind(self) -> tuple[bool, bool]:
        """What all Services of one port must have in common."""
        return self.http, self.ends_tls

    def says(self, annotation: str) -> bool:
        return self.service.annotations.get(annotation, "").strip().lower() == "true"


def render_haproxy(snapshot: Snapshot, setup: Setup) -> bytes | None:
    """The file; None while no member is ready, or no Service is to be balanced."""
    ready = tuple(member for member in snapshot.members if member.serving and not member.terminating)
    if not ready:
        return None
    if setup.definitions is None:
        raise RenderError("what the Services say of themselves is not known (yet)")
    by_port: dict[int, list[_Balanced]] = {}
    told_apart: dict[tuple[int, str], str] = {}
    notes: list[str] = []
    for one in _balanced(setup.definitions, ready, notes):
        sharing = by_port.setdefault(one.port.port, [])
        if sharing and (one.kind != sharing[0].kind or not one.http):
            notes.append(f"{one.name} is left out: the port is that of {sharing[0].name}, and cannot be shared")
        elif one.http and (first := told_apart.setdefault((one.port.port, one.told_by), one.name)) != one.name:
            notes.append(
                f"{one.name} is left out: {first} has {one.told_by} on this port, and only lb.host tells apart"
            )
        else:
            sharing.append(one)
    if not by_port:
        return None
    parts = [_HEAD + "".join(f"# {note}\n" for note in notes)]
    for port, sharing in sorted(by_port.items()):
        parts.append("\n".join(_frontend(port, sharing)) + "\n")
        by_path = sum(not one.host for one in sharing) > 1
        parts += ["\n".join(_backend(one, by_path=by_path and not one.host)) + "\n" for one in sharing]
    return "\n".join(parts).encode()


def _balanced(
    definitions: Sequence[ServiceDefinition], ready: Sequence[Member], notes: list[str]
) -> Iterator[_Balanced]:
    for service in sorted(definitions, key=lambda one: (one.namespace, one.name)):
        if service.annotations.get("lb.ignore", "").strip().lower() == "true":
            notes.append(f"{service.namespace}.{service.name} is left out: lb.ignore")
            continue
        members = [one for one in ready if (one.namespace, one.service) == (service.namespace, service.name)]
        for port in service.ports:
            if port.protocol != "TCP":
                notes.append(f"{service.namespace}.{service.name}.{port.port} is left out: not TCP")
                continue
            yield _Balanced(service, port, tuple(one for one in members if port.name in one.ports))


def _frontend(port: int, sharing: Sequence[_Balanced]) -> Iterator[str]:
    first = sharing[0]
    yield f"frontend port.{port}"
    yield f"    mode {'http' if first.http else 'tcp'}"
    yield f"    bind :{port}" + (f" ssl crt {CERTIFICATE}" if first.ends_tls else "")
    for one in sharing:
        if one.http and one.host:
            yield f"    use_backend {one.name} if {{ req.hdr(host),field(1,:) -i {one.host} }}"
    hostless = [one for one in sharing if not (one.http and one.host)]
    if len(hostless) == 1:
        yield f"    default_backend {hostless[0].name}"
        return
    for one in hostless:
        path = f"/{one.service.name}"
        yield f"    use_backend {one.name} if {{ path {path} }} || {{ path_beg {path}/ }}"


def _backend(one: _Balanced, *, by_path: bool) -> Iterator[str]:
    algorithm = one.service.annotations.get("lb.algorithm", "")
    yield f"backend {one.name}"
    yield f"    mode {'http' if one.http else 'tcp'}"
    cookie = one.sticky and one.http
    if one.sticky and not one.http:
        yield "    # lb.cookie-sticky-session needs lb.sslTerm here: TLS that is passed through has no cookies"
    if (one.service.by_client or one.sticky) and not cookie:
        # Not a table, which a reload empties: the hash gives the same server again.
        yield "    balance source"
        yield "    hash-type consistent"
    else:
        yield f"    balance {algorithm if algorithm in ALGORITHMS else ALGORITHMS[0]}"
    if cookie:
        yield "    cookie SERVERID insert indirect nocache"
    yield "    option redispatch 1"  # a refused connection is tried with another server at once
    yield "    retries 3"
    if one.http:
        # A pod that dies with a request in its hands: only what changes nothing is asked for again.
        yield "    retry-on conn-failure empty-response"
        yield "    http-request disable-l7-retry unless METH_GET"
        yield "    option forwardfor"
    if one.ends_tls:
        yield "    http-request set-header X-Forwarded-Proto https"
    if by_path:
        yield rf"    http-request replace-path ^/{one.service.name}/?(.*) /\1"
    for name, server in _named(one.servers):
        port = server.ports[one.port.name]
        line = f"    server {name} {join_host_port(server.address, port)}"
        line += f" cookie {name}" if cookie else ""
        yield f"{line} check port {port} inter 5s" + (" ssl verify none" if one.ends_tls else "")


def _named(servers: Sequence[Member]) -> Iterator[tuple[str, Member]]:
    """By their pods' names, which stay theirs whatever the list is; by address where a name is not one's own."""
    names = [server.name or "" for server in servers]
    for server in servers:
        name = server.name or ""
        good = names.count(name) == 1 and re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name)
        yield (name if good else server.address), server
