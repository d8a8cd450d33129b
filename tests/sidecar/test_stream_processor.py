"""examples/stream-processor as written: the sidecar with the arguments of worker.yaml keeps the managers' list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from membership.testing import FakeKube, Pod
from tests.running import Command, Sidecar, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "stream-processor"
MANAGERS = [Pod("10.244.0.7", "wso2sp-manager-0"), Pod("10.244.0.8", "wso2sp-manager-1", ready=False)]
TARGET = "server-volume/tree/conf/worker/deployment.yaml"


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        server.set_service("wso2", "wso2sp-manager", MANAGERS, ports={"https": 9443})
        yield server


def pod_spec() -> Any:
    return yaml.safe_load((EXAMPLE / "worker.yaml").read_text())["spec"]["template"]["spec"]


def arguments(folder: Path) -> list[str]:
    """Those of worker.yaml, with its mounts below `folder`."""
    texts: list[str] = pod_spec()["initContainers"][0]["args"]
    for mount in ("/templates", "/server-volume"):
        texts = [text.replace(mount, f"{folder}{mount}") for text in texts]
    return texts


def managers(content: str) -> list[tuple[str, int]]:
    config = yaml.safe_load(content)["deployment.config"]
    assert config["type"] == "distributed" and config["httpsInterface"]["host"] == "${env:NODE_IP}"
    found = config["resourceManagers"]
    assert all((one["username"], one["password"]) == ("${env:SP_USERNAME}", "${env:SP_PASSWORD}") for one in found)
    return [(one["host"], one["port"]) for one in found]


def test_the_sidecar_with_the_arguments_of_the_manifest(kube: FakeKube, tmp_path: Path) -> None:
    for name in ("templates", "server-volume/tree", "server-volume/staging"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "templates/deployment.yaml.j2").write_bytes((EXAMPLE / "deployment.yaml.j2").read_bytes())
    target = tmp_path / TARGET
    with Sidecar(kube, *arguments(tmp_path), services=None) as sidecar:
        until(lambda: sidecar.get("/startupz").status == 200, 10, "the gate")
        assert managers(target.read_text()) == [("10.244.0.7", 9443), ("10.244.0.8", 9443)]
        kube.set_service("wso2", "wso2sp-manager", [*MANAGERS, Pod("10.244.0.9")], ports={"https": 9443})
        until(lambda: len(managers(target.read_text())) == 3, what="the third manager")
        kube.set_service("wso2", "wso2sp-manager", [], ports={"https": 9443})
        sidecar.wait_log("has no address")
        assert len(managers(target.read_text())) == 3


def test_the_command_of_the_readme(kube: FakeKube) -> None:
    line = next(line for line in (EXAMPLE / "README.md").read_text().splitlines() if line.startswith("    membership "))
    words = [str(EXAMPLE / Path(word).name) if word.endswith(".j2") else word for word in line.split()[1:]]
    command = Command(*words, "--server", kube.url)
    assert command.result() == 0
    assert managers(command.output) == [("10.244.0.7", 9443), ("10.244.0.8", 9443)]


def test_what_the_server_mounts_is_where_the_sidecar_writes() -> None:
    spec = pod_spec()
    (sidecar,), (server,) = spec["initContainers"], spec["containers"]
    mount = {entry["name"]: entry for entry in server["volumeMounts"]}["server-volume"]
    assert mount["subPath"] == "tree" and any("/server-volume/tree/conf/worker/" in text for text in sidecar["args"])
    assert {entry["name"] for entry in sidecar["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert "token" not in [entry["name"] for entry in server["volumeMounts"]]
