"""The membership scheme that WSO2 shipped for Kubernetes before Carbon 4.7, compiled from its own sources.

    git clone --branch v1.0.11 https://github.com/wso2/kubernetes-common

It is not on Maven Central, and nothing of it is in this repository. Jackson and dnsjava, which it needs, are taken from
Maven Central. The result is one OSGi bundle, as its own build makes it, for `repository/components/dropins`.
"""

import subprocess
import zipfile
from pathlib import Path

from testbed.carbon import find_java, resolve

CLASS_NAME = "org.wso2.carbon.membership.scheme.kubernetes.KubernetesMembershipScheme"
DEPENDENCIES = (
    "com.fasterxml.jackson.core:jackson-core:2.14.1",
    "com.fasterxml.jackson.core:jackson-databind:2.14.1",
    "com.fasterxml.jackson.core:jackson-annotations:2.14.1",
    "dnsjava:dnsjava:2.1.8",
)
"""Those of its pom.xml at v1.0.11."""
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_MANIFEST = """Manifest-Version: 1.0
Bundle-ManifestVersion: 2
Bundle-SymbolicName: kubernetes-membership-scheme
Bundle-Version: 1.0.11
Export-Package: org.wso2.carbon.membership.scheme.kubernetes
DynamicImport-Package: *

"""


class BuildFailed(Exception):
    """Why there is no jar."""


def build_old_scheme(checkout: Path, directory: Path) -> Path:
    """The bundle, made in `directory` from a checkout of wso2/kubernetes-common; against Carbon 4.5.1."""
    sources = checkout / "kubernetes-membership-scheme" / "src" / "main" / "java"
    if not sources.is_dir():
        raise BuildFailed(f"{checkout} is no checkout of wso2/kubernetes-common: it has no {sources}")
    libraries, classes = directory / "libraries", directory / "classes"
    libraries.mkdir(parents=True, exist_ok=True)
    for artifact in DEPENDENCIES:
        _run(["mvn", "-q", "-B", _PLUGIN, f"-Dartifact={artifact}", f"-DoutputDirectory={libraries}"])
    plugins = resolve("4.5.1") / "repository/components/plugins"
    jars = [*libraries.glob("*.jar"), *plugins.glob("*.jar")]
    command = [str(find_java() / "bin" / "javac"), "--release", "8", "-nowarn", "-d", str(classes)]
    _run([*command, "-cp", ":".join(map(str, jars)), *map(str, sorted(sources.rglob("*.java")))])
    bundle = directory / "kubernetes-membership-scheme-1.0.11.jar"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("META-INF/MANIFEST.MF", _MANIFEST)
        for file in sorted(classes.rglob("*.class")):
            target.write(file, str(file.relative_to(classes)))
        for library in sorted(libraries.glob("*.jar")):
            _add_classes(library, target)
    return bundle


def _add_classes(library: Path, target: zipfile.ZipFile) -> None:
    with zipfile.ZipFile(library) as archive:
        for name in archive.namelist():
            if name.endswith(".class") and not name.startswith("META-INF/") and name != "module-info.class":
                target.writestr(name, archive.read(name))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command[:8])} ...:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
