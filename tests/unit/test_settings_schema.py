"""deploy/settings.schema.json is what the code says, and agrees with what the sidecar takes.

Read here by the few words that it uses; the values of the examples are given to it as well.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from deploy.make_schema import ARGUMENTS, PATTERNS, SCHEMA, render
from membership.flags import SWITCH
from membership.quantity import parse_boolean, parse_duration
from membership.values import parse_count
from sidecar.settings import SETTINGS
from tests.manifests import EXAMPLES, KUSTOMIZE

DOCUMENT = json.loads(SCHEMA.read_text())


def find_problems(data: dict[str, str]) -> list[str]:
    """What a validator would say."""
    properties: dict[str, dict[str, Any]] = DOCUMENT["properties"]
    problems = [f"{name} is missing" for name in DOCUMENT["required"] if name not in data]
    if not any(all(name in data for name in each["required"]) for each in DOCUMENT["anyOf"]):
        problems.append("no services")
    for name, value in data.items():
        about = properties.get(name)
        if about is None:
            problems.append(f"{name} is unknown")
        elif value not in about.get("enum", (value,)) or not re.search(about.get("pattern", ""), value):
            problems.append(f"{name} is wrong")
    return problems


def read_literals(example: str) -> dict[str, str]:
    kustomization = yaml.safe_load((KUSTOMIZE / "examples" / example / "kustomization.yaml").read_text())
    [settings] = [each for each in kustomization["configMapGenerator"] if each["name"] == "membership"]
    return dict(literal.split("=", 1) for literal in settings["literals"])


def test_it_is_made_from_the_code() -> None:
    assert SCHEMA.read_text() == render(), "run: python -m deploy.make_schema"
    assert DOCUMENT["additionalProperties"] is False
    assert {key for each in DOCUMENT["properties"].values() for key in each} == {
        "type",
        "description",
        "default",
        "pattern",
        "enum",
    }


def test_it_has_each_variable_of_the_sidecar_but_those_that_the_component_sets() -> None:
    names = {name for setting in SETTINGS if setting.flag not in ARGUMENTS for name in setting.variables}
    assert names <= set(DOCUMENT["properties"])
    manifest = (KUSTOMIZE / "sidecar/pod.yaml").read_text()
    assert re.findall(r"- --(\w+)=", manifest) == sorted(ARGUMENTS, reverse=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_takes_the_settings_of_the_examples(example: str) -> None:
    assert find_problems(read_literals(example)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"MEMBERSHIP_EXPEKT": "2"}, "MEMBERSHIP_EXPEKT is unknown"),
        ({"MEMBERSHIP_EXPECT": "two"}, "MEMBERSHIP_EXPECT is wrong"),
        ({"MEMBERSHIP_GATE_TIMEOUT": "120"}, "MEMBERSHIP_GATE_TIMEOUT is wrong"),
        ({"MEMBERSHIP_READY_ONLY": "on"}, "MEMBERSHIP_READY_ONLY is wrong"),
        ({"MEMBERSHIP_STAGING": "/tmp"}, "MEMBERSHIP_STAGING is unknown"),
        ({"KIND": "DaemonSet"}, "KIND is wrong"),
        ({"WORKLOAD": "Identity Server"}, "WORKLOAD is wrong"),
        ({"WORKLOAD": None}, "WORKLOAD is missing"),
        ({"MEMBERSHIP_SERVICES": None}, "no services"),
    ],
)
def test_it_refuses(change: dict[str, str | None], problem: str) -> None:
    changed = read_literals("is-7") | change
    assert find_problems({name: value for name, value in changed.items() if value is not None}) == [problem]


@pytest.mark.parametrize(
    ("metavar", "parse"),
    [("DURATION", parse_duration), (SWITCH, parse_boolean), ("N", parse_count)],
    ids=("duration", "boolean", "count"),
)
@pytest.mark.parametrize(
    "text",
    "500ms 2s 5m 1h30m 1.5s .5s 2 2S s 0 1 01 10 -1 +1 yes NO True off on no. tRuE".split() + ["", " yes ", "2 s"],
)
def test_patterns_are_those_of_the_parsers(metavar: str, parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
        well = True
    except ValueError:
        well = False
    assert bool(re.search(PATTERNS[metavar], text)) == well, text
