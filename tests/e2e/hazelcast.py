"""A plain Hazelcast member in a pod, which finds the others through the discovery strategy of examples/."""

import signal
from collections.abc import Mapping
from pathlib import Path

from testbed.carbon import find_java, read_sizes
from testbed.layout import choose_environment
from testbed.members import resolve
from testbed.pods import enter
from testbed.program import Program
from tests.e2e.world import PORT, Member

START_LIMIT = 60.0
"""Seconds: 2 to 8 when quiet."""
_JVM = ("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")


class HazelcastMember:
    """One version of Hazelcast in the pod of `member`, with `jar` beside it."""

    def __init__(self, version: str, member: Member, jar: Path, properties: Mapping[str, str]) -> None:
        self.version = version
        config = member.folder / "hazelcast.xml"
        config.write_text(_config(version, properties))
        starter = "StartServer" if version.startswith("3.") else "HazelcastMemberStarter"
        command = [str(find_java() / "bin" / "java"), *_JVM, f"-Dhazelcast.config={config}"]
        command += ["-cp", f"{resolve(version)}:{jar}", f"com.hazelcast.core.server.{starter}"]
        log = member.folder / "hazelcast.log"
        self._program = Program(f"hazelcast-{version}", enter(member.pod.namespace, command), log, choose_environment())

    def start(self) -> None:
        self._program.start()

    def cluster_size(self) -> int:
        return (read_sizes(self.log()) or [0])[-1]

    def log(self) -> str:
        return self._program.log_file.read_text(errors="replace") if self._program.log_file.exists() else ""

    def stop(self) -> None:
        """SIGTERM: it leaves its cluster in order."""
        self._program.kill(signal.SIGTERM, timeout=30)

    def kill(self) -> None:
        self._program.kill()


def _config(version: str, properties: Mapping[str, str]) -> str:
    old = version.startswith("3.")
    name = "<group><name>e2e</name></group>" if old else "<cluster-name>e2e</cluster-name>"
    given = {
        "hazelcast.discovery.enabled": "true",
        "hazelcast.phone.home.enabled": "false",
        "hazelcast.health.monitoring.level": "OFF",
        "hazelcast.shutdownhook.policy": "GRACEFUL",
        **properties,
    }
    lines = "\n".join(f'    <property name="{key}">{value}</property>' for key, value in given.items())
    return f"""<hazelcast xmlns="http://www.hazelcast.com/schema/config">
  {name}
  <properties>
{lines}
  </properties>
  <network>
    <port auto-increment="false">{PORT}</port>
    <join>
      {"" if old else '<auto-detection enabled="false"/>'}
      <multicast enabled="false"/>
      <discovery-strategies>
        <discovery-strategy enabled="true" class="membership.hazelcast.SidecarDiscoveryStrategy">
          <properties>
            <property name="sidecar-url">http://127.0.0.1:4080</property>
            <property name="gate-timeout">60s</property>
            <property name="on-timeout">fail</property>
          </properties>
        </discovery-strategy>
      </discovery-strategies>
    </join>
  </network>
</hazelcast>
"""
