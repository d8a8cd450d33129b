"""A plain Hazelcast member in a pod: with a hazelcast.xml of its own, or with the discovery strategy of examples/."""

import contextlib
import http.client
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from testbed.carbon import find_java, read_sizes
from testbed.layout import choose_environment
from testbed.members import resolve
from testbed.pods import Pod, enter
from testbed.program import Program
from tests.e2e.world import PORT

START_LIMIT = 60.0
"""Seconds: 2 to 8 when quiet."""
_JVM = ("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")


_QUIET = {
    "hazelcast.phone.home.enabled": "false",
    "hazelcast.health.monitoring.level": "OFF",
    "hazelcast.shutdownhook.policy": "GRACEFUL",
}


class Place(Protocol):
    """Where a member runs: `world.Member` is one."""

    @property
    def folder(self) -> Path: ...

    @property
    def pod(self) -> Pod: ...


class HazelcastMember:
    """One version of Hazelcast at `place`, with `jar` beside it; or, with `config`, as that hazelcast.xml says.

    `properties` are Hazelcast's, `options` the JVM's.
    """

    def __init__(
        self,
        version: str,
        place: Place,
        jar: Path | None,
        properties: Mapping[str, str],
        *,
        config: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.version = version
        self._address = place.pod.address
        given = list(options)
        if config is None:
            config = place.folder / "hazelcast.xml"
            config.write_text(_config(version, properties))
        else:
            given += [f"-D{key}={value}" for key, value in {**_QUIET, **properties}.items()]
        starter = "StartServer" if version.startswith("3.") else "HazelcastMemberStarter"
        classes = ":".join(str(path) for path in (resolve(version), jar) if path is not None)
        command = [str(find_java() / "bin" / "java"), *_JVM, *given, f"-Dhazelcast.config={config}"]
        command += ["-cp", classes, f"com.hazelcast.core.server.{starter}"]
        log = place.folder / "hazelcast.log"
        self._program = Program(f"hazelcast-{version}", enter(place.pod.namespace, command), log, choose_environment())

    def start(self) -> None:
        self._program.start()

    def cluster_size(self) -> int:
        return (read_sizes(self.log()) or [0])[-1]

    def get(self, path: str) -> tuple[int, bytes]:
        """Its REST, asked by the node: status and body; (0, b"") without an answer."""
        connection = http.client.HTTPConnection(self._address, PORT, timeout=3)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            with connection.getresponse() as answer:
                return answer.status, answer.read()
        return 0, b""

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
        **_QUIET,
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
