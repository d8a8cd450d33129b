"""Settings of everything that follows Services.

`SETTINGS` is the table; `--help` and the documentation are made from it, and `read` makes values of it. How a setting
is looked up is said in flags.py. But for access.py nothing else in this package reads the environment.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from membership.access import check_url, connect
from membership.errors import SettingsError
from membership.flags import Environ, Reader, Setting, choice
from membership.gate import GateRules
from membership.kube import ApiServer
from membership.members import FAMILIES
from membership.names import EVERY, is_name, parse_services
from membership.outputs import Output, check_outputs, needs_services, warn_of_outputs
from membership.peer import parse_sidecar_url
from membership.quantity import parse_boolean, parse_duration
from membership.render import Setup
from membership.session import Options
from membership.wso2.profiles import Profile, find_profile

SETTINGS = (
    Setting(
        "services",
        "Services to follow, separated by commas; an item may be namespace/service, and for haproxy * in place of the "
        "name: every Service of the namespace. Required.",
        wso2=("KUBERNETES_SERVICES",),
        metavar="NAMES",
    ),
    Setting(
        "namespace",
        "Namespace of Services that name none. Default: the service account's, else the kubeconfig context's, "
        "else default.",
        wso2=("KUBERNETES_NAMESPACE",),
        metavar="NAME",
    ),
    Setting(
        "server",
        "URL of the API server. Default: the cluster this runs in, else the kubeconfig's.",
        wso2=("KUBERNETES_API_SERVER",),
        metavar="URL",
    ),
    Setting(
        "token-file",
        "File with the bearer token, read for each request. Default: the service account's.",
        wso2=("BEARER_TOKEN_FILE_LOCATION",),
        metavar="FILE",
    ),
    Setting(
        "ca-file",
        "File with the authorities that may sign the server's certificate, read for each connection. Default: the "
        "service account's ca.crt.",
        metavar="FILE",
    ),
    Setting(
        "insecure-skip-tls-verify",
        "Do not verify the server's certificate, on this connection only. Whoever sits in between can then read the "
        "token and name the members.",
        "false",
        wso2=("KUBERNETES_MASTER_SKIP_SSL_VERIFICATION",),
        switch=True,
    ),
    Setting(
        "kubeconfig", "Kubeconfig file, outside a cluster. Default: $KUBECONFIG, else ~/.kube/config.", metavar="FILE"
    ),
    Setting("context", "Context of the kubeconfig. Default: its current one.", metavar="NAME"),
    Setting(
        "source",
        "auto, endpointslices or endpoints. auto: EndpointSlices, and v1 Endpoints where slices are forbidden or "
        "absent.",
        "auto",
        metavar="SOURCE",
    ),
    Setting(
        "upstream",
        "Take the list from this other sidecar, by its /members, instead of holding a watch; while it does not answer, "
        "from the API server, where RBAC allows that. For pods by the thousands. The other one must follow the same "
        "Services, and leave out by --family, --ready-only and --include-terminating no more than this one.",
        metavar="URL",
    ),
    Setting("poll-interval", "How often to list where watching is forbidden.", "10s", metavar="DURATION"),
    Setting(
        "stale-after", "A list that the API server has not proved for this long is stale.", "90s", metavar="DURATION"
    ),
    Setting(
        "relist-interval",
        "How often to list besides the watch, +-50 %: finds what a watch cannot tell.",
        "5m",
        metavar="DURATION",
    ),
    Setting(
        "product",
        "WSO2 product and version, such as is-7.1: the default of --port and --hazelcast-version, the format named "
        "product, and the path below a target that is a folder. membership profiles lists them.",
        metavar="PRODUCT",
    ),
    Setting(
        "port",
        "Member port: a number, or the name of the slice port that holds it. With --product its default is the "
        "product's.",
        "4000",
        metavar="PORT",
    ),
    Setting(
        "cluster-name",
        "Name of the Hazelcast cluster, for the Hazelcast and WSO2 formats. Default: the file's own, else "
        "wso2.carbon.domain.",
        metavar="NAME",
    ),
    Setting(
        "hazelcast-version",
        "Version of Hazelcast, for hazelcast-xml: 3.x and 4 or newer are two dialects. With --product its default is "
        "the product's.",
        "5.3",
        metavar="VERSION",
    ),
    Setting(
        "hazelcast-rest",
        "What hazelcast-xml opens of Hazelcast's REST on the member port, from 3.12 on: off, read (HEALTH_CHECK and "
        "CLUSTER_READ, which --verify asks) or write (CLUSTER_WRITE as well, which --push rest needs; with it whoever "
        "reaches that port and knows the cluster's name may also shut the cluster down). With --push rest its default "
        "is write.",
        "off",
        metavar="ACCESS",
    ),
    Setting("family", "Addresses to use: ipv4, ipv6 or both. Carbon runs with IPv4 only.", "ipv4", metavar="FAMILY"),
    Setting(
        "ready-only",
        "Keep only members that serve and do not terminate. Off by default: members must find each other before they "
        "are ready.",
        "false",
        switch=True,
    ),
    Setting("include-terminating", "Keep terminating members.", "false", switch=True),
    Setting(
        "expect",
        "Formation gate: addresses that must be there before a member may start. With files alone this is the number "
        "of pods that are created together (Deployment, StatefulSet with podManagementPolicy Parallel); under "
        "OrderedReady leave it at 1, for pod 0 must not wait for pod 1.",
        "1",
        metavar="N",
    ),
    Setting("gate-timeout", "Formation gate: how long to hold a start back at most.", "120s", metavar="DURATION"),
    Setting("stable", "Formation gate: how long the addresses must stay the same.", "2s", metavar="DURATION"),
    Setting(
        "on-timeout", "Formation gate, when its time is up: start (with a warning) or fail.", "start", metavar="ACTION"
    ),
    Setting("self-ip", "The own address.", wso2=("NODE_IP", "POD_IP"), metavar="ADDRESS"),
    Setting("log-format", "text or json. Default: json in a cluster, else text.", metavar="FORMAT"),
    Setting("log-level", "debug, info, warning or error.", "info", metavar="LEVEL"),
)
"""Settings of `membership` and `membership-sidecar` alike, in the order of --help."""

TOKEN, USERNAME, PASSWORD = (
    "KUBERNETES_API_SERVER_TOKEN",
    "KUBERNETES_API_SERVER_USERNAME",
    "KUBERNETES_API_SERVER_PASSWORD",
)
"""Secrets come in variables only: a command line can be read by every process of the machine."""

IGNORED = ("USE_DNS", "DNS_LOOKUP_TIMEOUT")
"""Accepted so that an existing pod spec works unchanged; names are never resolved to find members."""

EPILOG = (
    f"Secrets come in variables only: {TOKEN} (a literal bearer token), {USERNAME} and {PASSWORD} (basic auth). "
    f"Accepted and ignored: {' and '.join(IGNORED)}."
)
"""Of every --help."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `read` makes of the raw texts."""

    services: tuple[str, ...]
    server: ApiServer
    setup: Setup
    options: Options
    gate: GateRules
    log_format: str
    log_level: str
    warnings: tuple[str, ...]

    @property
    def port(self) -> int | str:
        return self.setup.port


def read_product(reader: Reader) -> Profile | None:
    """The profile of --product, whose port and Hazelcast become the defaults of their settings."""
    profile = reader.parse("product", find_profile, None)
    if profile is not None:
        reader.defaults |= {"port": str(profile.port), "hazelcast-version": profile.hazelcast}
    return profile


def read(
    reader: Reader,
    environ: Environ,
    outputs: Sequence[Output] = (),
    *,
    check: Callable[[Setup], Sequence[str]] = lambda setup: (),
    offline: bool = False,
) -> Settings:
    """All settings of this table, after `read_product`; `outputs` must be possible with them.

    `check` names what else is wrong with them. With `offline` no Services have to be named, and where the API server is
    does not matter: nobody will ask it.

    Raises SettingsError naming everything that is wrong, here and in `reader`.
    """
    namespace = reader.parse("namespace", _name, None)
    if reader.text("services") is None and not offline:
        reader.problems.append("--services: required; name the clustering Service, such as --services wso2/is")
    nothing: tuple[str, ...] = ()
    services = reader.parse("services", lambda text: _services(text, namespace or "default"), nothing)
    options = Options(
        family=reader.parse("family", choice(*FAMILIES), "ipv4"),
        ready_only=reader.parse("ready-only", parse_boolean, False),
        include_terminating=reader.parse("include-terminating", parse_boolean, False),
        source=reader.parse("source", choice("auto", "endpointslices", "endpoints"), "auto"),
        poll_interval=reader.duration("poll-interval"),
        stale_after=reader.duration("stale-after"),
        relist_interval=reader.duration("relist-interval"),
        upstream=reader.parse("upstream", parse_sidecar_url, None),
    )
    gate = GateRules(
        expect=reader.parse("expect", _count, 1),
        stable=reader.parse("stable", parse_duration, 2.0),
        timeout=reader.parse("gate-timeout", parse_duration, 120.0),
        on_timeout=reader.parse("on-timeout", choice("start", "fail"), "start"),
        self_ip=reader.parse("self-ip", _address, None),
    )
    standard: int | str = 4000
    setup = Setup(
        self_ip=gate.self_ip,
        port=reader.parse("port", _port, standard),
        cluster_name=reader.parse("cluster-name", _cluster_name, None),
        hazelcast_version=reader.parse("hazelcast-version", _version, None),
        hazelcast_rest=reader.parse("hazelcast-rest", choice("off", "read", "write"), "off"),
    )
    reader.problems += (*check_outputs(outputs, setup, options.family), *check(setup))
    if options.upstream and any(item.rpartition("/")[2] == EVERY for item in services):
        reader.problems.append(f"--upstream: {EVERY} is every Service, which another sidecar does not name; name them")
    if options.upstream and needs_services(outputs):
        reader.problems.append("--upstream: haproxy needs the Services themselves, which another sidecar does not have")
    mixing = [output.format for output in outputs if not needs_services((output,))]
    if mixing and any(item.rpartition("/")[2] == EVERY for item in services):
        reader.problems.append(f"--services: {EVERY} is every Service, which {mixing[0]} would take for one cluster")
    default_format = "json" if environ.get("KUBERNETES_SERVICE_HOST") else "text"
    log_format = reader.parse("log-format", choice("text", "json"), default_format)
    log_level = reader.parse("log-level", choice("debug", "info", "warning", "error"), "info")
    skip = reader.parse("insecure-skip-tls-verify", parse_boolean, False)
    before = len(reader.problems)
    url = reader.parse("server", _url, None)
    token_file = reader.parse("token-file", _file, None)
    ca_file = reader.parse("ca-file", _file, None)
    kubeconfig = reader.parse("kubeconfig", _file, None)
    server = ApiServer("")
    if len(reader.problems) == before and not offline:  # else what it would find wrong follows from that
        try:
            server = connect(
                url,
                token=None if reader.is_flag("token-file") else (environ.get(TOKEN) or "").strip() or None,
                token_file=token_file,
                username=environ.get(USERNAME) or None,
                password=environ.get(PASSWORD) or None,
                ca_file=ca_file,
                insecure_skip_tls_verify=skip,
                kubeconfig=kubeconfig,
                context=reader.text("context"),
                namespace=namespace,
                environ=environ,
            )
        except SettingsError as error:
            reader.problems += error.problems
    if reader.problems:
        raise SettingsError(reader.problems)
    ignored = " and ".join(name for name in IGNORED if environ.get(name))
    warnings = [f"ignored, for names are never resolved to find members: {ignored}"] if ignored else []
    if skip:
        warnings.append(
            f"the certificate of {server.url} is not verified: whoever sits in between can read the token and name the "
            "members; give --ca-file instead"
        )
    if not offline:  # else there is an own name, which may be known or not
        warnings += warn_of_outputs(outputs, setup)
    return Settings(services, server, setup, options, gate, log_format, log_level, tuple(warnings))


def environment() -> Environ:
    """The environment of this process."""
    return os.environ


def _services(text: str, namespace: str) -> tuple[str, ...]:
    items = [item for item in text.split(",") if item.strip()]
    parse_services(items, namespace)  # says what is wrong; the session parses them again with the real namespace
    return tuple(item.strip() for item in items)


def _name(text: str) -> str | None:
    if not is_name(text):
        raise ValueError(f"{text!r} is not a namespace such as wso2")
    return text


def _url(text: str) -> str | None:
    check_url(text)
    return text


def _file(text: str) -> str | None:
    # A list of files is allowed for kubeconfigs only, and there in the variable that kubectl reads, not here.
    if not os.path.isfile(text):
        raise ValueError(f"{text!r} does not exist" if not os.path.exists(text) else f"{text!r} is not a file")
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of addresses, 1 or more")
    return int(text)


def _port(text: str) -> int | str:
    if re.fullmatch(r"[0-9]+", text):
        if not 1 <= int(text) <= 65535:
            raise ValueError(f"{text} is not a port between 1 and 65535")
        return int(text)
    if not is_name(text):
        raise ValueError(f"{text!r} is neither a port number nor the name of a port such as hazelcast")
    return text


def _cluster_name(text: str) -> str | None:
    if not text.isprintable() or text != text.strip() or not text:
        raise ValueError(f"{text!r} is not a name: spaces around it, or characters that cannot be printed")
    return text


def _version(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,3})(?:[.-].*)?)?", text)
    if match is None or int(match[1]) < 3:
        raise ValueError(f"{text!r} is not a version of Hazelcast, 3.0 or newer, such as 5.3")
    return int(match[1]), int(match[2] or 999)  # 4 alone: the newest of its line


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None
