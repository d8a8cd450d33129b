"""The Java examples by themselves: their own tests, what they share, and that one jar is enough."""

import re
import subprocess
from pathlib import Path

import pytest

from testbed.carbon import VERSIONS, find_java, resolve
from tests.e2e.java import EXAMPLES, maven

SCHEME = EXAMPLES / "carbon-membership-scheme"
DISCOVERY = EXAMPLES / "hazelcast-discovery"


@pytest.mark.parametrize("folder", [SCHEME, DISCOVERY], ids=lambda folder: folder.name)
def test_own_tests_pass(folder: Path) -> None:
    output = maven(folder, "verify")
    counts = [int(count) for count in re.findall(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0\n", output)]
    assert counts and all(counts)


def test_shared_classes_are_the_same() -> None:
    """They are copied, so that each example is one folder and one jar that a user can take as it is."""
    for shared in ("src/main/java/membership/sidecar", "src/test/java/membership/sidecar"):
        ours, theirs = SCHEME / shared, DISCOVERY / shared
        names = {path.name for path in theirs.iterdir()}
        assert names and (names == {path.name for path in ours.iterdir()} or shared.startswith("src/test"))
        for name in names:
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_one_class_file_serves_every_carbon(tmp_path: Path) -> None:
    """Compiled against the plugins of each server, it is byte for byte the same."""
    sources = sorted((SCHEME / "src/main/java").rglob("*.java"))
    made: list[dict[str, bytes]] = []
    for version in VERSIONS:
        plugins = resolve(version) / "repository/components/plugins"
        out = tmp_path / version
        javac = str(find_java() / "bin" / "javac")
        classpath = ":".join(str(path) for path in plugins.glob("*.jar"))
        command = [javac, "--release", "8", "-nowarn", "-d", str(out), "-cp", classpath, *map(str, sources)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.append({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.class")})
    assert made[0] == made[1]


def test_nothing_is_bundled() -> None:
    """The jars hold our classes and nothing else."""
    for folder in (SCHEME, DISCOVERY):
        maven(folder, "-DskipTests", "package")
        listed = subprocess.run(
            [find_java() / "bin" / "jar", "tf", folder / "target" / f"{folder.name}-0.1.0.jar"],
            capture_output=True,
            text=True,
            check=True,
        )
        names = [name for name in listed.stdout.split() if not name.endswith("/")]
        assert all(name.startswith(("membership/", "META-INF/")) for name in names), names
