"""Whether Hazelcast sees the members that Kubernetes has: member list and Hazelcast's own views in, a verdict out.

The rules, each measured on real members (shared/hazelcast.md):

- Only a member that is ready (`/hazelcast/health/ready` is 200) has a view. While joining it lists itself alone, which
  is no split: the cluster is forming.
- Two members are in one cluster when each sees the other. Ready members that are not are the halves of a split. Sizes
  and `clusterSafe` prove nothing: a dead member stays listed for its heartbeat time, with Carbon's default 600 s.
- A member that serves and that a ready member does not list is missing. One that does not serve yet is forming.
- A member that is listed and gone from Kubernetes is unexpected; a terminating one is not gone. One that Kubernetes
  never had counts only when Kubernetes' list was proved after it was first seen: it may be a pod that just started.
- Agreed is said only when everyone who was asked said so. REST switched off is "off": no proof of anything.
"""

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from membership.model import Member, Snapshot, join_host_port

Kind = Literal["agreed", "forming", "split", "missing", "unexpected", "unknown"]
State = Literal["ready", "joining", "silent", "off", "unknown"]
Scope = Literal["local", "all"]

VERDICTS: tuple[Kind, ...] = get_args(Kind)
DIFFERENCES: tuple[Kind, ...] = ("split", "missing", "unexpected")
"""What somebody has to look at."""
MOST = 64
"""Members that are asked in one round at most."""
KEPT = 3600.0
"""Seconds an address that is gone is remembered when no view shows it any more."""
LOOPBACK = "127.0.0.1"
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Target:
    """A member to ask. `uid` is its pod's, where known: another uid is another process."""

    host: str
    port: int
    uid: str | None = None

    @property
    def name(self) -> str:
        return join_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class View:
    """What one Hazelcast member says. Addresses are `host:port`, as in `Member.endpoint`."""

    asked: str
    """Where it was asked."""
    state: State
    """ready: a member of a cluster; joining: up, not a member yet; silent: nothing listens there, or no answer in time;
    off: it closes the connection without an HTTP answer; unknown: its answer cannot be read."""
    members: tuple[str, ...] = ()
    """Whom it sees, itself included; only where ready."""
    own: str | None = None
    """Its own address as it advertises it."""
    why: str = ""
    """Why there is no view; empty where ready."""
    uuid: str | None = None
    version: str | None = None
    cluster: str | None = None
    """The cluster's name, where the way of asking tells it: REST does not."""
    way: str = "rest"
    """rest, or client: the Hazelcast client."""


@dataclass(frozen=True, slots=True)
class Unexpected:
    """In Hazelcast, and since this many seconds not in Kubernetes."""

    address: str
    since_seconds: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """A member whose view is not known, and why."""

    address: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. All findings are in it, also those that a graver one outranks."""

    verdict: Kind
    reason: str
    """In words."""
    halves: tuple[tuple[str, ...], ...] = ()
    """The clusters of a split, the largest first; else empty."""
    missing: tuple[str, ...] = ()
    unexpected: tuple[Unexpected, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    views: tuple[View, ...] = ()

    @property
    def differs(self) -> bool:
        return self.verdict in DIFFERENCES

    @property
    def gist(self) -> tuple[object, ...]:
        """Equal for two verdicts that say the same to a person; times and states of views play no part."""
        if not self.differs:
            return (self.verdict,)
        return self.verdict, self.halves, self.missing, tuple(entry.address for entry in self.unexpected)


class Absences:
    """Keeps since when addresses are gone from Kubernetes. Show it every list and every round of views."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._gone: dict[str, float] = {}
        self._vanished: set[str] = set()
        self._strangers: dict[str, float] = {}

    def observe_list(self, known: Collection[str], now: float) -> None:
        """`known`: every host that Kubernetes has in any slice, terminating and filtered ones too."""
        for host in self._known.difference(known):
            self._gone.setdefault(host, now)
            self._vanished.add(host)
        for host in known:
            self._gone.pop(host, None)
            self._vanished.discard(host)
            self._strangers.pop(host, None)
        self._known = frozenset(known)

    def observe_views(self, views: Iterable[View], proved_at: float, now: float) -> None:
        """`proved_at`: when the API server last proved the list that `observe_list` was shown."""
        seen = {host_of(address) for view in views for address in view.members}
        for host in seen.difference(self._known, self._gone):
            self._strangers.setdefault(host, now)
        for host, since in list(self._strangers.items()):
            if host not in seen:
                del self._strangers[host]
            elif proved_at > since:
                self._gone[host] = self._strangers.pop(host)
        for host, since in list(self._gone.items()):
            if host not in seen and now - since > KEPT:
                del self._gone[host]
                self._vanished.discard(host)

    @property
    def gone_since(self) -> Mapping[str, float]:
        """By host; hosts that were never known are in it from when they were first seen."""
        return dict(self._gone)

    @property
    def vanished(self) -> frozenset[str]:
        """Those of them that a list had once."""
        return frozenset(self._vanished)


def choose_targets(snapshot: Snapshot, scope: Scope, self_ip: str | None, port: int | str) -> tuple[Target, ...]:
    """Whom to ask: the own member first (by `self_ip`, else on loopback), and with `all` the others of the list."""
    found: dict[str, Target] = {}
    for member in sorted(snapshot.members, key=lambda member: self_ip not in member.addresses):
        if member.port is not None and not member.terminating:
            host = self_ip if self_ip is not None and self_ip in member.addresses else member.address
            target = Target(host, member.port, member.uid)
            found.setdefault(target.name, target)
    own = [target for target in found.values() if target.host == self_ip]
    if not own and (self_ip is not None or scope == "local"):
        numbers = [port] if isinstance(port, int) else [target.port for target in found.values()]
        own = [Target(self_ip or LOOPBACK, number) for number in numbers[:1]]
    others = [target for target in found.values() if target not in own] if scope == "all" else []
    return (*own, *others)[:MOST]


def confirmed(before: Verdict | None, after: Verdict) -> bool:
    """Whether `after` may be told. A difference may not before two rounds in a row have found it: the members of one
    round are asked one after the other, and a member that joins or leaves in between looks like one."""
    if not after.differs:
        return True
    if before is None or before.verdict != after.verdict:
        return False
    if after.verdict == "split":
        return True
    return not _addresses(before).isdisjoint(_addresses(after))


def compare(
    snapshot: Snapshot,
    views: Sequence[View],
    gone_since: Mapping[str, float],
    now: float,
    *,
    leaving: Collection[str] = (),
) -> Verdict:
    """The verdict on one round. `leaving`: hosts that Kubernetes has in a slice and not in the list (terminating, or
    filtered); `gone_since`: by host, on the clock of `now` (see `Absences`). Two views of one member count as one."""
    if snapshot.generation == 0:
        return Verdict("unknown", "there is no member list yet", views=tuple(views))
    scene = _Scene(snapshot, views, leaving)
    halves = scene.halves()
    if halves:
        named = " | ".join(_join(half) for half in halves)
        main: tuple[Kind, str] = ("split", f"{len(halves)} clusters: {named}")
    elif snapshot.stale:
        main = ("unknown", "the member list is stale: nothing can be compared with it")
    else:
        main = scene.judge(gone_since, now)
    compared = not snapshot.stale
    return Verdict(
        *main,
        halves=halves,
        missing=scene.missing if compared else (),
        unexpected=scene.unexpected(gone_since, now) if compared else (),
        unknown=scene.unknown,
        views=tuple(views),
    )


def host_of(endpoint: str) -> str:
    """The host of `host:port`, without brackets."""
    return endpoint.rpartition(":")[0].strip("[]")


def is_address(host: str) -> bool:
    """Whether it is an IP address, and no host name."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def endpoint_of(host: str, port: int) -> str:
    """`host:port` with an IP address written the one way, so that two of them compare."""
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        pass  # a host name
    return join_host_port(host, port)


class _Scene:
    """Members and views under one name each: a member may be asked, listed and advertised under different addresses."""

    def __init__(self, snapshot: Snapshot, views: Sequence[View], leaving: Collection[str]) -> None:
        alias = {
            endpoint_of(address, member.port): member.endpoint
            for member in snapshot.members
            if member.port is not None and member.endpoint is not None
            for address in member.addresses
        }
        alias |= _named(snapshot.members, views)
        self._alias = alias | _advertised(views, alias)
        self.serving: dict[str, bool] = {}
        terminating = set(leaving)
        for member in snapshot.members:
            if member.terminating:
                terminating.update(member.addresses)
            elif member.endpoint is not None:
                self.serving[member.endpoint] = self.serving.get(member.endpoint, False) or member.serving
        self._leaving = terminating.difference(map(host_of, self.serving))
        self._hosts = {address for member in snapshot.members for address in member.addresses}
        self._views = self._once(views)
        self.seen = {
            name: frozenset(self._name_in(view, address) for address in view.members) | self._itself(name, view)
            for name, view in self._views.items()
            if view.state == "ready" and host_of(name) not in self._leaving
        }
        self._groups = self._group()
        joining = {name for name, view in self._views.items() if view.state == "joining"}
        unseen = set(filter(self._is_unseen, self.serving))
        self.missing = tuple(name for name in self.serving if name in unseen - joining and self.serving[name])
        self._booting = [name for name in self.serving if name in unseen and not self.serving[name]]
        self._joining = [name for name in self._views if name in joining]
        self.unknown, self._starting = self._sort_out(snapshot.members)

    def judge(self, gone_since: Mapping[str, float], now: float) -> tuple[Kind, str]:
        """Verdict and reason, the gravest finding first; halves are not its business."""
        unexpected = self.unexpected(gone_since, now)
        newcomers = self._newcomers(gone_since)
        findings: list[tuple[Kind, str]] = []
        if unexpected:
            named = _join(f"{entry.address} (since {entry.since_seconds:.0f} s)" for entry in unexpected)
            findings.append(("unexpected", f"in Hazelcast, gone in Kubernetes: {named}"))
        if self.missing:
            findings.append(("missing", f"in Kubernetes and serving, not in Hazelcast: {_join(self._hint())}"))
        for names, words in (
            (self._joining, "joining"),
            (self._booting, "not serving yet, not in Hazelcast"),
            (self._starting, "not serving yet, no answer on the member port"),
            (newcomers, "in Hazelcast, not in Kubernetes' list yet"),
        ):
            if names:
                findings.append(("forming", f"{words}: {_join(names)}"))
        if self.unknown:
            named = "; ".join(f"{entry.address}: {entry.why}" for entry in self.unknown[:_NAMES_SHOWN])
            findings.append(("unknown", named + (" and more" if len(self.unknown) > _NAMES_SHOWN else "")))
        if not findings and not self.seen:
            words = "nobody was asked" if self.serving else "the list has no members"
            findings.append(("unknown", "who answers is terminating" if self._views else words))
        if not findings:
            count = len(self.serving)
            asked = "each of them" if len(self.seen) >= count else f"{len(self.seen)} of them, as asked,"
            findings.append(("agreed", f"{count} members in Kubernetes, and {asked} sees just these in Hazelcast"))
        return findings[0][0], "; ".join(words for _, words in findings)

    def unexpected(self, gone_since: Mapping[str, float], now: float) -> tuple[Unexpected, ...]:
        return tuple(
            Unexpected(name, round(max(0.0, now - gone_since[host_of(name)]), 3))
            for name in self._strangers()
            if host_of(name) in gone_since
        )

    def halves(self) -> tuple[tuple[str, ...], ...]:
        """The clusters, where there is more than one."""
        if len(self._groups) < 2:
            return ()
        # Someone who has a view belongs to one half; who has none, to each that lists him.
        asked = set(self.seen)
        halves = [group.union(*(self.seen[name] - asked for name in group)) for group in self._groups]
        return tuple(tuple(sorted(half, key=_order)) for half in sorted(halves, key=lambda h: (-len(h), sorted(h))))

    def _group(self) -> list[set[str]]:
        """Those who see each other, directly or through others."""
        groups: list[set[str]] = []
        for name, seen in self.seen.items():
            mutual = [group for group in groups if any(o in seen and name in self.seen[o] for o in group)]
            groups = [group for group in groups if group not in mutual] + [{name}.union(*mutual)]
        return groups

    def _is_unseen(self, name: str) -> bool:
        """Whether somebody who should list this member does not."""
        if name in self.seen:
            own = next(group for group in self._groups if name in group)
            return any(name not in self.seen[other] for other in own)
        lists = [name in seen for seen in self.seen.values()]
        return bool(lists) and not (any(lists) if len(self._groups) > 1 else all(lists))

    def _once(self, views: Sequence[View]) -> dict[str, View]:
        """One view for each member by its name: of several the one that tells most, which only a member up can."""
        telling = {"ready": 0, "joining": 1}
        found: dict[str, View] = {}
        for view in sorted(views, key=lambda view: telling.get(view.state, 2)):
            name = self._alias.get(view.asked) or self._alias.get(view.own or "") or view.own or view.asked
            found.setdefault(name, view)
        return found

    def _itself(self, name: str, view: View) -> set[str]:
        """Its own name; none of who was asked on loopback and does not say who it is, for it is in its own list."""
        return {name} if view.own is not None or view.asked in self._alias else set()

    def _name_in(self, view: View, address: str) -> str:
        """Several members may advertise the same address, such as 127.0.0.1: in its own view it is the asked one."""
        if address == view.own and view.asked in self._alias:
            return self._alias[view.asked]
        return self._alias.get(address, address)

    def _strangers(self) -> list[str]:
        """Listed by someone, and nobody that Kubernetes has."""
        known = self._hosts | self._leaving
        listed = set().union(*self.seen.values())
        return sorted((n for n in listed if n not in self.serving and host_of(n) not in known), key=_order)

    def _newcomers(self, gone_since: Mapping[str, float]) -> list[str]:
        return [name for name in self._strangers() if host_of(name) not in gone_since]

    def _hint(self) -> list[str]:
        """Missing members; one that Hazelcast lists on another port is most likely a wrong --port."""
        listed = set().union(*self.seen.values()) - set(self.serving)
        others = {host_of(name): name for name in listed}
        return [
            f"{name} (but {others[host_of(name)]} is: is --port right?)" if host_of(name) in others else name
            for name in self.missing
        ]

    def _sort_out(self, members: Sequence[Member]) -> tuple[tuple[Unknown, ...], list[str]]:
        """Those whose view is not known, and those that are not expected to answer yet."""
        unknown, starting = [], []
        for name, view in self._views.items():
            if view.state in ("ready", "joining") or name in self.missing or host_of(name) in self._leaving:
                continue
            serves = self.serving[name] if name in self.serving else all(self.serving.values())
            if view.state == "silent" and not serves:
                if name not in self._booting:
                    starting.append(name)
            else:
                unknown.append(Unknown(name, view.why))
        for member in members:
            if member.port is None and not member.terminating:
                unknown.append(Unknown(member.address, "its slice does not have the named port"))
        return tuple(unknown), starting


def _named(members: Sequence[Member], views: Sequence[View]) -> dict[str, str]:
    """Host names that members go by (docs/live.md), of which the first label is that of one pod; none is resolved."""
    found: dict[str, str] = {}
    for address in {address for view in views for address in (*view.members, view.own) if address is not None}:
        if is_address(host_of(address)):
            continue
        label, port = host_of(address).partition(".")[0], address.rpartition(":")[2]
        pods = [one for one in members if label in (one.hostname, one.name) and str(one.port) == port]
        if len(pods) == 1 and pods[0].endpoint is not None:
            found[address] = pods[0].endpoint
    return found


def _advertised(views: Sequence[View], alias: Mapping[str, str | None]) -> dict[str, str]:
    """Addresses that members give themselves besides the one Kubernetes has, where just one gives it."""
    found: dict[str, set[str]] = {}
    for view in views:
        name = alias.get(view.asked)
        if view.own is not None and view.own not in alias and name is not None:
            found.setdefault(view.own, set()).add(name)
    return {own: names.pop() for own, names in found.items() if len(names) == 1}


def _addresses(verdict: Verdict) -> set[str]:
    return {*verdict.missing} if verdict.verdict == "missing" else {entry.address for entry in verdict.unexpected}


def _order(endpoint: str) -> tuple[int, bytes, str]:
    """IPv4 before IPv6 before names, each by number."""
    try:
        address = ipaddress.ip_address(host_of(endpoint))
    except ValueError:
        return 9, b"", endpoint
    return address.version, address.packed, endpoint


def _join(names: Iterable[str]) -> str:
    named = list(names)
    return ", ".join(named[:_NAMES_SHOWN]) + (f" and {len(named) - _NAMES_SHOWN} more" if named[_NAMES_SHOWN:] else "")
