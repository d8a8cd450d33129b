"""What a Carbon server has to be told, whichever file tells it."""

from dataclasses import dataclass

from membership.errors import RenderError
from membership.model import Member, Snapshot
from membership.render.setup import Setup

WHY_IPV4 = 'Carbon runs with preferIPv4Stack=true and splits its members at ":", so it takes IPv4 addresses only'


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address or a host name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Clustering:
    """The scheme is always wka: the list is in the file. None leaves what the file has."""

    members: tuple[Address, ...]
    local_port: int
    local_host: str | None = None
    domain: str | None = None


def make_clustering(snapshot: Snapshot, setup: Setup) -> Clustering | None:
    """None where no member has a port. Raises RenderError where there are members and none has an IPv4 address."""
    if not snapshot.endpoints:
        return None
    if setup.self_ip is not None and _is_ipv6(setup.self_ip):
        raise RenderError(f"the own address {setup.self_ip} (--self-ip) is IPv6: {WHY_IPV4}")
    found = [address for member in snapshot.members if (address := _address(member))]
    if not found:
        raise RenderError(f"no member has an IPv4 address, such as {snapshot.endpoints[0]}: {WHY_IPV4}")
    members = tuple(dict.fromkeys(found))
    return Clustering(members, setup.own_port(snapshot), setup.self_ip, setup.cluster_name)


def _address(member: Member) -> Address | None:
    """The first that Carbon takes: under `--family both` a member may have either family, or both."""
    host = next((address for address in member.addresses if not _is_ipv6(address)), None)
    return None if host is None or member.port is None else Address(host, member.port)


def _is_ipv6(address: str) -> bool:
    """A host name (`membership/static.py`) is none."""
    return ":" in address
