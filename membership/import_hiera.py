"""`membership import-hiera FILE`: the Hiera data of an older deployment as settings of ours."""

from pathlib import Path

import click

from membership.console import put
from membership.errors import RenderError
from membership.flags import Reader
from membership.render import Source
from membership.settings import SETTINGS, read
from membership.wso2.hiera import Imported, import_hiera


@click.command("import-hiera")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def import_hiera_command(file: Path) -> int:
    """Print the settings that wso2::clustering of WSO2's Puppet modules amounts to.

    FILE is Hiera data, in YAML. Both generations of its keys are read: k8 with k8_services and kubernetes with
    kubernetes_services. The output is a file of variables, NAME=VALUE per line, as for kubectl create configmap
    --from-env-file; what cannot be taken over, or is a secret, is a comment.
    """
    try:
        source = Source(str(file), file.read_bytes())
    except OSError as error:
        raise RenderError(f"cannot be read: {error.strerror or error}", str(file)) from error
    found = import_hiera(source)
    # Says what is wrong, as it would where they are used; nobody is asked.
    read(Reader(SETTINGS, {}, found.settings), found.settings, offline=True)
    put(describe(found, file.name).encode())
    return 0


def describe(found: Imported, name: str) -> str:
    """The file of variables."""
    lines = [f"# wso2::clustering of {name}, read by membership import-hiera", *(f"# {note}" for note in found.notes)]
    return "\n".join([*lines, *(f"{name}={value}" for name, value in sorted(found.settings.items()))]) + "\n"
