"""The arms: one small program for each client, and what it runs in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PROGRAMS = "benchmarks.arms.programs"


@dataclass(frozen=True, slots=True)
class Arm:
    """One client. `environment` is its virtual environment, "go" for Go programs.

    `program` is what runs: a module of `programs`, a Go program, "sidecar" or "coredns". The last two are servers, and
    `observer` is the module that stands for their consumer, in a process of its own that is not part of their cost.
    """

    name: str
    title: str
    environment: str
    program: str
    family: Literal["ours", "control", "client", "habit"]
    observer: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    output: Literal["", "file", "file on disk", "push"] = ""
    """What the sidecar does besides answering: it keeps a file, in memory as the manifests have it or on the disk, or a
    Hazelcast member that is started with it."""
    fake: bool = True
    """FakeKube has what it needs. It has no API discovery (kopf) and no cluster-wide namespaces (CoreDNS)."""
    delay: float = 0.0
    """Seconds that a change may take by its habit."""
    most_endpoints: int = 20_000

    @property
    def is_server(self) -> bool:
        return bool(self.observer)


ARMS: tuple[Arm, ...] = (
    Arm("control_python", "bare socket, Python", "membership", "control_socket", "control"),
    Arm("control_go", "bare socket, Go", "go", "socket", "control"),
    Arm("control_protobuf", "bare socket, Python, protobuf", "membership", "control_protobuf", "control"),
    Arm("ours_callback", "ours: library callback", "membership", "membership_callback", "ours"),
    Arm("ours_file", "ours: file renamed", "membership", "sidecar", "ours", "observe_file", output="file"),
    Arm(
        "ours_file_disk",
        "ours: file on etcd's disk renamed",
        "membership",
        "sidecar",
        "ours",
        "observe_file",
        output="file on disk",
    ),
    Arm("ours_http", "ours: blocking query", "membership", "sidecar", "ours", "observe_http"),
    Arm("ours_sse", "ours: event stream", "membership", "sidecar", "ours", "observe_sse"),
    # A list is pushed 1 to 3 s after a change and 5 s apart, so that a burst is one (sidecar/publishers/hazelcast.py).
    Arm(
        "ours_push",
        "ours: pushed to Hazelcast 5.3.6",
        "membership",
        "sidecar",
        "ours",
        "observe_hazelcast",
        output="push",
        delay=10,
        most_endpoints=1000,
    ),
    Arm("client_go", "client-go informer", "go", "informer", "client"),
    Arm("kubernetes_watch", "kubernetes.watch", "kubernetes", "kubernetes_watch", "client"),
    Arm("kubernetes_informer", "kubernetes.informer", "kubernetes", "kubernetes_informer", "client"),
    Arm("kubernetes_aio", "kubernetes.aio watch", "kubernetes", "kubernetes_aio_watch", "client"),
    Arm("lightkube", "lightkube", "lightkube", "lightkube_watch", "client"),
    Arm("kr8s", "kr8s", "kr8s", "kr8s_watch", "client"),
    Arm("kopf", "kopf", "kopf", "kopf_event", "client", fake=False),
    Arm("poll_1s", "polling, 1 s", "kubernetes", "kubernetes_poll", "habit", variables={"BENCH_EVERY": "1"}, delay=1),
    Arm("poll_5s", "polling, 5 s", "kubernetes", "kubernetes_poll", "habit", variables={"BENCH_EVERY": "5"}, delay=5),
    Arm(
        "dns_5s",
        "CoreDNS, TTL 5 s (its default)",
        "go",
        "coredns",
        "habit",
        "observe_dns",
        {"BENCH_TTL": "5"},
        delay=5,
        fake=False,
        most_endpoints=1000,  # an answer has room for 4000 addresses, and a Java resolver for far less
    ),
    Arm(
        "dns_30s",
        "CoreDNS, TTL 30 s (kubeadm's)",
        "go",
        "coredns",
        "habit",
        "observe_dns",
        {"BENCH_TTL": "30"},
        delay=60,
        fake=False,
        most_endpoints=1000,
    ),
)

SIDECAR = "ours_http"
"""The one that serves nothing but HTTP, of which the goals of an idle sidecar are asked."""


def arm(name: str) -> Arm:
    """The arm of this name. Raises KeyError."""
    return {one.name: one for one in ARMS}[name]
