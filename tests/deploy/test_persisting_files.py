"""examples/persisting-files as written: built, its pods played with the real sidecar, and the entrypoint's copy."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
import yaml

from membership.wso2.volumes import IMAGES, SERVER
from testbed.container import Container
from testbed.waiting import wait_for
from tests.deploy.played import HOME, WSO2, PlayedPod
from tests.deploy.shop import Shop, open_shop
from tests.deploy.stage import Stage, World, name_namespace
from tests.entrypoint import copy_words
from tests.manifests import ROOT, Json, build, edit, find, find_tool

EXAMPLE = ROOT / "examples/persisting-files"
LIBRARY = "repository/components/lib"
DRIVER = f"{LIBRARY}/mssql-jdbc-12.8.1.jre11.jar"
MIB = 1024 * 1024


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy to change, which finds deploy/kustomize where it is."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    subprocess.run(["cp", "-R", EXAMPLE, tmp_path / "examples/persisting-files"], check=True)
    return tmp_path / "examples/persisting-files"


def start(stage: Stage) -> list[PlayedPod]:
    """Two pods, up to the copies of their entrypoints."""
    pods = [stage.add(number) for number in range(2)]
    for pod in pods:
        pod.start_init()
    for pod in pods:
        pod.finish_init()
        copied = pod.run_entrypoint()
        assert copied.returncode == 0, copied.stderr
    port = {"am-3.1": 4000, "is-7.1": 4001}[stage.settings["MEMBERSHIP_PRODUCT"]]
    for pod in pods:
        assert stage.read_members(pod) == (pod.address, [f"{each.address}:{port}" for each in pods])
    return pods


def restart(pod: PlayedPod) -> None:
    """A container that is started again has the files of its image only, until its entrypoint has copied."""
    for path in pod.home.iterdir():
        shutil.rmtree(path)
    assert not list_files(pod.home)
    assert pod.run_entrypoint().returncode == 0


def list_files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


# -- ConfigMap ------------------------------------------------------------------------------------


def test_files_of_a_config_map(world: World, image: Path) -> None:
    objects = build(EXAMPLE / "configmap", name_namespace("configmap"))
    with Stage(world, image, objects) as stage:
        for pod in start(stage):
            restart(pod)
            assert list_files(pod.home) == {"repository/conf/deployment.toml", f"{LIBRARY}/exports.jar"}
            copied = pod.home / LIBRARY / "exports.jar"
            assert copied.read_bytes() == (EXAMPLE / "configmap/files/exports.jar").read_bytes()
            with zipfile.ZipFile(copied) as jar:
                assert b"Fragment-Host: system.bundle" in jar.read("META-INF/MANIFEST.MF")
            assert copied.stat().st_uid == int(WSO2.split(":")[0]), "it belongs to the server, which may replace it"


def check_size(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, EXAMPLE / "check-size"], input=text, capture_output=True, text=True)


def test_the_guard_hands_on_what_fits(example: Path) -> None:
    (example / "configmap/files/exports.jar").write_bytes(os.urandom(MIB))
    text = build_text(example / "configmap")
    done = check_size(text)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


def test_the_guard_hands_nothing_on_when_a_file_is_too_big(example: Path) -> None:
    (example / "configmap/files/exports.jar").write_bytes(os.urandom(MIB + 17))
    done = check_size(build_text(example / "configmap"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "ConfigMap identity-server-files-" in done.stderr and "17 more than the 1 MiB that fit" in done.stderr
    assert f"exports.jar with {MIB + 17}" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_guard_adds_up_and_looks_at_secrets() -> None:
    half = "x" * (MIB // 2)
    for kind, keys in (("ConfigMap", ("data", "binaryData")), ("Secret", ("stringData", "data"))):
        plain, encoded = keys
        manifest = {"kind": kind, "metadata": {"name": "a"}, plain: {"one": half, "two": half}, encoded: {"x": "QUI="}}
        done = check_size(yaml.safe_dump_all([{"kind": "Service"}, None, manifest]))
        assert done.returncode == 1 and f"{kind} a has {MIB + 2} bytes, 2 more" in done.stderr


def build_text(folder: Path) -> str:
    return subprocess.run([find_tool("kustomize"), "build", folder], check=True, capture_output=True, text=True).stdout


# -- claims ---------------------------------------------------------------------------------------


def test_files_of_a_claim_in_each_volume(world: World, image: Path, folder: Path) -> None:
    share = folder / "share"
    targets = {"security": "repository/resources/security", "lib": LIBRARY, "patch": "repository/components/patches"}
    for number, (name, content) in enumerate({"security": "ca.jks", "lib": "a.jar", "patch": ""}.items()):
        (share / name).mkdir(parents=True)
        (share / name / (content or "repository/components/patches/patch9999")).mkdir(parents=not content)
        (share / name / (content or "repository/components/patches/patch9999") / str(number)).write_text(name)
    (share / "lost+found").mkdir(mode=0o700)
    objects = build(EXAMPLE / "claim", name_namespace("claim"))
    with Stage(world, image, objects, {"wso2am-files": share}) as stage:
        pods = start(stage)
        assert list_files(pods[0].home) == {
            "repository/conf/deployment.toml",
            f"{targets['security']}/ca.jks/0",
            f"{targets['lib']}/a.jar/1",
            f"{targets['patch']}/patch9999/2",
        }
        assert pods[0].run_in_server("touch /home/wso2carbon/wso2-patch-volume/x").returncode != 0, "read-only"
        for mount in stage.find_container()["volumeMounts"]:
            if mount["name"] == "files" and mount["mountPath"].endswith("patch-volume"):
                del mount["subPath"]  # what the comment in apim.yaml warns of
        failed = pods[1].run_entrypoint()
        assert failed.returncode != 0 and "lost+found" in failed.stderr


def test_the_volume_of_stream_processor(folder: Path) -> None:
    objects = yaml.safe_load_all(build_text(EXAMPLE / "server-volume"))
    [container] = find(list(objects), "Deployment")["spec"]["template"]["spec"]["containers"]
    [mount] = container["volumeMounts"]
    share, home = folder / "sp-share", folder / "sp-home"
    (share / mount["subPath"] / "conf/manager").mkdir(parents=True)
    (share / mount["subPath"] / "conf/manager/deployment.yaml").write_text("wso2.carbon: {}\n")
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    assert mount["mountPath"].endswith(SERVER) and mount["readOnly"]
    mounts = {mount["mountPath"]: share / mount["subPath"]}
    inside = Container(folder / "sp-root", mounts, {HOME: home}, WSO2, tools=True)
    words = copy_words(IMAGES["sp-4.2"], HOME)
    done = subprocess.run(inside.command(["/bin/sh", "-c", words]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list_files(home) == {"conf/manager/deployment.yaml"}


# -- download -------------------------------------------------------------------------------------


@pytest.fixture
def shop(world: World, folder: Path) -> Iterator[Shop]:
    with open_shop(world[1].node, folder) as found:
        yield found


def redirect_download(objects: list[Json], text: str, shop: Shop) -> None:
    """Make the init container of `objects` take another list, and trust the shop."""
    [listed] = [each for each in objects if each["kind"] == "ConfigMap" and "download" in each.get("data", {})]
    listed["data"] |= {"list": text, "ca.crt": shop.authority.read_text()}
    containers = find(objects, "Deployment")["spec"]["template"]["spec"]["initContainers"]
    [container] = [each for each in containers if each["name"] == "membership-download"]
    container["env"] = [{"name": "SSL_CERT_FILE", "value": "/downloads/ca.crt"}]


def test_a_driver_that_is_downloaded(world: World, image: Path, shop: Shop) -> None:
    content = os.urandom(3 * MIB)
    shop.files["/driver.jar"] = content
    objects = build(EXAMPLE / "download", name_namespace("download"))
    [line] = [line for line in (EXAMPLE / "download/list").read_text().splitlines() if not line.startswith("#")]
    digest, path, address = line.split()
    text = line.replace(address, f"{shop.url}/driver.jar").replace(digest, hashlib.sha256(content).hexdigest())
    redirect_download(objects, text, shop)
    with Stage(world, image, objects) as stage:
        for pod in start(stage):
            assert pod.events[:2] == ["membership", "membership-download"]
            restart(pod)
            assert list_files(pod.home) == {"repository/conf/deployment.toml", path}
            assert path == DRIVER and (pod.home / path).read_bytes() == content
    assert shop.asked == ["/driver.jar"] * 2


def test_another_driver_than_the_one_that_is_listed_never_reaches_the_server(
    world: World, image: Path, shop: Shop
) -> None:
    shop.files["/driver.jar"] = b"not the one that was looked at"
    objects = build(EXAMPLE / "download", name_namespace("download"))
    redirect_download(objects, f"{'0' * 64}  {DRIVER}  {shop.url}/driver.jar", shop)
    with Stage(world, image, objects) as stage:
        pod = stage.add(0)
        pod.start_init()
        pod.start("membership-download")
        wait_for(lambda: "download: " in pod.log, timeout=20, what=f"its word; {pod.log}", every=0.05)
        assert f"{DRIVER} from {shop.url}/driver.jar: it has the SHA-256 " in pod.log
        assert not list_files(pod.volume("files"))


def download(list_text: str, folder: Path, shop: Shop) -> subprocess.CompletedProcess[str]:
    (folder / "list").write_text(list_text)
    program = [sys.executable, "-IB", *map(str, (EXAMPLE / "download/download", folder / "list", folder))]
    environ = {"SSL_CERT_FILE": str(shop.authority)}
    return subprocess.run(program, env=environ, capture_output=True, text=True)


def test_what_is_there_is_not_downloaded_again(tmp_path: Path, shop: Shop) -> None:
    shop.files["/a"], shop.moved["/old"] = b"one", f"{shop.url}/a"
    text = f"# list\n\n{hashlib.sha256(b'one').hexdigest().upper()}  lib/a.jar  {shop.url}/old\n"
    assert download(text, tmp_path, shop).stdout == "lib/a.jar downloaded\n"
    assert download(text, tmp_path, shop).stdout == "lib/a.jar is there\n"
    target = tmp_path / "tree/lib/a.jar"
    target.write_bytes(b"spoilt")
    assert download(text, tmp_path, shop).stdout == "lib/a.jar downloaded\n"
    assert target.read_bytes() == b"one" and target.stat().st_mode & 0o777 == 0o644
    assert shop.asked == ["/old", "/a"] * 2


SUM = "0" * 64


FAILURES = [
    (f"{SUM}  a.jar  http://10.0.0.1/a.jar", "does not begin with https://"),
    (f"{SUM}  a.jar  URL/plain", "unknown url type: http"),
    (f"{SUM}  a.jar  URL/missing", "404"),
    (f"{SUM}  a.jar  URL/a", "and not 000"),
    (f"{SUM}  ../a.jar  URL/a", "no path below the product's home"),
    (f"{SUM}  /a.jar  URL/a", "no path below the product's home"),
    (f"{SUM}  .a.jar  URL/a", "no path below the product's home"),
    (f"{SUM[1:]}  a.jar  URL/a", "is no SHA-256"),
    (f"{SUM}  a.jar", "line 1: not a SHA-256, a path and an address"),
    (f"{SUM}  a.jar  https://127.0.0.1:1/a", "a.jar from https://127.0.0.1:1/a: "),
]


@pytest.mark.parametrize(("line", "why"), FAILURES, ids=[why for _, why in FAILURES])
def test_a_download_that_fails_leaves_nothing(tmp_path: Path, shop: Shop, line: str, why: str) -> None:
    shop.files["/a"], shop.moved["/plain"] = b"one", "http://10.0.0.1/a.jar"
    done = download(line.replace("URL", shop.url), tmp_path, shop)
    assert done.returncode == 1 and why in done.stderr and len(done.stderr.splitlines()) == 1
    assert list_files(tmp_path) == {"list"}


def test_a_server_that_is_not_trusted_is_not_asked(tmp_path: Path, shop: Shop) -> None:
    shop.authority = shop.authority.with_name("other.crt")
    trustme.CA().cert_pem.write_to_path(str(shop.authority))
    done = download(f"{SUM}  a.jar  {shop.url}/a", tmp_path, shop)
    assert done.returncode == 1 and "CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert shop.asked == []


def test_the_list_of_the_example_is_one_that_the_program_takes(tmp_path: Path, example: Path, shop: Shop) -> None:
    """Nothing is downloaded from outside here: the address is turned to a port where nobody listens."""
    edit(example / "download/list", "https://repo1.maven.org/", "https://127.0.0.1:1/")
    done = download((example / "download/list").read_text(), tmp_path, shop)
    assert done.returncode == 1 and f"download: {DRIVER} from https://127.0.0.1:1/maven2/" in done.stderr
