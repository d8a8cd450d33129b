"""Real WSO2 Carbon servers: the kernels of the WSO2 products, from Maven Central, each in a pod of its own.

    server = CarbonServer("4.7.1", pod.namespace, pod.address, directory)
    server.make_home(log_levels={"com-hazelcast": "INFO"})
    server.copy(volume)      # as the container's entrypoint does
    server.start()
    server.wait_ready()

What a server says of its cluster is in its log: `cluster_size`.
"""

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from testbed.layout import choose_environment
from testbed.pods import enter
from testbed.program import Program
from testbed.waiting import wait_for

DIGESTS = {
    "4.7.1": "fa0993ae2d4658a47fee1d60b989d902fc93d86af6ae0ab3ef19ce063876a643",
    "4.5.1": "c35968be6fe352c4157541fc30ee257dbb2529b45c6f554607f8cfaebce71135",
}
"""The versions, with the SHA-256 of their zip files: 4.7.1 has Hazelcast 4.2 (IS 6), 4.5.1 has 3.12 (IS 5.9)."""
VERSIONS = tuple(DIGESTS)
START_LIMIT = 180.0
"""Seconds: 10 to 13 when quiet, 35 for three at once, 93 seen on two busy cores."""
SCRIPT = "bin/wso2server.sh"
"""What starts a server, in its home."""
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
# 265 to 290 MiB resident, and half the CPU time of the defaults until it is up.
_MEMORY = "-Xms64m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
_OPTIONS = "-Dhazelcast.health.monitoring.level=OFF -Dhazelcast.phone.home.enabled=false"
# In a mount namespace of its own, over a /run of its own: the machine's files stay as they are.
_MOUNTED = """set -e
at=/run/secrets/kubernetes.io/serviceaccount
mount -t tmpfs tmpfs /run
mkdir -p "$at"
mount --bind "$1" "$at"
[ -e /var/run/secrets ] || { echo "/var/run is not /run on this machine" >&2; exit 1; }
shift
exec "$@"
"""
_SIZE = re.compile(r"Members \{size:(\d+), ver:\d+\} \[")


class CarbonFailed(Exception):
    """No server could be had, or one did not come up; the text says what to install, or ends with the log's end."""


def read_sizes(log: str) -> list[int]:
    """The sizes of the cluster that a Hazelcast log tells of, oldest first."""
    return [int(size) for size in _SIZE.findall(log)]


def resolve(version: str) -> Path:
    """The folder of this version, as unzipped; never started there. From the cache, else from Maven Central by mvn."""
    cache = Path(os.environ.get("MEMBERSHIP_CACHE", Path.home() / ".cache/kubernetes-membership")) / "carbon"
    name = f"wso2carbon-core-{version}"
    home = cache / f"{name}-{DIGESTS[version][:16]}"
    if not home.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.exists():
                _fetch(version, name, home)
    return home


class CarbonServer:
    """A server with a home of its own in `directory`, run in the network namespace `namespace` at `address`."""

    def __init__(
        self,
        version: str,
        namespace: str,
        address: str,
        directory: Path,
        *,
        service_account: Path | None = None,
        options: str = "",
        command: Sequence[str] = (),
    ) -> None:
        """`service_account`: a folder as `Kubelet.mount_token` makes it, seen by the server where pods see theirs.
        `options`: more of JAVA_OPTS. `command` runs the script in place of a plain shell, as in a container."""
        self.version = version
        self.address = address
        self.home = directory / "home"
        self._source = resolve(version)
        script = ["sh", str(self.home / SCRIPT)]
        # The script forks java and would leave it behind when killed: in a process namespace both end together.
        whole = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if service_account is not None:
            whole += ["sh", "-c", _MOUNTED, "sh", str(service_account)]
        whole += command or script
        environment = choose_environment() | {
            "JAVA_HOME": str(find_java()),
            "JVM_MEM_OPTS": _MEMORY,
            "JAVA_OPTS": f"{_OPTIONS} {options}".strip(),
        }
        self._program = Program("carbon", enter(namespace, whole), directory / "carbon.log", environment)

    def make_home(self, *, log_levels: Mapping[str, str]) -> None:
        """A fresh home, in place of an older one. `log_levels` by the logger's name in log4j2.properties."""
        if self.home.exists():
            shutil.rmtree(self.home)
        subprocess.run(["cp", "--archive", self._source, self.home], check=True)
        file = self.home / "repository/conf/log4j2.properties"
        text = file.read_text()
        for name, level in log_levels.items():
            text, count = re.subn(
                rf"(?m)^logger\.{re.escape(name)}\.level *=.*$", f"logger.{name}.level = {level}", text
            )
            if count != 1:
                raise CarbonFailed(f"{file} has {count} lines for logger.{name}.level")
        file.write_text(text)

    def copy(self, volume: Path) -> None:
        """Copy a volume over the home with the words of WSO2's docker-entrypoint.sh."""
        command = 'set -e; test -d "$1" && [ "$(ls -A "$1")" ] && cp -RL "$1"/* "$2"'
        subprocess.run(["sh", "-c", command, "sh", str(volume), str(self.home)], check=True)

    def start(self) -> None:
        """Start it and return at once."""
        self._program.start()

    def wait_ready(self, timeout: float = START_LIMIT) -> float:
        """Return when it serves its management console, with the seconds that took. CarbonFailed after `timeout`."""
        began = time.monotonic()

        def look() -> bool:
            if self._program.pid is None:
                raise CarbonFailed(f"Carbon {self.version} ended:\n{self._program.read_log_tail()}")
            return self.is_ready()

        try:
            wait_for(look, timeout=timeout, every=0.25)
        except TimeoutError as late:
            log = self._program.read_log_tail(30)
            raise CarbonFailed(f"Carbon {self.version} is not ready after {timeout:g} s:\n{log}") from late
        return time.monotonic() - began

    def is_ready(self) -> bool:
        """What a probe of 9443 sees: a server that could not join a cluster lives on with this port closed."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.address, 9443, timeout=5, context=context)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/carbon/")
            with connection.getresponse() as answer:
                return answer.status in (200, 302)
        return False

    def cluster_size(self) -> int:
        """The size of its cluster as it last told; 0 if it never did."""
        return (read_sizes(self.log()) or [0])[-1]

    def log(self) -> str:
        """All that it has written so far."""
        return self._program.log_file.read_text(errors="replace") if self._program.log_file.exists() else ""

    @property
    def running(self) -> bool:
        return self._program.pid is not None

    def stop(self, timeout: float = 60.0) -> float:
        """SIGTERM to the JVM, as a container's stop: it leaves its cluster in order. The seconds until it had ended."""
        began = time.monotonic()
        java = self._find_jvm()
        if java is not None:
            os.kill(java, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not self.running, timeout=timeout, what="the end of Carbon", every=0.02)
        self.kill()
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to the script and the JVM. The kernel closes its connections, which its peers see."""
        java = self._find_jvm()
        if java is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(java, signal.SIGKILL)
        self._program.kill()

    def _find_jvm(self) -> int | None:
        for pid in _descendants(self._program.pid):
            with contextlib.suppress(OSError):
                if b"org.wso2.carbon.bootstrap.Bootstrap" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return pid
        return None


def configure(home: Path, address: str, clustering: str) -> str:
    """The deployment.toml of `home` with this address, and `clustering` (whole tables) at its end."""
    text = (home / "repository/conf/deployment.toml").read_text()
    for key in ("hostname", "node_ip"):
        text, count = re.subn(rf'(?m)^{key} *= *"[^"]*"$', f'{key} = "{address}"', text, count=1)
        if count != 1:
            raise CarbonFailed(f"the deployment.toml of {home} has no {key}")
    return f"{text.rstrip()}\n\n{clustering.strip()}\n"


def find_java() -> Path:
    """JAVA_HOME: the variable, else that of the `java` in the path."""
    given = os.environ.get("JAVA_HOME")
    if given:
        return Path(given)
    found = shutil.which("java")
    if found is None:
        raise CarbonFailed("Java is needed: apt-get install openjdk-17-jdk-headless maven")
    return Path(found).resolve().parents[1]


def _fetch(version: str, name: str, home: Path) -> None:
    if shutil.which("mvn") is None:
        raise CarbonFailed("Maven is needed: apt-get install maven")
    with tempfile.TemporaryDirectory(prefix=".resolve-", dir=home.parent) as folder:
        artifact = f"-Dartifact=org.wso2.carbon:wso2carbon-core:{version}:zip"
        command = ["mvn", "-q", "-B", _PLUGIN, artifact, f"-DoutputDirectory={folder}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise CarbonFailed(f"cannot resolve {name}.zip from Maven Central:\n{done.stdout[-2000:]}")
        file = Path(folder) / f"{name}.zip"
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != DIGESTS[version]:
            raise CarbonFailed(f"{file.name} has SHA-256 {found}, not {DIGESTS[version]}")
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        (Path(folder) / name).rename(home)


def _descendants(pid: int | None) -> Iterator[int]:
    """The process and all that it has started, as they are now."""
    if pid is None:
        return
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _descendants(int(child))
