"""examples/monitoring before what it is for: promtool, a real Prometheus, and the metrics and lines of real sidecars.

The Prometheus that finds pods by the API: test_scraping.py.
"""

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from membership.testing import FakeKube
from sidecar.log import JsonFormatter
from testbed.prometheus import Prometheus
from tests.manifests import ROOT, VARIANTS, Json, build, choose_variant, copy_components, edit, find, find_server
from tests.running import Sidecar, pods, until

EXAMPLE = ROOT / "examples/monitoring"
DASHBOARD = json.loads((EXAMPLE / "dashboard.json").read_text())
ALERTS: Json = yaml.safe_load((EXAMPLE / "alerts.yaml").read_text())
STORIES = yaml.safe_load((EXAMPLE / "alerts.test.yaml").read_text())["tests"]
RULES: list[Json] = [rule for group in ALERTS["spec"]["groups"] for rule in group["rules"]]
PANELS: list[Json] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
# As Grafana puts them in for "All" and a narrow panel.
GRAFANA = {"$namespace": ".+", "$cluster": ".+", "$__rate_interval": "10s"}
SELECTOR = re.compile(r"\b(?:membership_(?!cluster\b)\w+|up)\b(?:\{[^}]*\})?")
"""A metric of ours, or of every target, with what it is asked for; those of kube-state-metrics are not ours."""


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


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that README.md makes with yq, beside the stories that name it."""
    path = tmp_path_factory.mktemp("rules") / "membership.rules.yaml"
    path.write_text(yaml.safe_dump(ALERTS["spec"]))
    (path.parent / "alerts.test.yaml").write_text((EXAMPLE / "alerts.test.yaml").read_text())
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, rules: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("monitoring")
    with FakeKube() as kube, FakeKube() as refusing:
        for server in (kube, refusing):
            server.set_service("wso2", "is", pods(2))
        refusing.fault("status", on="watch", code=403)
        out = ("--out", f"lines:{folder}/lines", "--stable", "100ms", "--stale-after", "2s", "--verify", "all")
        with Sidecar(kube, *out) as one, Sidecar(refusing, "--poll-interval", "200ms") as other:
            one.synced()
            kube.cut_watches()
            scrape = {"job_name": "membership", "honor_labels": True}
            scrape["static_configs"] = [target(one, "is-0"), target(other, "is-1")]
            with Prometheus(folder / "prometheus", [scrape], [rules]) as prometheus:
                # A list that is put out, one that is empty, one that cannot be written; an API server that is away.
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


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- alerts -------------------------------------------------------------------------------------------


def test_promtool_takes_the_rules(rules: Path) -> None:
    assert f"{len(RULES)} rules found" in run("promtool", "check", "rules", rules)


def test_promtool_finds_each_story_true(rules: Path) -> None:
    run("promtool", "test", "rules", rules.parent / "alerts.test.yaml")


def test_a_story_has_each_alert_fire() -> None:
    told = [each for story in STORIES for each in story["promql_expr_test"] if "firing" in each["expr"]]
    assert {sample["value"] for each in told for sample in each["exp_samples"]} == {1}
    fired = re.findall(r'alertname="(\w+)"', str([each["exp_samples"] for each in told]))
    assert sorted(fired) == sorted(rule["alert"] for rule in RULES)


def test_the_readme_says_what_to_do_about_each_alert() -> None:
    rows = re.findall(r"^\| (Membership\w+) \| (\d+) min", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    assert [(name, f"{minutes}m") for name, minutes in rows] == [(rule["alert"], rule["for"]) for rule in RULES]


@pytest.mark.parametrize(
    ("old", "new"), [("for: 15m", "for: 30s"), ('{verdict="missing"}', '{verdict="lost"}'), ("[5m]) > 0", "[5m]) > 9")]
)
def test_stories_would_tell_of_a_mistake(tmp_path: Path, rules: Path, old: str, new: str) -> None:
    text = rules.read_text()
    assert old in text
    (tmp_path / rules.name).write_text(text.replace(old, new))
    stories = shutil.copy(rules.parent / "alerts.test.yaml", tmp_path)
    done = subprocess.run(["promtool", "test", "rules", stories], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "FAILED" in done.stderr + done.stdout


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_selector_of_an_alert_finds_series(running: Running, rule: Json) -> None:
    selectors = SELECTOR.findall(rule["expr"])
    assert selectors
    for selector in selectors:
        running.wait_for(selector)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_labels_of_an_alert_exist(running: Running, rule: Json) -> None:
    found = set(running.prometheus.ask("labels"))
    named = {
        word.strip() for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"]) for word in group.split(",")
    }
    named |= set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert named <= found, named - found


def test_alerts_work_on_what_sidecars_expose(running: Running) -> None:
    running.wait_for('ALERTS{alertname="MembershipListsDiffer", alertstate="pending", membership_cluster="is"}')
    found = [rule for group in running.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in found} == {rule["alert"] for rule in RULES}
    assert {rule["name"]: rule["lastError"] for rule in found if rule["health"] != "ok"} == {}
    assert "firing" not in {rule["state"] for rule in found}


# -- the dashboard ------------------------------------------------------------------------------------


def fill(expression: str) -> str:
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[f"{title} {query['refId']}" for title, query in QUERIES])
def test_each_query_of_the_dashboard_finds_series(running: Running, title: str, query: Json) -> None:
    found = running.wait_for(fill(query["expr"]))
    labels = {label for each in found for label in each["metric"]}
    assert set(re.findall(r"{{(\w+)}}", query["legendFormat"])) <= labels, title


def test_variables_of_the_dashboard_find_values(running: Running) -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    for name, value in (("namespace", "wso2"), ("cluster", "is")):
        query = re.fullmatch(r"label_values\((.*), (\w+)\)", variables[name]["query"]["query"])
        assert query is not None
        assert {each["metric"].get(query[2]) for each in running.wait_for(fill(query[1]))} == {value}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) - {"__rate_interval"}
    assert used == set(variables)


def test_every_metric_of_the_sidecar_is_on_the_dashboard(running: Running) -> None:
    exposed = {name for name in running.prometheus.ask("label/__name__/values") if name.startswith("membership_")}
    shown = set(re.findall(r"membership_\w+", " ".join(query["expr"] for _, query in QUERIES)))
    derived = {name for name in exposed if re.search(r"_(count|sum|created)$", name)}
    assert exposed - derived == shown - {"membership_cluster"}


def test_panels_are_apart_and_have_numbers_of_their_own() -> None:
    cells = [
        (x, y)
        for box in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


# -- logs ---------------------------------------------------------------------------------------------

LOGS = (ROOT / "docs/logs.md").read_text()


def read_rows(title: str) -> list[list[str]]:
    """The cells of the table in docs/logs.md whose first column has this title."""
    table = re.search(rf"^\| {re.escape(title)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", LOGS, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def test_lines_are_as_documented(running: Running) -> None:
    fields = {row[0].strip("`") for row in read_rows("field")}
    about = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in read_rows("field")}
    lines = [line for sidecar in running.sidecars for line in sidecar.records()]
    assert {field for line in lines for field in line} == fields - {"error"}, "no bug was logged"
    for line in lines:
        assert list(line) == ["time", "level", "logger", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in about["level"] and line["logger"].partition(".")[0] in about["logger"], line


def test_a_bug_is_one_line_with_its_traceback() -> None:
    try:
        raise ZeroDivisionError("of the test")
    except ZeroDivisionError:
        record = logging.LogRecord("sidecar", logging.ERROR, "", 0, "output %s: a bug", ("lines",), sys.exc_info())
    written = JsonFormatter().format(record)
    assert "\n" not in written
    assert set(json.loads(written)) == {row[0].strip("`") for row in read_rows("field")}
    assert "ZeroDivisionError: of the test" in json.loads(written)["error"]


@pytest.mark.parametrize("row", read_rows("`message` begins with"), ids=lambda row: str(row[0]))
def test_messages_begin_as_documented(running: Running, row: list[str]) -> None:
    words = re.escape(row[0].strip("`")).replace("VERDICT", r"\w+").replace("NAME", r"\S+")
    beginning = re.compile(re.sub(r"\b[NM]\b", r"\\d+", words))
    lines = [line for sidecar in running.sidecars for line in sidecar.records()]
    found = {line["level"] for line in lines if beginning.match(line["message"])}
    assert found and found <= set(row[1].split(", ")) | ({"warning"} if "a warning where" in row[2] else set())


# -- Filebeat -----------------------------------------------------------------------------------------


def test_filebeat_of_the_node_reads_the_lines_of_the_sidecar(running: Running) -> None:
    config = yaml.safe_load((EXAMPLE / "filebeat/node.yml").read_text())
    [source] = config["filebeat.inputs"]
    assert source["type"] == "filestream" and source["id"]
    # As the kubelet names it; Filebeat's patterns are those of a shell.
    file = "/var/log/containers/is-0_wso2_membership-0123456789abcdef.log"
    assert [path for path in source["paths"] if fnmatch(file, path)]
    assert not [path for path in source["paths"] if fnmatch(file.replace("_membership-", "_server-"), path)]
    [container, ndjson] = source["parsers"]
    assert container["container"]["stream"] == "stderr", "where the lines are"
    decoded = {ndjson["ndjson"]["target"]: running.sidecars[0].records()[0]}
    assert decoded["membership"][ndjson["ndjson"]["message_key"]]
    [stamp] = [each["timestamp"] for each in source["processors"] if "timestamp" in each]
    outer, inner = stamp["field"].split(".")
    for text in (decoded[outer][inner], *stamp["test"]):
        assert re.fullmatch(re.sub(r"\d", r"\\d", stamp["layouts"][0].replace(".", r"\.")), text)
    assert config["output.logstash"]["hosts"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_filebeat_beside_the_server(tmp_path: Path, variant: str) -> None:
    components = copy_components(tmp_path / "deploy")
    choose_variant(components, variant)
    shutil.copytree(EXAMPLE, tmp_path / "examples/monitoring")
    example = components / "examples/is-5.11"
    here = "components:\n"
    edit(example / "kustomization.yaml", here, f"{here}  - ../../../../examples/monitoring/filebeat\n")
    objects = build(example)
    pod = find_server(objects)["spec"]["template"]["spec"]
    mounts = {
        each["name"]: {mount["mountPath"]: mount["name"] for mount in each["volumeMounts"]}
        for each in pod["containers"]
    }
    server = mounts["wso2is"]
    assert server["/home/wso2carbon/wso2is-5.11.0/repository/logs"] == mounts["filebeat"]["/logs"] == "server-logs"
    assert server["/home/wso2carbon/wso2-artifact-volume"] == "membership", "as without Filebeat"
    assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounts["filebeat"]
    [filebeat] = [each for each in pod["containers"] if each["name"] == "filebeat"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    text = find(objects, "ConfigMap", volumes["filebeat-config"]["configMap"]["name"])["data"]["filebeat.yml"]
    config = yaml.safe_load(text)
    assert all(path.startswith("/logs/") for source in config["filebeat.inputs"] for path in source["paths"])
    assert len({source["id"] for source in config["filebeat.inputs"]}) == len(config["filebeat.inputs"])
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {each["name"] for each in filebeat["env"]}
    assert filebeat["args"][2].rpartition("/") == ("/etc/filebeat", "/", "filebeat.yml")
    assert set(mounts["filebeat"]) == {"/logs", "/data", "/etc/filebeat"}
