"""`import-hiera` and the format `hiera`: the files of examples/puppet-hiera byte for byte, and what is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from membership import RenderError
from membership.cli import run
from membership.import_hiera import describe
from membership.render import FORMATS, Setup, Source
from membership.wso2.hiera import import_hiera
from tests.unit.lists import member, snapshot

EXAMPLE = Path(__file__).parents[2] / "examples" / "puppet-hiera"
FILES = sorted(EXAMPLE.glob("ws*.yaml"))


def imported(text: str) -> dict[str, str]:
    return import_hiera(Source("data.yaml", text.encode())).settings


def notes(text: str) -> str:
    return "\n".join(import_hiera(Source("data.yaml", text.encode())).notes)


def block(*lines: str, scheme: str = "kubernetes") -> str:
    return "wso2::clustering:\n" + "".join(f"  {line}\n" for line in (f"membership_scheme: {scheme}", *lines))


# import-hiera


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_golden_files(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import-hiera", str(path)]) == 0
    assert capsys.readouterr().out == path.with_suffix(".env").read_text()


def test_the_golden_files_hold_both_generations_and_wka() -> None:
    text = "".join(path.read_text() for path in FILES)
    assert len(FILES) == 3
    assert "k8_services: wso2is" in text and "kubernetes_services:" in text and "membership_scheme: wka" in text


def test_keys_beside_the_block_are_read_as_well() -> None:
    assert imported(block("k8_services: is", "k8_namespace: wso2")) == {
        "MEMBERSHIP_SERVICES": "is",
        "MEMBERSHIP_NAMESPACE": "wso2",
    }


def test_the_newer_generation_counts() -> None:
    text = block("kubernetes: {kubernetes_services: new}", "k8: {k8_services: old, k8_namespace: kept}")
    assert imported(text) == {"MEMBERSHIP_SERVICES": "new", "MEMBERSHIP_NAMESPACE": "kept"}


def test_merge_keys_are_followed() -> None:
    """https://yaml.org/type/merge.html: what stands in the block itself counts most, then what is named first."""
    text = (
        "base: &base {k8_services: base, k8_namespace: base}\n"
        "more: &more {k8_namespace: more, k8_api_server: 'https://more'}\n"
        "common: &common {membership_scheme: kubernetes, domain: d}\n"
        "wso2::clustering:\n  <<: *common\n  k8: {<<: [*base, *more], k8_services: is}\n"
    )
    assert imported(text) == {
        "MEMBERSHIP_CLUSTER_NAME": "d",
        "MEMBERSHIP_SERVICES": "is",
        "MEMBERSHIP_NAMESPACE": "base",
        "MEMBERSHIP_SERVER": "https://more",
    }


def test_scalars_are_what_is_written_there() -> None:
    """YAML would make a namespace `no` false and a Service 010 eight."""
    assert imported(block("local_member_port: 04000", "k8: {k8_namespace: no, k8_services: '010'}")) == {
        "MEMBERSHIP_PORT": "04000",
        "MEMBERSHIP_NAMESPACE": "no",
        "MEMBERSHIP_SERVICES": "010",
    }


def test_secrets_are_named_and_never_printed() -> None:
    text = block("k8: {k8_services: is, k8_master_password: geheim, k8_api_server_token: abc.def}")
    found = import_hiera(Source("data.yaml", text.encode()))
    printed = describe(found, "data.yaml")
    assert "geheim" not in printed and "abc.def" not in printed
    assert "KUBERNETES_API_SERVER_PASSWORD" in printed and "KUBERNETES_API_SERVER_TOKEN" in printed
    assert not set(found.settings) & {"KUBERNETES_API_SERVER_PASSWORD", "KUBERNETES_API_SERVER_TOKEN"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (block("enabled: false", "k8: {k8_services: is}"), "clustering is off there"),
        (block("k8: {k8_services: \"%{hiera('x')}\"}"), "MEMBERSHIP_SERVICES: Hiera looks up %{hiera('x')}"),
        (block("k8: {k8_services: is}", "domain: ENC[PKCS7,Mii]"), "MEMBERSHIP_CLUSTER_NAME: Hiera looks up ENC["),
        (block("k8: {k8_namespace: wso2}"), "MEMBERSHIP_SERVICES is needed"),
        (block("kubernetes: {kubernetes_services: is, kubernetes_use_dns: true}"), "kubernetes_use_dns: not a setting"),
        (block(scheme="multicast"), "membership_scheme multicast: name the Service"),
        ("wso2::clustering: {enabled: true}", "membership_scheme not given: name the Service"),
    ],
)
def test_what_is_not_taken_over_is_said(text: str, said: str) -> None:
    assert said in notes(text)


def test_members_beside_the_scheme_are_read_as_in_older_files() -> None:
    members = "members: [{hostname: 192.168.100.11, port: 4000}, {hostname: am-2}]"
    assert imported(block(members, scheme="wka"))["MEMBERSHIP_NAMES"] == "192.168.100.11:4000,am-2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2\n", "data.yaml:2: not YAML"),
        ("a: 1\n\x00", "data.yaml: not YAML"),
        ("[" * 5000, "data.yaml: not YAML"),
        ("wso2::clustering: &a {<<: *a}\n", "data.yaml:1: not YAML"),
        ("wso2::hostname: x\n", "no Hiera data with the key wso2::clustering"),
        ("wso2::clustering:\n", "no Hiera data with the key wso2::clustering"),
        ("- wso2::clustering\n", "no Hiera data with the key wso2::clustering"),
        (
            block("wka: {members: [{hostname: 'a b', port: 1}]}", scheme="wka"),
            "wka members: 'a b:1' is not a host name",
        ),
        (block('k8: {k8_services: "a\\x07"}'), "MEMBERSHIP_SERVICES has characters that cannot be printed"),
    ],
)
def test_wrong_files(text: str, said: str) -> None:
    with pytest.raises(RenderError, match="^data.yaml") as caught:
        imported(text)
    assert said in str(caught.value)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(RenderError, match="not YAML"):
        import_hiera(Source("data.yaml", b"a: \xff\xfe\n"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("k8: {k8_services: A_b, k8_master: 'ftp://x'}",), ("MEMBERSHIP_SERVICES", "MEMBERSHIP_SERVER")),
        (("k8: {k8_services: is}", "local_member_port: 99999"), ("MEMBERSHIP_PORT",)),
    ],
)
def test_values_that_we_would_not_take_are_refused_by_their_names(
    lines: Sequence[str], said: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.yaml").write_text(block(*lines))
    assert run(["import-hiera", str(tmp_path / "data.yaml")]) == 2
    captured = capsys.readouterr()
    assert all(name in captured.err for name in said) and captured.out == ""


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import-hiera", str(tmp_path)]) == 2
    assert "cannot be read: Is a directory" in capsys.readouterr().err


# hiera


def render(*addresses: str, **setup: str | int) -> str:
    made = FORMATS["hiera"].render(snapshot(*addresses), Setup(**setup))  # type: ignore[arg-type]
    assert made is not None
    return made.decode()


def test_the_golden_block() -> None:
    made = render("10.244.0.5", "10.244.0.6", self_ip="10.244.0.5", cluster_name="wso2.is.domain")
    assert made == (EXAMPLE / "clustering.yaml").read_text()


def test_what_is_written_is_read_again() -> None:
    found = imported(render("10.244.0.5", "10.244.0.6", port=4001, cluster_name='a "b": é'))
    assert found == {
        "MEMBERSHIP_CLUSTER_NAME": 'a "b": é',
        "MEMBERSHIP_PORT": "4001",
        "MEMBERSHIP_NAMES": "10.244.0.5:4000,10.244.0.6:4000",
    }


def test_without_an_own_address_none_is_written_and_the_name_is_carbons() -> None:
    content = yaml.safe_load(render("10.244.0.5"))["wso2::clustering"]
    assert "local_member_host" not in content and content["domain"] == "wso2.carbon.domain"


def test_hiera_does_not_look_up_what_is_in_a_name() -> None:
    content = yaml.safe_load(render("10.244.0.5", cluster_name="%{x}"))["wso2::clustering"]
    assert content["domain"] == "%{literal('%')}{x}"


def test_names_that_yaml_would_take_for_something_else_stay_names() -> None:
    named = FORMATS["hiera"].render(snapshot(member("on"), member("null")), Setup())
    members = yaml.safe_load(named or b"")["wso2::clustering"]["wka"]["members"]
    assert members == [{"hostname": "on", "port": 4000}, {"hostname": "null", "port": 4000}]


def test_carbon_takes_ipv4_only() -> None:
    with pytest.raises(RenderError, match="IPv4"):
        FORMATS["hiera"].render(snapshot("fd00::5"), Setup())
