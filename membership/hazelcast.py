"""Hazelcast members, asked for their own view: by REST on the member port, else by the Hazelcast client.

What is said on a connection is in hazelcast_rest.py and hazelcast_probe.py; here is who is asked, and when.

A member with REST off closes the connection without an HTTP answer, and some versions log a stack trace each time: it
is asked a second time, then only every few minutes, or when its pod is another one.
"""

import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from membership.errors import BadAnswer
from membership.hazelcast_rest import ask_rest
from membership.transport import Interrupt
from membership.verify import Target, View

ROUND_LIMIT = 5.0
"""Seconds for all members by REST together."""
CLIENT_LIMIT = 8.0
"""Seconds until a client process is killed. On a member that is joining the client hangs, whatever its timeouts say."""
CLIENT_INTERVAL = 30.0
"""Seconds between rounds while the client is in use: each costs a process here and log lines there."""
AGAIN_AFTER = 300.0
"""Seconds until a member with REST off is asked by REST again."""
AT_ONCE = 16
CLIENTS_AT_ONCE = 2
"""A client process takes 27 MiB."""

_NO_TIME = "no answer in time"


class _Probe(msgspec.Struct):
    """What `membership.hazelcast_probe` prints."""

    members: list[str] = []
    own: str | None = None
    uuid: str | None = None
    version: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Refusal:
    uid: str | None
    times: int
    until: float
    view: View


class Asker:
    """Asks members in parallel, and remembers who has REST off.

    `client_cluster`: the name of the cluster for the Hazelcast client, which is then asked where REST is off (servers
    from 4.0); None never. One round at a time; `close` from any thread ends it at once.
    """

    def __init__(self, client_cluster: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._client_cluster = client_cluster if importlib.util.find_spec("hazelcast") else None
        self._clock = clock
        self._lock = threading.Lock()
        self._refusals: dict[str, _Refusal] = {}
        self._round: Interrupt | None = None
        self._closed = False
        self._clients: set["subprocess.Popen[bytes]"] = set()
        self._client_turn = threading.Semaphore(CLIENTS_AT_ONCE)

    def ask(self, targets: Sequence[Target]) -> tuple[View, ...]:
        """A view for each target, in their order; never raises, and takes bounded time."""
        with self._lock:
            if self._closed:
                return tuple(View(target.name, "unknown", why="stopped") for target in targets)
            self._round = interrupt = Interrupt()
            names = {target.name for target in targets}
            self._refusals = {name: entry for name, entry in self._refusals.items() if name in names}
        held = {target.name: view for target in targets if (view := self._held(target)) is not None}
        asked = [target for target in targets if target.name not in held]
        views = _in_parallel(asked, lambda target: ask_rest(target, interrupt), ROUND_LIMIT, interrupt.trip)
        for target, view in zip(asked, views, strict=True):
            self._remember(target, view)
        found = held | {target.name: view for target, view in zip(asked, views, strict=True)}
        if self._client_cluster is not None and not self._closed:
            others = [target for target in targets if found[target.name].state == "off"]
            turns = -(-len(others) // CLIENTS_AT_ONCE)
            limit = CLIENT_LIMIT * turns + 1.0  # later than the last of them is killed
            by_client = _in_parallel(others, self._ask_client, limit, self._kill_clients)
            found |= {target.name: view for target, view in zip(others, by_client, strict=True)}
        return tuple(found[target.name] for target in targets)

    def close(self) -> None:
        """End a running round, and ask nobody any more."""
        with self._lock:
            self._closed = True
            interrupt = self._round
        if interrupt is not None:
            interrupt.trip()
        self._kill_clients()

    def _held(self, target: Target) -> View | None:
        """The last view of a member that is not to be asked by REST now."""
        entry = self._refusals.get(target.name)
        held = entry is not None and entry.uid == target.uid and self._clock() < entry.until
        return entry.view if entry is not None and held else None

    def _remember(self, target: Target, view: View) -> None:
        if view.state != "off":
            self._refusals.pop(target.name, None)
            return
        before = self._refusals.get(target.name)
        times = before.times + 1 if before is not None and before.uid == target.uid else 1
        # Once may be a process that just ends, and whose successor may have REST on.
        until = self._clock() + (AGAIN_AFTER if times > 1 else 0.0)
        self._refusals[target.name] = _Refusal(target.uid, times, until, view)

    def _ask_client(self, target: Target) -> View:
        """In a process of its own, which can be killed."""
        assert self._client_cluster is not None
        command = [sys.executable, "-P", "-m", "membership.hazelcast_probe", target.name, self._client_cluster]
        failed = View(target.name, "unknown", way="client", cluster=self._client_cluster)
        with self._client_turn:
            with self._lock:
                if self._closed:
                    return replace(failed, why="stopped")
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                self._clients.add(process)
            try:
                output, _ = process.communicate(timeout=CLIENT_LIMIT)
            except subprocess.TimeoutExpired:
                return replace(failed, why="REST off, and the Hazelcast client hangs: the member may be joining")
            finally:
                with self._lock:
                    self._clients.discard(process)
                process.kill()
                process.communicate()
        try:
            return read_probe(failed, output)
        except (BadAnswer, msgspec.MsgspecError) as error:
            return replace(failed, why=f"REST off, and the Hazelcast client: {error}")

    def _kill_clients(self) -> None:
        with self._lock:
            for process in self._clients:
                process.kill()


def client_cluster(cluster_name: str | None, version: tuple[int, int] | None) -> str | None:
    """The cluster to name to `Asker` for these settings: a guessed name would make each member log a refused client,
    and 3.x, which a product of unknown version (None) may have, does not speak the client's protocol."""
    return cluster_name if version is not None and version >= (4, 0) else None


def read_probe(view: View, output: bytes) -> View:
    """The line that the client process printed."""
    lines = output.splitlines()
    if not lines:
        raise BadAnswer("ended without an answer")
    probe = msgspec.json.decode(lines[-1], type=_Probe)
    if probe.error or not probe.members:
        raise BadAnswer(probe.error[:200] or "names no members")
    return replace(
        view, state="ready", members=tuple(probe.members), own=probe.own, uuid=probe.uuid, version=probe.version
    )


def _in_parallel(
    targets: Sequence[Target], ask: Callable[[Target], View], limit: float, end: Callable[[], None]
) -> list[View]:
    """Views in the order of targets; after `limit` seconds `end` is called, and who has no view by then is silent."""
    views = [View(target.name, "silent", why=_NO_TIME) for target in targets]
    queue: Iterator[tuple[int, Target]] = iter(enumerate(targets))
    lock = threading.Lock()
    late = False

    def work() -> None:
        while True:
            with lock:
                index, target = (-1, None) if late else next(queue, (-1, None))
            if target is None:
                return
            try:
                view = ask(target)
            except Exception as error:  # a bug of ours must not pass for a word of Hazelcast
                view = View(target.name, "unknown", why=f"asking failed: {error!r}")
            with lock:
                if not late:
                    views[index] = view

    threads = [threading.Thread(target=work, name=f"ask-{n}", daemon=True) for n in range(min(AT_ONCE, len(targets)))]
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    with lock:
        late = True
    if any(thread.is_alive() for thread in threads):
        end()
    return views
