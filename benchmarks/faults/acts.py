"""What a server does for each fault. An act does it, changes the Service meanwhile, and returns when the fault is over.

A watch that is held by `gap` has been asked for and not been answered: what happens meanwhile is in no stream, and the
server has not been away.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from benchmarks.faults.stage import FIRST, Stage

Act: TypeAlias = Callable[[Stage], None]

CHANGE: Mapping[str, tuple[str, ...] | None] = {
    "is-a": ("10.244.0.5", "10.244.0.16"),
    "is-b": None,
    "is-c": ("10.244.0.8",),
}
"""One member is replaced, one slice goes with its member, one comes."""
REPLACE = {"is-a": ("10.244.0.5", "10.244.0.16")}
LATER = {"is-a": ("10.244.0.5", "10.244.0.26")}
"""After the fault, to see whether the client still follows."""
LEAD, REST = 1.0, 3.0
"""Seconds of fault before the change, and after it."""
THOUSAND = tuple(f"10.{100 + n // 250}.1.{n % 250}" for n in range(1000))


def spell(stage: Stage) -> None:
    time.sleep(LEAD)
    stage.write(CHANGE)
    time.sleep(REST)


@contextmanager
def gap(stage: Stage) -> Iterator[None]:
    held = stage.kube.fault("hang", on="watch")
    stage.kube.cut_watches("eof")
    time.sleep(0.5)
    yield
    time.sleep(0.5)
    held.clear()


def during(name: str, on: str = "any", cut: str = "eof", **params: Any) -> Act:
    """Streams end as `cut`, and for a while every such request meets the fault."""

    def act(stage: Stage) -> None:
        fault = stage.kube.fault(name, on=on, **params)
        stage.kube.cut_watches(cut)
        spell(stage)
        fault.clear()

    return act


def lose_server(stage: Stage) -> None:
    """Its connections go without a word; another server takes new ones."""
    stage.vanish()
    time.sleep(0.5)
    stage.write(CHANGE)


def silent_stream(stage: Stage) -> None:
    time.sleep(0.5)
    stage.write(CHANGE)


def refuse(stage: Stage) -> None:
    stage.kube.stop_listening(cut=True)
    spell(stage)
    stage.kube.listen_again()


def end_cleanly(stage: Stage) -> None:
    stage.kube.cut_watches("eof")
    time.sleep(1.0)
    stage.write(CHANGE)


def reset_streams(stage: Stage) -> None:
    for number in range(3):
        stage.kube.cut_watches("reset")
        time.sleep(1.0)
        if number == 1:
            stage.write(CHANGE)


def change_in_stream(stage: Stage) -> None:
    stage.write(CHANGE)
    time.sleep(REST)


def rotate_authority(stage: Stage) -> None:
    stage.rotate_authority()
    # Idle connections close, and those of streams after their end: the next request shakes hands anew.
    stage.kube.stop_listening()
    stage.kube.listen_again()
    stage.kube.cut_watches("eof")
    time.sleep(LEAD)
    stage.write(CHANGE)


def rotate_token(stage: Stage) -> None:
    stage.rotate_token()
    stage.kube.cut_watches("eof")
    time.sleep(LEAD)
    stage.write(CHANGE)


def compact(change: Mapping[str, tuple[str, ...] | None], as_status: bool = False) -> Act:
    def act(stage: Stage) -> None:
        with gap(stage):
            stage.write(change)
            stage.touch(5)
            stage.kube.compact(as_status=as_status)

    return act


def revoke_rights(stage: Stage) -> None:
    stage.kube.deny("*", "*")
    stage.kube.cut_watches("eof")
    spell(stage)
    stage.kube.allow("*", "*")


def send_much(stage: Stage) -> None:
    stage.note = "\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{SNOWMAN}" * 20_000
    stage.write({"is-a": THOUSAND})
    time.sleep(REST)
    stage.note = ""
    stage.write(CHANGE)


def restore(stage: Stage) -> None:
    backup = stage.kube.checkpoint()
    stage.touch(50)
    stage.write(CHANGE)
    time.sleep(LEAD)
    with gap(stage):
        stage.restore(backup, FIRST)


def age_out(stage: Stage) -> None:
    stage.touch(50)
    stage.kube.bookmark()
    time.sleep(0.5)
    stage.kube.compact()
    with gap(stage):
        stage.write(CHANGE)


def send_twice(stage: Stage) -> None:
    fault = stage.kube.fault("duplicate-event")
    spell(stage)
    fault.clear()


def move_between_slices(stage: Stage) -> None:
    stage.write({"is-a": ("10.244.0.5",)}, moving=("10.244.0.6",))
    time.sleep(0.3)
    stage.write({"is-b": ("10.244.0.7", "10.244.0.6")})
    time.sleep(LEAD)


def fail_at_start(stage: Stage) -> None:
    time.sleep(4.0)
    stage.kube.clear_faults()


def hang_for_good(stage: Stage) -> None:
    stage.kube.fault("hang")
    stage.kube.cut_watches("eof")
    time.sleep(LEAD)


def stall(stage: Stage) -> None:
    stage.kube.stall()
    time.sleep(LEAD)
    stage.write(CHANGE)


def null_lists(stage: Stage) -> None:
    stage.put("is-n", {"endpoints": None, "ports": None, "data": None})
    time.sleep(LEAD)
    stage.write(CHANGE)


def always(stage: Stage, name: str, on: str, **params: Any) -> None:
    stage.kube.fault(name, on=on, **params)


def once(stage: Stage, name: str, on: str) -> None:
    stage.kube.fault(name, on=on, times=1)
