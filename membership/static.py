"""A list that nobody is asked for: host names that are known beforehand, such as those of a StatefulSet's pods.

Hazelcast resolves the names of a tcp-ip list at each merge run (shared/hazelcast.md, section 7), so that they serve as
a live list without any access to the API server. Here they are never resolved.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from membership.model import Member, Snapshot
from membership.names import is_name

SOURCE = "names"
"""`Snapshot.source` of such a list."""
LONGEST = 253
"""Characters of a host name: RFC 1035, without the last dot."""


@dataclass(frozen=True, slots=True)
class Name:
    """One member: a host name or an IP address, and its port where it has one of its own."""

    host: str
    port: int | None = None


def parse_names(text: str) -> tuple[Name, ...]:
    """`is-0.is-hl,is-1.is-hl:4001`, each once; raises ValueError that names what is none."""
    found = tuple(dict.fromkeys(_parse(item.strip()) for item in text.split(",") if item.strip()))
    if not found:
        raise ValueError("no host name is named")
    return found


def list_names(names: Sequence[Name], port: int | None) -> Snapshot:
    """The list of just these, in their order. Nothing is known of them, so they count as ready.

    `port` is that of names without one; None leaves them without, and so out of what is rendered.
    """
    members = tuple(_make_member(name.host, port if name.port is None else name.port) for name in names)
    return Snapshot(
        generation=1,
        epoch="",
        synced=True,
        stale=False,
        age_seconds=0.0,
        source=SOURCE,
        services=(),
        unknown_services=(),
        resource_versions={},
        members=members,
    )


def find_own(names: Sequence[Name], own: str) -> Name | None:
    """The one that is `own`, or whose first label it is: a StatefulSet's pod is named like that. None without one.

    Members must know each other by the names in the list, the own one included. Measured on 3.12.2 and 4.2.6: a member
    that calls itself by its address is connected to, and never found again under the name that was asked for.
    """
    return next((name for name in names if own in (name.host, name.host.partition(".")[0])), None)


def _parse(text: str) -> Name:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/]+))(?::([0-9]{1,5}))?", text)
    if match is None or (match[3] and not 1 <= int(match[3]) <= 65535):
        raise ValueError(f"{text!r} is neither a host name nor HOST:PORT")
    host, port = match[1] or match[2], int(match[3]) if match[3] else None
    try:
        return Name(str(ipaddress.ip_address(host)), port)
    except ValueError:
        pass  # a host name
    labels = host.removesuffix(".").split(".")
    if match[1] or len(host) > LONGEST + 1 or not all(map(is_name, labels)) or labels[-1].isdigit():
        raise ValueError(f"{text!r} is not a host name such as is-0.is-hl.wso2.svc.cluster.local")
    return Name(host, port)


def _make_member(host: str, port: int | None) -> Member:
    return Member(
        address=host,
        port=port,
        addresses=(host,),
        service="",
        namespace="",
        name=None,
        uid=None,
        ready=True,
        serving=True,
        terminating=False,
        node=None,
        zone=None,
        hostname=None,
        ports={},
    )
