"""What `latency.py` measures: which arms, at which sizes and rates, how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arms.catalogue import ARMS
from benchmarks.service import Shape

EVERY = tuple(arm.name for arm in ARMS)
CORE = ("control_python", "control_go", "control_protobuf", "ours_callback", "client_go", "kubernetes_watch")
LATE = ("poll_1s", "poll_5s", "dns_5s", "dns_30s", "ours_push")
OUTPUTS = ("ours_file", "ours_file_disk", "ours_http", "ours_sse")


@dataclass(frozen=True, slots=True)
class Cell:
    """One size and rate: each arm has `blocks` blocks of `changes` changes after `warm_up` more, in random order."""

    shape: Shape
    rate: float
    changes: int
    blocks: int
    warm_up: int
    arms: tuple[str, ...] = EVERY

    @property
    def name(self) -> str:
        of = f" in {self.shape.slices} slices" if self.shape.slices > 1 else ""
        return f"{self.shape.endpoints} endpoints{of}, {self.rate:g}/s"


def _without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in EVERY if name not in names)


PLANS: Mapping[str, Sequence[Cell]] = {
    # 7 minutes. An answer that is 30 s old tells nothing new in a block of 5 s.
    "bench": (
        Cell(Shape(100), 16, changes=50, blocks=3, warm_up=10, arms=_without("dns_30s", "ours_push")),
        Cell(Shape(1000), 4, changes=40, blocks=1, warm_up=8, arms=CORE),
    ),
    # 2 minutes: what the regression check looks at.
    "check": (Cell(Shape(100), 16, changes=32, blocks=4, warm_up=8, arms=(*CORE, "ours_file", "ours_http")),),
    # 3 hours and a half: 1000 changes for each arm, and 240 where one a second would take each of them 17 minutes. A
    # change of 1000 endpoints keeps this machine's server and one client busy for 70 to 240 ms: 16 of them in a second
    # are beyond it. Who is seconds late is so at any size.
    "full": (
        Cell(Shape(10), 16, changes=200, blocks=5, warm_up=20),
        Cell(Shape(100), 16, changes=200, blocks=5, warm_up=20),
        Cell(Shape(1000), 4, changes=200, blocks=5, warm_up=20, arms=_without(*LATE)),
        Cell(Shape(5000, 50), 16, changes=200, blocks=5, warm_up=20, arms=_without("dns_5s", "dns_30s", "ours_push")),
        Cell(Shape(100), 4, changes=200, blocks=5, warm_up=20, arms=(*CORE, *OUTPUTS)),
        Cell(Shape(100), 1, changes=80, blocks=3, warm_up=5, arms=CORE),
    ),
    # 1 minute, for `--fake` and to see whether all works.
    "look": (Cell(Shape(100), 16, changes=40, blocks=1, warm_up=10, arms=_without("dns_30s", "poll_5s", "ours_push")),),
}
