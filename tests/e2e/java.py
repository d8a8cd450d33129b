"""The Java examples, built by Maven; their dependencies come from Maven Central."""

import os
import shutil
import subprocess
from pathlib import Path

from testbed.carbon import find_java

EXAMPLES = Path(__file__).parents[2] / "examples"


def build(example: str) -> Path:
    """The jar of an example, built anew if a source is newer."""
    folder = EXAMPLES / example
    jar = folder / "target" / f"{example}-0.1.0.jar"
    sources = [folder / "pom.xml", *(path for path in (folder / "src" / "main").rglob("*") if path.is_file())]
    if not jar.exists() or jar.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        maven(folder, "-DskipTests", "package")
    return jar


def maven(folder: Path, *arguments: str, timeout: float = 600) -> str:
    """Run Maven in a folder; its output. AssertionError with it if it fails."""
    assert shutil.which("mvn"), "Maven is needed: apt-get install maven"
    environ = {**os.environ, "JAVA_HOME": str(find_java())}
    command = ["mvn", "-B", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(command)} in {folder}:\n{done.stdout[-6000:]}{done.stderr[-1000:]}"
    return done.stdout
