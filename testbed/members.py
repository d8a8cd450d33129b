"""Real Hazelcast members on loopback addresses: start them, cut them off, kill them, as often as wanted.

    with Members(directory, "5.3.6") as members:
        members.start("a", [members.endpoint("a"), members.endpoint("b")])

Each is a JVM of its own (128 MiB of heap), started from an XML file, its log beside it. Nothing of it outlives the
`with`, nor the process. Members of one `Members` share a port and have one address each, 127.x.y.1 to 127.x.y.254.
"""

import random
import signal
import subprocess
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.layout import choose_environment
from testbed.ports import find_free_ports
from testbed.program import Program

VERSIONS = ("3.12.2", "4.2.6", "5.3.6")
"""Those of jars.sha256."""
CLUSTER = "wso2.carbon.domain"
_PROPERTIES = {
    "hazelcast.phone.home.enabled": "false",
    "hazelcast.health.monitoring.level": "OFF",
    "hazelcast.socket.bind.any": "false",
    "hazelcast.wait.seconds.before.join": "1",
    "hazelcast.shutdownhook.policy": "GRACEFUL",
}
_JVM = ("-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class ResolveFailed(Exception):
    """There is no jar and none could be had; the text says what to install."""


def resolve(version: str) -> Path:
    """The jar of this version, from the cache or from Maven Central."""
    script = Path(__file__).parent / "hazelcast" / "resolve"
    done = subprocess.run([script, version], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise ResolveFailed(done.stderr.strip())
    return Path(done.stdout.splitlines()[-1])


class Members:
    """Members of one version, by name. All methods are for one thread at a time."""

    def __init__(self, directory: Path, version: str) -> None:
        self._jar = resolve(version)
        self.version = version
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._block = f"127.{random.randrange(16, 250)}.{random.randrange(250)}"
        (self.port,) = find_free_ports(1, f"{self._block}.1")
        self._programs: dict[str, Program] = {}
        self._hosts: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def host(self, name: str) -> str:
        """The address of this member, started or not."""
        return self._hosts.setdefault(name, f"{self._block}.{len(self._hosts) + 1}")

    def endpoint(self, name: str) -> str:
        return f"{self.host(name)}:{self.port}"

    def start(
        self,
        name: str,
        knows: Sequence[str],
        *,
        rest: bool = True,
        write: bool = False,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Start a member whose list is `knows` (`host:port`), and return at once: it takes some 5 to 10 s to join.

        `write`: REST takes a new member list, too (Hazelcast 5.2).
        """
        config = self._directory / f"{name}.xml"
        groups = '<endpoint-group name="CLUSTER_WRITE" enabled="true"/>' if write else ""
        api = f"<rest-api enabled=\"{'true' if rest else 'false'}\">{groups}</rest-api>"
        config.write_text(_config(self.version, self.port, knows, api, {**_PROPERTIES, **(properties or {})}))
        starter = "StartServer" if self.version.startswith("3.") else "HazelcastMemberStarter"
        command = [
            "java",
            *_JVM,
            f"-Dhazelcast.config={config}",
            f"-Dhazelcast.local.localAddress={self.host(name)}",
            "-cp",
            str(self._jar),
            f"com.hazelcast.core.server.{starter}",
        ]
        program = Program(name, command, self._directory / f"{name}.log", choose_environment())
        self._programs[name] = program
        program.start()

    def kill(self, name: str) -> None:
        """SIGKILL; its peers see the connection reset."""
        self._programs[name].kill()

    def freeze(self, name: str) -> None:
        """SIGSTOP: to its peers a node that was lost. They keep it until the heartbeat time is over."""
        self._programs[name].kill(signal.SIGSTOP)

    def wake(self, name: str) -> None:
        self._programs[name].kill(signal.SIGCONT)

    def log(self, name: str) -> str:
        return self._programs[name].log_file.read_text(errors="replace")

    def close(self) -> None:
        for program in self._programs.values():
            program.kill()


def _config(version: str, port: int, knows: Sequence[str], api: str, properties: Mapping[str, str]) -> str:
    old = version.startswith("3.")
    named = f"<group><name>{CLUSTER}</name></group>" if old else f"<cluster-name>{CLUSTER}</cluster-name>"
    lines = [f'<property name="{name}">{escape(value)}</property>' for name, value in properties.items()]
    members = "".join(f"<member>{endpoint}</member>" for endpoint in knows)
    return f"""<hazelcast xmlns="http://www.hazelcast.com/schema/config">
{named}
<properties>{"".join(lines)}</properties>
<network>
  <port auto-increment="false">{port}</port>
  <join>{'' if old else '<auto-detection enabled="false"/>'}<multicast enabled="false"/>
    <tcp-ip enabled="true"><member-list>{members}</member-list></tcp-ip></join>
  {api}
</network>
</hazelcast>
"""
