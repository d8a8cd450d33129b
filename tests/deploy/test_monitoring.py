"""Alert rules and dashboard of examples/monitoring: promtool, and a real Prometheus with the metrics of real sidecars.

How Prometheus finds them: test_scraping.py.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.monitored import ALERTS, EXAMPLE, SCRAPE, Running, write_rules
from tests.manifests import Json

DASHBOARD = json.loads((EXAMPLE / "dashboard.json").read_text())
STORIES = yaml.safe_load((EXAMPLE / "alerts.test.yaml").read_text())["tests"]
RULES: list[Json] = [rule for group in ALERTS["spec"]["groups"] for rule in group["rules"]]
PANELS: list[Json] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
# As Grafana puts them in for "All" and a narrow panel.
GRAFANA = {"$namespace": ".+", "$cluster": ".+", "$__rate_interval": "10s"}
SELECTOR = re.compile(r"\b(?:membership_(?!cluster\b)\w+|up)\b(?:\{[^}]*\})?")
"""A metric of ours, or of every target, with what it is asked for; those of kube-state-metrics are not ours."""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Beside the stories that name it."""
    shutil.copy(EXAMPLE / "alerts.test.yaml", tmp_path)
    return write_rules(tmp_path)


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
def test_stories_would_tell_of_a_mistake(rules: Path, old: str, new: str) -> None:
    text = rules.read_text()
    assert old in text
    rules.write_text(text.replace(old, new))
    done = subprocess.run(
        ["promtool", "test", "rules", rules.parent / "alerts.test.yaml"], capture_output=True, text=True, timeout=60
    )
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


def test_labels_stay_as_the_sidecar_gives_them(running: Running) -> None:
    running.wait_for('membership_members{namespace="wso2", service="is"}')
    assert not [label for label in running.prometheus.ask("labels") if label.startswith("exported_")]
    [endpoint] = yaml.safe_load((EXAMPLE / "podmonitor.yaml").read_text())["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] == SCRAPE["honor_labels"]


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


def test_the_readme_names_each_metric_with_its_labels(running: Running) -> None:
    rows = re.findall(r"^\| `(membership_\w+)` \| ([\w, ]*)\|", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    told = {name: {label.strip() for label in labels.split(",")} - {""} for name, labels in rows}
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(running.sidecars[0].get("/metrics").text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    assert told == {name: labels for name, labels in found.items() if not name.endswith("_created")}
