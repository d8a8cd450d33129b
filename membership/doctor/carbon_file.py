"""What a deployment.toml or axis2.xml says about clustering, and what is wrong with it."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from membership.doctor.catalogue import find
from membership.doctor.findings import Finding
from membership.errors import RenderError
from membership.model import Snapshot
from membership.render.setup import DEFAULT_CLUSTER_NAME, Setup, Source
from membership.verify import is_address
from membership.wso2.axis2_xml import EXPECTED
from membership.wso2.xml_spans import parse_xml

PLACEHOLDER = re.compile(r"\$(env|sys|ref|secret)?\{")
LIVE = "sidecar"
"""The scheme of examples/carbon-membership-scheme, which asks the sidecar itself."""


@dataclass(frozen=True, slots=True)
class CarbonFile:
    """Texts as they stand there, without the space around them; None for what is not there."""

    name: str
    enabled: bool
    scheme: str | None
    domain: str | None
    host: str | None
    port: str | None
    members: tuple[str, ...]

    @property
    def cluster(self) -> str:
        """The name of its Hazelcast cluster."""
        return self.domain or DEFAULT_CLUSTER_NAME

    def describe(self) -> str:
        members = ", ".join(self.members) or "none"
        return (
            f"{self.name}: scheme {self.scheme or 'none'}, domain {self.cluster}, local member host "
            f"{self.host if self.host is not None else 'not set'}, port {self.port or 'not set'}, members {members}"
        )


def read_carbon(format: str, source: Source) -> CarbonFile:
    """`format`: deployment-toml or axis2-xml. Raises RenderError for a broken one."""
    return _read_toml(source) if format == "deployment-toml" else _read_axis2(source)


def judge_carbon(file: CarbonFile, setup: Setup, snapshot: Snapshot | None) -> Iterator[Finding]:
    """What is wrong for a member of `setup`; with the list of now also what is old."""
    if not file.enabled:
        yield find("carbon.off", file.describe())
        return
    if file.scheme == "wka":
        yield from _judge_members(file, snapshot)
    elif file.scheme != LIVE:
        yield find("carbon.scheme", file.describe())
    yield from _judge_host(file, setup.self_ip)
    if isinstance(setup.port, int) and file.port is not None and not PLACEHOLDER.search(file.port):
        if file.port != str(setup.port):
            yield find("carbon.port", f"{file.name}: {file.port or 'empty'}; --port is {setup.port}")
    if setup.cluster_name is not None and not PLACEHOLDER.search(file.cluster) and file.cluster != setup.cluster_name:
        yield find("carbon.domain", f"{file.name}: {file.cluster}; --cluster-name is {setup.cluster_name}")


def _judge_members(file: CarbonFile, snapshot: Snapshot | None) -> Iterator[Finding]:
    if not file.members:
        yield find("carbon.no-members", file.describe())
    elif snapshot is not None and snapshot.endpoints and not any(map(PLACEHOLDER.search, file.members)):
        listed = {f"{address}:{one.port}" for one in snapshot.members for address in one.addresses if one.port}
        gone = [member for member in file.members if member not in listed]
        new = [endpoint for endpoint in snapshot.endpoints if endpoint not in file.members]
        if gone or new:
            words = [f"{what}: {', '.join(names)}" for what, names in (("gone", gone), ("not in it", new)) if names]
            yield find("carbon.members-old", f"{file.name}: {'; '.join(words)}")


def _judge_host(file: CarbonFile, own: str | None) -> Iterator[Finding]:
    host = file.host
    if host is None:
        yield find("carbon.host-absent", file.name)
    elif host == "":
        yield find("carbon.host-empty", file.name)
    elif PLACEHOLDER.search(host):
        yield find("carbon.host-variable", f"{file.name}: {host}")
    elif own is not None and host == own:
        return
    elif _is_loopback(host):
        yield find("carbon.host-loopback", f"{file.name}: {host}; the own address: {own or 'not known'}")
    elif own is not None and is_address(host):  # of a name only the resolver knows
        yield find("carbon.host-other", f"{file.name}: {host}; the own address: {own}")


def _read_toml(source: Source) -> CarbonFile:
    try:
        document = tomllib.loads(source.content.decode().removeprefix("\ufeff"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RenderError(f"not TOML: {error}", source.name) from error
    table = document.get("clustering", {})
    if not isinstance(table, dict):
        raise RenderError("clustering is no table", source.name)
    texts = {key: str(value).strip() for key, value in table.items() if isinstance(value, (str, int))}
    members = table.get("members")
    return CarbonFile(
        name=source.name,
        enabled="membership_scheme" in texts,
        scheme=texts.get("membership_scheme"),
        domain=texts.get("domain"),
        host=texts.get("local_member_host"),
        port=texts.get("local_member_port"),
        members=tuple(str(member).strip() for member in members) if isinstance(members, list) else (),
    )


def _read_axis2(source: Source) -> CarbonFile:
    found = list(parse_xml(source, EXPECTED).named("clustering"))
    if len(found) != 1:
        raise RenderError(f"{len(found)} <clustering> elements; {EXPECTED}", source.name)
    texts = {one.attributes.get("name"): one.text.strip() for one in found[0].named("parameter")}
    members = []
    for member in (member for element in found[0].named("members") for member in element.named("member")):
        parts = [child.text.strip() for name in ("hostName", "port") for child in member.named(name)]
        members.append(":".join(parts))
    return CarbonFile(
        name=source.name,
        enabled=found[0].attributes.get("enable") == "true",
        scheme=texts.get("membershipScheme"),
        domain=texts.get("domain"),
        host=texts.get("localMemberHost"),
        port=texts.get("localMemberPort"),
        members=tuple(members),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
