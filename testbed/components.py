"""The programs of one control plane: in which order they start, and when it is ready."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from testbed.layout import choose_environment
from testbed.program import Program
from testbed.waiting import wait_for

Component = Literal["etcd", "kube-apiserver", "kube-controller-manager"]


class StartFailed(Exception):
    """A component ended, or did not become ready in time; the text holds the end of its log."""


class Components:
    """The programs that `commands` names; their logs go to `directory`. `is_ready` asks the API server."""

    def __init__(self, commands: Mapping[Component, list[str]], directory: Path, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
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
        """Start all and return when the API server is ready. StartFailed after `timeout` seconds."""
        first = [program for name, program in self._programs.items() if name != "kube-controller-manager"]
        for program in first:
            program.start()
        self._wait_ready(first, timeout)
        # Not earlier: it gives up for good if the API server does not answer within 10 s.
        if "kube-controller-manager" in self._programs:
            self._programs["kube-controller-manager"].start()

    def wait_ready(self, timeout: float) -> None:
        """Return when the API server is ready. StartFailed if it ended, or after `timeout` seconds."""
        self._wait_ready([self._programs["kube-apiserver"]], timeout)

    def kill_all(self) -> None:
        """SIGKILL to all, the last started first, stopped ones too; returns when they are gone."""
        for program in reversed(self._programs.values()):
            program.kill()

    def _wait_ready(self, needed: Sequence[Program], timeout: float) -> None:
        def look() -> bool:
            for program in needed:
                if program.pid is None:
                    raise StartFailed(_describe(program, "ended"))
            return self._is_ready()

        try:
            wait_for(look, timeout=timeout)
        except TimeoutError as late:
            raise StartFailed(_describe(needed[-1], f"is not ready after {timeout:g} s")) from late


def _describe(program: Program, what: str) -> str:
    return f"{program.name} {what}; the end of {program.log_file}:\n{program.read_log_tail()}"
