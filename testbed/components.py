"""The programs of one control plane: in which order they start, and when they are up."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from testbed.layout import choose_environment
from testbed.program import Program
from testbed.waiting import wait_for

Component = Literal["etcd", "kube-apiserver", "kube-controller-manager"]


class StartFailed(Exception):
    """A component ended, or did not become ready in time; the text holds the end of its log."""


class Components:
    """The programs that `commands` names, in the order they start in; their logs go to `directory`.

    `checks` say of a component whether it is up; without one, running is enough.
    """

    def __init__(
        self,
        commands: Mapping[Component, list[str]],
        directory: Path,
        checks: Mapping[Component, Callable[[], bool]],
    ) -> None:
        self._checks = checks
        self._programs = {
            name: Program(name, command, directory / f"{name}.log", choose_environment())
            for name, command in commands.items()
        }

    def __contains__(self, name: Component) -> bool:
        return name in self._programs

    def __getitem__(self, name: Component) -> Program:
        """KeyError if this control plane was started without it."""
        return self._programs[name]

    def start_all(self, timeout: float) -> None:
        """Start what does not run, each once the one before is up. StartFailed after `timeout` seconds."""
        # In turn, not at once: kube-controller-manager gives up for good if the API server does not answer within
        # 10 s, and kube-apiserver that finds no etcd waits longer than etcd takes to start.
        deadline = time.monotonic() + timeout
        for name, program in self._programs.items():
            if program.pid is None:
                program.start()
            self.wait_up(name, deadline - time.monotonic())

    def wait_up(self, name: Component, timeout: float) -> None:
        """Return when `name` is up. StartFailed if it ended, or after `timeout` seconds."""
        program, check = self._programs[name], self._checks.get(name)

        def look() -> bool:
            if program.pid is None:
                raise StartFailed(_describe(program, "ended"))
            return check is None or check()

        try:
            wait_for(look, timeout=timeout)
        except TimeoutError as late:
            raise StartFailed(_describe(program, f"is not ready after {timeout:.0f} s")) from late

    def kill_all(self) -> None:
        """SIGKILL to all, the last started first, stopped ones too; returns when they are gone."""
        for program in reversed(self._programs.values()):
            program.kill()


def _describe(program: Program, what: str) -> str:
    return f"{program.name} {what}; the end of {program.log_file}:\n{program.read_log_tail()}"
