"""The image's own files, run as the Dockerfile says: uid 10001, read-only, in an empty directory, without a shell.

No image can be pulled where this runs: the base is this machine's Python and its libraries.
"""

import configparser
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from membership.testing import FakeKube
from testbed.container import OURS, Container
from tests.deploy.conftest import ROOT
from tests.running import Process, ask, until

MEBIBYTES = 90
"""What ours may add to the base."""
ENTRYPOINT = "/opt/membership/bin/membership-sidecar"
TOML = '[server]\nhostname = "is.example"\nnode_ip = "$env{NODE_IP}"\n'


def run(container: Container, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = container.command(arguments)
    return subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, timeout=30)


def start(container: Container, *arguments: str, **variables: str) -> Process:
    program, *rest = container.command(arguments)
    return Process(f"/usr/bin/{program}", rest, variables, cwd=Path("/"))


def contain(folder: Path, image: Path, user: str = OURS, writable: Mapping[str, Path] | None = None) -> Container:
    return Container(folder / "container", {"/opt": image / "opt"}, writable or {}, user)


def parse_lock(name: str) -> dict[str, set[str]]:
    """The hashes by `name==version`."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if "==" in line.split("#")[0]]
    return {line[0]: {word for word in line[1:] if word.startswith("--hash=sha256:")} for line in lines}


def test_the_lock_is_the_runtime_part_of_the_one_that_is_tested() -> None:
    ours, all_of_it = parse_lock("requirements-runtime.lock"), parse_lock("requirements.lock")
    assert ours and all(hashes for hashes in ours.values())
    assert ours == {name: all_of_it.get(name) for name in ours}
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    wanted = re.findall(r"(?m)^([A-Za-z0-9-]+)", settings["options"]["install_requires"].strip())
    assert {name.lower() for name in wanted} <= {name.partition("==")[0] for name in ours}


def test_what_is_in_it(image: Path) -> None:
    size = sum(path.stat().st_size for path in image.rglob("*") if path.is_file())
    assert size < MEBIBYTES * 2**20, f"{size / 2**20:.1f} MiB"
    top = {str(path.relative_to(image)) for path in (*image.iterdir(), *(image / "opt").iterdir())}
    assert top == {"opt", "opt/membership"}
    parts = {part.lower() for path in image.rglob("*") for part in path.parts[len(image.parts) :]}
    assert not parts & {"pip", "setuptools", "kubernetes", "hazelcast", "pytest", "tests"}


def test_every_uid_can_read_it_and_none_but_root_can_write(image: Path) -> None:
    for path in (image, *image.rglob("*")):
        programs = path.parent == image / "opt/membership/bin"
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() or programs else 0o644), path
        assert (path.stat().st_uid, path.is_symlink()) == (0, False)


def test_the_bill_of_materials_names_what_the_lock_names(image: Path) -> None:
    told = json.loads((image / "opt/membership/sbom.cdx.json").read_text())
    names = {f"{each['name']}=={each['version']}" for each in told["components"]}
    ours = {name for name in names if name.startswith("kubernetes-membership==")}
    assert len(ours) == 1 and names - ours == set(parse_lock("requirements-runtime.lock"))
    assert all(each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in told["components"])


@pytest.mark.parametrize("user", [OURS, "802:802", "1000660000:0", "65532:65532"])
def test_it_serves_as_any_uid(image: Path, folder: Path, tmp_path: Path, kube: FakeKube, user: str) -> None:
    volume, conf = folder / f"volume-{user.replace(':', '-')}", folder / "conf"
    volume.mkdir()
    volume.chmod(0o777)  # as the kubelet makes an emptyDir
    conf.mkdir(exist_ok=True)
    (conf / "deployment.toml").write_text(TOML)
    container = contain(folder, image, user, {"/membership": volume})
    container = Container(container.root, {**container.mounts, "/conf": conf}, container.writable, user)
    flags = ("--services", "wso2/is", "--server", kube.url, "--http", "127.0.0.1:0", "--product", "is-7.1")
    files = ("--out", "product:/conf/deployment.toml:/membership/tree/", "--staging", "/membership/staging")
    with start(container, ENTRYPOINT, *flags, *files, "--stable", "100ms", NODE_IP="10.244.0.5") as sidecar:
        port = int(re.findall(r"\d+", sidecar.wait_log(r"listening on port", 15).partition("port")[2])[0])
        until(lambda: ask(port, "/startupz").status == 200, 15, f"the gate; {sidecar.log}")
        status = Path(f"/proc/{sidecar.pid}/status").read_text()
        assert re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)[1] == user.partition(":")[0]  # type: ignore[index]
        written = volume / "tree/repository/conf/deployment.toml"
        assert 'members = ["10.244.0.5:4001", "10.244.0.6:4001"]' in written.read_text()
        assert written.stat().st_uid == int(user.partition(":")[0])
        code, seconds = sidecar.stop()
        assert (code, seconds < 2.5) == (0, True), sidecar.log


def test_the_command_does_as_an_init_container(image: Path, folder: Path, kube: FakeKube) -> None:
    flags = ("--services", "wso2/is", "--server", kube.url)
    done = run(contain(folder, image), "/opt/membership/bin/membership", "wait", *flags, "--stable", "100ms")
    assert (done.returncode, done.stdout) == (0, "10.244.0.5:4000\n10.244.0.6:4000\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("/bin/sh", "-c", "true"), 127),
        (("/usr/local/bin/python3", "-c", "open('/opt/membership/lib/x.py', 'w')"), 1),
        (("/usr/local/bin/python3", "-c", "open('/x', 'w')"), 1),
    ],
)
def test_there_is_no_shell_and_nothing_to_write_to(
    image: Path, folder: Path, arguments: Sequence[str], code: int
) -> None:
    assert run(contain(folder, image), *arguments).returncode == code
