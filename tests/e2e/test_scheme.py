"""Real Carbon servers with examples/carbon-membership-scheme: one jar for every line."""

import re
import shutil
import time
from pathlib import Path

import pytest

from testbed.carbon import START_LIMIT, VERSIONS, CarbonServer, configure
from testbed.waiting import wait_for
from tests.e2e.world import LIMIT, PORT, Member, Stage, assert_sizes_stay, wait_log, wait_sizes

MERGE = 10.0
"""Seconds between two merge runs; Carbon's defaults are 60 to the first and 30 between two."""
HEAL_LIMIT = MERGE + 15
CLUSTERING = """
[clustering]
membership_scheme = "sidecar"
domain = "wso2.e2e.domain"
local_member_host = "{address}"
local_member_port = "{port}"

[clustering.properties]
membershipSchemeClassName = "membership.carbon.SidecarMembershipScheme"
sidecarGateTimeout = "{gate_timeout}"
sidecarOnTimeout = "fail"

[hazelcast]
"hazelcast.merge.first.run.delay.seconds" = "10"
"hazelcast.merge.next.run.delay.seconds" = "10"
"""
LOG_LEVELS = {"com-hazelcast": "INFO"}
_LIST = re.compile(r"Member list of tcp-ip join: \[([^\]]*)\]")


def prepare(stage: Stage, version: str, jar: Path, member: Member, *, gate_timeout: str = "150s") -> CarbonServer:
    """A home, and over it, as the entrypoint copies them, the deployment.toml and the jar; ended with the stage."""
    server = CarbonServer(version, member.pod.namespace, member.address, member.folder)
    stage.at_end(server.kill)
    server.make_home(log_levels=LOG_LEVELS)
    conf, dropins = (member.folder / "volume/repository" / name for name in ("conf", "components/dropins"))
    for folder in (conf, dropins):
        folder.mkdir(parents=True)
    clustering = CLUSTERING.format(address=member.address, port=PORT, gate_timeout=gate_timeout)
    (conf / "deployment.toml").write_text(configure(server.home, member.address, clustering))
    shutil.copy(jar, dropins)
    server.copy(member.folder / "volume")
    return server


def read_list(server: CarbonServer) -> list[str]:
    """The member list of Hazelcast's tcp-ip join, as the scheme read it back after it had set it."""
    found = _LIST.findall(server.log())
    return found[-1].split(", ") if found else []


@pytest.mark.parametrize("version", VERSIONS)
def test_forms_one_cluster(stage: Stage, version: str, scheme_jar: Path, figures: dict[str, float]) -> None:
    """The second pod is late; the first server waits for it inside init(). Then one is killed, and leaves the list."""
    pods = [stage.add("is-0")]
    pods[0].start_sidecar("--expect", "2")
    servers = [prepare(stage, version, scheme_jar, pods[0])]
    servers[0].start()  # as without a native sidecar: nothing but the scheme holds it back
    wait_log(servers[0], "Waiting for the formation gate", START_LIMIT)
    assert not servers[0].is_ready() and servers[0].cluster_size() == 0

    pods.append(stage.add("is-1"))
    pods[1].start_sidecar("--expect", "2")
    figures["gate"] = pods[1].wait_gate()
    servers.append(prepare(stage, version, scheme_jar, pods[1]))
    servers[1].start()
    figures["one cluster"] = wait_sizes(servers, 2, START_LIMIT)
    both = [pod.endpoint for pod in pods]
    assert [read_list(server) for server in servers] == [both, both]
    for pod, server in zip(pods, servers, strict=True):
        server.wait_ready()
        pod.ready()

    # A new process, whose generations begin anew: what it says counts at once.
    pods[0].end_sidecar()
    wait_log(servers[0], "The list stays as it is", LIMIT)
    pods[0].start_sidecar("--expect", "2")
    wait_log(servers[0], "The sidecar answers again", LIMIT)
    assert read_list(servers[0]) == both

    servers[1].kill()  # the node answers for it with a reset
    figures["a killed member is dropped"] = wait_sizes(servers[:1], 1, LIMIT)
    began = time.monotonic()
    stage.gone(pods[1])
    stage.wait_endpoints(lambda addresses: addresses == [pods[0].address])
    wait_for(lambda: read_list(servers[0]) == [pods[0].endpoint], timeout=LIMIT, what="the removal", every=0.005)
    figures["a deleted pod leaves the list"] = time.monotonic() - began
    figures["stop"] = servers[0].stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_heals_a_forced_split(stage: Stage, version: str, scheme_jar: Path, figures: dict[str, float]) -> None:
    """Each starts with a list of itself alone; the lists become right, and nothing else is done."""
    first = stage.add("is-0")
    first.start_sidecar("--expect", "1")
    figures["gate"] = first.wait_gate()
    servers = [prepare(stage, version, scheme_jar, first)]
    servers[0].start()
    figures["start"] = servers[0].wait_ready()
    assert servers[0].cluster_size() == 1
    stage.hide(first)

    second = stage.add("is-1")
    second.start_sidecar("--expect", "1")
    second.wait_gate()
    servers.append(prepare(stage, version, scheme_jar, second))
    servers[1].start()
    servers[1].wait_ready()
    assert [read_list(server) for server in servers] == [[first.endpoint], [second.endpoint]]
    assert_sizes_stay(servers, 1, MERGE + 2)

    stage.show(first)
    stage.wait_listed([first, second])
    figures["healed after the lists were right"] = wait_sizes(servers, 2, HEAL_LIMIT)
    both = [first.endpoint, second.endpoint]
    assert [read_list(server) for server in servers] == [both, both]


@pytest.mark.parametrize("version", VERSIONS)
def test_three_at_once(stage: Stage, version: str, scheme_jar: Path, figures: dict[str, float]) -> None:
    """As a Deployment of three is created: each server starts when its own gate opens, and one cluster forms."""
    pods = [stage.add(f"is-{number}") for number in range(3)]
    servers = [prepare(stage, version, scheme_jar, pod) for pod in pods]
    for pod in pods:
        pod.start_sidecar("--expect", "3")
    began = time.monotonic()
    for pod, server in zip(pods, servers, strict=True):
        pod.wait_gate()
        server.start()
    figures["gates"] = time.monotonic() - began
    figures["one cluster"] = wait_sizes(servers, 3, START_LIMIT)
    assert [read_list(server) for server in servers] == [[pod.endpoint for pod in pods]] * 3


@pytest.mark.parametrize("version", VERSIONS)
def test_does_not_start_alone(stage: Stage, version: str, scheme_jar: Path) -> None:
    """With sidecarOnTimeout = "fail" there is no cluster of one; only a probe sees it, for the JVM lives on."""
    pod = stage.add("is-0")
    pod.start_sidecar("--expect", "2")
    server = prepare(stage, version, scheme_jar, pod, gate_timeout="3s")
    server.start()
    wait_log(server, "The formation gate did not open within 3000 ms", START_LIMIT)
    wait_log(server, "Cannot initialize cluster", LIMIT)
    assert server.running and not server.is_ready() and server.cluster_size() == 0
