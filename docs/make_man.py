"""Writes man pages from the commands' own help: make man."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from click_man.core import write_man_pages

from membership.cli import command as membership
from sidecar.command import command as sidecar

FOLDER = Path("build/man")


def write_pages(folder: Path) -> None:
    """One page for each command and subcommand."""
    folder.mkdir(parents=True, exist_ok=True)
    commands: dict[str, Any] = {"membership": membership, "membership-sidecar": sidecar}
    for name, command in commands.items():
        write_man_pages(name, command, version=version("kubernetes-membership"), target_dir=str(folder))


if __name__ == "__main__":
    write_pages(FOLDER)
