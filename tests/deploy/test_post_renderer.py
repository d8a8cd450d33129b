"""Helm itself, with a chart that makes what the official one makes, and our post-renderer behind it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.manifests import EXAMPLES, KUSTOMIZE, ROOT, build, copy_components, edit, find_tool, parse

RENDERER = ROOT / "deploy/helm/post-renderer"


def make_chart(folder: Path, rendered: str) -> Path:
    (folder / "chart/templates").mkdir(parents=True)
    (folder / "chart/Chart.yaml").write_text("apiVersion: v2\nname: look-alike\nversion: 0.1.0\n")
    (folder / "chart/templates/all.yaml").write_text(rendered)
    return folder / "chart"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "KUSTOMIZE": find_tool("kustomize")}
    return subprocess.run(command, env=environ, capture_output=True, text=True, input="", timeout=120)


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_gives_what_kustomize_gives(tmp_path: Path, example: str) -> None:
    folder = copy_components(tmp_path) / "examples" / example
    chart = make_chart(tmp_path, (folder / "rendered.yaml").read_text())
    (folder / "rendered.yaml").write_text("")  # what helm says counts, and not what lies there
    renderer = ("--post-renderer", RENDERER, "--post-renderer-args", folder)
    done = run(find_tool("helm"), "template", "is", chart, "--namespace", "wso2", *renderer)
    assert done.returncode == 0, done.stderr
    wanted = build(KUSTOMIZE / "examples" / example)
    assert sorted(map(str, parse(done.stdout))) == sorted(map(str, wanted))
    assert {path.name for path in folder.parent.iterdir()} == set(EXAMPLES), "nothing is left behind"


def test_what_kustomize_refuses_helm_refuses(tmp_path: Path) -> None:
    folder = copy_components(tmp_path) / "examples/is-7"
    text = (folder / "rendered.yaml").read_text().replace("volumeMounts:", "other:")
    renderer = ("--post-renderer", RENDERER, "--post-renderer-args", folder)
    done = run(find_tool("helm"), "template", "is", make_chart(tmp_path, text), *renderer)
    assert done.returncode != 0 and "volumeMounts" in done.stderr
    assert {path.name for path in folder.parent.iterdir()} == set(EXAMPLES), "nothing is left behind"


def test_a_folder_that_is_no_kustomization_is_refused(tmp_path: Path) -> None:
    done = run(RENDERER, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_name_that_no_setting_has_is_refused(tmp_path: Path) -> None:
    folder = copy_components(tmp_path / "deploy") / "examples/is-7"
    shutil.copytree(RENDERER.parent, tmp_path / "deploy/helm")
    shutil.copy(RENDERER.parent.parent / "settings.schema.json", tmp_path / "deploy")
    edit(folder / "kustomization.yaml", "MEMBERSHIP_EXPECT=2", "MEMBERSHIP_EXPEKT=2")
    chart = make_chart(tmp_path, (folder / "rendered.yaml").read_text())
    renderer = ("--post-renderer", tmp_path / "deploy/helm/post-renderer", "--post-renderer-args", folder)
    done = run(find_tool("helm"), "template", "is", chart, *renderer)
    assert done.returncode != 0 and "no such setting: MEMBERSHIP_EXPEKT; " in done.stderr
    assert done.stdout == ""
    assert {path.name for path in folder.parent.iterdir()} == set(EXAMPLES), "nothing is left behind"


def test_a_kustomize_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = copy_components(tmp_path) / "examples/is-7"
    environ = {"PATH": os.environ["PATH"], "KUSTOMIZE": "/nowhere/kustomize"}
    done = subprocess.run([RENDERER, folder], env=environ, capture_output=True, text=True, input="")
    assert (done.returncode, done.stdout) == (2, "") and "'/nowhere/kustomize', which is no program" in done.stderr
