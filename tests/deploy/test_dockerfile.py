"""What hadolint says of the Dockerfile, and what an image of ours must be besides."""

import configparser
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from deploy.image.build_root import HOME, LOCK, PACKAGE, PROGRAMS, PYTHON
from tests.deploy.conftest import ROOT
from tests.running import BIN

KNOWN = set("ARG FROM LABEL COPY ADD ENV RUN USER WORKDIR EXPOSE ENTRYPOINT CMD HEALTHCHECK VOLUME SHELL".split())


def parse(text: str) -> list[tuple[str, str]]:
    """Instruction and words, line ends joined, comments gone."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


DOCKERFILE = parse((ROOT / "Dockerfile").read_text())


def words(name: str, of: Sequence[tuple[str, str]] = tuple(DOCKERFILE)) -> list[str]:
    return [rest for instruction, rest in of if instruction == name]


def last_stage() -> list[tuple[str, str]]:
    starts = [number for number, (instruction, _) in enumerate(DOCKERFILE) if instruction == "FROM"]
    return DOCKERFILE[starts[-1] :]


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_hadolint_would_find_something() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("USER 10001:0", "USER root")
    done = subprocess.run([BIN / "hadolint", "-"], input=text, capture_output=True, text=True)
    assert done.returncode != 0 and "DL3002" in done.stdout


def test_it_is_read() -> None:
    assert {instruction for instruction, _ in DOCKERFILE} <= KNOWN
    assert len(words("FROM")) == 2


def test_the_base_is_slim_and_pinned_by_tag_and_digest() -> None:
    base = words("ARG")[0]
    assert re.fullmatch(r"BASE=[a-z.]+/library/python:3\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)
    assert words("FROM") == ["${BASE} AS build", "${BASE}"]


def test_the_base_has_the_minor_version_that_the_tests_run() -> None:
    assert f"python:{sys.version_info.major}.{sys.version_info.minor}-slim" in words("ARG")[0]


def test_stages_are_named_once_and_copied_from_by_name() -> None:
    assert words("COPY") == [". .", "--from=build /image/ /"]


def test_no_shell_is_run() -> None:
    for line in (*words("RUN"), *words("ENTRYPOINT"), *words("CMD")):
        assert line.startswith("[") and '"sh"' not in line and '"-c"' not in line, line


def test_folders_are_absolute_and_nothing_is_fetched() -> None:
    assert all(line.startswith("/") for line in words("WORKDIR"))
    assert words("ADD") == []


def test_the_last_user_is_a_number_that_is_not_root() -> None:
    assert words("USER", last_stage()) == ["10001:0"]


def test_one_entrypoint_and_no_health_check() -> None:  # Kubernetes has probes
    assert words("ENTRYPOINT") == [f'["/{HOME}/bin/membership-sidecar"]']
    assert words("CMD") == words("HEALTHCHECK") == words("VOLUME") == []
    assert "membership-sidecar" in PROGRAMS and words("EXPOSE") == ["4080"]


def test_labels_are_valid_and_the_version_is_ours() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    labels = dict(re.findall(r'(org\.opencontainers\.image\.[a-z]+)="([^"]*)"', words("LABEL")[0]))
    assert labels["org.opencontainers.image.version"] == setup["metadata"]["version"]
    assert labels["org.opencontainers.image.licenses"] == setup["metadata"]["license"]


@pytest.mark.parametrize("name", [*PACKAGE, LOCK, "deploy/image", "deploy/__init__.py"])
def test_what_the_build_needs_is_sent_to_it(name: str) -> None:
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert f"!{name}" in sent and (ROOT / name).exists()


def test_nothing_else_is_sent_to_it() -> None:
    sent = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert sent[0] == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == {*PACKAGE, LOCK, "deploy/image", "deploy/__init__.py"}
    assert PYTHON == "/usr/local/bin/python3"  # where python:slim has it
