"""`--out FORMAT:[SOURCE:]TARGET` with and without `--product`: what it means, and what is said when it is wrong."""

from pathlib import Path
from typing import Any

import pytest

from membership import RenderError, SettingsError
from membership.outputs import Output
from membership.render import Setup
from sidecar.settings import Settings, parse_settings
from tests.unit.lists import snapshot

REQUIRED = {"services": "wso2/is", "server": "http://127.0.0.1:1", "self_ip": "10.0.0.5"}


def parse(*outs: str, environ: dict[str, str] | None = None, **given: str | None) -> Settings:
    return parse_settings({**REQUIRED, **given, "out": outs}, environ or {})


def problems(*outs: str, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(*outs, **given)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "source").write_text("x = 1\n")
    return str(tmp_path / "source")


def test_parts(source: str) -> None:
    outs = "lines:/out/a:b", f"deployment-toml:{source}:/out/c:d.toml", "hazelcast-xml:/out/e.xml"
    assert parse(*outs).outputs == (
        Output("lines", None, Path("/out/a:b")),
        Output("deployment-toml", Path(source), Path("/out/c:d.toml")),
        Output("hazelcast-xml", None, Path("/out/e.xml")),
    )
    assert [output.name for output in parse(*outs).outputs][1] == "deployment-toml:/out/c:d.toml"


def test_a_product_names_format_path_port_and_dialect(source: str) -> None:
    settings = parse(f"product:{source}:/tree/", "hazelcast-xml:/tree/", product="is-7.1")
    assert [(output.format, str(output.target)) for output in settings.outputs] == [
        ("deployment-toml", "/tree/repository/conf/deployment.toml"),
        ("hazelcast-xml", "/tree/repository/conf/etc/hazelcast.xml"),
    ]
    assert settings.shared.port == 4001 and settings.shared.setup.hazelcast_version == (5, 3)
    settings = parse(f"product:{source}:/tree/", product="ei-6.6.0")
    assert settings.outputs[0] == Output("axis2-xml", Path(source), Path("/tree/conf/axis2/axis2.xml"))
    assert settings.shared.port == 4100 and settings.shared.setup.hazelcast_version == (3, 12)
    assert parse(f"product:{source}:/x.toml", product="is-6.1").outputs[0].target == Path("/x.toml")


def test_what_is_given_counts_more_than_the_product() -> None:
    settings = parse(product="is-7.1", port="4000", hazelcast_version="3.12.13")
    assert settings.shared.port == 4000 and settings.shared.setup.hazelcast_version == (3, 12)
    settings = parse(product="is-7.1", environ={"MEMBERSHIP_PORT": "5701", "MEMBERSHIP_HAZELCAST_VERSION": "4"})
    assert settings.shared.port == 5701 and settings.shared.setup.hazelcast_version == (4, 999)
    setup = parse().shared.setup
    assert (setup.port, setup.hazelcast_version, setup.cluster_name) == (4000, (5, 3), None)


def test_wrong_outputs(source: str) -> None:
    folder = str(Path(source).parent)
    assert "'toml' is no format; there are json, " in problems("toml:/x")
    assert "name its SOURCE" in problems("deployment-toml:/x")
    assert "'/nonexistent/s' does not exist" in problems("template:/nonexistent/s:/x")
    assert f"'{folder}' is not a file" in problems(f"template:{folder}:/x")
    assert "no target; write template:SOURCE:/path" in problems(f"template:{source}:")
    assert "same file" in problems(f"template:{source}:{source}")
    assert "same file" in problems(f"template:{source}:{folder}/../{Path(folder).name}/source")
    (Path(folder) / "link").hardlink_to(source)
    assert "same file" in problems(f"template:{source}:{folder}/link")
    assert "'/tree/' is a folder: name a file, or give --product" in problems("lines:/tree/")
    assert "'/tree/' is a folder" in problems("lines:/tree/", product="is-7.1")
    assert "--product, which is not given" in problems("product:/x")
    assert "writes the same file" in problems(f"template:{source}:/x", "lines:/y/../x")


def test_a_product_that_would_not_read_the_file(source: str) -> None:
    assert "made anew from deployment.toml at each boot" in problems(f"axis2-xml:{source}:/x", product="is-5.11")
    assert "no deployment.toml that sets clustering" in problems(f"deployment-toml:{source}:/x", product="ei-6.6")
    assert "reads no etc/hazelcast.xml" in problems("hazelcast-xml:/x", product="is-5.1")
    assert "name --hazelcast-version" in problems("hazelcast-xml:/x", product="ob-3.0")
    assert parse("hazelcast-xml:/x", product="ob-3.0", hazelcast_version="4.2").outputs


def test_every_service_is_no_cluster() -> None:
    assert parse("haproxy:/x", services="wso2/*").outputs
    assert "* is every Service, which lines would take" in problems("haproxy:/x", "lines:/y", services="wso2/*, is")
    assert "no one cluster to verify" in problems("haproxy:/x", services="*", verify="all")


def test_refused_and_unknown_products() -> None:
    assert "--product: 'am-4.2': its pack has no Hazelcast" in problems(product="am-4.2")
    assert "'is-9' is not known" in problems(product="is-9")


def test_carbon_needs_ipv4(source: str) -> None:
    out = f"deployment-toml:{source}:/x"
    assert "deployment-toml with --self-ip fd00::5: Carbon" in problems(out, self_ip="fd00::5")
    assert "deployment-toml with --family ipv6: Carbon" in problems(out, family="ipv6")
    assert parse("hazelcast-xml:/x", self_ip="fd00::5", family="ipv6").outputs
    assert parse(out, family="both").outputs


def test_the_own_address(source: str) -> None:
    out = f"axis2-xml:{source}:/x"
    assert "--port is a name" in problems(out, port="hazelcast", self_ip=None)
    assert parse(out, port="hazelcast").outputs
    assert [text for text in parse(out, self_ip=None).shared.warnings if "127.0.0.1" in text]
    assert not parse(out).shared.warnings and not parse("lines:/x", self_ip=None).shared.warnings


@pytest.mark.parametrize("version", ["", "five", "2.6", "5,3", "5.", "-1"])
def test_wrong_versions_of_hazelcast(version: str) -> None:
    if version:
        assert "not a version of Hazelcast" in problems(hazelcast_version=version)


@pytest.mark.parametrize("name", [" ", "a\nb", " a", "a\x7f"])
def test_wrong_cluster_names(name: str) -> None:
    assert "--cluster-name" in problems(cluster_name=name)


def test_a_source_is_read_anew_each_time(tmp_path: Path) -> None:
    output = Output("template", tmp_path / "t", tmp_path / "x")
    with pytest.raises(RenderError, match="/t: cannot be read: No such file"):
        output.render(snapshot("10.0.0.1"), Setup())
    for text in ("one", "two"):
        (tmp_path / "t").write_text(text)
        assert output.render(snapshot("10.0.0.1"), Setup()) == text.encode()
