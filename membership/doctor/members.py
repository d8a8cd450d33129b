"""slices, own: who is in the list, who is not and why, and whether we are."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from membership.doctor.catalogue import common, find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.model import Explanation, Snapshot

SHOWN = 10
"""Addresses that are named at most."""


def examine_slices(situation: Situation, limit: Limit) -> Iterator[Finding]:
    if situation.membership is None:
        yield common("slices", "skipped", "no API server or no Services are known")
        return
    if situation.upstream_problem:
        yield find("slices.upstream", situation.upstream_problem)
    snapshot = situation.wait_list(limit)
    yield from judge_list(snapshot, situation.membership.explain(), situation.settings.gate.expect)
    if snapshot.source in ("endpoints", "endpoints-polling") and situation.settings.options.source != "endpoints":
        yield find("slices.endpoints", f"source {snapshot.source}")


def judge_list(snapshot: Snapshot, entries: Sequence[Explanation], expect: int) -> Iterator[Finding]:
    """What is odd about the list; `entries` are all addresses of all slices."""
    for name in snapshot.unknown_services:
        yield find("slices.none", name)
    for name in snapshot.services:
        members = [member for member in snapshot.members if f"{member.namespace}/{member.service}" == name]
        out = [entry for entry in entries if not entry.included and f"{entry.namespace}/{entry.service}" == name]
        families = [entry for entry in out if "the family asked for" in entry.reason]
        if out and (members or families != out):
            yield find("slices.left-out", _shorten([f"{entry.address}: {entry.reason}" for entry in out]))
        if not members and families:
            yield find("slices.family", _shorten([f"{entry.address}: {entry.reason}" for entry in families]))
        elif not members and name not in snapshot.unknown_services:
            yield find("slices.empty", f"{name}: {f'{len(out)} addresses, none of a member' if out else 'no address'}")
        lacking = [member.address for member in members if member.port is None]
        if lacking:
            yield find("slices.no-port", f"{name}: {', '.join(lacking[:SHOWN])}")
        waiting = [member.address for member in members if not member.serving and not member.terminating]
        if waiting:
            yield find("slices.not-serving", f"{name}: {', '.join(waiting[:SHOWN])}")
    addresses = {member.address for member in snapshot.members}
    if snapshot.members and len(addresses) < expect:
        yield find("slices.few", f"{len(addresses)} of {expect}: {', '.join(sorted(addresses))}")
    if snapshot.members:
        yield find(
            "slices.ok", f"{', '.join(snapshot.services)}: {', '.join(sorted(addresses)[:SHOWN])} ({snapshot.source})"
        )


def examine_own(situation: Situation, limit: Limit) -> Iterator[Finding]:
    own = situation.settings.gate.self_ip
    if own is None:
        yield find("own.unknown", "neither --self-ip nor NODE_IP nor POD_IP is set")
        return
    local = is_local(own)
    loopback = ipaddress.ip_address(own).is_loopback
    if not local:
        yield find("own.foreign", f"{own}; this host's: {', '.join(sorted(_addresses())) or 'not known'}")
    if situation.membership is None:
        if loopback:
            yield find("own.loopback", own)
        yield common("own", "skipped", "there is no list to look it up in")
        return
    snapshot = situation.wait_list(limit)
    found = [member for member in snapshot.members if own in member.addresses]
    if found:
        names = ", ".join(f"pod {member.name or '-'} of {member.namespace}/{member.service}" for member in found)
        yield find("own.ok", f"{own}: {names}")
    elif loopback:
        yield find("own.loopback", own)
    else:
        reasons = [entry.reason for entry in situation.membership.explain() if entry.address == own]
        listed = ", ".join([member.address for member in snapshot.members][:SHOWN]) or "nobody"
        yield find("own.absent", f"{own}: {'; '.join(reasons) or 'in no slice'}; the list: {listed}")


def is_local(address: str) -> bool:
    """Whether an interface of this host has it: only then it can be bound to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
        return True


def _addresses() -> set[str]:
    """This host's address by its name, as evidence; a pod's name leads to its address in /etc/hosts."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()


def _shorten(lines: Sequence[str]) -> str:
    return "\n".join([*lines[:SHOWN], *([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])])
