"""Host names in place of addresses: a live list without any access to the API server (docs/live.md).

Each pod has a hosts file of its own, as DNS is to it. Two members start when each knows nothing but its own name.
"""

import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.pods import Network, Pod, run
from tests.e2e.hazelcast import START_LIMIT, HazelcastMember
from tests.e2e.world import PORT, assert_sizes_stay, wait_sizes
from tests.running import clean_environ

VERSIONS = ("3.12.2", "4.2.6", "5.3.6")
MERGE = 10.0
HEAL_LIMIT = MERGE + 15
STAYS = 15 + MERGE + 2
NAMES = [f"is-{number}.is-hl.wso2.svc.cluster.local" for number in range(3)]
PAGE = Path(__file__).parents[2] / "docs" / "live.md"
PER_NAMESPACE = Path("/etc/netns")
"""`ip netns exec` lays the files of PER_NAMESPACE/NAME over those of /etc."""


@dataclass(frozen=True)
class NamedPod:
    """A pod whose names are told by a file."""

    name: str
    pod: Pod
    folder: Path

    @property
    def etc(self) -> Path:
        return PER_NAMESPACE / self.pod.namespace

    def resolve(self, others: Sequence["NamedPod"]) -> None:
        """From now on the names of these, and no others, have an address in this pod."""
        lines = ["127.0.0.1 localhost", *(f"{other.pod.address} {other.name}" for other in others)]
        # Written in place: what is mounted over /etc/hosts is this file, and not another of its name.
        (self.etc / "hosts").write_text("\n".join(lines) + "\n")


@pytest.fixture
def pods(folder: Path, request: pytest.FixtureRequest) -> Iterator[list[NamedPod]]:
    found: list[NamedPod] = []
    with Network.claim() as network:
        try:
            for number, name in enumerate(NAMES):
                place = folder / request.node.name / f"is-{number}"
                place.mkdir(parents=True)
                found.append(NamedPod(name, network.add(f"names-{number}"), place))
                found[-1].etc.mkdir(parents=True, exist_ok=True)
                (found[-1].etc / "nsswitch.conf").write_text("hosts: files\n")
            yield found
        finally:
            for pod in found:
                shutil.rmtree(pod.etc)
                print(f"--- {pod.name}")
                log = pod.folder / "hazelcast.log"
                print("\n".join(log.read_text(errors="replace").splitlines()[-60:]) if log.exists() else "not started")


def documented(version: str, config: Path) -> str:
    """The commands of docs/live.md, with another target and version."""
    found = re.search(r"^    in=.*\n(?:    .*\n)+", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    text = found[0]
    for there, here in (("/config/hazelcast.xml", str(config)), ("-version 5.3 ", f"-version {version} ")):
        assert there in text
        text = text.replace(there, here)
    return text


def prepare(version: str, place: NamedPod, request: pytest.FixtureRequest) -> HazelcastMember:
    """The server, not started, with a file that was made in the pod, which has no way to anywhere but the others."""
    config = place.folder / "boot.xml"
    environ = clean_environ(POD_NAME=place.name.partition(".")[0], PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    given = [f"{key}={value}" for key, value in environ.items()]
    run(place.pod.namespace, ["env", "-i", *given, "sh", "-ec", documented(version, config)])
    assert re.findall("<member>(.*)</member>", config.read_text()) == [f"{name}:{PORT}" for name in NAMES]
    security = place.folder / "security"
    security.write_text("networkaddress.cache.negative.ttl=1\n")
    options = [f"-Djava.security.properties={security}"]
    server = HazelcastMember(version, place, None, {}, config=config, options=options)
    request.addfinalizer(server.kill)
    return server


@pytest.mark.parametrize("version", VERSIONS)
def test_names_that_become_known_heal_a_split(
    version: str, pods: list[NamedPod], figures: dict[str, float], request: pytest.FixtureRequest
) -> None:
    servers = [prepare(version, pod, request) for pod in pods]
    for pod, server in zip(pods[:2], servers):
        pod.resolve([pod])
        server.start()
    wait_sizes(servers[:2], 1, START_LIMIT)
    began = time.monotonic()
    assert_sizes_stay(servers[:2], 1, STAYS)
    figures["split while only the own name was known for"] = time.monotonic() - began

    for pod in pods[:2]:
        pod.resolve(pods[:2])
    figures["healed after the names were known"] = wait_sizes(servers[:2], 2, HEAL_LIMIT)
    for pod in pods:
        pod.resolve(pods)
    servers[2].start()
    wait_sizes(servers, 3, START_LIMIT)
