"""Prometheus metrics, collected from what is the case when they are asked for; only durations are kept."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from membership.model import Member
from membership.session import Membership
from membership.verify import VERDICTS
from sidecar.health import GateKeeper
from sidecar.publishers import PublisherStatus

STATES = ("ready", "not_ready", "terminating")
DELAYS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Buckets in seconds: a list is on its way for about a millisecond, or something is wrong."""


class Metrics:
    """Everything `/metrics` shows. `verdict` gives the name of the last verdict."""

    def __init__(
        self,
        membership: Membership,
        gate: GateKeeper,
        outputs: Callable[[], Sequence[PublisherStatus]],
        verdict: Callable[[], str],
    ) -> None:
        self._membership = membership
        self._gate = gate
        self._outputs = outputs
        self._verdict = verdict
        self._registry = CollectorRegistry()
        self._delay = Histogram(
            "membership_publish_delay_seconds",
            "From reading the bytes of a change until the output had it.",
            ["output"],
            buckets=DELAYS,
            registry=self._registry,
        )
        self._registry.register(self)

    def published(self, output: str, seconds: float) -> None:
        """An output has put out a list, this many seconds after its bytes were read."""
        self._delay.labels(output).observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """What prometheus_client asks a collector for."""
        snapshot, statuses, outputs = self._membership.current(), self._membership.status(), self._outputs()
        members = GaugeMetricFamily("membership_members", "Members by state.", labels=["namespace", "service", "state"])
        counts = Counter((member.namespace, member.service, _state(member)) for member in snapshot.members)
        for name in snapshot.services:
            namespace, service = name.split("/")
            for state in STATES:
                members.add_metric([namespace, service, state], counts[namespace, service, state])
        yield members
        yield _gauge("membership_generation", "Lists so far: +1 for each that differs.", snapshot.generation)
        yield _gauge("membership_synced", "1 when every Service was listed.", snapshot.synced)
        yield _gauge("membership_age_seconds", "Since the API server last proved the list.", snapshot.age_seconds)
        yield _gauge("membership_gate_open", "1 when the formation gate is open.", self._gate.state.open)
        lists, restarts = dict[str, int](), dict[str, int]()
        for status in statuses:
            for total, part in ((lists, status.lists), (restarts, status.watch_restarts)):
                for reason, count in part.items():
                    total[str(reason)] = total.get(str(reason), 0) + count
        yield _counter("membership_relists", "Lists asked for.", "reason", lists)
        yield _counter("membership_watch_restarts", "Watches that were over.", "reason", restarts)
        requests = self._membership.requests_by_code()
        yield _counter("membership_requests", "Requests to the API server by HTTP status.", "code", requests)
        events = CounterMetricFamily("membership_events", "Events received.")
        events.add_metric([], sum(status.events for status in statuses))
        yield events
        failures = {output.name: output.failures for output in outputs}
        yield _counter("membership_publish_failures", "Lists that could not be put out.", "output", failures)
        kept = {output.name: output.kept_empty_times for output in outputs}
        yield _counter("membership_kept_empty", "Lists not written because they were empty.", "output", kept)
        restored = CounterMetricFamily("membership_server_restored", "Times the server went back in time.")
        restored.add_metric([], sum(status.restored for status in statuses))
        yield restored
        verdict = GaugeMetricFamily("membership_verdict", "1 for the last verdict.", labels=["verdict"])
        last = self._verdict()
        for name in VERDICTS:
            verdict.add_metric([name], name == last)
        yield verdict


def _state(member: Member) -> str:
    return "terminating" if member.terminating else "ready" if member.serving else "not_ready"


def _gauge(name: str, help: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, help)
    family.add_metric([], value)
    return family


def _counter(name: str, help: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, help, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
