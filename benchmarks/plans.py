"""What `latency.py` measures: which arms, at which sizes and rates, how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arms.catalogue import ARMS
from benchmarks.service import Shape

EVERY = tuple(arm.name for arm in ARMS)
CORE = ("control_python", "control_go", "control_protobuf", "ours_callback", "client_go", "kubernetes_watch")
OUTPUTS = ("ours_file", "ours_http")


@dataclass(frozen=True, slots=True)
class Cell:
    """One size and rate: each arm has `blocks` blocks of `changes` changes after `warm_up` more, in random order.

    `together` arms have their block at the same time, each with a Service of its own, and the changes of these take
    turns: at a few changes a second a thousand of them take minutes in which one client would do nothing. With 1 each
    is alone with the server.
    """

    shape: Shape
    rate: float
    changes: int
    blocks: int
    warm_up: int
    arms: tuple[str, ...] = EVERY
    together: int = 1

    @property
    def name(self) -> str:
        of = f" in {self.shape.slices} slices" if self.shape.slices > 1 else ""
        return f"{self.shape.endpoints} endpoints{of}, {self.rate:g}/s"


def _without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in EVERY if name not in names)


PROMPT = _without("poll_1s", "poll_5s", "dns_5s", "dns_30s", "ours_push", "ours_file_disk")
"""Who is seconds late is so at any size and rate, and a disk takes its time at any."""

PLANS: Mapping[str, Sequence[Cell]] = {
    # 7 minutes. An answer that is 30 s old tells nothing new in a block of 5 s.
    "bench": (
        Cell(Shape(100), 16, changes=50, blocks=3, warm_up=10, arms=_without("dns_30s", "ours_push")),
        Cell(Shape(1000), 4, changes=40, blocks=1, warm_up=8, arms=CORE),
    ),
    # 2 minutes: what the regression check looks at.
    "check": (Cell(Shape(100), 16, changes=32, blocks=4, warm_up=8, arms=(*CORE, *OUTPUTS)),),
    # 2 hours and a quarter: 1000 changes for each arm, of a kind that this machine's server and one client carry. A
    # change of 1000 endpoints in one slice keeps them busy for 70 to 240 ms: 4 of them in a second for one client at a
    # time, and who takes longest is left to the slices of 100 that Kubernetes makes of 1000.
    "full": (
        Cell(Shape(100), 16, changes=200, blocks=5, warm_up=20),
        Cell(Shape(1000), 4, changes=334, blocks=3, warm_up=12, arms=CORE),
        Cell(Shape(10), 16, changes=334, blocks=3, warm_up=20, arms=PROMPT, together=2),
        Cell(Shape(1000, 10), 16, changes=334, blocks=3, warm_up=20, arms=PROMPT, together=2),
        Cell(Shape(5000, 50), 16, changes=334, blocks=3, warm_up=20, arms=PROMPT),
        Cell(Shape(100), 4, changes=334, blocks=3, warm_up=12, arms=PROMPT, together=5),
        Cell(Shape(100), 1, changes=500, blocks=2, warm_up=5, arms=PROMPT, together=len(PROMPT)),
    ),
    # 1 minute, for `--fake` and to see whether all works.
    "look": (Cell(Shape(100), 16, changes=40, blocks=1, warm_up=10, arms=_without("dns_30s", "poll_5s", "ours_push")),),
}
