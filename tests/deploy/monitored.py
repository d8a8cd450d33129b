"""Two real sidecars and a real Prometheus that scrapes them and has the alert rules of examples/monitoring."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from membership.testing import FakeKube
from testbed.prometheus import Prometheus
from tests.manifests import ROOT, Json, choose_variant, copy_components, edit
from tests.running import Sidecar, pods, until

EXAMPLE = ROOT / "examples/monitoring"
ALERTS: Json = yaml.safe_load((EXAMPLE / "alerts.yaml").read_text())
SCRAPE: Json = yaml.safe_load((EXAMPLE / "scrape.yaml").read_text())[0]


@dataclass(frozen=True)
class Running:
    """Two sidecars of one cluster, of which one is refused the watch, and a Prometheus that scrapes them."""

    sidecars: list[Sidecar]
    prometheus: Prometheus

    def wait_for(self, expression: str) -> list[Json]:
        return until(lambda: self.prometheus.query(expression), 15, f"series of {expression}")


def target(sidecar: Sidecar, pod: str) -> Json:
    """With the labels that PodMonitor and scrape.yaml give; test_scraping.py sees that they do."""
    labels = {"namespace": "wso2", "pod": pod, "container": "membership", "endpoint": "membership"}
    return {"targets": [f"127.0.0.1:{sidecar.port}"], "labels": {**labels, "membership_cluster": "is"}}


def write_rules(folder: Path) -> Path:
    """The file that README.md makes with yq."""
    path = folder / "membership.rules.yaml"
    path.write_text(yaml.safe_dump(ALERTS["spec"]))
    return path


def add_filebeat(folder: Path, variant: str) -> Path:
    """A copy of the example is-5.11 with Filebeat beside the server, as README.md says; its path."""
    components = copy_components(folder / "deploy")
    choose_variant(components, variant)
    shutil.copytree(EXAMPLE, folder / "examples/monitoring")
    example, here = components / "examples/is-5.11", "components:\n"
    edit(example / "kustomization.yaml", here, f"{here}  - ../../../../examples/monitoring/filebeat\n")
    return example


@contextmanager
def run_all(folder: Path) -> Iterator[Running]:
    """Until the end of the block.

    By then one of them has written a list, kept back one that was empty, failed to write one, and lost the API server
    for a while.
    """
    with FakeKube() as kube, FakeKube() as refusing:
        for server in (kube, refusing):
            server.set_service("wso2", "is", pods(2))
        refusing.fault("status", on="watch", code=403)
        out = ("--out", f"lines:{folder}/lines", "--stable", "100ms", "--stale-after", "2s", "--verify", "local")
        with Sidecar(kube, *out) as one, Sidecar(refusing, "--poll-interval", "200ms") as other:
            one.synced()
            kube.cut_watches()
            scrape = {name: SCRAPE[name] for name in ("job_name", "honor_labels")}
            scrape["static_configs"] = [target(one, "is-0"), target(other, "is-1")]
            with Prometheus(folder / "prometheus", [scrape], [write_rules(folder)]) as prometheus:
                kube.set_service("wso2", "is", [])
                one.wait_log("has no address", 10)
                (folder / "lines").unlink()
                (folder / "lines").mkdir()
                kube.set_service("wso2", "is", pods(3))
                one.wait_log('"error".*output lines', 10)
                (folder / "lines").rmdir()
                one.wait_log("written again", 10)
                failing = kube.fault("status", code=500)
                kube.cut_watches()
                one.wait_log("the list is stale", 10)
                failing.clear()
                one.wait_log("fresh again", 40)
                yield Running([one, other], prometheus)
