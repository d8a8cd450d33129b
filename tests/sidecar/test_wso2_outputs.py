"""The WSO2 and Hazelcast formats end to end: the sidecar keeps them current, the command makes them once."""

from __future__ import annotations

import tomllib
from pathlib import Path


from membership.testing import FakeKube
from tests.running import Command, Sidecar, pods, until
from tests.told import tell
from tests.unit.wso2_files import AXIS2_EI, TOML_IS_5_11, TOML_IS_7_1

CONF = "repository/conf/deployment.toml"


def members(path: Path) -> list[str]:
    return list(tomllib.loads(path.read_text())["clustering"]["members"]) if path.exists() else []


def render(kube: FakeKube, *arguments: str) -> tuple[int, Command]:
    command = Command("render", *arguments, "--services", "wso2/is", "--server", kube.url)
    return command.result(), command


def test_a_deployment_toml_follows_the_list_and_is_never_emptied(kube: FakeKube, tmp_path: Path) -> None:
    source, target = tmp_path / "deployment.toml", tmp_path / "tree" / CONF
    source.write_text(TOML_IS_7_1)
    out = f"product:{source}:{tmp_path}/tree/"
    with Sidecar(kube, "--product", "is-7.1", "--out", out, "--self-ip", "10.244.0.5") as sidecar:
        until(lambda: members(target) == ["10.244.0.5:4001", "10.244.0.6:4001"], what="both members")
        assert "local_member_port = 4001" in target.read_text() and source.read_text() == TOML_IS_7_1
        kube.set_service("wso2", "is", pods(3))
        until(lambda: len(members(target)) == 3, what="the third member")
        written = target.read_bytes()
        kube.set_service("wso2", "is", [])
        sidecar.wait_log("has no address")
        assert target.read_bytes() == written


def test_a_broken_source_is_a_failure_that_is_told_until_it_is_mended(kube: FakeKube, tmp_path: Path) -> None:
    source, target = tmp_path / "deployment.toml", tmp_path / "out.toml"
    source.write_text("[server]\nnode_ip = \n")
    with Sidecar(kube, "--out", f"deployment-toml:{source}:{target}") as sidecar:
        sidecar.synced()
        line = sidecar.wait_log(f"{source}:2: not TOML")
        assert "expected a deployment.toml" in line and not target.exists()
        assert f"{source}:2: not TOML" in sidecar.get("/readyz?verbose").text
        name = f"deployment-toml:{target}"
        assert (sidecar.metric("membership_publish_failures_total", output=name) or 0) >= 1
        source.unlink()
        sidecar.wait_log("cannot be read", 10)
        source.write_text(TOML_IS_5_11)
        until(lambda: len(members(target)) == 2, 15, "the file, once its source is whole")
        until(lambda: sidecar.get("/readyz?verbose").text.count("[!]output") == 0, what="the output to be well")


def test_a_tree_without_staging_is_warned_of(kube: FakeKube, tmp_path: Path) -> None:
    source, tree = tmp_path / "deployment.toml", tmp_path / "tree"
    source.write_text(TOML_IS_5_11)
    flags = ("--product", "is-5.11", "--self-ip", "10.244.0.5", "--out", f"product:{source}:{tree}/")
    with Sidecar(kube, *flags) as sidecar:
        assert sidecar.synced().count("no --staging") == 1
    (tmp_path / "staging").mkdir()
    with Sidecar(kube, *flags, "--staging", f"{tmp_path}/staging") as sidecar:
        assert sidecar.synced().count("no --staging") == 0


def test_a_source_that_does_not_exist_is_2(kube: FakeKube, tmp_path: Path) -> None:
    out = f"axis2-xml:{tmp_path}/none.xml:{tmp_path}/x.xml"
    told = tell("membership-sidecar", ["--services", "wso2/is", "--server", kube.url, "--out", out])
    assert told.code == 2 and f"{tmp_path}/none.xml" in told.log


def test_the_command_patches_to_stdout_and_into_a_tree(kube: FakeKube, tmp_path: Path) -> None:
    source = tmp_path / "axis2.xml"
    source.write_text(AXIS2_EI)
    flags = ("--product", "ei-6.6", "--self-ip", "10.244.0.6")
    code, command = render(kube, "product", str(source), *flags)
    assert code == 0 and '<parameter name="localMemberHost">10.244.0.6</parameter>' in command.output
    assert command.output.count("<port>4100</port>") == 2
    code, bare = render(kube, "axis2-xml", str(source))
    assert code == 0 and bare.count("warning: axis2-xml without --self-ip") == 1
    code, silent = render(kube, "axis2-xml", str(source), "-o", f"{tmp_path}/tree/", *flags)
    assert (code, silent.output) == (0, "")
    assert (tmp_path / "tree/conf/axis2/axis2.xml").read_text() == command.output


def test_the_command_makes_a_hazelcast_xml(kube: FakeKube) -> None:
    code, command = render(kube, "hazelcast-xml", "--hazelcast-version", "3.12.2", "--cluster-name", "d")
    assert code == 0 and "<group><name>d</name></group>" in command.output
    code, command = render(kube, "hazelcast-xml")
    assert code == 0 and "<cluster-name>wso2.carbon.domain</cluster-name>" in command.output
    assert command.count("warning") == 0  # without an own address Hazelcast picks one


def test_the_command_refuses_what_cannot_be(kube: FakeKube, tmp_path: Path) -> None:
    broken, target = tmp_path / "axis2.xml", tmp_path / "target.xml"
    broken.write_text("<axisconfig>\n</axisconfig>")
    for arguments, said in (
        (("axis2-xml", str(broken), "-o", str(target)), f"{broken}:1: there is no <clustering> element; expected"),
        (("axis2-xml", f"{tmp_path}/none.xml"), "none.xml' does not exist"),
        (("axis2-xml",), "name its SOURCE"),
        (("lines", str(broken)), "lines takes no SOURCE"),
        (("template", str(broken), "-o", str(broken)), "same file"),
        (("product",), "--product, which is not given"),
        (("product", str(broken), "--product", "mi-4.3"), "does not use Hazelcast"),
        (("yaml",), "'yaml' is no format"),
    ):
        code, command = render(kube, *arguments)
        assert code == 2 and said in command.log and command.output == "", command.log
    assert not target.exists()


def test_the_command_with_nothing_to_write_is_3(kube: FakeKube, tmp_path: Path) -> None:
    kube.set_service("wso2", "is", [])
    target = tmp_path / "x.xml"
    code, command = render(kube, "hazelcast-xml", "-o", str(target))
    assert code == 3 and "nothing to write" in command.log and not target.exists()
