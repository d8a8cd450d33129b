"""What one endpoint of one slice amounts to on its own: the member it would be, or why it cannot be one.

`members.py` decides between them; what is read here is kept while the slice is unchanged.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, compress, count, repeat
from operator import is_not

from membership.model import Member
from membership.wire import Endpoint, EndpointSlice, number

FAMILIES = {"ipv4": ("IPv4",), "ipv6": ("IPv6",), "both": ("IPv4", "IPv6")}
"""Address types by the value of `family`."""
RANK = 17
"""Bytes of a rank: the address family, then the address as a number. Of one length, so that thousands are one piece."""
_IPV4, _IPV6 = bytes([4]) + bytes(12), bytes([6])


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an endpoint a member."""

    port: int | str = 4000
    """The member port, or the name of the slice port that holds it."""
    family: str = "ipv4"
    """ipv4, ipv6 or both."""
    ready_only: bool = False
    """Keep only members that serve and do not terminate."""
    include_terminating: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One endpoint of one slice: the member it would be on its own, or the reason why it cannot be one."""

    address: str
    member: Member | None
    reason: str = ""
    rank: bytes = bytes(RANK)
    """Address family and number: parsed once here, for parsing 1000 addresses costs more than sorting them."""
    identity: str = ""
    """What tells pods apart: the uid, or the address of an endpoint without one."""
    refusal: str = ""
    """Rule 5 for this endpoint alone."""
    stands_out: bool = True
    """Whether there is more to say of it than that it is a member."""


@dataclass(frozen=True, slots=True)
class SliceReading:
    """A slice and what each of its endpoints amounts to."""

    slice: EndpointSlice
    order: int
    """The slice's resource version as a number: the higher, the more recently changed."""
    candidates: tuple[Candidate, ...]
    ports: Mapping[str, int]
    """Port numbers by name."""
    refusal: str
    """Rule 2 for all of it."""


def read_slice(slice: EndpointSlice, rules: Rules, before: SliceReading | None = None) -> SliceReading:
    """What can be said of one slice without the others.

    `before` is the reading of the same slice's last version: endpoints that are still the same at their place, which
    are nearly all when one pod of a thousand changes, are not read again.
    """
    order = number(slice.metadata.resource_version) or 0
    endpoints = slice.endpoints or ()
    ports: Mapping[str, int]
    if before is None or not _reads_alike(before.slice, slice):
        ports = {port.name or "": port.port for port in slice.ports or () if port.port}
        refusal = _refuse_slice(slice, rules)
        candidates = tuple(_read_endpoint(one, slice, ports, refusal, rules) for one in endpoints)
        return SliceReading(slice, order, candidates, ports, refusal)
    ports, refusal, known = before.ports, before.refusal, before.slice.endpoints or ()
    if len(known) == len(endpoints):
        found = list(before.candidates)
        # By identity first: the codec hands out the same object again for an endpoint that is as it was.
        for place in compress(count(), map(is_not, endpoints, known)):
            if endpoints[place] != known[place]:
                found[place] = _read_endpoint(endpoints[place], slice, ports, refusal, rules)
        return SliceReading(slice, order, tuple(found), ports, refusal)
    moved = dict(zip(map(id, known), before.candidates))
    equal = chain(zip(known, before.candidates), repeat((None, None)))
    found = []
    for endpoint, (same, candidate) in zip(endpoints, equal):
        if endpoint is not same and endpoint != same:
            candidate = moved.get(id(endpoint))
        found.append(candidate or _read_endpoint(endpoint, slice, ports, refusal, rules))
    return SliceReading(slice, order, tuple(found), ports, refusal)


def refuse_member(member: Member, rules: Rules) -> str:
    if member.terminating and (rules.ready_only or not rules.include_terminating):
        return "its pod is terminating"
    if rules.ready_only and not member.serving:
        return "its pod is not ready, and only ready members are asked for"
    return ""


def rank(member: Member) -> bytes:
    """What members of one Service are sorted by: address family, then the address as a number."""
    return _parse(member.address, "IPv6" if ":" in member.address else "IPv4")[1]


def _reads_alike(before: EndpointSlice, now: EndpointSlice) -> bool:
    """Whether all that a candidate takes from its slice is the same."""
    return (
        before.ports == now.ports
        and before.address_type == now.address_type
        and (before.metadata.labels is now.metadata.labels or before.service == now.service)
        and before.metadata.namespace == now.metadata.namespace
    )


def _read_endpoint(
    endpoint: Endpoint, slice: EndpointSlice, ports: Mapping[str, int], refusal: str, rules: Rules
) -> Candidate:
    address = endpoint.addresses[0] if endpoint.addresses else ""  # only the first has a meaning (discovery/v1)
    if refusal:
        return Candidate(address, None, refusal)
    try:
        address, place = _parse(address, slice.address_type)
    except ValueError:
        return Candidate(address, None, f"{address!r} is no {slice.address_type} address")
    member = _member(endpoint, address, slice, ports, rules)
    return Candidate(
        address=address,
        member=member,
        rank=place,
        identity=member.uid or member.address,
        refusal=(reason := refuse_member(member, rules)),
        stands_out=bool(reason or member.terminating),
    )


def _refuse_slice(slice: EndpointSlice, rules: Rules) -> str:
    if slice.address_type in FAMILIES[rules.family]:
        return ""
    if slice.address_type in FAMILIES["both"]:
        return f"{slice.address_type} address, and the family asked for is {rules.family}"
    return f"address type {slice.address_type or 'unset'}: host names are never resolved to find members"


def _parse(address: str, address_type: str) -> tuple[str, bytes]:
    """The address as it is written commonly, and its rank. Raises ValueError where it is none of this type."""
    if address_type == "IPv4":  # of which only the common spelling is one, so that no leading zero reads as octal
        numbers = bytes(map(int, address.split(".")))
        if len(numbers) != 4 or ".".join(map(str, numbers)) != address:
            raise ValueError
        return address, _IPV4 + numbers
    parsed = ipaddress.IPv6Address(address)
    return str(parsed), _IPV6 + parsed.packed


def _member(endpoint: Endpoint, address: str, slice: EndpointSlice, ports: Mapping[str, int], rules: Rules) -> Member:
    conditions, target = endpoint.conditions, endpoint.target_ref
    if target and (target.kind or "Pod") != "Pod":
        target = None  # several addresses of one Node, or of what a third party writes, are no one pod
    return Member(
        address=address,
        port=rules.port if isinstance(rules.port, int) else ports.get(rules.port),
        addresses=(address,),
        service=slice.service,
        namespace=slice.metadata.namespace,
        name=target.name if target else None,
        uid=target.uid if target else None,
        # discovery/v1 types.go: a nil condition reads as ready, as serving, and as not terminating
        ready=conditions is None or conditions.ready is not False,
        serving=conditions is None or conditions.serving is not False,
        terminating=conditions is not None and conditions.terminating is True,
        node=endpoint.node_name,
        zone=endpoint.zone,
        hostname=endpoint.hostname,
        ports=ports,
    )
