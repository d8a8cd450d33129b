"""docs/logs.md and the Filebeat files of examples/monitoring, held against the lines that real sidecars write."""

import json
import logging
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from sidecar.log import JsonFormatter
from tests.deploy.monitored import EXAMPLE, Running, add_filebeat
from tests.manifests import ROOT, VARIANTS, build, find, find_server

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
    objects = build(add_filebeat(tmp_path, variant))
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
