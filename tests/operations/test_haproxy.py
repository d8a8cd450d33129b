"""`--out haproxy` and `render haproxy`: Services are listed and watched only where this format is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from membership.testing import FakeKube, Pod
from tests.running import Command, Sidecar, pods, until
from tests.told import tell

PORTS = {"http": 8280}
HOST = {"serviceloadbalancer/lb.host": "is.example.com", "example.com/other": "x"}


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        publish(server)
        yield server


def publish(kube: FakeKube, annotations: dict[str, str] = {}, count: int = 2) -> None:
    kube.set_service("wso2", "is", pods(count), ports=PORTS, exposed={"http": 80}, annotations=annotations)


def asked(kube: FakeKube, resource: str) -> list[str]:
    """The kinds of request about it."""
    return [request.kind for request in kube.requests if f"/{resource}" in request.path]


def test_the_file_follows_pods_and_services(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "services.cfg"
    with Sidecar(kube, "--out", f"haproxy:{target}") as sidecar:
        until(lambda: target.exists() and "server is-0 10.244.0.5:8280" in target.read_text(), 10, "the file")
        assert "bind :80\n" in target.read_text() and "lb.host" not in target.read_text()
        publish(kube, HOST)
        until(lambda: "-i is.example.com" in target.read_text(), what="the annotation")
        publish(kube, HOST, 3)
        until(lambda: "10.244.0.7:8280" in target.read_text(), what="the third pod")
        kube.delete_service("wso2", "is")
        sidecar.wait_log("has no address")
        assert "10.244.0.7:8280" in target.read_text()
        assert "[+]services of namespace wso2: source services, watching" in sidecar.get("/readyz?verbose").text
    assert asked(kube, "services") == ["list", "watch"] and asked(kube, "endpointslices") == ["list", "watch"]


def test_other_annotations_are_no_change(kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, "--out", f"haproxy:{tmp_path}/services.cfg") as sidecar:
        until((tmp_path / "services.cfg").exists, 10, "the file")
        before = sidecar.members()["generation"]
        publish(kube, {"example.com/other": "x"})
        publish(kube, {"example.com/other": "x"}, 3)
        sidecar.follows(["10.244.0.5", "10.244.0.6", "10.244.0.7"])
        assert sidecar.members()["generation"] == before + 1


def test_without_that_output_services_are_not_asked_for(kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, "--out", f"lines:{tmp_path}/lines") as sidecar:
        sidecar.synced()
        until((tmp_path / "lines").exists, what="the file")
    assert asked(kube, "services") == []


def test_services_that_are_forbidden_hold_back_their_file_and_nothing_else(kube: FakeKube, tmp_path: Path) -> None:
    kube.deny("*", "services")
    hook = f"touch {tmp_path}/hook"
    outs = ("--out", f"haproxy:{tmp_path}/services.cfg", "--out", f"lines:{tmp_path}/lines", "--on-change", hook)
    with Sidecar(kube, *outs) as sidecar:
        sidecar.synced()
        until((tmp_path / "lines").exists, what="the other file")
        until((tmp_path / "hook").exists, 8, "the hook, which waits 10 s for files that hang")
        until(lambda: 'services "is" is forbidden' in sidecar.get("/readyz?verbose").text, 10, "the reason")
        report = sidecar.get("/readyz?verbose").text
        assert "waiting: the Services were not listed yet" in report and "[+]synced" in report
        assert not (tmp_path / "services.cfg").exists() and sidecar.members()["stale"] is False


def test_where_watching_is_forbidden_services_are_polled(kube: FakeKube, tmp_path: Path) -> None:
    kube.deny("watch", "services")
    target = tmp_path / "services.cfg"
    with Sidecar(kube, "--out", f"haproxy:{target}", "--poll-interval", "300ms"):
        until(target.exists, 10, "the file")
        publish(kube, HOST)
        until(lambda: "-i is.example.com" in target.read_text(), what="the annotation")


def render(kube: FakeKube, *arguments: str) -> tuple[int, Command]:
    command = Command("render", "haproxy", *arguments, "--server", kube.url, "--services", "wso2/is")
    return command.result(), command


def test_render_makes_it_once(kube: FakeKube) -> None:
    code, command = render(kube)
    assert code == 0 and "server is-1 10.244.0.6:8280" in command.output


def test_render_without_the_permission(kube: FakeKube) -> None:
    kube.deny("list", "services")
    code, command = render(kube, "--timeout", "5s")
    assert code == 4 and any('services "is" is forbidden' in line for line in command.err)


def test_render_with_names_is_refused(kube: FakeKube) -> None:
    told = tell("membership", ("render", "haproxy", "--names", "is-0"))
    assert told.code == 2 and told.count("haproxy is made of Services") == 1


@pytest.mark.parametrize("denied", [("list", "watch"), ("watch",)])
def test_check_prints_the_whole_role_where_the_output_is_used(kube: FakeKube, denied: tuple[str, ...]) -> None:
    for verb in denied:
        kube.deny(verb, "services")
    arguments = ("check", "--server", kube.url, "--services", "wso2/is")
    without = Command(*arguments)
    assert without.result() == 0 and "services in" not in without.output
    command = Command(*arguments, "--out", "haproxy:/x")
    assert command.result() == 4 and "# missing: watch services in namespace wso2" in command.output
    role = next(one for one in yaml.safe_load_all(command.output) if one["kind"] == "Role")
    assert role["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
    ]
    for verb in denied:
        kube.allow(verb, "services")
    assert Command(*arguments, "--out", "haproxy:/x").result() == 0


def test_pods_that_are_not_ready_get_no_requests(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "services.cfg"
    with Sidecar(kube, "--out", f"haproxy:{target}"):
        until(target.exists, 10, "the file")
        some = [Pod("10.244.0.5", "is-0"), Pod("10.244.0.6", "is-1", ready=False)]
        kube.set_service("wso2", "is", some, ports=PORTS, exposed={"http": 80})
        until(lambda: "is-1" not in target.read_text(), what="the pod to be left out")
        assert "is-0" in target.read_text()


def test_every_service_of_the_namespace(kube: FakeKube, tmp_path: Path) -> None:
    target = tmp_path / "services.cfg"
    kube.set_service("other", "am", [Pod("10.9.0.1")], ports=PORTS)
    with Sidecar(kube, "--out", f"haproxy:{target}", services="wso2/*") as sidecar:
        until(lambda: target.exists() and "backend wso2.is.80" in target.read_text(), 10, "the file")
        assert sidecar.members()["services"] == ["wso2/is"]
        kube.set_service("wso2", "am", [Pod("10.244.1.1", "am-0")], ports=PORTS, exposed={"http": 81})
        until(lambda: "server am-0 10.244.1.1:8280" in target.read_text(), what="another Service")
        assert sidecar.members("?service=am")["members"][0]["address"] == "10.244.1.1"
        assert sidecar.metric("membership_members", namespace="wso2", service="am", state="ready") == 1
        kube.delete_service("wso2", "is")
        until(lambda: "wso2.is" not in target.read_text(), what="the Service to be gone")
        assert sidecar.members()["services"] == ["wso2/am"] and "10.9.0.1" not in target.read_text()
    assert asked(kube, "services") == ["list", "watch"] and asked(kube, "endpointslices") == ["list", "watch"]


def test_every_service_by_endpoints_and_once(kube: FakeKube) -> None:
    kube.remove_api("endpointslices")
    command = Command("render", "haproxy", "--server", kube.url, "--services", "wso2/*,wso2/is")
    assert command.result() == 0 and "server is-1 10.244.0.6:8280" in command.output


def test_every_service_is_no_cluster(kube: FakeKube, tmp_path: Path) -> None:
    told = tell("membership", ("render", "hazelcast-xml", "--server", kube.url, "--services", "wso2/*"))
    assert told.code == 2
    assert "--services: * is every Service, which hazelcast-xml would take for one cluster" in told.log
