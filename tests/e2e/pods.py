"""Pods with a server in them, of every make and every way by which members get in, under one face.

    pod = make_pod(stage, "carbon-4.7.1", "is-0")
    pod.start_sidecar("--expect", "1")
    pod.run()            # the startup probe of the sidecar, the entrypoint's copy, the server

The order is that of a native sidecar. `KINDS` names the makes.
"""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import cluster
from testbed.carbon import CarbonServer, configure
from testbed.waiting import wait_for
from tests.e2e import hazelcast
from tests.e2e.hazelcast import HazelcastMember
from tests.e2e.java import build
from tests.e2e.world import LIMIT, PORT, Member, Stage

MERGE = 10.0
"""Seconds between two merge runs; defaults are 30 in Carbon and 120 in Hazelcast."""
MERGE_TIMES = {
    "hazelcast.merge.first.run.delay.seconds": f"{MERGE:g}",
    "hazelcast.merge.next.run.delay.seconds": f"{MERGE:g}",
}
DOMAIN = "wso2.e2e.domain"
LOG_LEVELS = {"com-hazelcast": "INFO"}
PRODUCTS = {"4.7.1": "is-6.0", "4.5.1": "is-5.9"}
"""The product on each kernel, for `--product`."""
REST_OF_3 = {"hazelcast.rest.enabled": "true", "hazelcast.http.healthcheck.enabled": "true"}
_ENDPOINT_RULES = [{"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get", "list"]}]
_SCHEME = """membership_scheme = "sidecar"
{local}
[clustering.properties]
membershipSchemeClassName = "membership.carbon.SidecarMembershipScheme"
sidecarGateTimeout = "{gate_timeout}"
sidecarOnTimeout = "fail"
"""
_WKA = """membership_scheme = "wka"
{local}
members = []
"""
_BUILT_IN = """membership_scheme = "kubernetes"
{local}
properties.KUBERNETES_NAMESPACE = "{namespace}"
properties.KUBERNETES_SERVICES = "is"
"""
_LIST = re.compile(r"Member list of tcp-ip join: \[([^\]]*)\]")


class ServerPod(ABC):
    """A pod and the server that will run in it; both are ended with the stage."""

    flags: Sequence[str] = ()
    """What its sidecar needs to make this server's files."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.name = member.name
        self.endpoint = member.endpoint

    def start_sidecar(self, *flags: str) -> None:
        self.member.start_sidecar(*self.flags, *flags)

    def run(self, timeout: float = LIMIT) -> float:
        """Wait for the gate, then start the server; the seconds that the gate took."""
        took = self.member.wait_gate(timeout)
        self.start()
        return took

    @abstractmethod
    def start(self) -> None:
        """What the container does at each start, to its end or not: returns at once."""

    @abstractmethod
    def wait_ready(self) -> float:
        """Return when the server serves, and set the pod ready; the seconds that took."""

    @abstractmethod
    def cluster_size(self) -> int:
        """The size of its cluster as it last told; 0 if it never did."""

    @abstractmethod
    def log(self) -> str:
        """All that it has written so far."""

    @abstractmethod
    def stop(self) -> None:
        """SIGTERM: it leaves its cluster in order."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL."""


class CarbonPod(ServerPod):
    """A Carbon server: `volume` is what its entrypoint copies over its home."""

    def __init__(self, member: Member, server: CarbonServer) -> None:
        super().__init__(member)
        self.server = server
        self.volume = member.folder / "volume"

    def start(self) -> None:
        self.server.copy(self.volume)
        self.server.start()

    def wait_ready(self) -> float:
        took = self.server.wait_ready()
        self.member.ready()
        return took

    def cluster_size(self) -> int:
        return self.server.cluster_size()

    def log(self) -> str:
        return self.server.log()

    def listed(self) -> list[str]:
        """The member list of Hazelcast's tcp-ip join, as the scheme read it back after it had set it."""
        found = _LIST.findall(self.log())
        return found[-1].split(", ") if found else []

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.kill()


class HazelcastPod(ServerPod):
    """A plain Hazelcast member, which asks the sidecar through the discovery strategy of examples/."""

    def __init__(self, member: Member, server: HazelcastMember) -> None:
        super().__init__(member)
        self.server = server

    def start(self) -> None:
        self.server.start()

    def wait_ready(self) -> float:
        wait_for(self.cluster_size, timeout=hazelcast.START_LIMIT, what=f"the cluster of {self.name}", every=0.05)
        self.member.ready()
        return 0.0

    def cluster_size(self) -> int:
        return self.server.cluster_size()

    def log(self) -> str:
        return self.server.log()

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.kill()


def make_pod(
    stage: Stage,
    kind: str,
    name: str,
    *,
    settings: Mapping[str, str] | None = None,
    rest: bool = False,
    gate_timeout: str = "150s",
) -> ServerPod:
    """A pod of the Service with its server not started: `make-version`, or `make-version-way`.

    `settings` are Hazelcast's properties, besides the merge times; `rest` switches REST on where that can be done from
    outside (not in Carbon 4.7); `gate_timeout` is how long the scheme itself waits.
    """
    make, version, *way = kind.split("-")
    member = stage.add(name)
    properties = {**MERGE_TIMES, **(settings or {})}
    if make == "hazelcast":
        return _make_hazelcast(stage, version, member, properties, rest)
    if rest and version == "4.5.1":
        properties |= REST_OF_3
    if way == ["files"]:
        return _make_with_files(stage, version, member, properties)
    if way == ["kubernetes"]:
        return _make_built_in(stage, version, member, properties)
    return _make_with_scheme(stage, version, member, properties, gate_timeout)


def _make_hazelcast(stage: Stage, version: str, member: Member, properties: Mapping[str, str], rest: bool) -> ServerPod:
    server = HazelcastMember(version, member, build("hazelcast-discovery"), properties)
    if rest:
        config = member.folder / "hazelcast.xml"
        text = config.read_text()
        config.write_text(text.replace("</network>", '  <rest-api enabled="true"/>\n  </network>'))
    stage.at_end(server.kill)
    return HazelcastPod(member, server)


def _make_with_scheme(
    stage: Stage, version: str, member: Member, properties: Mapping[str, str], gate_timeout: str
) -> CarbonPod:
    """examples/carbon-membership-scheme: jar and deployment.toml are in the volume."""
    pod = CarbonPod(member, make_carbon(stage, version, member))
    conf, dropins = (pod.volume / "repository" / name for name in ("conf", "components/dropins"))
    for folder in (conf, dropins):
        folder.mkdir(parents=True)
    clustering = _SCHEME.format(local=_local(member), gate_timeout=gate_timeout)
    (conf / "deployment.toml").write_text(_write_toml(pod.server, clustering, properties))
    shutil.copy(build("carbon-membership-scheme"), dropins)
    return pod


def _make_with_files(stage: Stage, version: str, member: Member, properties: Mapping[str, str]) -> CarbonPod:
    """No jar: the sidecar patches the user's deployment.toml into the volume, before the entrypoint copies it."""
    pod = CarbonPod(member, make_carbon(stage, version, member))
    source = member.folder / "configmap" / "deployment.toml"
    source.parent.mkdir()
    source.write_text(_write_toml(pod.server, _WKA.format(local=_local(member)), properties))
    staging = member.folder / "staging"
    staging.mkdir()
    pod.flags = ("--product", PRODUCTS[version], "--out", f"product:{source}:{pod.volume}/", "--staging", str(staging))
    return pod


def _make_built_in(stage: Stage, version: str, member: Member, properties: Mapping[str, str]) -> CarbonPod:
    """Carbon's own scheme `kubernetes`, which asks the API server itself, with a token in the server's container."""
    plane = stage.world.plane
    cluster.create_service_account(plane, stage.namespace, "server")
    cluster.grant(plane, stage.namespace, "server", _ENDPOINT_RULES)
    mount = stage.world.kubelet.mount_token(member.folder / "server-account", stage.namespace, "server")
    options = f"-Dhazelcast.kubernetes.kubernetes-master={plane.url}"
    pod = CarbonPod(member, make_carbon(stage, version, member, service_account=mount, options=options))
    conf = pod.volume / "repository" / "conf"
    conf.mkdir(parents=True)
    clustering = _BUILT_IN.format(local=_local(member), namespace=stage.namespace)
    (conf / "deployment.toml").write_text(_write_toml(pod.server, clustering, properties))
    return pod


def make_carbon(
    stage: Stage, version: str, member: Member, *, service_account: Path | None = None, options: str = ""
) -> CarbonServer:
    """A server with a fresh home, ended with the stage."""
    server = CarbonServer(
        version, member.pod.namespace, member.address, member.folder, service_account=service_account, options=options
    )
    stage.at_end(server.kill)
    server.make_home(log_levels=LOG_LEVELS)
    return server


def _local(member: Member) -> str:
    return f'domain = "{DOMAIN}"\nlocal_member_host = "{member.address}"\nlocal_member_port = "{PORT}"'


def _write_toml(server: CarbonServer, clustering: str, properties: Mapping[str, str]) -> str:
    """The whole deployment.toml of this server."""
    lines = "".join(f'"{key}" = "{value}"\n' for key, value in properties.items())
    return configure(server.home, server.address, f"[clustering]\n{clustering}\n[hazelcast]\n{lines}")
