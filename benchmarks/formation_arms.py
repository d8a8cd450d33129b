"""The ways by which members find each other, ours and others', each with the server it is made for."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.formation_old_scheme import CLASS_NAME
from testbed import cluster
from testbed.carbon import START_LIMIT, configure, find_java, read_sizes
from testbed.layout import choose_environment
from testbed.members import resolve
from testbed.pods import enter
from testbed.program import Program
from testbed.waiting import wait_for
from tests.e2e.pods import DOMAIN, CarbonPod, ServerPod, make_carbon, make_pod
from tests.e2e.world import PORT, Member, Stage

PEER_RULES = [
    {"apiGroups": [""], "resources": ["endpoints", "pods", "services"], "verbs": ["get", "list"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list"]},
]
"""All that the peers ask for in the pods' namespace."""
_JVM = ("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")
_OLD = """[clustering]
membership_scheme = "kubernetes"
domain = "{domain}"
local_member_host = "{address}"
local_member_port = "{port}"

[clustering.properties]
membershipSchemeClassName = "{class_name}"
KUBERNETES_API_SERVER = "{url}"
KUBERNETES_NAMESPACE = "{namespace}"
KUBERNETES_SERVICES = "is"
KUBERNETES_MASTER_SKIP_SSL_VERIFICATION = "true"
USE_DNS = "false"

[hazelcast]
{properties}
"""
_KUBERNETES = """<hazelcast xmlns="http://www.hazelcast.com/schema/config">
  <cluster-name>{domain}</cluster-name>
  <properties>{properties}</properties>
  <network>
    <port auto-increment="false">{port}</port>
    <join>
      <auto-detection enabled="false"/>
      <multicast enabled="false"/>
      <kubernetes enabled="true">
        <namespace>{namespace}</namespace>
        <service-name>is</service-name>
        <service-port>{port}</service-port>
        <kubernetes-master>{url}</kubernetes-master>
        <api-token>{token}</api-token>
        <ca-certificate>{authority}</ca-certificate>
      </kubernetes>
    </join>
  </network>
</hazelcast>
"""


@dataclass(frozen=True)
class Arm:
    """One way. `make` gives a pod whose server is not started."""

    name: str
    server: str
    make: Callable[[Stage, str], ServerPod]
    ours: bool = False
    verify: tuple[str, ...] = ()
    """Flags with which the sidecar asks Hazelcast."""

    @property
    def patience(self) -> float:
        """Seconds until a dead member counts as not noticed: Hazelcast's heartbeat is 60 by default, Carbon's 600."""
        return 75.0 if self.server.startswith("Hazelcast") else 40.0


def list_arms(old_scheme: Path | None, settings: Mapping[str, str]) -> list[Arm]:
    """All, without the old scheme where there is no jar of it. `settings` are Hazelcast's properties, for all."""

    def ours(kind: str, *, rest: bool = False) -> Callable[[Stage, str], ServerPod]:
        return lambda stage, name: make_pod(stage, kind, name, settings=settings, rest=rest)

    by_rest = ("--verify", "local")
    by_client = ("--verify", "local", "--cluster-name", DOMAIN, "--hazelcast-version", "4.2")
    arms = [
        Arm("ours, scheme jar", "Carbon 4.5.1", ours("carbon-4.5.1", rest=True), True, by_rest),
        Arm("ours, files only", "Carbon 4.5.1", ours("carbon-4.5.1-files", rest=True), True, by_rest),
        Arm("ours, scheme jar", "Carbon 4.7.1", ours("carbon-4.7.1"), True, by_client),
        Arm("ours, files only", "Carbon 4.7.1", ours("carbon-4.7.1-files"), True, by_client),
        Arm("built-in `kubernetes` scheme", "Carbon 4.7.1", ours("carbon-4.7.1-kubernetes")),
        Arm("ours, discovery strategy", "Hazelcast 5.3.6", ours("hazelcast-5.3.6", rest=True), True, by_rest),
        Arm(
            "Hazelcast's Kubernetes discovery",
            "Hazelcast 5.3.6",
            lambda stage, name: _make_kubernetes_pod(stage, name, settings),
        ),
    ]
    if old_scheme is not None:
        jar = old_scheme
        old = Arm(
            "old external scheme", "Carbon 4.5.1", lambda stage, name: _make_old_scheme(stage, name, jar, settings)
        )
        arms.insert(2, old)
    return arms


def _make_old_scheme(stage: Stage, name: str, jar: Path, settings: Mapping[str, str]) -> CarbonPod:
    member = stage.add(name)
    pod = CarbonPod(member, make_carbon(stage, "4.5.1", member, service_account=_mount(stage, member)))
    conf, dropins = (pod.volume / "repository" / folder for folder in ("conf", "components/dropins"))
    for folder in (conf, dropins):
        folder.mkdir(parents=True)
    text = _OLD.format(
        domain=DOMAIN,
        address=member.address,
        port=PORT,
        class_name=CLASS_NAME,
        url=stage.world.plane.url,
        namespace=stage.namespace,
        properties="\n".join(f'"{key}" = "{value}"' for key, value in settings.items()),
    )
    (conf / "deployment.toml").write_text(configure(pod.server.home, member.address, text))
    shutil.copy(jar, dropins)
    return pod


class KubernetesPod(ServerPod):
    """A plain member that finds the others with Hazelcast's own Kubernetes discovery."""

    def __init__(self, stage: Stage, member: Member, settings: Mapping[str, str]) -> None:
        super().__init__(member)
        config = member.folder / "hazelcast.xml"
        config.write_text(_write_kubernetes(stage, _mount(stage, member), settings))
        command = [str(find_java() / "bin" / "java"), *_JVM, f"-Dhazelcast.config={config}"]
        command += ["-cp", str(resolve("5.3.6")), "com.hazelcast.core.server.HazelcastMemberStarter"]
        log = member.folder / "hazelcast.log"
        self._program = Program("hazelcast", enter(member.pod.namespace, command), log, choose_environment())

    def start(self) -> None:
        self._program.start()

    def wait_ready(self) -> float:
        wait_for(self.cluster_size, timeout=START_LIMIT, what=f"the cluster of {self.name}", every=0.05)
        self.member.ready()
        return 0.0

    def cluster_size(self) -> int:
        return (read_sizes(self.log()) or [0])[-1]

    def log(self) -> str:
        return self._program.log_file.read_text(errors="replace") if self._program.log_file.exists() else ""

    def stop(self) -> None:
        self._program.kill(signal.SIGTERM, timeout=30)

    def kill(self) -> None:
        self._program.kill()


def _make_kubernetes_pod(stage: Stage, name: str, settings: Mapping[str, str]) -> ServerPod:
    pod = KubernetesPod(stage, stage.add(name), settings)
    stage.at_end(pod.kill)
    return pod


def _write_kubernetes(stage: Stage, account: Path, settings: Mapping[str, str]) -> str:
    properties = {
        "hazelcast.phone.home.enabled": "false",
        "hazelcast.health.monitoring.level": "OFF",
        "hazelcast.shutdownhook.policy": "GRACEFUL",
        **settings,
    }
    return _KUBERNETES.format(
        domain=DOMAIN,
        port=PORT,
        namespace=stage.namespace,
        url=stage.world.plane.url,
        token=(account / "token").read_text(),
        authority=(account / "ca.crt").read_text(),
        properties="".join(f'<property name="{key}">{value}</property>' for key, value in properties.items()),
    )


def _mount(stage: Stage, member: Member) -> Path:
    """A token in the server's own container, with the rights that the peers ask for."""
    cluster.create_service_account(stage.world.plane, stage.namespace, "server")
    cluster.grant(stage.world.plane, stage.namespace, "server", PEER_RULES)
    return stage.world.kubelet.mount_token(member.folder / "server-account", stage.namespace, "server")
