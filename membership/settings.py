"""Settings of everything that follows Services.

`SETTINGS` is the table; `--help` and the documentation are made from it, and `read` makes values of it. How a setting
is looked up is said in flags.py. But for access.py nothing else in this package reads the environment.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from membership.access import connect
from membership.errors import SettingsError
from membership.flags import Environ, Reader, Setting
from membership.gate import GateRules
from membership.kube import ApiServer
from membership.candidates import FAMILIES
from membership.names import EVERY
from membership.outputs import Output, check_outputs, needs_services, warn_of_outputs
from membership.peer import parse_sidecar_url
from membership.quantity import parse_boolean
from membership.render import Setup
from membership.session import Options
from membership.values import (
    choice,
    parse_address,
    parse_cluster_name,
    parse_count,
    parse_file,
    parse_namespace,
    parse_port,
    parse_service_list,
    parse_time,
    parse_url,
    parse_version,
)
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
    Setting(
        "poll-interval", "How often to list where watching is forbidden, or brings nothing.", "10s", metavar="DURATION"
    ),
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


PUSH = Setting(
    "push",
    "Keep the list of the own Hazelcast member current while it runs, so that a split heals: off, or rest (by REST "
    "on the member port, from Hazelcast 5.2; the member is found as with --verify local). Needs --cluster-name, "
    "and the REST group CLUSTER_WRITE in the member: see --hazelcast-rest.",
    "off",
    metavar="METHOD",
)


def read_push(reader: Reader) -> bool:
    """Whether lists are pushed; files then open the REST group that this takes, if nothing else is said."""
    if reader.parse("push", choice("off", "rest"), "off") == "off":
        return False
    reader.defaults |= {"hazelcast-rest": "write"}
    return True


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
    namespace = reader.parse("namespace", parse_namespace, None)
    if reader.text("services") is None and not offline:
        reader.problems.append("--services: required; name the clustering Service, such as --services wso2/is")
    nothing: tuple[str, ...] = ()
    services = reader.parse("services", lambda text: parse_service_list(text, namespace or "default"), nothing)
    options, gate = _read_options(reader), _read_gate(reader)
    setup = _read_setup(reader, gate.self_ip)
    reader.problems += (*check_outputs(outputs, setup, options.family), *check(setup))
    reader.problems += _check_every(services, options, outputs)
    default_format = "json" if environ.get("KUBERNETES_SERVICE_HOST") else "text"
    log_format = reader.parse("log-format", choice("text", "json"), default_format)
    log_level = reader.parse("log-level", choice("debug", "info", "warning", "error"), "info")
    skip = reader.parse("insecure-skip-tls-verify", parse_boolean, False)
    server = _find_server(reader, environ, namespace, skip_verify=skip, offline=offline)
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


def _read_options(reader: Reader) -> Options:
    return Options(
        family=reader.parse("family", choice(*FAMILIES), "ipv4"),
        ready_only=reader.parse("ready-only", parse_boolean, False),
        include_terminating=reader.parse("include-terminating", parse_boolean, False),
        source=reader.parse("source", choice("auto", "endpointslices", "endpoints"), "auto"),
        poll_interval=reader.duration("poll-interval"),
        stale_after=reader.duration("stale-after"),
        relist_interval=reader.duration("relist-interval"),
        upstream=reader.parse("upstream", parse_sidecar_url, None),
    )


def _read_gate(reader: Reader) -> GateRules:
    return GateRules(
        expect=reader.parse("expect", parse_count, 1),
        stable=reader.parse("stable", parse_time, 2.0),
        timeout=reader.parse("gate-timeout", parse_time, 120.0),
        on_timeout=reader.parse("on-timeout", choice("start", "fail"), "start"),
        self_ip=reader.parse("self-ip", parse_address, None),
    )


def _read_setup(reader: Reader, self_ip: str | None) -> Setup:
    standard: int | str = 4000
    return Setup(
        self_ip=self_ip,
        port=reader.parse("port", parse_port, standard),
        cluster_name=reader.parse("cluster-name", parse_cluster_name, None),
        hazelcast_version=reader.parse("hazelcast-version", parse_version, None),
        hazelcast_rest=reader.parse("hazelcast-rest", choice("off", "read", "write"), "off"),
    )


def _check_every(services: Sequence[str], options: Options, outputs: Sequence[Output]) -> list[str]:
    """What does not go with every Service of a namespace, or with another sidecar's list."""
    problems = []
    every = any(item.rpartition("/")[2] == EVERY for item in services)
    if options.upstream and every:
        problems.append(f"--upstream: {EVERY} is every Service, which another sidecar does not name; name them")
    if options.upstream and needs_services(outputs):
        problems.append("--upstream: haproxy needs the Services themselves, which another sidecar does not have")
    mixing = [output.format for output in outputs if not needs_services((output,))]
    if mixing and every:
        problems.append(f"--services: {EVERY} is every Service, which {mixing[0]} would take for one cluster")
    return problems


def _find_server(
    reader: Reader, environ: Environ, namespace: str | None, *, skip_verify: bool, offline: bool
) -> ApiServer:
    """The API server and who we are to it; what is wrong is noted."""
    token_file = reader.parse("token-file", parse_file, None)
    ca_file = reader.parse("ca-file", parse_file, None)
    before = len(reader.problems)
    url = reader.parse("server", parse_url, None)
    kubeconfig = reader.parse("kubeconfig", parse_file, None)
    if len(reader.problems) > before or offline:  # that there is none follows from what is noted
        return ApiServer("")
    try:
        return connect(
            url,
            token=None if reader.is_ours("token-file") else (environ.get(TOKEN) or "").strip() or None,
            token_file=token_file,
            username=environ.get(USERNAME) or None,
            password=environ.get(PASSWORD) or None,
            ca_file=ca_file,
            insecure_skip_tls_verify=skip_verify,
            kubeconfig=kubeconfig,
            context=reader.text("context"),
            namespace=namespace,
            environ=environ,
        )
    except SettingsError as error:
        reader.problems += error.problems
        return ApiServer("")


def environment() -> Environ:
    """The environment of this process."""
    return os.environ
