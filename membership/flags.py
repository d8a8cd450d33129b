"""How a setting is given and looked up: flag, else its variables in order, else the default.

Wrong ones are collected, so that a user sees all of them at once and not one per try. Which settings there are is said
in `membership/settings.py` and `sidecar/settings.py`.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from membership.errors import SettingsError
from membership.quantity import is_boolean
from membership.values import choice, parse_positive_duration

T = TypeVar("T")
Environ = Mapping[str, str]

_LINKS = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$")
_LINKED = re.compile(r"(tcp|udp|sctp)://\S+:\d+")

SWITCH = "[BOOLEAN]"
"""Metavar of the settings that need no value."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its flag without dashes, the names it had in WSO2's membership scheme, and what it means."""

    flag: str
    help: str
    default: str | None = None
    wso2: tuple[str, ...] = ()
    metavar: str = "TEXT"
    switch: bool = False
    """Given without a value it means true."""
    choices: tuple[str, ...] = ()
    """The words it may be; () for anything."""
    many: bool = False
    """May be given several times; in the variable, separated by white space."""
    also: tuple[str, ...] = ()
    """Other flags that say the same."""

    @property
    def variables(self) -> tuple[str, ...]:
        return (f"MEMBERSHIP_{self.flag.upper().replace('-', '_')}", *self.wso2)


class Reader:
    """Looks settings up by flag, parses them, and collects what is wrong in `problems`.

    It is made when the command begins: `left` counts from there.
    """

    def __init__(self, table: Sequence[Setting], given: Mapping[str, Any], environ: Environ) -> None:
        self._table = {setting.flag: setting for setting in table}
        self._given = given
        self._environ = environ
        self.defaults: dict[str, str | None] = {}
        """Instead of those of the table, by flag."""
        self.problems: list[str] = []
        self._began = time.monotonic()

    def refuse(self, unknown: Sequence[str]) -> None:
        """Note words of the command line that are no settings."""
        if unknown:
            self.problems.append(f"{' '.join(unknown)!r}: no such setting")

    def is_flag(self, flag: str) -> bool:
        """Whether it was given on the command line."""
        return self._given.get(flag.replace("-", "_")) is not None

    def is_ours(self, flag: str) -> bool:
        """Whether it was given as a flag or by its MEMBERSHIP_ variable, which come before all WSO2 names."""
        return self.is_flag(flag) or bool(self._environ.get(self._table[flag].variables[0]))

    def is_given(self, flag: str) -> bool:
        """Whether it was given at all: on the command line or by a variable."""
        return self.is_flag(flag) or any(self._environ.get(name) for name in self._table[flag].variables)

    def text(self, flag: str) -> str | None:
        """The raw text, or None where neither given nor defaulted."""
        return self._find(flag)[0]

    def texts(self, flag: str) -> tuple[str, ...]:
        """The raw texts of a setting that may be given several times."""
        given = tuple(self._given.get(flag.replace("-", "_")) or ())
        if given:
            return given
        value = next((self._environ[name] for name in self._table[flag].variables if self._environ.get(name)), "")
        return tuple(value.split())

    def parse(self, flag: str, parser: Callable[[str], T], otherwise: T) -> T:
        """The parsed value; `otherwise` where there is none, or where it is wrong (ValueError), which is noted."""
        text, origin = self._find(flag)
        if text is None:
            return otherwise
        try:
            return parser(text)
        except SettingsError as error:
            self.problems += [f"{origin}: {problem}" for problem in error.problems]
        except ValueError as error:
            self.problems.append(f"{origin}: {error}")
        return otherwise

    def word(self, flag: str) -> str:
        """One of the setting's choices."""
        return self.parse(flag, choice(*self._table[flag].choices), "")

    def duration(self, flag: str) -> float:
        return self.parse(flag, parse_positive_duration, 1.0)

    def left(self, flag: str) -> float:
        """What is left of a duration that the whole command may take, logging in included: at least a moment."""
        return max(0.1, round(self.duration(flag) - (time.monotonic() - self._began), 1))

    def _find(self, flag: str) -> tuple[str | None, str]:
        setting = self._table[flag]
        given = self._given.get(flag.replace("-", "_"))
        if given is not None:
            return str(given), f"--{flag}"
        for name in setting.variables:
            value = self._environ.get(name)  # an empty variable is an unset one, as manifests often leave them
            if value and not is_service_link(name, value):
                return value, f"--{flag} (from {name})"
        return self.defaults.get(flag, setting.default), f"--{flag}"


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes has put the variable into the container because of a Service of the namespace.

    For a Service "membership" there is MEMBERSHIP_PORT=tcp://10.96.0.7:4080, and a dozen more:
    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    return bool(_LINKS.search(name) or _LINKED.fullmatch(value))


class SettingsCommand(click.Command):
    """A command with settings, whose switches may stand without a value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        switches = {name for option in self.params if option.metavar == SWITCH for name in option.opts}
        positional = any(isinstance(param, click.Argument) and param.name != "unknown" for param in self.params)
        return super().parse_args(ctx, attach_values(args, switches, positional=positional))


def attach_values(words: Sequence[str], switches: Collection[str], *, positional: bool) -> list[str]:
    """`--ready-only`, `--ready-only false` -> `--ready-only=true`, `--ready-only=false`.

    Where a command takes `positional` words, only a boolean belongs to the switch before it.
    """
    rest, attached = list(words), list[str]()
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*attached, word, *rest]
        if word in switches:
            takes_next = rest and (is_boolean(rest[0]) or not positional and not rest[0].startswith("-"))
            word = f"{word}={rest.pop(0) if takes_next else 'true'}"
        attached.append(word)
    return attached


def with_settings(table: Sequence[Setting]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the flags of `table` to a click command; values arrive as raw texts or None."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed(table):
            default = f"  [default: {setting.default}]" if setting.default else ""
            command = click.option(
                f"--{setting.flag}",
                *(f"--{name}" for name in setting.also),
                setting.flag.replace("-", "_"),
                shell_complete=_complete(setting),
                metavar=SWITCH if setting.switch else setting.metavar,
                multiple=setting.many,
                help=f"{setting.help}  [env: {', '.join(setting.variables)}]{default}",
            )(command)
        return command

    return decorate


def _complete(setting: Setting) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """For shells: the words of a choice, files, or nothing."""
    kind = {"FILE": "file", "FOLDER": "dir"}.get(setting.metavar)
    words = ("true", "false") if setting.switch else setting.choices

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if kind:
            return [CompletionItem(incomplete, type=kind)]
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]

    return complete
