"""What `latency.py` measures: which arms, at which sizes and rates, how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arms.catalogue import ARMS
from benchmarks.service import Shape

EVERY = tuple(arm.name for arm in ARMS)
CORE = ("control_python", "control_go", "control_protobuf", "ours_callback", "client_go", "kubernetes_watch")
LATE = ("poll_1s", "poll_5s", "dns_5s", "dns_30s", "ours_push")
MAIN = ("control_python", "ours_callback", "client_go")
OUTPUTS = ("ours_file", "ours_http")


@dataclass(frozen=True, slots=True)
class Cell:
    """One size and rate: each arm has `blocks` blocks of `changes` changes after `warm_up` more, in random order.

    Those of `once` take their turn in the first round only.
    """

    shape: Shape
    rate: float
    changes: int
    blocks: int
    warm_up: int
    arms: tuple[str, ...] = EVERY
    once: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        of = f" in {self.shape.slices} slices" if self.shape.slices > 1 else ""
        return f"{self.shape.endpoints} endpoints{of}, {self.rate:g}/s"


def _without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in EVERY if name not in names)


def _sized(shape: Shape, rate: float, warm_up: int, *more: str) -> Cell:
    """1000 changes for the main arms and `more`, 200 for all others: who is seconds late is so at any size."""
    arms = (*MAIN, "control_protobuf", "kubernetes_watch", *more)
    return Cell(shape, rate, 200, 5, warm_up, arms, _without(*arms, *LATE, "ours_file_disk"))


PLANS: Mapping[str, Sequence[Cell]] = {
    # 7 minutes. An answer that is 30 s old tells nothing new in a block of 5 s.
    "bench": (
        Cell(Shape(100), 16, changes=50, blocks=3, warm_up=10, arms=_without("dns_30s", "ours_push")),
        Cell(Shape(1000), 4, changes=40, blocks=1, warm_up=8, arms=CORE),
    ),
    # 2 minutes: what the regression check looks at.
    "check": (Cell(Shape(100), 16, changes=32, blocks=4, warm_up=8, arms=(*CORE, *OUTPUTS)),),
    # 2 hours: 1000 changes for each arm at 100 endpoints, and for the main ones at all sizes and at 4 a second; 240
    # where one a second would take each of them 17 minutes. A change of 1000 endpoints keeps this machine's server and
    # one client busy for 70 to 240 ms: 16 of them in a second are beyond it.
    "full": (
        Cell(Shape(100), 16, changes=200, blocks=5, warm_up=20),
        _sized(Shape(1000), 4, 12),
        _sized(Shape(10), 16, 20, *OUTPUTS),
        _sized(Shape(5000, 50), 16, 20, *OUTPUTS),
        Cell(Shape(100), 4, 200, 5, 12, arms=MAIN, once=("control_go", "kubernetes_watch", *OUTPUTS)),
        Cell(Shape(100), 1, 80, 3, 5, arms=MAIN, once=("control_go", "kubernetes_watch")),
    ),
    # 1 minute, for `--fake` and to see whether all works.
    "look": (Cell(Shape(100), 16, changes=40, blocks=1, warm_up=10, arms=_without("dns_30s", "poll_5s", "ours_push")),),
}
