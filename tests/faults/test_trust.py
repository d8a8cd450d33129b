"""F9, and whom else we do not talk to: certificates of nobody we trust, redirects."""

from __future__ import annotations

import gc
import select
import socket
import struct
import warnings
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from membership import Membership, MembershipTimeout
from membership.testing import FakeKube
from membership.transport import Tls
from tests.faults.stage import following, heals, kept, server_of, unhurried
from tests.running import HOST, Command, Sidecar, clean_environ, pods, until


class Authority:
    """A CA, and a server certificate of it, in files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        authority = trustme.CA()
        self.ca, self.pem = folder / "ca.crt", str(folder / "server.pem")
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(self.pem)

    @property
    def tls(self) -> tuple[str, str]:
        return self.pem, self.pem


def test_f09_ca_rotated_in_place(tmp_path: Path) -> None:
    """F9, the server has a new certificate: tell it and keep the list; the CA file is read for each connection."""
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    with FakeKube(tls=old.tls) as kube:
        kube.set_service("wso2", "is", pods(2))
        ca = tmp_path / "ca.crt"
        ca.write_bytes(old.ca.read_bytes())
        with following(kube, "--ca-file", str(ca)) as sidecar:
            kube.tls = new.tls
            kube.cut_watches()
            line = sidecar.wait_log("certificate")
            assert kube.url in line and "watch endpointslices" in line
            kept(sidecar)
            ca.write_bytes(new.ca.read_bytes())
            heals(kube, sidecar, 15)
            assert sidecar.count("certificate") == 1


@pytest.mark.parametrize("ca", ["another", "system", "garbage"])
def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path, ca: str) -> None:
    ours, another = Authority(tmp_path / "ours"), Authority(tmp_path / "another")
    garbage = tmp_path / "garbage"
    garbage.write_text("no certificate")
    flags = {"another": ("--ca-file", str(another.ca)), "system": (), "garbage": ("--ca-file", str(garbage))}[ca]
    with FakeKube(tls=ours.tls) as kube:
        kube.set_service("wso2", "is", pods(2))
        environ = clean_environ(KUBERNETES_API_SERVER_TOKEN="never-sent")
        with Sidecar(kube, *flags, environ=environ) as sidecar:
            line = sidecar.wait_log(f"{kube.url}.*list endpointslices")
            assert ca == "garbage" or "certificate" in line
            assert sidecar.get("/members").status == 503
            assert sidecar.get("/livez").status == 200
        command = Command(
            "list", "--server", kube.url, "--services", "wso2/is", "--timeout", "400ms", *flags, environ=environ
        )
        assert command.result() == 6, command.log
        assert kube.requests == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    authority.issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with FakeKube(tls=(f"{tmp_path}/server.pem", f"{tmp_path}/server.pem")) as kube:
        with closing(Membership(server_of(kube, ca_file=tmp_path / "ca.crt"), ["wso2/is"])) as membership:
            membership.start()
            until(lambda: membership.problem, what="the first answer")
            with pytest.raises(MembershipTimeout, match="certificate"):
                membership.wait(0, 0.4)
        assert kube.requests == []


def test_a_connection_that_is_reset_before_its_handshake_is_closed() -> None:
    """By us, and not when the garbage is collected."""
    with socket.create_server((HOST, 0)) as listener, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        select.select([ours], [], [], 10)
        with pytest.raises(ConnectionResetError):
            Tls().context().wrap_socket(ours, server_hostname=HOST, do_handshake_on_connect=False)
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


def test_redirects_are_not_followed_and_tokens_not_passed_on(kube: FakeKube) -> None:
    kube.fault("redirect")
    with closing(Membership(server_of(kube, token="secret"), ["wso2/is"])) as membership:
        membership.start()
        until(lambda: membership.problem, what="the first answer")
        with pytest.raises(MembershipTimeout, match="redirect"):
            membership.wait(0, 0.5)
    unhurried(kube)
