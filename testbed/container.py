"""Containers without a runtime: a process in a read-only file system that is put together from folders.

    container = Container(folder / "root", {"/opt": image / "opt"})
    subprocess.Popen(container.command(["/opt/membership/bin/membership-sidecar"]), env={})

The file system holds this machine's libraries and its Python at /usr/local, as python:3.11-slim has, and what is
mounted. No shell, no tools, nothing that may be written to but the mounts that say so. Needs root. It is made in a
mount namespace of the process, and goes with it.
"""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OURS = "10001:0"
"""uid and gid of our image; on OpenShift any uid, and gid 0."""


@dataclass(frozen=True)
class Container:
    """`root` is an empty folder to mount upon; `mounts` and `writable` are folders by their path in the container."""

    root: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    user: str = OURS
    tools: bool = False
    """With this machine's shell and coreutils, as in images that have an entrypoint script."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs `arguments` inside, as the same process, with the environment it is given."""
        self.root.mkdir(parents=True, exist_ok=True)
        chroot = ["exec", _find_chroot(), f"--userspec={self.user}", "--groups=", str(self.root), *arguments]
        script = "\n".join([*self._steps(), shlex.join(chroot)])
        return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec", script]

    def _steps(self) -> list[str]:
        steps = [_shell("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.root))]
        for source, target in self._base():
            steps += _bind(source, f"{self.root}{target}", "ro")
        # Outer ones first, whatever they are: a mount may lie in another one.
        for target, source in sorted({**self.mounts, **self.writable}.items()):
            mode = "rw" if target in self.writable else "ro"
            steps += _bind(source, f"{self.root}{target}", mode)
        return [*steps, _shell("mount", "-o", "remount,ro", str(self.root))]

    def _base(self) -> list[tuple[Path, str]]:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        base = Path(sys.base_prefix)
        shared = [Path("/usr/lib"), Path("/usr/lib64"), Path("/lib"), Path("/lib64"), Path("/dev"), Path("/proc")]
        if self.tools:
            shared += [Path("/usr/bin"), Path("/bin")]
        if not base.is_relative_to("/usr"):
            shared.append(base / "lib")  # where its executable looks for libpython
        return [
            *((path, str(path)) for path in shared if path.exists()),
            (base / "bin" / version, "/usr/local/bin/python3"),
            # Debian's own Python has other things in /usr/lib, which is here already.
            (base / "lib" / version if base == Path("/usr") else base / "lib", _library(base, version)),
        ]


def _find_chroot() -> str:
    """Its path, for the PATH that the process gets need not have /usr/sbin."""
    return shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin") or "chroot"


def _library(base: Path, version: str) -> str:
    return f"/usr/local/lib/{version}" if base == Path("/usr") else "/usr/local/lib"


def _bind(source: Path, target: str, mode: str) -> list[str]:
    make = _shell("mkdir", "-p", target)
    if not source.is_dir():
        make = f"{_shell('mkdir', '-p', str(Path(target).parent))}; {_shell('touch', target)}"
    return [make, _shell("mount", "-o", f"bind,{mode}", str(source.resolve()), target)]


def _shell(*words: str) -> str:
    return shlex.join(words)
