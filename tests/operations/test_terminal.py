"""`membership` on a real terminal: tables and colours there, plain lines in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import yaml

from membership.testing import FakeKube
from tests.running import Command, clean_environ, pods, until

MEMBERSHIP = str(Path(sys.executable).parent / "membership")


class Terminal:
    """A program on a pseudo terminal, ended by id."""

    def __init__(self, *words: str, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 200, 0, 0))
        given = clean_environ(**{"TERM": "xterm", **environ})
        self._program = subprocess.Popen(
            [MEMBERSHIP, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=given,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )
        os.close(theirs)
        self.output = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._ours)

    def shows(self, words: str, timeout: float = 10.0) -> None:
        until(lambda: words in self._read(), timeout, f"{words!r} on the terminal")

    def interrupt(self) -> None:
        self._program.send_signal(signal.SIGINT)

    def ends(self, timeout: float = 10.0) -> int:
        until(lambda: self._read() is not None and self._program.poll() is not None, timeout, "the end")
        self._read()
        return self._program.returncode

    def _read(self) -> str:
        while select.select([self._ours], [], [], 0.05)[0]:
            try:
                got = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                break
            self.output += got.decode()
        return self.output


def arguments(kube: FakeKube) -> tuple[str, ...]:
    return ("--server", kube.url, "--services", "wso2/is")


def test_a_table_with_colours(kube: FakeKube) -> None:
    with Terminal("list", *arguments(kube)) as terminal:
        assert terminal.ends() == 0
        assert "POD    ADDRESS           SERVICE" in terminal.output
        assert "\033[32mserving\033[0m" in terminal.output


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_no_colours_where_they_are_not_wanted(kube: FakeKube, environ: dict[str, str]) -> None:
    with Terminal("explain", *arguments(kube), **environ) as terminal:
        assert terminal.ends() == 0
        assert "ADDRESS" in terminal.output and "\033" not in terminal.output


def test_programs_get_lines_or_what_they_ask_for(kube: FakeKube) -> None:
    with Command("list", *arguments(kube)) as lines, Command("list", *arguments(kube), "--output", "yaml") as found:
        assert (lines.result(), found.result()) == (0, 0)
        assert lines.output == "10.244.0.5:4000\n10.244.0.6:4000\n"
        assert [member["name"] for member in yaml.safe_load(found.output)["members"]] == ["is-0", "is-1"]


def test_what_takes_long_says_for_how_long_still(kube: FakeKube) -> None:
    kube.stall()
    with Terminal("list", *arguments(kube), "--timeout", "3s") as terminal:
        terminal.shows("waiting for the API server's first list, 1 s left")
        assert terminal.ends() == 6
        assert terminal.output.count("no list within 3 s") == 1


def test_top_is_live_and_ends_on_control_c(kube: FakeKube) -> None:
    with Terminal("top", *arguments(kube)) as terminal:
        terminal.shows("is-1   10.244.0.6:4000")
        kube.set_service("wso2", "is", pods(3))
        terminal.shows("+ is-2  10.244.0.7:4000")
        terminal.interrupt()
        assert terminal.ends() == 0
        assert terminal.output.rstrip().endswith("\033[?25h\033[?1049l") and "Traceback" not in terminal.output


def test_top_without_a_terminal_says_what_to_take(kube: FakeKube) -> None:
    with Command("top", *arguments(kube)) as command:
        assert command.result() == 2 and "membership watch" in command.log


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    with Command("completion", shell) as command:
        assert command.result() == 0 and "_MEMBERSHIP_COMPLETE" in command.output


def test_a_shell_is_told_the_words() -> None:
    words = {"COMP_WORDS": "membership list --output ", "COMP_CWORD": "3"}
    with Command(environ=clean_environ(_MEMBERSHIP_COMPLETE="bash_complete", **words)) as command:
        command.result()
        assert "plain,table" in command.output and "plain,yaml" in command.output


def shell(words: str) -> subprocess.CompletedProcess[str]:
    """What bash makes of it, where `membership` is this one."""
    line = f'membership() {{ exec {MEMBERSHIP} "$@"; }}; {words}'
    return subprocess.run(["bash", "-c", line], env=clean_environ(), capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("subcommand", ["list", "watch", "profiles"])
def test_a_reader_who_has_gone_is_no_error(kube: FakeKube, subcommand: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [MEMBERSHIP, subcommand, *(arguments(kube) if subcommand != "profiles" else ())]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, env=clean_environ(), timeout=30)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("where", "said"), [("> /dev/full", "cannot be written: No space left on device"), (">&-", "is closed")]
)
def test_an_output_that_takes_nothing_is_named(where: str, said: str) -> None:
    done = shell(f"(membership profiles {where})")
    assert done.returncode == 2
    assert done.stderr.startswith("membership: stdout ") and said in done.stderr and done.stderr.count("\n") == 1


def test_what_is_for_people_is_not_put_where_programs_read(kube: FakeKube) -> None:
    wrong = shell("(membership list --server nonsense 2>&-)")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    right = shell(f"(membership list {' '.join(arguments(kube))} 2>&-)")
    assert (right.returncode, right.stdout) == (0, "10.244.0.5:4000\n10.244.0.6:4000\n")
