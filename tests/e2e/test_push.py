"""`--push rest` on real members: a forced split that stays as it is without it, and heals with it.

The members are started from a hazelcast.xml that the sidecar itself has written, so the merge delays are ours: 15 s,
then every 10 s. The cluster's name has in it all that has to be quoted on the way.
"""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.waiting import wait_for
from tests.e2e.hazelcast import START_LIMIT, HazelcastMember
from tests.e2e.world import Member, Stage, assert_sizes_stay, wait_sizes

VERSION = "5.3.6"
CLUSTER = "e2e & <a>+b%20=é"
MERGE = 10.0
HEAL_LIMIT = MERGE + 15
STAYS = 15 + 2 * MERGE
"""Seconds that have the first merge run in them, and two more."""
LIST = "/hazelcast/rest/config/tcp-ip/member-list"
GIVEN = "output push:rest: gave "


def start_sidecar(pod: Member, *flags: str) -> None:
    """With the file for its server, in which REST is open for writing whether the sidecar makes use of it or not."""
    shared = ("--expect", "1", "--cluster-name", CLUSTER, "--hazelcast-version", VERSION, "--hazelcast-rest", "write")
    pod.start_sidecar(*shared, "--out", f"hazelcast-xml:{pod.folder / 'written.xml'}", *flags)


def prepare(stage: Stage, pod: Member, knows: Sequence[Member]) -> HazelcastMember:
    """The server of this pod, not started, with the file that the sidecar wrote as it is now: `knows` must be in it."""
    written = pod.folder / "written.xml"
    wait_for(lambda: written.exists() and members_in(written) == [one.endpoint for one in knows], what="the file")
    config = pod.folder / "boot.xml"
    config.write_bytes(written.read_bytes())
    server = HazelcastMember(VERSION, pod, None, {}, config=config)
    stage.at_end(server.kill)
    return server


def members_in(path: Path) -> list[str]:
    return re.findall("<member>(.*)</member>", path.read_text())


def list_of(server: HazelcastMember) -> set[str]:
    """What the member itself says that its list is."""
    status, body = server.get(LIST)
    return set(json.loads(body)["member-list"]) if status == 200 else set()


def given(pod: Member) -> int:
    """How often the sidecar has given its member a list."""
    return (pod.folder / "sidecar.log").read_text().count(GIVEN)


def split(stage: Stage, *flags: str) -> tuple[list[Member], list[HazelcastMember]]:
    """Two pods whose servers know themselves alone, and whose sidecars know both from now on."""
    pods, servers = list[Member](), list[HazelcastMember]()
    for name in ("is-0", "is-1"):
        pod = stage.add(name)
        start_sidecar(pod, *flags)
        pod.wait_gate()
        server = prepare(stage, pod, [pod])
        server.start()
        wait_sizes([server], 1, START_LIMIT)
        if not pods:
            stage.hide(pod)
        pods.append(pod)
        servers.append(server)
    wait_for(lambda: [list_of(server) for server in servers] == [{pod.endpoint} for pod in pods], timeout=START_LIMIT)
    stage.show(pods[0])
    stage.wait_listed(pods)
    return pods, servers


def test_a_split_stays_without_push_and_heals_with_it(stage: Stage, figures: dict[str, float]) -> None:
    pods, servers = split(stage)
    began = time.monotonic()
    assert_sizes_stay(servers, 1, STAYS)
    figures["split without push for"] = time.monotonic() - began
    assert members_in(pods[0].folder / "written.xml") == [pod.endpoint for pod in pods], "the file alone heals nothing"
    assert [list_of(server) for server in servers] == [{pod.endpoint} for pod in pods]

    for pod in pods:
        pod.end_sidecar()
        start_sidecar(pod, "--push", "rest")
    figures["healed after push was switched on"] = wait_sizes(servers, 2, HEAL_LIMIT)


def test_a_split_heals_by_itself_and_a_later_joiner_gets_the_list(stage: Stage, figures: dict[str, float]) -> None:
    pods, servers = split(stage, "--push", "rest")
    figures["healed after the lists were right"] = wait_sizes(servers, 2, HEAL_LIMIT)

    # It comes with the list of a moment that is over, in which the second was not there.
    pods.append(stage.add("is-2"))
    start_sidecar(pods[2], "--push", "rest")
    pods[2].wait_gate()
    joiner = prepare(stage, pods[2], pods)
    boot = pods[2].folder / "boot.xml"
    boot.write_text(boot.read_text().replace(f"<member>{pods[1].endpoint}</member>", ""))
    assert members_in(boot) == [pods[0].endpoint, pods[2].endpoint] and given(pods[2]) == 0
    joiner.start()
    servers.append(joiner)
    wait_sizes(servers, 3, START_LIMIT)
    began = time.monotonic()
    wanted = {pod.endpoint for pod in pods}
    wait_for(lambda: [list_of(server) for server in servers] == [wanted] * 3, timeout=15, what="one list on all three")
    figures["the joiner's own list was right after"] = time.monotonic() - began

    before = [given(pod) for pod in pods]
    assert before[2] == 1 and sum(before) <= 8, "each is a warning in the log of a member"
    time.sleep(12)  # a round of looks: what is right is left alone
    assert [given(pod) for pod in pods] == before
    for pod in pods:
        status, body = pod.get("/readyz?verbose")
        assert status == 200 and b"[+]output push:rest: generation " in body, body
        metrics = pod.get("/metrics")[1].decode()
        assert re.search(r'membership_publish_delay_seconds_count\{output="push:rest"\} [1-9]', metrics)
        assert 'membership_publish_failures_total{output="push:rest"} 0.0' in metrics


def test_a_wrong_cluster_name_is_refused_and_said_once(stage: Stage) -> None:
    pods, servers = split(stage)
    pods[0].end_sidecar()
    start_sidecar(pods[0], "--push", "rest", "--cluster-name", "another")
    log = pods[0].folder / "sidecar.log"
    said = "it refuses the list: its cluster is not named 'another' (--cluster-name)"
    wait_for(lambda: said in log.read_text(), timeout=15, what="the refusal in the log")
    assert_sizes_stay(servers, 1, 25)
    assert log.read_text().count(said) == 1 and list_of(servers[0]) == {pods[0].endpoint}
    status, body = pods[0].get("/readyz?verbose")
    assert status == 200 and f"[!]output push:rest: {said}".encode() in body
