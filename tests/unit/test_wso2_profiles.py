"""The profiles of --product against the facts: wso2.md section 1, where it is beside this folder, else a copy of it."""

import json
import os
import re
from pathlib import Path

import pytest

from membership.cli import run
from membership.render.profiles import profiles_json, profiles_text
from membership.wso2.profiles import NEW_AGENT, OLD_AGENT, PROFILES, REFUSALS, find_profile

FACTS = Path(os.environ.get("WSO2_FACTS", Path(__file__).parents[3] / "shared" / "wso2.md"))
COPY = """
| IS 5.1 (seed 1) | 4.4.3 | 3.5.2 | axis2.xml | "old" | no: jar + class name; **no hazelcast.xml mode** |
| IS 5.7 / 5.8 | 4.4.35 / 4.4.40 | 3.5.4.wso2v2 | axis2.xml | old | no (jar from KC) |
| IS 5.9 / 5.10 / 5.11 | 4.5.1 / 4.6.0 / 4.6.1 | 3.12.2 | deployment.toml | old | no |
| IS 6.0 / 6.1 | 4.7.1 / 4.9.0 | 4.2.5 / 4.2.6 | deployment.toml | old (template key absent) | yes |
| IS 7.0 / 7.1 / 7.2 / 7.3 | 4.10.9 / 4.10.42 / 4.10.101 / 4.12.34 | 5.3.6 | deployment.toml | `org.wso2.carbon.hazelcast.HazelcastClusteringAgent` | yes |
| APIM 2.0–2.6 | 4.4.7–4.4.35 | 3.5.4 | axis2.xml | old | no |
| APIM 3.0 / 3.1–3.2 / 4.0 / 4.1 | 4.5.1 / 4.6.0 / 4.6.2 / 4.6.3 | 3.12.2 | deployment.toml, **off by default** | old | no |
| **APIM 4.2–4.7** | 4.8.1, 4.9.26–33, 4.11.18 (4.7) | **none in the pack** | — | — | — |
| EI 6.2–6.5 / 6.6 | 4.4.26–4.4.40 / 4.5.3 | 3.5.4 / 3.12.2 | `conf/axis2/axis2.xml` (no toml even in 6.6) | old | no |
| MI 1.x, 4.x | own Carbon-4 fork | not shipped | `[cluster_config] node_id` | — | — |
| SP 4.x | Carbon 5 | none | deployment.yaml `cluster.config` | — | — |
| Open Banking 1.5 / 2.0 / 3.0–4 (IS side) | as the IS below it | 3.5.4 / 3.12.2 / as IS | axis2.xml (1.5), toml (2.0+) | old | no (jar) |

`local_member_port=4000` EI charts use 4100, IS 7 chart 4001.
"""  # noqa: E501
FAMILIES = {"IS": "is", "APIM": "am", "EI": "ei", "Open Banking": "ob", "MI": "mi", "SP": "sp"}


def facts() -> list[list[str]]:
    """The rows of the table: product, kernel, Hazelcast, file, agent, built in."""
    text = FACTS.read_text().partition("\n## 2.")[0] if FACTS.exists() else COPY
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    found = [row for row in rows if re.match(rf"({'|'.join(FAMILIES)}) \d", row[0])]
    assert len(found) == 12, "the table of wso2.md has another shape now"
    return found


def versions(cell: str) -> list[tuple[str, str]]:
    """`IS 6.0 / 6.1–6.2` as family and (first, last) of each part."""
    return [(one, last or one) for one, last in re.findall(r"(\d+(?:\.\d+)?)(?:–(\d+(?:\.\d+)?))?", cell)]


def key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in f"{version}.0".split(".")[:2])


CASES = [(row, FAMILIES[name[0]]) for row in facts() if (name := re.match("|".join(FAMILIES), row[0]))]


@pytest.mark.parametrize(("row", "family"), CASES, ids=[row[0] for row, _ in CASES])
def test_each_row_of_the_facts_has_its_profiles(row: list[str], family: str) -> None:
    name = re.sub(r"\(.*\)", "", row[0])
    groups = versions(name)
    kernels, hazelcasts = (re.sub(r"\(.*?\)", "", cell).split(" / ") for cell in row[1:3])
    for index, (first, last) in enumerate(groups):
        for version in {first, last}:
            product = f"{family}-{version}"
            if not re.search(r"\d", row[2]):
                with pytest.raises(ValueError, match="instead: "):
                    find_profile(product)
                continue
            profile = find_profile(product)
            kernel, hazelcast = kernels[min(index, len(kernels) - 1)], hazelcasts[min(index, len(hazelcasts) - 1)]
            assert kernel.startswith(profile.kernel or "as the IS"), kernel
            assert hazelcast.removesuffix(".wso2v2") == (profile.hazelcast or "as IS")
            in_axis2 = "axis2.xml" in row[3] and ("toml (2.0+)" not in row[3] or version == "1.5")
            assert profile.format == ("axis2-xml" if in_axis2 else "deployment-toml")
            assert profile.conf == ("conf" if "`conf/axis2" in row[3] else "repository/conf")
            assert profile.agent in (NEW_AGENT if "`org.wso2.carbon.hazelcast." in row[4] else OLD_AGENT, None)
            assert (profile.path("hazelcast-xml") is None) == ("no hazelcast.xml mode" in row[5])


def test_each_profile_is_in_the_facts() -> None:
    pairs = [(family, pair) for row, family in CASES for pair in versions(re.sub(r"\(.*\)", "", row[0]))]
    known = [(family, key(low), key(high)) for family, (low, high) in pairs]
    for product in PROFILES:
        family, version = product.split("-")
        between = family == "is" and key("5.2") <= key(version) <= key("5.6")  # between the rows of 5.1 and 5.7
        assert between or any(one == family and low <= key(version) <= high for one, low, high in known), product


def test_ports_are_those_of_charts_and_images() -> None:
    text = FACTS.read_text() if FACTS.exists() else COPY
    assert "EI charts use 4100, IS 7 chart 4001" in text and "local_member_port=4000" in text
    for product, profile in PROFILES.items():
        assert profile.port == (4100 if product.startswith("ei") else 4001 if product.startswith("is-7") else 4000)


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("is-7.1", "is-7.1"),
        ("IS-7.1.0", "is-7.1"),
        ("is-5.11.0", "is-5.11"),
        ("is-7", "is-7.0"),
        ("apim-4.1", "am-4.1"),
        ("wso2am-2.6.0", "am-2.6"),
        ("ob-4", "ob-4.0"),
        ("ei-6.6.0", "ei-6.6"),
    ],
)
def test_names(text: str, product: str) -> None:
    assert find_profile(text) is PROFILES[product]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("am-4.2", r"no Hazelcast.*instead: leave \[clustering\] out"),
        ("apim-4.10.1", "no Hazelcast"),
        ("am-5", "no Hazelcast"),
        ("mi-4.3", "does not use Hazelcast.*WSO2_COORDINATION_DB"),
        ("sp-4.4.0", "does not use Hazelcast.*cluster.config"),
        ("is-8.0", "not known; known are is-5.1, .*is-7.3"),
        ("is-5.0", "not known"),
        ("is", "not known"),
        ("", "not known"),
        ("am-4.20", "no Hazelcast"),
        ("esb-5.0", "not known"),
        ("is-7.1-beta", "not known"),
    ],
)
def test_refusals_say_what_to_do_instead(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_profile(text)


def test_paths() -> None:
    assert PROFILES["is-7.1"].path("deployment-toml") == "repository/conf/deployment.toml"
    assert PROFILES["is-7.1"].path("hazelcast-xml") == "repository/conf/etc/hazelcast.xml"
    assert PROFILES["ei-6.6"].path("axis2-xml") == "conf/axis2/axis2.xml"
    assert PROFILES["ei-6.6"].path("hazelcast-xml") == "conf/etc/hazelcast.xml"
    assert PROFILES["is-7.1"].path("axis2-xml") is None and PROFILES["is-7.1"].path("lines") is None


def test_the_table_for_people_and_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["profiles"]) == 0
    assert capfd.readouterr().out == profiles_text()
    for profile in PROFILES.values():
        assert re.search(rf"(?m)^{profile.product} .* {profile.port} .*{profile.path(profile.format)}", profiles_text())
    assert run(["profiles", "--format", "json"]) == 0
    content = json.loads(capfd.readouterr().out)
    assert content == json.loads(profiles_json())
    assert [one["product"] for one in content["profiles"]] == list(PROFILES)
    assert [one["instead"] for one in content["refused"]] == [refusal.instead for refusal in REFUSALS]
    assert run(["profiles", "--format", "xml"]) == 2
