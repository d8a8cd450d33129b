"""`--state`: the last good list on disk, for a start while the API server cannot be reached."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path

import msgspec

from membership.candidates import Rules
from membership.errors import PublishError
from membership.files import FileWriter, read_kept
from membership.model import Member, Snapshot
from membership.names import EVERY
from membership.peer import adopt
from membership.session import Fallback, Membership, Publication
from sidecar.publishers.worker import Published, Worker

log = logging.getLogger("sidecar")

VERSION = 1


class _State(msgspec.Struct):
    version: int
    proved_at: float  # seconds since 1970: another process reads it, so no monotonic clock can serve
    services: tuple[str, ...]
    unknown_services: tuple[str, ...]
    members: tuple[Member, ...]
    asked: tuple[str, ...] = ()
    """The names that were followed, where they are not `services`: every Service of a namespace has one name."""
    rules: Rules | None = None
    """By which the members were made; None where a release before this field wrote it."""


def load_state(
    path: Path, services: tuple[str, ...], rules: Rules, now: Callable[[], float] = time.time
) -> Fallback | None:
    """The list kept by an earlier run, or None, with the reason in the log, where it cannot serve.

    It can where it is whole and about these Services and rules. A file that does not say its rules does where each
    member is one by ours: whom its own have left out nobody can tell, and a list without them is better than none.

    A clock that was set back makes the list look younger than it is by as much; it is never taken as newer than now.
    """
    try:
        state = msgspec.json.decode(read_kept(path), type=_State)
        _check(state, services, rules)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        log.warning("state file %s is not used: %s", path, error)
        return None
    found = tuple(name for name in state.services if name not in services)
    return Fallback(state.members, state.unknown_services, max(0.0, now() - state.proved_at), found)


def _check(state: _State, services: tuple[str, ...], rules: Rules) -> None:
    """Raises ValueError with the reason for which it cannot serve."""
    if state.version != VERSION:
        raise ValueError(f"its version is {state.version}, not {VERSION}")
    asked = state.asked or state.services
    if set(asked) != set(services):
        raise ValueError(f"it is about {', '.join(asked)}")
    if state.rules and state.rules != rules:
        were, are = asdict(state.rules), asdict(rules)
        flags = [f"--{name.replace('_', '-')} {were[name]}".lower() for name in were if were[name] != are[name]]
        raise ValueError(f"it was made with {', '.join(flags)}")
    of_members = (f"{member.namespace}/{member.service}" for member in state.members)
    for name in (*state.services, *state.unknown_services, *of_members):
        namespace, _, service = name.partition("/")
        every = f"{namespace}/{EVERY}" in services and service and "/" not in service
        if name not in services and not every:
            raise ValueError(f"{name!r} in it is no Service that is followed")
    for member in state.members:
        for address in member.addresses:
            ip_address(address)
        if adopt(member, rules) != member:
            raise ValueError(f"{member.address!r} in it is no member by these settings")
        for port in member.ports.values():
            if not 0 < port < 65536:
                raise ValueError(f"{port} in it is no port")


class StatePublisher(Worker):
    """Writes each new list that the API server has proved; `services` are the names followed, by these `rules`."""

    def __init__(
        self, path: Path, services: tuple[str, ...], rules: Rules, membership: Membership, published: Published
    ) -> None:
        super().__init__(f"state:{path}", membership, self._write, published)
        self._services = services
        self._rules = rules
        self._writer = FileWriter(path, None)
        self._writer.remove_leftovers()

    def close(self) -> None:
        """Write once more: the list may be old and its last proof new."""
        super().close()
        try:
            self._save(self._membership.current())
        except PublishError as error:
            log.error("%s", error)

    def _write(self, publication: Publication) -> bool:
        self._save(self._membership.current())  # its age is that of now, however long the last write took
        return True

    def _save(self, snapshot: Snapshot) -> None:
        if not snapshot.synced:
            return  # it came from this very file
        state = _State(
            VERSION,
            time.time() - snapshot.age_seconds,
            snapshot.services,
            snapshot.unknown_services,
            snapshot.members,
            self._services,
            self._rules,
        )
        self._writer.write(msgspec.json.encode(state) + b"\n")
