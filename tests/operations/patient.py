"""A pod in which all is well, to be broken: an API server with TLS and a token, members, a volume, a home, settings.

The doctor runs in the test's process, which gives the same answer as a process of its own for 0.2 s less.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import random
import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trustme

from membership import cli
from membership.testing import FakeKube, Pod
from tests.running import HOST, clean_environ

PORT = random.randrange(15000, 30000)
BLOCKS = iter(random.sample([f"127.{b}.{c}" for b in range(20, 99) for c in range(250)], 200))
ISSUER = "https://kubernetes.default.svc.cluster.local"
DOMAIN = "wso2.test.domain"
SECRET = "c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
TOML = """[clustering]
membership_scheme = "wka"
domain = "{domain}"
local_member_host = "{own}"
local_member_port = "{port}"
members = [{members}]
"""
AXIS2 = """<?xml version="1.0" encoding="UTF-8"?>
<axisconfig name="AxisJava2.0">
    <clustering class="org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent" enable="true">
        <parameter name="membershipScheme">wka</parameter>
        <parameter name="domain">wso2.test.domain</parameter>
        <parameter name="localMemberHost">{own}</parameter>
        <parameter name="localMemberPort">{port}</parameter>
        <members>{members}
        </members>
    </clustering>
</axisconfig>
"""


def make_token(**claims: Any) -> str:
    """A service account token; its signature is a word that must never be seen."""
    now = int(time.time())
    payload = {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": "system:serviceaccount:wso2:membership",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 3600,
    } | claims
    parts = ({"alg": "RS256"}, {name: value for name, value in payload.items() if value is not None})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, SECRET))


class Member:
    """A member port: REST as Hazelcast 5.3 has it. `answer`: rest, joining, off, html; may change at any time."""

    def __init__(self, host: str, sees: Sequence[str], port: int = PORT) -> None:
        self.host, self.sees, self.port = host, list(sees), port
        self.answer, self.version, self.name = "rest", "5.3.6", DOMAIN
        self._listener = socket.create_server((host, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                request = _receive(sock)
                if self.answer != "off" and request:
                    sock.sendall(self._reply(request))

    def _reply(self, request: str) -> bytes:
        path = request.split()[1]
        if self.answer == "html":
            return _http(200, b"<html>")
        if path.endswith("/ready"):
            return _http(503 if self.answer == "joining" else 200, b"")
        if path.endswith("/state"):
            right = request.rpartition("\r\n\r\n")[2].partition("&")[0] == self.name
            return _http(200, b'{"status":"success"}') if right else _http(403, b'{"status":"fail"}')
        members = [
            {
                "address": f"[{host}]:{self.port}",
                "localMember": host == self.host,
                "uuid": f"uuid-{host}",
                "memberVersion": self.version,
            }
            for host in self.sees
        ]
        return _http(200, json.dumps({"members": members}).encode())


def _receive(sock: socket.socket) -> str:
    """A whole request: head and body come one after the other. Empty where the client only looked who is there."""
    request = b""
    while part := sock.recv(65536):
        request += part
        head, end, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return request.decode("latin-1")


def _http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


@dataclass(frozen=True)
class Report:
    """What the doctor said, and how it ended."""

    code: int
    findings: tuple[Mapping[str, str], ...]
    raw: str

    def codes(self, *severities: str) -> set[str]:
        return {one["code"] for one in self.findings if not severities or one["severity"] in severities}

    def evidence(self, code: str) -> str:
        return "\n".join(one["evidence"] for one in self.findings if one["code"] == code)

    def fix(self, code: str) -> str:
        return "\n".join(one["fix"] for one in self.findings if one["code"] == code)


class Patient:
    """The pod. Whatever is changed before `examine` is what is wrong with it."""

    def __init__(self, kube: FakeKube, authority: trustme.CA, folder: Path) -> None:
        self.kube, self.authority, self.folder = kube, authority, folder
        block = next(BLOCKS)
        self.hosts = [f"{block}.1", f"{block}.2"]
        self.own = self.hosts[0]
        self.ca, self.token_file = folder / "ca.crt", folder / "token"
        authority.cert_pem.write_to_path(self.ca)
        self.token = make_token()
        self.give_token(self.token)
        self.publish()
        self.members = [Member(host, self.hosts) for host in self.hosts]
        self.source, self.tree, self.staging = folder / "source.toml", folder / "volume/tree", folder / "volume/staging"
        self.home = folder / "home"
        self.staging.mkdir(parents=True)
        self.target = self.tree / "repository/conf/deployment.toml"
        self.config = self.home / "repository/conf/deployment.toml"
        self.toml = TOML.format(
            own=self.own, port=PORT, domain=DOMAIN, members=", ".join(f'"{host}:{PORT}"' for host in self.hosts)
        )
        for path in (self.source, self.target, self.config):
            self.write(path, self.toml)
        self.environ: dict[str, str] = {}
        self.flags: dict[str, str | None] = {
            "services": "wso2/is",
            "server": kube.url,
            "token-file": str(self.token_file),
            "ca-file": str(self.ca),
            "product": "is-7.1",
            "port": str(PORT),
            "self-ip": self.own,
            "cluster-name": DOMAIN,
            "out": f"product:{self.source}:{self.tree}/",
            "staging": str(self.staging),
            "carbon-home": str(self.home),
            "timeout": "6s",
        }

    def close(self) -> None:
        for member in self.members:
            member.close()

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for one in (path, *path.parents[: len(path.relative_to(self.folder).parts) - 1]):
            one.chmod(0o644 if one == path else 0o755)

    def configure(self, old: str, new: str) -> None:
        """Change the file in Carbon's home, and there alone."""
        assert old in self.toml
        self.write(self.config, self.toml.replace(old, new))

    def look_at_axis2(self, product: str, conf: str, old: str = "", new: str = "") -> None:
        """A server of the axis2.xml kind, with something changed in its home."""
        members = [f"<member><hostName>{host}</hostName><port>{PORT}</port></member>" for host in self.hosts]
        text = AXIS2.format(own=self.own, port=PORT, members="".join(f"\n            {one}" for one in members))
        assert old in text
        source, target = self.folder / "axis2.xml", self.home / conf / "axis2/axis2.xml"
        self.write(source, text)
        self.write(target, text.replace(old, new))
        self.flags |= {"product": product, "out": None, "staging": None}

    def give_token(self, token: str) -> None:
        """To the pod and to the API server."""
        self.token = token
        self.token_file.write_text(token)
        self.kube.token = token

    def pods(self, **changes: Any) -> list[Pod]:
        return [Pod(host, f"is-{number}", **changes) for number, host in enumerate(self.hosts)]

    def publish(self, pods: Sequence[Pod] | None = None, **given: Any) -> None:
        options: dict[str, Any] = {"ports": {"hazelcast": PORT}, "headless": True, "publish_not_ready": True} | given
        self.kube.set_service("wso2", "is", self.pods() if pods is None else list(pods), **options)

    def arguments(self) -> list[str]:
        words = [(f"--{flag}", value) for flag, value in self.flags.items() if value is not None]
        return ["doctor", *itertools.chain.from_iterable(words)]

    def run(self, *more: str) -> tuple[int, str]:
        output, log = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
        with (
            patch.dict(os.environ, clean_environ(**self.environ), clear=True),
            redirect_stdout(output),
            redirect_stderr(log),
        ):
            code = cli.run([*self.arguments(), *more])
        assert log.getvalue() == "", log.getvalue()
        written = output.detach()
        assert isinstance(written, io.BytesIO)
        return code, written.getvalue().decode()

    def examine(self) -> Report:
        code, output = self.run("--output", "json")
        answer = json.loads(output)
        assert answer["exit_code"] == code
        return Report(code, tuple(answer["findings"]), output)


def certificate(authority: trustme.CA, folder: Path, host: str = HOST, **given: Any) -> tuple[str, str]:
    pem = str(folder / f"server-{host}.pem")
    authority.issue_cert(host, **given).private_key_and_cert_chain_pem.write_to_path(pem)
    return pem, pem
