"""Another sidecar, asked for its list: `/members` with a blocking query (docs/http.md)."""

import math
import re
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

import msgspec

from membership.errors import ApiError, BadAnswer, NotFound, ServerFault
from membership.candidates import Rules, rank
from membership.model import Member
from membership.transport import Address, Exchange, Interrupt

ASKED_BY = "X-Membership-Asked-By"
"""Header of a request of another sidecar, whatever its value: the answer, 304 too, has `AGE` then."""
AGE = "X-Membership-Age-Seconds"
"""Header: how long before this answer the API server last proved the list."""


class _List(msgspec.Struct, frozen=True):
    generation: int
    epoch: str
    synced: bool
    services: tuple[str, ...]
    unknown_services: tuple[str, ...]
    resource_versions: dict[str, str]
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class PeerList:
    """What another sidecar has of one namespace, and where to go on from."""

    generation: int
    epoch: str
    etag: str
    members: tuple[Member, ...]
    unknown_services: tuple[str, ...]
    resource_version: str
    """The newest that it has seen of the namespace."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`list` is the one asked from, where it is unchanged."""

    list: PeerList
    age_seconds: float
    """When the answer was made."""
    waited: float
    """Seconds for which the peer may have held the answer back because there was nothing new; 0 for news."""


class Peer:
    """The sidecar at `address`, for the Services of one namespace that are followed by these rules."""

    def __init__(self, address: Address, namespace: str, services: tuple[str, ...], rules: Rules) -> None:
        self._address = address
        self._namespace = namespace
        self._services = services
        self._rules = rules

    @property
    def url(self) -> str:
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return f"http://{host}:{self._address.port}"

    def ask(self, before: PeerList | None, wait: float, deadline: float, interrupt: Interrupt) -> Answer:
        """Its list, or after `wait` seconds the news that `before` is still it. `deadline` is monotonic.

        Raises ApiError: ServerFault while it has no list that the API server gave it, NotFound where it does not follow
        our Services, BadAnswer for what is no sidecar's answer, Unreachable.
        """
        query = {"index": "0", "wait": f"{round(wait * 1000)}ms"}
        headers = {"Connection": "close", "Accept": "application/json", ASKED_BY: "sidecar"}
        if len(self._services) == 1:
            query["service"] = f"{self._namespace}/{self._services[0]}"
        if before is not None:
            query |= {"index": str(before.generation), "epoch": before.epoch}
            headers["If-None-Match"] = before.etag
        target = f"/members?{urlencode(query)}"
        exchange = Exchange(self._address, interrupt)
        try:
            exchange.request("GET", target, headers, None, deadline)
            return self._read(exchange, before, wait, exchange.read_all(deadline))
        except ApiError as error:
            error.server, error.request = self.url, f"GET {target}"
            raise
        finally:
            exchange.close()

    def _read(self, exchange: Exchange, before: PeerList | None, wait: float, body: bytes) -> Answer:
        response = exchange.response
        if response.status == 503:
            raise ServerFault("that sidecar has no list yet")
        if response.status == 404:
            raise NotFound(f"that sidecar does not follow {', '.join(self._services)}, or is none")
        try:
            age = float(response.headers.get(AGE, ""))
        except ValueError:
            age = math.nan
        if response.status not in (200, 304) or not 0 <= age < math.inf:
            raise BadAnswer(f"status {response.status}, and no {AGE}: what answers there is no sidecar of this version")
        if response.status == 304 and before is not None:
            generation = response.headers.get("X-Membership-Generation", "")
            epoch = response.headers.get("X-Membership-Epoch", "")
            same = (generation, epoch) == (str(before.generation), before.epoch)
            if not re.fullmatch("[0-9]{1,18}", generation):
                raise BadAnswer("304 without X-Membership-Generation")
            return Answer(replace(before, generation=int(generation), epoch=epoch), age, wait if same else 0.0)
        return Answer(self._decode(body, response.headers.get("ETag", "")), age, 0.0)

    def _decode(self, body: bytes, etag: str) -> PeerList:
        try:
            found = msgspec.json.decode(body, type=_List)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswer(f"what answers there is no sidecar: {body[:60]!r}: {error}") from error
        if not found.synced:
            raise ServerFault("that sidecar has not reached the API server, and shows the list of an earlier run")
        wanted = {f"{self._namespace}/{service}" for service in self._services}
        if missing := wanted.difference(found.services):
            raise NotFound(f"that sidecar does not follow {', '.join(sorted(missing))}")
        adopted = (adopt(member, self._rules) for member in found.members if _full(member) in wanted)
        try:
            members = sorted(filter(None, adopted), key=lambda member: (member.service, rank(member)))
        except ValueError as error:
            raise BadAnswer(f"what answers there is no sidecar: {error}") from error
        return PeerList(
            generation=found.generation,
            epoch=found.epoch,
            etag=etag,
            members=tuple(members),
            unknown_services=tuple(name for name in found.unknown_services if name in wanted),
            resource_version=found.resource_versions.get(self._namespace, ""),
        )


def parse_sidecar_url(text: str) -> Address | None:
    """Raises ValueError for what is not the address of a sidecar, which speaks HTTP without TLS."""
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or port == 0 or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{text!r} is not the address of a sidecar, such as http://membership:4080")
    return Address(parts.hostname, port or 80)


def adopt(member: Member, rules: Rules) -> Member | None:
    """Another sidecar's or run's member by our rules, None where it is none. What its own left out is not there."""
    if member.terminating and (rules.ready_only or not rules.include_terminating):
        return None
    if rules.ready_only and not member.serving:
        return None
    of_family = {"ipv4": lambda address: ":" not in address, "ipv6": lambda address: ":" in address}
    addresses = tuple(filter(of_family.get(rules.family), member.addresses))
    if not addresses:
        return None
    port = rules.port if isinstance(rules.port, int) else member.ports.get(rules.port)
    return replace(member, address=addresses[0], addresses=addresses, port=port)


def _full(member: Member) -> str:
    return f"{member.namespace}/{member.service}"
