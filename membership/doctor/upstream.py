"""Whether the sidecar that `--upstream` names gives its list. A follower waits for it for 25 s; nobody does here."""

import threading
import time

from membership.doctor.situation import Reading
from membership.errors import ApiError
from membership.candidates import Rules
from membership.names import parse_services
from membership.peer import Peer
from membership.transport import Interrupt


def ask_upstream(reading: Reading, seconds: float) -> str:
    """Why it does not, within `seconds`; empty where it does."""
    problems = ["no answer in time"]
    thread = threading.Thread(target=lambda: problems.append(_ask(reading, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return problems[-1]


def _ask(reading: Reading, seconds: float) -> str:
    settings, deadline = reading.settings, time.monotonic() + seconds
    options = settings.options
    rules = Rules(settings.port, options.family, options.ready_only, options.include_terminating)
    by_namespace: dict[str, list[str]] = {}
    for namespace, name in parse_services(reading.services, settings.server.namespace):
        by_namespace.setdefault(namespace, []).append(name)
    assert options.upstream is not None
    try:
        for namespace, names in by_namespace.items():
            Peer(options.upstream, namespace, tuple(sorted(names)), rules).ask(None, 0.0, deadline, Interrupt())
    except ApiError as error:
        return str(error)
    return ""
