"""`membership completion SHELL`: the script by which a shell completes subcommands, flags and their values."""

import click
from click.shell_completion import get_completion_class

from membership.console import PROGRAM, put

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(membership completion bash)
      membership completion fish > ~/.config/fish/completions/membership.fish
    """
    found = get_completion_class(shell)
    assert found is not None, "click has these three"
    variable = f"_{PROGRAM.upper()}_COMPLETE"
    put(found(context.find_root().command, {}, PROGRAM, variable).source().encode() + b"\n")
    return 0
