"""What this library hands out: members, snapshots of the member list, and the reasons behind it.

All of it is immutable. Field names are those of `GET /members`, so what is read here can be found there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of one followed Service.

    A pod that two followed Services select is two members. `ready`, `serving` and `terminating` are the conditions of
    https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions: under publishNotReadyAddresses
    `ready` is always true, so judge by `serving` and `terminating`.
    """

    address: str
    """The first of `addresses`."""
    port: int | None
    """The member port; None where it was given as a name that this member's slice does not have."""
    addresses: tuple[str, ...]
    """One address for each chosen family, IPv4 first; never empty."""
    service: str
    namespace: str
    name: str | None
    """The pod's name; None where the slice names no pod."""
    uid: str | None
    """The pod's uid; None where the slice names no pod. Two pods may have had the same address, never the same uid."""
    ready: bool
    serving: bool
    terminating: bool
    node: str | None
    zone: str | None
    hostname: str | None
    """Set only where the pod's subdomain is the Service, as in a StatefulSet."""
    ports: Mapping[str, int] = field(hash=False)
    """Port numbers by name, as the slice has them; an unnamed port is under ""."""

    @property
    def endpoint(self) -> str | None:
        """`host:port`, an IPv6 host in brackets; None where `port` is None."""
        return None if self.port is None else join_host_port(self.address, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The member list at one moment."""

    generation: int
    """+1 for each changed list, from 1; 0 before the first list."""
    epoch: str
    """Random, one per process (per `Membership`): generations of different epochs do not compare."""
    synced: bool
    """Every followed Service was listed at least once by this process."""
    stale: bool
    """`age_seconds` is above the limit (`stale_after`), or the list comes from a state file."""
    age_seconds: float
    """Seconds since the API server last proved this list; infinite before the first proof."""
    source: str
    """endpointslices, endpoints, endpointslices-polling, endpoints-polling or state."""
    services: tuple[str, ...]
    """The followed Services as namespace/name, in the order they were named."""
    unknown_services: tuple[str, ...]
    """Those of `services` that the API server has nothing of: absent, or without a selector and without slices."""
    resource_versions: Mapping[str, str] = field(hash=False)
    """The newest resource version seen, by namespace: Kubernetes' opaque strings."""
    members: tuple[Member, ...]
    """Sorted by namespace, service, then address: IPv4 before IPv6, each by number."""

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Each `host:port` once, in the order of `members`, without members that have no port."""
        # Not by the members' property: with 20,000 it takes a third more.
        found = [join_host_port(member.address, port) for member in self.members if (port := member.port) is not None]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port that a Service exposes; `name` is that of its pods' port in `Member.ports`, "" for an unnamed one."""

    name: str
    port: int
    protocol: str = "TCP"
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """What a Service says of itself, for formats that balance its load."""

    namespace: str
    name: str
    ports: tuple[ServicePort, ...] = ()
    by_client: bool = False
    """sessionAffinity is ClientIP."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Those that begin with `serviceloadbalancer/`, without that."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one address of one slice is in the list or is not."""

    address: str
    namespace: str
    service: str
    slice: str
    name: str | None
    uid: str | None
    included: bool
    reason: str
    """In words."""


def join_host_port(host: str, port: int) -> str:
    """`10.0.0.1:4000`, `[fd00::1]:4000`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
