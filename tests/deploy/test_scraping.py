"""examples/monitoring on a real control plane: Prometheus finds played pods by the API, which takes the objects.

The operator does not run: scrape.yaml is its part. Nor does Prometheus' discovery: its part is played, with real Pods.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from testbed import cluster
from testbed.plane import ControlPlane
from testbed.prometheus import Prometheus
from testbed.rest import RequestFailed
from testbed.waiting import wait_for
from tests.deploy.monitored import EXAMPLE, add_filebeat
from tests.deploy.stage import Stage, World, name_namespace
from tests.manifests import ROOT, VARIANTS, Json, build, choose_variant, copy_components, find, find_server
from tests.real.applied import create_restricted, dry_run_pod

LABELS = {"namespace", "pod", "container", "endpoint", "membership_cluster", "job", "instance"}
"""Those of monitored.py, where nobody looks for pods."""
GROUP = "monitoring.coreos.com"
META = "__meta_kubernetes"


def read_scrape(plane: ControlPlane, namespace: str) -> Json:
    """scrape.yaml with what Prometheus makes of its `kubernetes_sd_configs`: Debian's is built without them."""
    [scrape] = yaml.safe_load((EXAMPLE / "scrape.yaml").read_text())
    assert scrape.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["wso2"]}}]
    pods = plane.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    return {**scrape, "static_configs": [target for pod in pods for target in discover(pod)]}


def discover(pod: Json) -> Iterator[Json]:
    """A target for each port of each container, and for each container without ports, with the names of the pod.

    As in prometheus/discovery/kubernetes/pod.go; init containers are among them since Prometheus 2.11.
    """
    labels = {f"{META}_namespace": pod["metadata"]["namespace"], f"{META}_pod_name": pod["metadata"]["name"]}
    labels[f"{META}_pod_phase"] = pod["status"]["phase"]
    for name, value in pod["metadata"]["labels"].items():
        safe = re.sub(r"\W", "_", name)
        labels |= {f"{META}_pod_label_{safe}": value, f"{META}_pod_labelpresent_{safe}": "true"}
    for container in (*pod["spec"]["containers"], *pod["spec"]["initContainers"]):
        labels[f"{META}_pod_container_name"] = container["name"]
        for port in container.get("ports", [None]):
            address = pod["status"]["podIP"] + (f":{port['containerPort']}" if port else "")
            named = {f"{META}_pod_container_port_name": port["name"]} if port and "name" in port else {}
            yield {"targets": [address], "labels": {**labels, **named}}


@pytest.mark.parametrize("variant", VARIANTS)
def test_prometheus_finds_the_sidecar_of_a_pod(world: World, image: Path, tmp_path: Path, variant: str) -> None:
    components = copy_components(tmp_path)
    choose_variant(components, variant)
    namespace = name_namespace(f"scraped-{variant}")
    with Stage(world, image, build(components / "examples/is-5.11", namespace)) as stage:
        pod = stage.add(0)
        pod.start_init()
        pod.finish_init()
        scrape = read_scrape(world[0], namespace)
        with Prometheus(tmp_path / "prometheus", [scrape]) as prometheus:
            wait_for(lambda: prometheus.query("up == 1"), timeout=30, what=f"the target; {pod.log}", every=0.1)
            [up] = prometheus.query("up")
            assert set(up["metric"]) == LABELS | {"__name__"}
            wanted = {"namespace": namespace, "pod": pod.name, "container": "membership", "endpoint": "membership"}
            wanted |= {"membership_cluster": stage.settings["WORKLOAD"], "instance": f"{pod.address}:4080"}
            assert wanted.items() <= up["metric"].items()
            service = f'{{namespace="{namespace}", service="{stage.settings["MEMBERSHIP_SERVICES"]}"}}'
            [members] = prometheus.query(f"sum by (pod) (membership_members{service})")
            assert (members["metric"], members["value"][1]) == ({"pod": pod.name}, "1"), "by its own labels"


@pytest.fixture(scope="module")
def plane(world: World) -> Iterator[ControlPlane]:
    """With the definitions of the operator."""
    plane = world[0]
    done = subprocess.run([ROOT / "testbed/operator_crds"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("podmonitors", "prometheusrules"):
        definition = yaml.safe_load((Path(done.stdout.strip()) / f"{GROUP}_{name}.yaml").read_text())
        plane.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        wait_for(lambda: _is_served(plane, name), timeout=30, what=name, every=0.05)
    cluster.create_namespace(plane, "monitored")
    yield plane


def _is_served(plane: ControlPlane, name: str) -> bool:
    try:
        return bool(plane.request("GET", f"/apis/{GROUP}/v1/{name}"))
    except RequestFailed:
        return False


def dry_run(plane: ControlPlane, each: Json) -> Json:
    """What the server would store. RequestFailed, also for a field that it does not know."""
    group = f"apis/{each['apiVersion']}" if "/" in each["apiVersion"] else "api/v1"
    path = f"/{group}/namespaces/monitored/{each['kind'].lower()}s/{each['metadata']['name']}"
    query = "?dryRun=All&fieldValidation=Strict&fieldManager=test"
    return plane.request("PATCH", path + query, each, content_type="application/apply-patch+yaml")


def test_a_server_with_the_operator_takes_every_object(plane: ControlPlane) -> None:
    objects = build(EXAMPLE, "monitored")
    assert sorted(each["kind"] for each in objects) == ["ConfigMap", "PodMonitor", "PrometheusRule"]
    for each in objects:
        assert dry_run(plane, each)["metadata"]["uid"]


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(honourLabels=True), "honourLabels"),
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(interval="often"), "interval"),
        ("PrometheusRule", lambda spec: spec["groups"][0]["rules"][0].update({"for": "a while"}), "for"),
    ],
)
def test_it_can_fail(plane: ControlPlane, kind: str, change: Callable[[Json], None], why: str) -> None:
    wrong = find(build(EXAMPLE, "monitored"), kind)
    change(wrong["spec"])
    with pytest.raises(RequestFailed, match=why):
        dry_run(plane, wrong)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_with_filebeat_is_restricted(plane: ControlPlane, tmp_path: Path, variant: str) -> None:
    namespace = name_namespace(f"filebeat-{variant}")
    create_restricted(plane, namespace)
    stored = dry_run_pod(plane, find_server(build(add_filebeat(tmp_path, variant), namespace)), namespace)
    assert [each["name"] for each in stored["spec"]["containers"]][-1] == "filebeat"
