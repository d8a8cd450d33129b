"""The documents and the code say the same: flags, names, paths, examples, links."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from docs import make_doctor
from docs.make_settings import PAGE, render
from membership.cli import command
from membership.model import Member, Snapshot
from membership.render import FORMATS, SERVED, Setup, Source
from membership.render.hazelcast_xml import GROUPS, PROPERTIES
from membership.testing import FakeKube, Pod
from membership.subcommand import NAMES, OUT, SELF_NAME, TIMEOUT
from membership.settings import SETTINGS as SHARED
from membership.wso2.profiles import PROFILES
from sidecar.settings import SETTINGS as OF_THE_SIDECAR
from tests.unit.links import find_links, is_well_formed, leaves, list_anchors
from tests.unit.lists import member, snapshot

ROOT = Path(__file__).parents[2]
SETTINGS = (*SHARED, *OF_THE_SIDECAR, NAMES, SELF_NAME, OUT, TIMEOUT)
PAGES = sorted(path for path in ROOT.rglob("*.md") if not {".venv", ".pytest_cache"} & set(path.parts))
OTHERS_FLAGS = {
    "benchmarks": {
        "--arms",
        "--blocks",
        "--bound",
        "--changes",
        "--endpoints",
        "--events",
        "--fake",
        "--old-scheme",
        "--only",
        "--output",
        "--pause",
        "--plan",
        "--rate",
        "--seed",
        "--slices",
        "--table-only",
    },
    "cosign": {"--key"},
    "docker": {"--build-arg", "--provenance", "--sbom", "--tag"},
    "git": {"--branch"},
    "helm": {"--install", "--post-renderer", "--post-renderer-args", "--values"},
    "kube-apiserver": {"--etcd-compaction-interval", "--shutdown-watch-termination-grace-period"},
    "kubectl": {
        "--docker-password",
        "--docker-server",
        "--docker-username",
        "--force",
        "--from-env-file",
        "--server-side",
    },
    "mypy": {"--strict"},
    "pip": {"--no-deps", "--require-hashes"},
}
"""Flags in the documents that are not ours, by a word that must be on the page."""
OTHERS_VARIABLES = {"KUBE_PING"}
"""Names in the documents that look like variables."""
OTHERS_FILES = {"docker-entrypoint.sh"}
"""Files in the documents that are not in this repository."""
TOP = "benchmarks|deploy|docs|examples|membership|scripts|sidecar|testbed|tests"


def name_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


def leads_somewhere(page: Path, text: str, target: str) -> bool:
    """Whether a target is a file, folder or heading in the repository, or may be an address elsewhere."""
    if leaves(target):
        return is_well_formed(target)
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    if not target or not any(place in (file, *file.parents) for file in list_files()) or not place.is_relative_to(ROOT):
        return False
    if place.suffix != ".md":
        return not anchor
    return not anchor or anchor in list_anchors(text if place == page else place.read_text())


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    assert not [target for target in find_links(text) if not leads_somewhere(page, text, target)]


LINKS = """
# A heading: `--push rest`, and more
## Twice
## Twice
[a](#a-heading---push-rest-and-more) [b](#twice-1) [c](docs/http.md#members) [d](docs) ![e](docs/data-way.svg "words")
[f][g] <https://example.com/a> https://example.com/b#c <a href="docs/formats.md#haproxy">h</a> `[no](link)`

    [neither](this)

```
[nor](that)
```

[g]: docs/README.md
"""
NOWHERE = """
[](#twice-2) [](docs/https.md) [](docs/http.md#member) [](../../etc/passwd) [](.git/HEAD) [](.venv/bin/python) []()
[](http://example.com) [](https://example) [](https://exa_mple.com/x) [](ftp://example.com/x) https://example.com/a"b
![](docs/none.png) [](docs/data-way.svg#tip) <a href="docs/none.html">no</a>

[g]: docs/none.md
"""


def test_links_that_lead_nowhere_are_found() -> None:
    page, text = ROOT / "README.md", LINKS + NOWHERE
    assert len(find_links(LINKS)) == 9 and len(find_links(NOWHERE)) == 16
    assert [target for target in find_links(text) if not leads_somewhere(page, text, target)] == find_links(NOWHERE)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            targets = [target.partition("#")[0] for target in find_links(page.read_text()) if not leaves(target)]
            waiting += [place for target in targets if (place := (page.parent / target).resolve()).suffix == ".md"]
    assert {page for page in PAGES if page in list_files()} <= reached
    index = {target.partition("#")[0] for target in find_links((ROOT / "docs/README.md").read_text())}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= index | {"README.md"}


@cache
def list_files() -> tuple[Path, ...]:
    """Those of the repository, new ones too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return tuple(path for line in lines if (path := ROOT / line).is_file())


def read_page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@cache
def read_code() -> str:
    """All that is no document, but for tests that give wrong names on purpose."""
    apart = {ROOT / "tests" / name for name in ("deploy", "real", "sidecar", "unit")}
    files = [path for path in list_files() if path.suffix != ".md" and not apart & set(path.parents)]
    return "\n".join(path.read_text(errors="replace") for path in files)


def find_unknown_flags(text: str) -> set[str]:
    """`--flags` that neither our programs nor those on the page have."""
    of_commands = {word for one in command.commands.values() for option in one.params for word in option.opts}
    known = {f"--{setting.flag}" for setting in SETTINGS} | of_commands | {"--help"}
    known = known.union(*(flags for program, flags in OTHERS_FLAGS.items() if program in text))
    text = re.sub(r"\]\([^)]*#[^)]*\)", "]", text)  # anchors of headings that name a flag
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - known


def find_unknown_variables(text: str) -> set[str]:
    """UPPER_CASE names that are no setting's and that no code names either."""
    known = {name for setting in SETTINGS for name in setting.variables} | OTHERS_VARIABLES
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text))
    return {name for name in named - known if not re.search(rf"\b{name}\b", read_code())}


def find_unknown_files(text: str) -> set[str]:
    """Paths and `names` of files that are not in the repository; a path may begin below any of its folders."""
    here = [f"/{path.relative_to(ROOT)}" for path in list_files()]
    paths = {path.rstrip("./") for path in re.findall(rf"(?<![\w./-])(?:\.\./)*((?:{TOP})/[\w./-]+)", text)}
    names = set(re.findall(r"`([\w-]+(?:\.[\w-]+)*\.(?:cfg|env|j2|java|lock|md|py|sh|toml|xml|ya?ml))`", text))
    unknown = {path for path in paths if not any(f"/{path}/" in f"{each}/" for each in here)}
    return unknown | {name for name in names - OTHERS_FILES if not any(each.endswith(f"/{name}") for each in here)}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_page)
def test_flags_variables_and_files_in_the_documents_exist(page: Path) -> None:
    text = page.read_text()
    assert not find_unknown_flags(text) | find_unknown_variables(text) | find_unknown_files(text)


def test_names_that_do_not_exist_are_found() -> None:
    text = """
        membership-sidecar --services is --servces is && kubectl apply --server-side; MEMBERSHIP_EXPECT=2 NODE_IP=1
        MEMBERSHIP_EXPEKT=2 KUBERNETES_SERVICES=is, see tests/unit/test_docs.py, tests/unit/test_nothing.py, `world.py`,
        `worlds.py`, ../examples/nothing/README.md, ../examples/demo/README.md, membership/wso2/ and docs/http.md.
    """
    assert find_unknown_flags(text) == {"--servces"}
    assert find_unknown_flags(text.replace("kubectl", "kustomize")) == {"--servces", "--server-side"}
    assert find_unknown_variables(text) == {"MEMBERSHIP_EXPEKT"}
    assert find_unknown_files(text) == {"tests/unit/test_nothing.py", "worlds.py", "examples/nothing/README.md"}


def test_every_example_has_its_place_in_the_table_and_a_test_that_runs_it() -> None:
    examples = ROOT / "examples"
    rows = [line for line in (examples / "README.md").read_text().splitlines() if line.startswith("| ")][1:]
    named: dict[str, set[str]] = {}
    for row in rows:
        _, example, tested = [cell.strip() for cell in row.strip("| ").split(" | ")]
        for target in re.findall(r"\]\(([^)]+)\)", example):
            folder = (examples / target).resolve().parent
            named.setdefault(str(folder.relative_to(ROOT)), set()).update(re.findall(r"`([^`]+)`", tested))
    components = ROOT / "deploy/kustomize/examples"
    there = {path.parent for path in list_files() if path.name == "README.md" and path.parent.parent == examples}
    there |= {path.parent for path in list_files() if path.parent.parent == components and path.parent.name[0] != "."}
    missing = {str(folder.relative_to(ROOT)) for folder in there} - set(named)
    assert not missing, "examples that examples/README.md does not name"
    for folder, tests in named.items():
        # By its name; those of deploy/kustomize are all of EXAMPLES in tests/manifests.py.
        words = [Path(folder).name, *(["EXAMPLES"] if folder.startswith("deploy/") else [])]
        assert all(re.match("tests/(unit|sidecar|deploy|real|e2e)/", test) for test in tests), "what .ci/run runs"
        assert tests and all(any(word in (ROOT / test).read_text() for word in words) for test in tests), folder


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


def test_products_in_the_wso2_page_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| [^|]* \| (`[a-z]+-[0-9].*?) \| `(.*?)` \| ([0-9]+) \|", read_page("wso2.md"), re.MULTILINE)
    order, named = list(PROFILES), set[str]()
    for cell, path, port in rows:
        first, *_, last = re.findall("`(.*?)`", cell) * 2
        products = order[order.index(first) : order.index(last) + 1]
        assert {(path, int(port))} == {
            (PROFILES[each].path(PROFILES[each].format), PROFILES[each].port) for each in products
        }
        named.update(products)
    assert named == set(PROFILES)


def test_conditions_in_the_operations_page_are_those_of_the_code() -> None:
    code = "".join((ROOT / "sidecar" / name).read_text() for name in ("health.py", "web/routes.py"))
    words = set(re.findall(r"""Check\(f?["']([a-z ]+?) ?["{]""", code)) | {"namespace", "services of namespace"}
    named = set(re.findall(r"^\| `([a-z ]+?)(?: [A-Z.][^`|]*)?` \| `\[", read_page("operations.md"), re.MULTILINE))
    assert {word for word in words if not {word} & named} == {"threads"}  # it has a sentence
    assert "`threads`" in read_page("operations.md")


def test_metrics_in_the_documents_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"\bmembership_[a-z_]+", page.read_text()):
            assert f'"{name.removesuffix("_total")}"' in read_code() or name == "membership_scheme", f"{page}: {name}"


def test_the_questions_are_all_there() -> None:
    numbers = re.findall(r"^### ([0-9]+)\. ", read_page("faq.md"), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 26)]


def test_files_in_the_picture_exist() -> None:
    names = set(re.findall(r"\b[a-z]+\.py\b", (ROOT / "docs/data-way.svg").read_text()))
    assert len(names) == 8 and names <= {path.name for path in list_files()}


def test_paths_in_the_http_page_are_those_of_the_code() -> None:
    named = set(re.findall(r"^\| (`/[^|]*`) \|", (ROOT / "docs/http.md").read_text(), re.MULTILINE))
    paths = {path for cell in named for path in re.findall(r"`(/[a-z/.]*)`", cell)}
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


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    """A file for an API server with the Service wso2/is of two pods, and one that terminates."""
    with FakeKube() as kube:
        pods = [Pod("10.244.0.5", "is-0"), Pod("10.244.0.6", "is-1"), Pod("10.244.0.8", "is-3", terminating=True)]
        kube.set_service("wso2", "is", pods)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": kube.url}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            "current-context": "fake",
        }
        (tmp_path / "config").write_text(json.dumps(content))
        yield str(tmp_path / "config")


def test_example_of_the_readme_runs(kubeconfig: str) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    program = subprocess.Popen(
        [sys.executable, "-u", "-c", example[1]],
        env={"KUBECONFIG": kubeconfig},
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


def test_commands_of_the_quick_start_run(kubeconfig: str) -> None:
    commands = re.findall(r"^    \.venv/bin/(membership .*)$", read_page("quick-start.md"), re.MULTILINE)
    shown = re.search(r"^    (out .* slice ).*?(: .*)$", read_page("quick-start.md"), re.MULTILINE)
    assert [line.split()[1] for line in commands] == ["check", "explain"] and shown is not None
    for line in commands:
        program, *arguments = line.split()
        environ = {"KUBECONFIG": kubeconfig}
        run = [str(Path(sys.executable).parent / program), *arguments]
        said = subprocess.run(run, env=environ, check=True, capture_output=True, text=True).stdout
    assert re.search(f"^{re.escape(shown[1])}.*{re.escape(shown[2])}$", said, re.MULTILINE)


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
