"""The daemon: start, run until told to stop, stop.

Whatever can be wrong with the settings is found before the first connection; from then on it lives through everything.
"""

import logging
import math
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version

from membership.copying import OpenFolders
from membership.files import FileWriter
from membership.gate import Gate, GateState
from membership.hazelcast import client_cluster
from membership.names import parse_services
from membership.outputs import needs_services, warn_of_portless
from membership.session import Membership
from membership.verification import VerifyRules
from sidecar.health import GateKeeper
from sidecar.historian import Historian
from sidecar.metrics import Metrics
from sidecar.publishers import PublisherStatus
from sidecar.publishers.file import FilePublisher
from sidecar.publishers.hazelcast import HazelcastPublisher, PushRules
from sidecar.publishers.hook import HookPublisher
from sidecar.publishers.http import HttpServer, Newest, bind
from sidecar.publishers.mailbox import LATER, Mailbox
from sidecar.publishers.state import StatePublisher, load_state
from sidecar.publishers.worker import Worker
from sidecar.settings import Settings
from sidecar.verifier import OFF, Verifier, describe
from sidecar.web.routes import View, make_app

log = logging.getLogger("sidecar")

CLOSING = 0.6
"""Seconds: a disk or a process that takes longer than this to finish is left to itself."""
UNQUIET, QUIET = 0.25, 10.0
"""Seconds between looks at what only time changes, for the log: until the gate is open and the list fresh, and then,
when there is also one as the list would become stale. Idle sidecars are many, and a look costs one of them 0.5 ms."""


class App:
    """One daemon, until `stopped` is set. `environ` is what `--on-change` runs in.

    Raises SettingsError when the HTTP port is taken.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], stopped: threading.Event) -> None:
        shared = settings.shared
        self._settings = settings
        self._stopped = stopped
        self._socket = bind(*settings.http) if settings.http else None
        self._names = tuple("/".join(name) for name in parse_services(shared.services, shared.server.namespace))
        self._rules = shared.options.rules(shared.port)
        fallback = load_state(settings.state, self._names, self._rules) if settings.state else None
        self._membership = Membership(
            shared.server,
            shared.services,
            shared.port,
            options=replace(shared.options, definitions=needs_services(settings.outputs)),
            fallback=fallback,
        )
        self._verifier = self._make_verifier()
        self._historian = Historian(settings.history)
        self._gate = GateKeeper(Gate(shared.gate, time.monotonic()), self._membership)
        self._metrics = Metrics(self._membership, self._gate, self._outputs, lambda: str(self._verdict()["verdict"]))
        self._workers = self._make_workers(environ)
        self._log_mail = Mailbox()
        self._telling = threading.Lock()
        self._told_warning = False
        self._log_thread = threading.Thread(target=self._log_changes, name="log", daemon=True)
        self._http = self._make_http(self._socket) if self._socket else None

    @property
    def http_port(self) -> int | None:
        """The port that HTTP listens on; None when it is off."""
        return self._socket.getsockname()[1] if self._socket else None

    def start(self) -> None:
        for warning in self._settings.shared.warnings:
            log.warning("%s", warning)
        # In the order in which they are told of a new list: the interpreter takes them in turn, and files come first.
        for worker in self._workers:
            worker.start()
        self._membership.subscribe(self._gate.observe)
        if self._http:
            self._http.start()
            self._membership.subscribe(self._http.put)
            log.info("http: listening on port %d", self.http_port)
        self._historian.start()
        self._membership.subscribe(self._historian.put)
        self._log_thread.start()
        self._membership.subscribe(self._log_mail.put)
        if self._verifier:
            self._verifier.start()
        self._membership.start()

    def run(self) -> None:
        """Until stopped; says what time alone brings about."""
        stale, gate_open, timed_out = False, False, False
        pause = UNQUIET
        while not self._stopped.wait(pause):
            snapshot, gate = self._membership.current(), self._gate.state
            if snapshot.generation and snapshot.stale != stale:
                stale = snapshot.stale
                if stale:
                    log.warning("the list is stale: %s", _describe_age(snapshot.source, snapshot.age_seconds))
                else:
                    log.info("the list is fresh again")
            if gate.open and not gate_open:
                log.log(logging.WARNING if gate.timed_out else logging.INFO, "formation gate open: %s", gate.reason)
            elif gate.timed_out and not timed_out and not gate.open:
                log.error("formation gate stays closed: %s", gate.reason)
            self._tell_warning(gate)
            gate_open, timed_out = gate.open, gate.timed_out
            pause = UNQUIET
            if gate_open and not stale:  # at the moment at which the list gets stale, however soon it is fresh again
                fresh = self._settings.shared.options.stale_after - snapshot.age_seconds
                pause = max(0.01, min(QUIET, fresh + 0.01))

    def close(self) -> None:
        """Stop everything, within a second: all at once, and none is waited for longer than `CLOSING`."""
        self._log_mail.close()
        closing = [self._membership.close, self._historian.close, *(worker.close for worker in self._workers)]
        if self._http:
            closing.append(self._http.close)
        if self._verifier:
            self._verifier.close()
            closing.append(self._verifier.join)
        threads = [threading.Thread(target=close, name="close", daemon=True) for close in closing]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + CLOSING
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _make_workers(self, environ: Mapping[str, str]) -> list[Worker]:
        settings, published = self._settings, self._metrics.published
        folders = OpenFolders()
        files: list[Worker] = [
            FilePublisher(
                output,
                settings.shared.setup,
                FileWriter(output.target, settings.staging, folders),
                self._membership,
                published,
            )
            for output in settings.outputs
        ]
        workers = list(files)
        if settings.on_change:
            workers.append(
                HookPublisher(
                    settings.on_change, settings.on_change_timeout, environ, files, self._membership, published
                )
            )
        if settings.state:
            workers.append(StatePublisher(settings.state, self._names, self._rules, self._membership, published))
        if settings.push:
            setup = settings.shared.setup
            assert setup.cluster_name is not None, "settings without it are refused"
            rules = PushRules(setup.self_ip, setup.port, setup.cluster_name)
            workers.append(HazelcastPublisher(rules, self._membership, published))
        return workers

    def _make_http(self, sock: socket.socket) -> HttpServer:
        newest = Newest(self._written)
        view = View(
            membership=self._membership,
            newest=newest,
            gate=self._gate,
            metrics=self._metrics,
            outputs=self._outputs,
            files=self._files,
            stale_after=self._settings.shared.options.stale_after,
            version=version("kubernetes-membership"),
            verdict=self._verdict,
            history=self._historian.read,
        )
        return HttpServer(make_app(view), newest, sock)

    def _make_verifier(self) -> Verifier | None:
        settings, setup = self._settings, self._settings.shared.setup
        if settings.verify is None:
            return None
        cluster = client_cluster(setup.cluster_name, setup.hazelcast_version)
        rules = VerifyRules(settings.verify, setup.self_ip, setup.port, cluster)
        return Verifier(rules, settings.verify_interval, self._membership)

    def _outputs(self) -> list[PublisherStatus]:
        history = self._historian.status
        return [*(worker.status for worker in self._workers), *([history] if history else [])]

    def _files(self) -> list[PublisherStatus]:
        return [worker.status for worker in self._workers if isinstance(worker, FilePublisher)]

    def _written(self, generation: int) -> bool:
        return all(status.generation >= generation or status.problem for status in self._files())

    def _verdict(self) -> Mapping[str, object]:
        return self._verifier.fields() if self._verifier else describe(OFF, "off", None)

    def _log_changes(self) -> None:
        """A line for each list, on a thread of its own: whoever reads our log must not be able to stop the reader."""
        portless = ""
        publication = None
        while self._log_mail.wait(publication):
            time.sleep(LATER)
            publication = self._log_mail.newest
            assert publication is not None
            snapshot = publication.snapshot
            log.info(
                "generation %d: %d members: %s%s",
                snapshot.generation,
                len(snapshot.members),
                ", ".join(member.endpoint or member.address for member in snapshot.members[:20]) or "none",
                " and more" if len(snapshot.members) > 20 else "",
            )
            before, portless = portless, warn_of_portless(snapshot, self._settings.shared.port)
            if portless and portless != before:
                log.warning("%s", portless)
            self._tell_warning(self._gate.state)

    def _tell_warning(self, gate: GateState) -> None:
        """Once. It comes with a list, or with the opening of the gate, which may be a matter of time alone."""
        with self._telling:
            told, self._told_warning = self._told_warning, bool(gate.warning)
        if gate.warning and not told:
            log.warning("formation gate opened too early: %s", gate.warning)


def _describe_age(source: str, age: float) -> str:
    since = "never" if age == math.inf else f"{age:.0f} s ago"
    return f"from {source}, last proved {since}"
