"""The documents and the code say the same: flags, names, paths, examples, links."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from docs import make_doctor
from docs.make_settings import PAGE, render
from membership.cli import command
from membership.model import Member, Snapshot
from membership.render import FORMATS, SERVED, Setup, Source
from membership.render.hazelcast_xml import GROUPS, PROPERTIES
from membership.testing import FakeKube, Pod
from membership.wso2.profiles import PROFILES
from sidecar.settings import SETTINGS
from tests.unit.lists import member, snapshot

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in ROOT.rglob("*.md") if not {".venv", ".pytest_cache"} & set(path.parts))
OTHERS_FLAGS = {"--strict"}
"""Flags in the documents that are not ours."""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize(
    "page",
    [
        "README.md", "docs/doctor.md",
        "docs/http.md", "docs/formats.md", "docs/verify.md", "docs/live.md", "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ],
)  # fmt: skip
def test_flags_in_the_documents_exist(page: str) -> None:
    of_commands = {word for one in command.commands.values() for option in one.params for word in option.opts}
    known = {f"--{setting.flag}" for setting in SETTINGS} | of_commands | {"--help"} | OTHERS_FLAGS
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (ROOT / page).read_text())) <= known


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:^    |`)make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)) <= targets, page


def test_subcommands_in_the_readme_exist() -> None:
    line = re.search(r"The command, [^\n]*", (ROOT / "README.md").read_text())
    assert line is not None
    named = {name.removeprefix("membership ") for name in re.findall(r"`([a-z -]+)`", line[0])}
    assert named == set(command.commands)


def test_settings_page_is_made_from_the_code() -> None:
    assert PAGE.read_text() == render(), "run: python -m docs.make_settings"


def test_doctor_page_is_made_from_the_code() -> None:
    assert make_doctor.PAGE.read_text() == make_doctor.render(), "run: python -m docs.make_doctor"


def test_formats_in_the_http_page_are_those_of_the_code() -> None:
    named = re.search(r"`format=([a-z|-]+)`", (ROOT / "docs/http.md").read_text())
    assert named is not None
    assert named[1].split("|") == list(SERVED)


def test_formats_in_the_formats_page_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| (`.*?) \| .* \| (.*)\|$", (ROOT / "docs/formats.md").read_text().partition("\n## ")[0], re.MULTILINE
    )
    named = {name: bool(source.strip()) for cell, source in rows for name in re.findall(r"`([a-z0-9-]+)`", cell)}
    assert named == {name: format.takes_source for name, format in FORMATS.items()}


BEFORE_AND_AFTER = re.findall(
    r"`--product ([^ `]*)(?: --cluster-name ([^`]*))?`\):\n\n```[a-z]+\n(.*?)```\n\nbecomes\n\n```[a-z]+\n(.*?)```",
    (ROOT / "docs/formats.md").read_text(),
    re.DOTALL,
)


@pytest.mark.parametrize(("product", "name", "before", "after"), BEFORE_AND_AFTER)
def test_files_before_and_after_in_the_formats_page(product: str, name: str, before: str, after: str) -> None:
    profile = PROFILES[product]
    members = snapshot(*(member(address, port=profile.port) for address in ("10.244.0.5", "10.244.0.6")))
    setup = Setup("10.244.0.5", profile.port, name or None, source=Source("page", before.encode()))
    assert FORMATS[profile.format].render(members, setup) == after.encode()


def test_the_formats_page_shows_each_line_of_products() -> None:
    assert [case[0] for case in BEFORE_AND_AFTER] == ["is-5.11", "is-6.1", "is-7.1", "ei-6.6"]


def test_properties_in_the_formats_page_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (`hazelcast.*?) \| ([0-9, ]+) \|", (ROOT / "docs/formats.md").read_text(), re.MULTILINE)
    named = {
        name: int(value) for cell, values in rows for name, value in zip(re.findall("`(.*?)`", cell), values.split(","))
    }
    assert named == PROPERTIES


def test_paths_in_the_http_page_are_those_of_the_code() -> None:
    named = set(re.findall(r"^\| (`/[^|]*`) \|", (ROOT / "docs/http.md").read_text(), re.MULTILINE))
    paths = {path for cell in named for path in re.findall(r"`(/[a-z/]*)`", cell)}
    assert paths == set(re.findall(r'Route\("(/[^"]*)"', (ROOT / "sidecar/web/routes.py").read_text()))


def test_example_of_members_has_the_fields_of_the_code() -> None:
    example = re.search(r"```json\n(.*?)```", (ROOT / "docs/http.md").read_text(), re.DOTALL)
    assert example is not None
    content = json.loads(example[1])
    assert list(content) == [field.name for field in fields(Snapshot)]
    assert list(content["members"][0]) == [field.name for field in fields(Member)]


def test_files_in_the_architecture_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text[text.index("| file of") : text.index("`sidecar/`")]
    named = {name for name in re.findall(r"`([a-z_]+\.py)`", table)}
    assert named == {path.name for path in (ROOT / "membership").glob("*.py")}


def test_example_of_the_readme_runs(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    with FakeKube() as kube:
        kube.set_service("wso2", "is", [Pod("10.244.0.5", "is-0"), Pod("10.244.0.6", "is-1")])
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": kube.url}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            "current-context": "fake",
        }
        (tmp_path / "config").write_text(json.dumps(kubeconfig))
        program = subprocess.Popen(
            [sys.executable, "-u", "-c", example[1]],
            env={"KUBECONFIG": str(tmp_path / "config")},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "1 ['10.244.0.5:4000', '10.244.0.6:4000']\n"
        finally:
            program.kill()
            program.communicate()


def test_example_of_host_names_runs(tmp_path: Path) -> None:
    """On real members: tests/e2e/test_names.py."""
    found = re.search(r"^    in=.*\n(?:    .*\n)+", (ROOT / "docs/live.md").read_text(), re.MULTILINE)
    assert found is not None
    script = found[0].replace("/config/hazelcast.xml", f"{tmp_path}/hazelcast.xml")
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "POD_NAME": "is-1"}
    subprocess.run(["sh", "-ec", script], env=environ, check=True)
    content = (tmp_path / "hazelcast.xml").read_text()
    names = [f"is-{number}.is-hl.wso2.svc.cluster.local:4000" for number in range(3)]
    assert re.findall("<member>(.*)</member>", content) == names
    assert f"<public-address>{names[1]}</public-address>" in content


def test_rest_groups_in_the_live_page_are_those_of_the_code() -> None:
    example = re.search(r"```xml\n(.*?)```", (ROOT / "docs/live.md").read_text(), re.DOTALL)
    assert example is not None
    assert tuple(re.findall('name="([A-Z_]+)" enabled="true"', example[1])) == GROUPS["write"]
