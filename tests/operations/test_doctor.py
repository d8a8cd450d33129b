"""`membership doctor`: each thing there is to go wrong, broken in turn in a pod in which all is well.

A case names all errors and warnings that its fault leads to: what is not broken must not be blamed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from membership.doctor.catalogue import CATALOGUE, find
from membership.doctor.examination import examine_all
from membership.doctor.findings import AREAS, Finding
from membership.doctor.service import judge_service
from membership.doctor.situation import Limit, Situation, read_leniently
from membership.doctor.token import examine_token
from membership.doctor.visit import EXAMINATIONS
from membership.doctor_command import TABLE
from membership.testing import FakeKube, Pod
from membership.transport import Interrupt
from tests.running import HOST, Command, Sidecar, clean_environ, refused_port, silent_listener, until
from tests.operations.patient import DOMAIN, PORT, SECRET, Patient, Report, certificate, make_token


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return certificate(authority, tmp_path_factory.mktemp("tls"))


@contextmanager
def admitted(authority: trustme.CA, tls: tuple[str, str], folder: Path) -> Iterator[Patient]:
    with FakeKube(tls=tls) as kube:
        found = Patient(kube, authority, folder)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def patient(authority: trustme.CA, tls: tuple[str, str], tmp_path: Path) -> Iterator[Patient]:
    with admitted(authority, tls, tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def well(authority: trustme.CA, tls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What is said of a pod in which all is well."""
    with admitted(authority, tls, tmp_path_factory.mktemp("well")) as found:
        return found.examine()


def test_a_pod_in_which_all_is_well(well: Report) -> None:
    assert well.code == 0 and not well.codes("error", "warning"), well.raw
    assert well.codes("ok") == {f"{area}.ok" for area in AREAS} == {f"{area}.ok" for area in EXAMINATIONS}
    assert well.codes("information") == {"token.claims", "files.copies"}
    assert "HOME/repository/conf/deployment.toml" in well.evidence("files.copies")
    assert "https://kubernetes.default.svc.cluster.local" in well.evidence("token.claims")


Break = Callable[[Patient, ExitStack], None]


@dataclass(frozen=True)
class Case:
    name: str
    break_it: Break
    code: int
    grave: frozenset[str]
    """All errors and warnings."""
    also: frozenset[str]
    """Of the information."""
    seen: str
    """What the evidence has."""


CASES: list[Case] = []


def case(code: int, grave: str = "", also: str = "", seen: str = "") -> Callable[[Break], Break]:
    """What a function breaks, and all that must come of it."""

    def register(break_it: Break) -> Break:
        CASES.append(Case(break_it.__name__, break_it, code, frozenset(grave.split()), frozenset(also.split()), seen))
        return break_it

    return register


def skipped(*areas: str) -> str:
    return " ".join(f"{area}.skipped" for area in areas)


# settings


@case(2, "settings.wrong", seen="--stable: 'soon'")
def wrong_setting(patient: Patient, _: ExitStack) -> None:
    patient.flags["stable"] = "soon"


@case(
    2, "settings.wrong own.loopback", skipped("rbac", "service", "slices", "hazelcast", "files"), "--services: required"
)
def no_services(patient: Patient, _: ExitStack) -> None:
    patient.flags["services"] = None


@case(2, "settings.wrong own.loopback", skipped("dns", "tcp", "tls", "server", "token"), "no API server")
def no_server(patient: Patient, _: ExitStack) -> None:
    patient.flags["server"] = None


@case(2, "settings.wrong", seen="does not exist")
def missing_source(patient: Patient, _: ExitStack) -> None:
    patient.source.unlink()


@case(0, also="settings.ignored", seen="USE_DNS")
def variables_of_the_old_scheme(patient: Patient, _: ExitStack) -> None:
    patient.environ["USE_DNS"] = "false"


# the way to the API server


@case(6, "dns.unresolved", skipped("tcp", "tls", "server", "token", "rbac", "service", "slices"), "nameserver")
def unknown_name(patient: Patient, _: ExitStack) -> None:
    patient.flags["server"] = "https://kubernetes.invalid:6443"


@case(6, "tcp.refused", skipped("tls", "server", "token", "rbac", "service", "slices", "own", "hazelcast"), "refused")
def nobody_listens(patient: Patient, _: ExitStack) -> None:
    patient.kube.stop_listening()


@case(6, "tcp.silent", skipped("tls", "server"), "no answer within")
def packets_are_dropped(patient: Patient, stack: ExitStack) -> None:
    patient.flags |= {"server": stack.enter_context(silent_listener()).replace("http", "https"), "timeout": "1500ms"}


@case(6, "tcp.unreachable", skipped("tls", "server"))
def no_way(patient: Patient, _: ExitStack) -> None:
    patient.flags["server"] = "https://255.255.255.255:6443"


def plain_kube(patient: Patient, stack: ExitStack) -> FakeKube:
    kube = stack.enter_context(FakeKube(token=patient.token))
    kube.set_service("wso2", "is", patient.pods(), ports={"hazelcast": PORT}, headless=True, publish_not_ready=True)
    return kube


@case(5, "tls.unencrypted", seen="http://")
def no_encryption(patient: Patient, stack: ExitStack) -> None:
    patient.flags["server"] = plain_kube(patient, stack).url


@case(5, "tls.unverified", seen="--insecure-skip-tls-verify")
def no_verification(patient: Patient, _: ExitStack) -> None:
    patient.flags |= {"insecure-skip-tls-verify": "true", "ca-file": None}


@case(6, "tls.untrusted", skipped("server", "token", "rbac", "service", "slices"), "ca.crt")
def another_authority(patient: Patient, _: ExitStack) -> None:
    trustme.CA().cert_pem.write_to_path(patient.ca)


@case(6, "tls.name", skipped("server"), "127.0.0.1")
def another_name(patient: Patient, _: ExitStack) -> None:
    patient.kube.tls = certificate(patient.authority, patient.folder, "elsewhere.example")


@case(6, "tls.expired", skipped("server"), "expired")
def certificate_has_expired(patient: Patient, _: ExitStack) -> None:
    at = datetime.now(timezone.utc) - timedelta(days=1)
    patient.kube.tls = certificate(patient.authority, patient.folder, not_after=at)


@case(5, "tls.ends-soon", seen="GMT")
def certificate_ends_soon(patient: Patient, _: ExitStack) -> None:
    at = datetime.now(timezone.utc) + timedelta(days=2)
    patient.kube.tls = certificate(patient.authority, patient.folder, not_after=at)


@case(6, "tls.ca-file", skipped("server"), "ca.crt")
def garbage_for_authorities(patient: Patient, _: ExitStack) -> None:
    patient.ca.write_text("no certificate")


@case(2, "settings.wrong tls.ca-file", seen="--ca-file")
def no_file_of_authorities(patient: Patient, _: ExitStack) -> None:
    patient.ca.unlink()


@case(6, "tls.broken", skipped("server"))
def no_tls_there(patient: Patient, stack: ExitStack) -> None:
    patient.flags |= {"server": plain_kube(patient, stack).url.replace("http", "https"), "timeout": "1500ms"}


@case(6, "server.strange", skipped("token", "rbac", "service"), "/version")
def a_login_page(patient: Patient, _: ExitStack) -> None:
    patient.kube.fault("html", on="other")


@case(6, "server.fault", skipped("token", "rbac", "service"), "503")
def server_is_ill(patient: Patient, _: ExitStack) -> None:
    patient.kube.fault("status", on="other", code=503)


@case(6, "server.silent", skipped("token", "rbac", "service"), "no answer in time")
def server_hangs(patient: Patient, _: ExitStack) -> None:
    patient.kube.fault("hang", on="other")
    patient.flags["timeout"] = "1500ms"


@case(6, "tls.broken", skipped("server", "token", "rbac", "service", "slices"), "no answer to the handshake")
def black_hole(patient: Patient, _: ExitStack) -> None:
    patient.kube.stall()
    patient.flags["timeout"] = "1500ms"


# token


@case(4, "token.none", skipped("rbac", "slices"), "no token file")
def no_token(patient: Patient, _: ExitStack) -> None:
    patient.flags["token-file"] = None


@case(2, "settings.wrong token.unreadable", seen="--token-file")
def no_token_file(patient: Patient, _: ExitStack) -> None:
    patient.token_file.unlink()


@case(4, "token.unreadable", seen="it is empty")
def empty_token(patient: Patient, _: ExitStack) -> None:
    patient.token_file.write_text("\n")


@case(4, "token.unreadable", skipped("rbac", "slices"), "it is not text")
def token_that_is_no_text(patient: Patient, _: ExitStack) -> None:
    patient.token_file.write_bytes(b"\xff\xfe\x00")


@case(4, "token.unreadable", skipped("rbac", "slices"), "white space inside")
def two_tokens_in_the_file(patient: Patient, _: ExitStack) -> None:
    patient.token_file.write_text(f"{patient.token}\n{patient.token}\n")


@case(4, "token.expired", seen="2 min ago")
def expired_token(patient: Patient, _: ExitStack) -> None:
    patient.give_token(make_token(iat=int(time.time()) - 3720, exp=int(time.time()) - 120))


@case(4, "token.early", seen="in 10 min")
def token_of_the_future(patient: Patient, _: ExitStack) -> None:
    patient.give_token(make_token(nbf=int(time.time()) + 600))


@case(5, "token.ends-soon", seen="of 61 min")
def token_that_is_not_renewed(patient: Patient, _: ExitStack) -> None:
    patient.give_token(make_token(iat=int(time.time()) - 3600, exp=int(time.time()) + 60))


@case(4, "token.refused", skipped("rbac", "service", "slices"), "401")
def token_of_another_cluster(patient: Patient, _: ExitStack) -> None:
    patient.kube.token = "another"


@case(4, "token.audience", skipped("rbac", "service", "slices"), "audience: vault; issuer: https://")
def token_for_another_audience(patient: Patient, _: ExitStack) -> None:
    patient.give_token(make_token(aud=["vault"]))
    patient.kube.token = "another"


@case(0, also="token.opaque")
def token_that_is_no_jwt(patient: Patient, _: ExitStack) -> None:
    patient.give_token("0123456789-opaque")


# rbac


@case(4, "rbac.list", skipped("slices", "own", "files", "hazelcast"), "no list and watch of endpointslices")
def no_list(patient: Patient, _: ExitStack) -> None:
    for resource in ("endpointslices", "endpoints"):
        patient.kube.deny("list", resource)
        patient.kube.deny("watch", resource)


@case(5, "rbac.fallback slices.endpoints", seen="source endpoints")
def no_slices(patient: Patient, _: ExitStack) -> None:
    patient.kube.deny("*", "endpointslices")


@case(5, "rbac.watch", seen="list, and no watch")
def no_watch(patient: Patient, _: ExitStack) -> None:
    patient.kube.deny("watch", "endpointslices")


@case(4, "rbac.services", seen="no list of services")
def no_services_for_haproxy(patient: Patient, _: ExitStack) -> None:
    patient.kube.deny("list", "services")
    patient.write(patient.folder / "out/haproxy.cfg", "\n")
    patient.flags["out"] = f"haproxy:{patient.folder}/out/haproxy.cfg"


# service and slices


@case(0, also="service.unreadable", seen="no get of services")
def services_cannot_be_read(patient: Patient, _: ExitStack) -> None:
    patient.kube.deny("get", "services")


@case(5, "service.missing slices.none own.loopback", "hazelcast.skipped", "wso2/nope")
def no_such_service(patient: Patient, _: ExitStack) -> None:
    patient.flags["services"] = "wso2/nope"


@case(5, "slices.none own.loopback", "service.unreadable hazelcast.skipped", "wso2/nope")
def no_such_service_by_its_slices_alone(patient: Patient, _: ExitStack) -> None:
    patient.kube.deny("get", "services")
    patient.flags["services"] = "wso2/nope"


@case(5, "service.port slices.no-port", "hazelcast.skipped", "has the ports hazelcast")
def no_port_of_this_name(patient: Patient, _: ExitStack) -> None:
    patient.flags["port"] = "members"


@case(0, also="service.other-port", seen="https 9443")
def member_port_is_not_named(patient: Patient, _: ExitStack) -> None:
    patient.publish(ports={"https": 9443})


@case(0, also="service.not-headless", seen="10.96.0.10")
def not_headless(patient: Patient, _: ExitStack) -> None:
    patient.publish(headless=False)


@case(0, also="service.hides-not-ready", seen="wso2/is")
def not_ready_is_hidden(patient: Patient, _: ExitStack) -> None:
    patient.publish(publish_not_ready=False)


@case(5, "slices.empty own.loopback", "hazelcast.skipped", "no address")
def selector_that_matches_nobody(patient: Patient, _: ExitStack) -> None:
    patient.publish([])


@case(5, "slices.family own.loopback", "hazelcast.skipped", "IPv6 address")
def another_family(patient: Patient, _: ExitStack) -> None:
    patient.publish([Pod("fd00::1", "is-0"), Pod("fd00::2", "is-1")])


@case(0, also="slices.left-out", seen="terminating")
def a_pod_that_leaves(patient: Patient, _: ExitStack) -> None:
    patient.publish([*patient.pods(), Pod("127.3.3.3", "is-9", terminating=True)])


@case(0, also="slices.not-serving")
def a_pod_that_starts(patient: Patient, _: ExitStack) -> None:
    patient.publish([patient.pods()[0], Pod(patient.hosts[1], "is-1", ready=False)])


@case(5, "slices.few", seen="2 of 3")
def fewer_than_expected(patient: Patient, _: ExitStack) -> None:
    patient.flags["expect"] = "3"


@case(5, "slices.upstream", "slices.ok", "GET /members")
def no_sidecar_upstream(patient: Patient, stack: ExitStack) -> None:
    patient.flags["upstream"] = f"http://{HOST}:{stack.enter_context(refused_port())}"


# own address: every address is one of loopback here, and told so where it is not in the list


@case(5, "own.unknown carbon.host-loopback", seen="NODE_IP")
def own_address_is_not_said(patient: Patient, _: ExitStack) -> None:
    patient.flags["self-ip"] = None


@case(5, "own.loopback files.outdated hazelcast.closed carbon.host-loopback", seen="127.0.0.1")
def own_address_is_loopback(patient: Patient, _: ExitStack) -> None:
    patient.flags["self-ip"] = None
    patient.environ["NODE_IP"] = "127.0.0.1"


@case(5, "own.foreign own.absent files.outdated hazelcast.closed carbon.host-loopback", seen="in no slice")
def own_address_is_the_nodes(patient: Patient, _: ExitStack) -> None:
    patient.flags["self-ip"] = "192.0.2.7"


@case(5, "own.loopback files.outdated hazelcast.unexpected carbon.members-old")
def labels_do_not_match(patient: Patient, _: ExitStack) -> None:
    patient.publish(patient.pods()[1:])


# files


@case(0, also="files.none")
def no_files_named(patient: Patient, _: ExitStack) -> None:
    patient.flags |= {"out": None, "staging": None}


@case(5, "files.absent", seen="conf has nothing")
def file_was_never_written(patient: Patient, _: ExitStack) -> None:
    patient.target.unlink()


@case(5, "files.not-a-file", seen="is a link")
def link_at_the_target(patient: Patient, _: ExitStack) -> None:
    patient.target.unlink()
    patient.target.symlink_to(patient.config)


@case(5, "files.mode", seen="mode 0600")
def file_is_closed(patient: Patient, _: ExitStack) -> None:
    patient.target.chmod(0o600)


@case(5, "files.mode", seen="mode 0700")
def folder_is_closed(patient: Patient, _: ExitStack) -> None:
    patient.target.parent.chmod(0o700)


@case(5, "files.absent files.unwritable", "carbon.ok", "is no folder")
def folder_cannot_be_made(patient: Patient, _: ExitStack) -> None:
    patient.flags |= {"out": f"lines:{patient.source}/lines", "staging": None}


@case(5, "files.unrendered", seen="source.toml")
def broken_source(patient: Patient, _: ExitStack) -> None:
    patient.write(patient.source, "[clustering\n")


@case(5, "files.outdated carbon.members-old", seen="written")
def old_file(patient: Patient, _: ExitStack) -> None:
    patient.write(patient.target, patient.toml.replace(patient.hosts[1], "127.9.9.9"))


@case(0, also="files.ok")
def a_file_that_lets_the_list_be_pushed(patient: Patient, _: ExitStack) -> None:
    target = patient.tree / "repository/conf/etc/hazelcast.xml"
    flags = ["--out", f"hazelcast-xml:{target}", "--push", "rest", "--cluster-name", DOMAIN, "--port", str(PORT)]
    flags += ["--hazelcast-version", "5.3", "--self-ip", patient.own]
    token = clean_environ(KUBERNETES_API_SERVER_TOKEN=patient.token)
    with Sidecar(patient.kube, *flags, "--ca-file", str(patient.ca), environ=token) as sidecar:
        sidecar.synced()
        until(target.exists, what="the file")
    patient.flags |= {"product": None, "hazelcast-version": "5.3", "push": "rest", "out": f"hazelcast-xml:{target}"}


@case(5, "files.staging", seen="is inside")
def staging_in_the_tree(patient: Patient, _: ExitStack) -> None:
    patient.flags["staging"] = f"{patient.tree}/staging"


@case(5, "files.staging", seen="another file system")
def staging_elsewhere(patient: Patient, _: ExitStack) -> None:
    patient.flags["staging"] = "/proc/self"


@case(5, "files.temporary", seen=".membership-")
def temporary_file_in_the_tree(patient: Patient, _: ExitStack) -> None:
    patient.write(patient.tree / ".membership-deployment.toml-x", "")


@case(5, "files.dots files.absent", seen=".ready")
def nothing_but_dots(patient: Patient, _: ExitStack) -> None:
    shutil.rmtree(patient.tree / "repository")
    patient.write(patient.tree / ".ready", "")


@case(5, "files.dangling", seen="-> /nonexistent")
def link_to_nowhere(patient: Patient, _: ExitStack) -> None:
    (patient.tree / "repository/link").symlink_to("/nonexistent")


# Hazelcast


@case(5, "hazelcast.closed hazelcast.missing", seen="refused")
def member_without_hazelcast(patient: Patient, _: ExitStack) -> None:
    patient.members.pop().close()
    patient.members[0].sees = [patient.own]


@case(0, also="hazelcast.starting hazelcast.forming slices.not-serving", seen="refused")
def member_that_boots(patient: Patient, _: ExitStack) -> None:
    a_pod_that_starts(patient, _)
    patient.members.pop().close()
    patient.members[0].sees = [patient.own]


@case(5, "hazelcast.strange", seen="no member list")
def no_hazelcast_there(patient: Patient, _: ExitStack) -> None:
    patient.members[1].answer = "html"


@case(0, also="hazelcast.rest-off", seen="REST off")
def rest_is_off(patient: Patient, _: ExitStack) -> None:
    patient.flags["cluster-name"] = None
    for member in patient.members:
        member.answer = "off"


@case(5, "slices.no-port hazelcast.unknown", seen="named port")
def one_member_lacks_the_named_port(patient: Patient, _: ExitStack) -> None:
    patient.flags["port"] = "hazelcast"
    patient.kube.put_slice(
        {
            "metadata": {"name": "other", "namespace": "wso2", "labels": {"kubernetes.io/service-name": "is"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.5.5.5"], "targetRef": {"kind": "Pod", "name": "is-5", "uid": "5"}}],
            "ports": [{"name": "another", "port": PORT}],
        }
    )


@case(0, also="hazelcast.forming", seen="joining")
def members_join(patient: Patient, _: ExitStack) -> None:
    for member in patient.members:
        member.answer = "joining"


@case(5, "hazelcast.split")
def two_clusters(patient: Patient, _: ExitStack) -> None:
    for member in patient.members:
        member.sees = [member.host]


@case(5, "hazelcast.unexpected", seen="127.4.4.4")
def member_of_a_lost_node(patient: Patient, _: ExitStack) -> None:
    for member in patient.members:
        member.sees = [*patient.hosts, "127.4.4.4"]


@case(5, "hazelcast.versions", seen="4.2.6")
def two_versions(patient: Patient, _: ExitStack) -> None:
    patient.members[1].version = "4.2.6"


@case(5, "hazelcast.other-version", seen="the settings: 5")
def another_version(patient: Patient, _: ExitStack) -> None:
    for member in patient.members:
        member.version = "4.2.6"


@case(5, "hazelcast.name", seen=DOMAIN)
def another_cluster_name(patient: Patient, _: ExitStack) -> None:
    patient.members[1].name = "wso2.other.domain"


@case(5, "hazelcast.name", seen=DOMAIN)
def another_cluster_name_than_carbons(patient: Patient, _: ExitStack) -> None:
    patient.flags["cluster-name"] = None
    patient.members[1].name = "wso2.other.domain"


# Carbon


@case(0, also="carbon.none files.ok")
def no_configuration(patient: Patient, _: ExitStack) -> None:
    lines = patient.folder / "out/lines"
    patient.write(lines, "".join(f"{host}:{PORT}\n" for host in patient.hosts))
    patient.flags |= {"carbon-home": None, "staging": None, "out": f"lines:{lines}"}


@case(5, "carbon.unreadable", seen="not TOML")
def broken_configuration(patient: Patient, _: ExitStack) -> None:
    patient.configure("[clustering]", "[clustering")


@case(5, "carbon.off", seen="scheme none")
def clustering_is_off(patient: Patient, _: ExitStack) -> None:
    patient.configure('membership_scheme = "wka"\n', "")


@case(5, "carbon.scheme", seen="scheme kubernetes")
def another_scheme(patient: Patient, _: ExitStack) -> None:
    patient.configure('"wka"', '"kubernetes"')


@case(5, "carbon.host-empty")
def empty_local_host(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'"{patient.own}"\n', '""\n')


@case(5, "carbon.host-empty", seen="axis2.xml")
def empty_local_host_in_axis2(patient: Patient, _: ExitStack) -> None:
    patient.look_at_axis2("ei-6.6", "conf", f'Host">{patient.own}<', 'Host"><')
    patient.flags["product"] = None


@case(5, "carbon.host-absent")
def no_local_host(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'local_member_host = "{patient.own}"\n', "")


@case(5, "carbon.host-loopback", seen="127.0.0.1")
def local_host_is_loopback(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'host = "{patient.own}"', 'host = "127.0.0.1"')


@case(0, also="carbon.host-variable", seen="$env{NODE_IP}")
def local_host_is_a_variable(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'host = "{patient.own}"', 'host = "$env{NODE_IP}"')


@case(0, also="files.ok")
def local_host_is_a_name(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'host = "{patient.own}"', 'host = "is-0.is-headless"')


@case(0, also="files.ok")
def a_scheme_that_asks_the_sidecar(patient: Patient, _: ExitStack) -> None:
    patient.configure('"wka"', '"sidecar"')


@case(0, also="files.ok")
def a_domain_that_is_a_variable(patient: Patient, _: ExitStack) -> None:
    patient.flags["cluster-name"] = None
    for path in (patient.source, patient.target, patient.config):
        patient.write(path, patient.toml.replace(DOMAIN, "$env{CLUSTER_DOMAIN}"))


@case(5, "carbon.host-other", seen="10.1.1.1")
def local_host_of_another_pod(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'host = "{patient.own}"', 'host = "10.1.1.1"')


@case(5, "carbon.no-members")
def empty_list(patient: Patient, _: ExitStack) -> None:
    patient.configure(", ".join(f'"{host}:{PORT}"' for host in patient.hosts), "")


@case(5, "carbon.members-old", seen="gone: 127.9.9.9")
def old_list(patient: Patient, _: ExitStack) -> None:
    patient.configure(f', "{patient.hosts[1]}:{PORT}"', f', "127.9.9.9:{PORT}"')


@case(5, "carbon.port", seen="4999")
def another_member_port(patient: Patient, _: ExitStack) -> None:
    patient.configure(f'port = "{PORT}"', 'port = "4999"')


@case(5, "carbon.domain", seen="--cluster-name")
def another_domain(patient: Patient, _: ExitStack) -> None:
    patient.configure(DOMAIN, "wso2.other.domain")


@case(5, "carbon.domain", seen="source.toml wso2.other.domain".split()[1])
def two_domains(patient: Patient, _: ExitStack) -> None:
    patient.flags["cluster-name"] = None
    patient.configure(DOMAIN, "wso2.other.domain")


@case(5, "carbon.overridden", seen="etc/hazelcast.xml")
def another_file_wins(patient: Patient, _: ExitStack) -> None:
    patient.write(patient.home / "repository/conf/etc/hazelcast.xml", "<hazelcast/>")


@case(5, "carbon.regenerated", seen="deployment.toml")
def file_is_made_anew(patient: Patient, _: ExitStack) -> None:
    patient.look_at_axis2("is-5.8", "repository/conf")
    patient.flags |= {
        "product": None,
        "carbon-home": None,
        "out": f"axis2-xml:{patient.folder}/axis2.xml:{patient.home}/repository/conf/axis2/axis2.xml",
    }


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_what_is_broken_is_found_and_nothing_else_blamed(patient: Patient, well: Report, one: Case) -> None:
    with ExitStack() as stack:
        one.break_it(patient, stack)
        report = patient.examine()
    assert report.codes("error", "warning") == one.grave, report.raw
    assert one.also <= report.codes(), report.raw
    assert report.code == one.code, report.raw
    expected = one.grave | one.also
    assert one.seen in "\n".join(report.evidence(code) for code in expected), report.raw
    assert not one.grave & well.codes() and not report.codes("error") & well.codes()
    for found in report.findings:
        assert found["severity"] not in ("error", "warning") or found["fix"] and found["evidence"], found
    assert SECRET not in report.raw and patient.token not in report.raw


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"clusterIP": "None", "publishNotReadyAddresses": True}, "service.no-selector"),
        ({"type": "ExternalName", "externalName": "is.example"}, "service.external"),
    ],
)
def test_services_that_no_selector_fills(spec: dict[str, Any], wanted: str) -> None:
    found = {one.code for one in judge_service("wso2/is", {"spec": spec}, 4000)}
    assert wanted in found
    filled = {**spec, "type": "ClusterIP", "selector": {"app": "is"}}
    assert wanted not in {one.code for one in judge_service("wso2/is", {"spec": filled}, 4000)}


def test_every_finding_has_a_case(well: Report) -> None:
    named = {code for one in CASES for code in one.grave | one.also} | well.codes()
    assert set(CATALOGUE) - named == {"service.no-selector", "service.external"}, "these two are above"
    assert not {code for code in named if not code.endswith(".skipped")} - set(CATALOGUE)


def test_broken_dns_lets_the_files_be_looked_at(patient: Patient) -> None:
    patient.flags["server"] = "https://kubernetes.invalid:6443"
    patient.target.chmod(0o600)
    patient.configure('"wka"', '"multicast"')
    report = patient.examine()
    assert report.codes("error") == {"dns.unresolved", "files.mode", "carbon.scheme"} and report.code == 6


def test_with_a_list_from_upstream_the_way_to_the_api_server_counts_less(patient: Patient) -> None:
    with ExitStack() as stack:
        token = clean_environ(KUBERNETES_API_SERVER_TOKEN=patient.token)
        shared = Sidecar(plain_kube(patient, stack), "--port", str(PORT), environ=token)
        patient.flags["upstream"] = f"http://{HOST}:{stack.enter_context(shared).synced().port}"
        patient.kube.token = "another"
        report = patient.examine()
    assert report.code == 0 and report.codes("error", "warning") == set(), report.raw
    assert "--upstream" in report.evidence("token.refused") and "(upstream)" in report.evidence("slices.ok")


def test_a_server_that_refuses_is_not_waited_for_until_the_end(patient: Patient) -> None:
    patient.kube.stop_listening()
    patient.flags["timeout"] = "30s"
    began = time.monotonic()
    assert patient.examine().code == 6
    assert time.monotonic() - began < 15.0


def test_the_role_that_is_missing_is_printed(patient: Patient) -> None:
    patient.kube.deny("watch", "endpointslices")
    fix = patient.examine().fix("rbac.watch")
    assert (
        "kind: Role\n" in fix
        and 'resources: ["endpointslices"]' in fix
        and "name: membership\n  namespace: wso2" in fix
    )


def test_text_names_the_gravest_first_with_evidence_and_fix(patient: Patient) -> None:
    patient.flags["expect"] = "3"
    patient.target.chmod(0o600)
    code, text = patient.run()
    lines = text.splitlines()
    assert code == 5 and lines[0] == "1 error, 1 warning; begin with the first"
    assert lines[1].startswith("error       files.mode: ") and lines[2].startswith("  evidence: /")
    assert lines[3].startswith("  fix: chmod 0644") and lines[4].startswith("warning     slices.few: ")
    assert sum(line.startswith("ok ") for line in lines) == 13
    assert SECRET not in text
    assert patient.run("--fail-on", "error")[0] == 5


def test_yaml_is_what_json_is(patient: Patient) -> None:
    patient.flags["expect"] = "3"
    as_json, as_yaml = (patient.run("--output", format)[1] for format in ("json", "yaml"))
    found = yaml.safe_load(as_yaml)
    assert (found["worst"], found["exit_code"]) == ("warning", 5) and found["counts"]["warning"] == 1
    assert [one["code"] for one in found["findings"]] == [one["code"] for one in json.loads(as_json)["findings"]]


def test_warnings_alone_may_pass(patient: Patient) -> None:
    patient.flags["expect"] = "3"
    assert (patient.run()[0], patient.run("--fail-on", "error")[0]) == (5, 0)


def test_what_we_may_not_look_at_is_told_as_that(authority: trustme.CA) -> None:
    """As somebody else than root, whom nothing keeps out; pytest's own folder is closed to others."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        patient = stack.enter_context(admitted(authority, certificate(authority, folder), folder))
        assert patient.examine().code == 0, "and all modules are imported, from a Python that is closed to others"
        for folder in (patient.tree.parent, patient.home):
            folder.chmod(0)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            report = patient.examine()
        finally:
            os.seteuid(before)
            for folder in (patient.tree.parent, patient.home):
                folder.chmod(0o755)
    assert report.codes("error", "warning") == {"files.mode", "files.denied", "carbon.denied"}, report.raw
    assert {"slices.ok", "own.ok", "hazelcast.ok"} <= report.codes() and report.code == 5


def test_words_that_are_no_settings_are_refused(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="no such setting"):
        patient.run("--nonsense")
    for wrong in ("--format=xml", "--timeout=0s", "--fail-on=never"):
        with pytest.raises(AssertionError, match=wrong.partition("=")[0]):
            patient.run(wrong)


def situation() -> Situation:
    given = {"services": "is", "server": f"http://{HOST}:9"}
    environ = clean_environ(KUBERNETES_API_SERVER_TOKEN="a-secret-token")
    found = Situation(read_leniently(TABLE, given, environ), environ)
    found.note_secrets()
    return found


def test_none_stops_the_others_and_all_end_in_time() -> None:
    release = threading.Event()

    def hang(situation: Situation, limit: Limit) -> Iterator[Finding]:
        yield find("tcp.ok", "before")
        release.wait(20)
        yield find("tcp.refused", "too late to be told")

    def fail(situation: Situation, limit: Limit) -> Iterator[Finding]:
        yield find("tls.ok", "before")
        raise ZeroDivisionError("a mistake with a-secret-token")

    def work(situation: Situation, limit: Limit) -> Iterator[Finding]:
        yield find("own.ok", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln and https://user:password@host")

    began = time.monotonic()
    try:
        found = examine_all({"tcp": hang, "tls": fail, "own": work}, situation(), 0.5)
    finally:
        release.set()
    assert time.monotonic() - began < 5.0
    assert [one.code for one in found] == ["tcp.ok", "tcp.late", "tls.ok", "tls.bug", "own.ok"]
    texts = {one.code: one.evidence for one in found}
    assert "ZeroDivisionError" in texts["tls.bug"] and "a-secret-token" not in texts["tls.bug"]
    assert texts["own.ok"] == "[secret] and https://[secret]@host"


def test_a_real_process_ends_in_time_with_the_exit_code(patient: Patient) -> None:
    with Command(*patient.arguments()) as command:
        assert command.result() == 0, command.output
        assert command.out[0] == "all is well" and command.err == []
    patient.kube.stall()
    with Command(*patient.arguments(), "--timeout", "1s", "--output", "json") as command:
        assert command.result() == 6, command.output
        assert command.seconds < 8.0 and command.err == []
        assert "tls.broken" in {one["code"] for one in json.loads(command.output)["findings"]}


@pytest.mark.parametrize(("user", "code"), [("kubernetes-admin", "token.ok"), ("system:anonymous", "token.none")])
def test_without_a_token_something_else_may_say_who_we_are(user: str, code: str) -> None:
    """A client certificate, or `kubectl proxy`."""
    answer = json.dumps({"kind": "SelfSubjectReview", "status": {"userInfo": {"username": user}}}).encode()

    class Review(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((HOST, 0), Review) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        given = {"server": f"http://{HOST}:{server.server_port}", "services": "wso2/is"}
        reading = read_leniently(TABLE, given, {})
        limit = Limit(time.monotonic() + 10, Interrupt())
        found = list(examine_token(Situation(reading, {}), limit))
        server.shutdown()
    assert [one.code for one in found] == [code] and (code != "token.ok" or user in found[0].evidence)
