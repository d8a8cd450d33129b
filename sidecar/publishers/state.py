"""`--state`: the last good list on disk, for a start while the API server cannot be reached."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from membership.errors import PublishError
from membership.files import FileWriter
from membership.model import Member, Snapshot
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


def load_state(path: Path, services: tuple[str, ...], now: Callable[[], float] = time.time) -> Fallback | None:
    """The list kept by an earlier run, or None, with the reason in the log, where it cannot serve.

    A clock that was set back makes the list look younger than it is by as much; it is never taken as newer than now.
    """
    try:
        state = msgspec.json.decode(path.read_bytes(), type=_State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("state file %s is not used: %s", path, error)
        return None
    if state.version != VERSION:
        log.warning("state file %s is not used: its version is %d, not %d", path, state.version, VERSION)
        return None
    asked = state.asked or state.services
    if set(asked) != set(services):
        log.warning("state file %s is not used: it is about %s", path, ", ".join(asked))
        return None
    found = tuple(name for name in state.services if name not in services)
    return Fallback(state.members, state.unknown_services, max(0.0, now() - state.proved_at), found)


class StatePublisher(Worker):
    """Writes each new list that the API server has proved; `services` are the names that are followed."""

    def __init__(self, path: Path, services: tuple[str, ...], membership: Membership, published: Published) -> None:
        super().__init__(f"state:{path}", membership, self._write, published)
        self._services = services
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
        )
        self._writer.write(msgspec.json.encode(state) + b"\n")
