"""What happens in a run: settings and steps, both made from a seed.

A step stands alone: without any of the others it still means something, so that a schedule can be shortened.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from membership.gate import GateRules
from membership.session import Options
from tests.simulation.faults import DAMAGES, FAULTS, STATUSES

PODS = {"start": 6, "ready": 8, "terminate": 3, "gone": 4, "move": 6, "reuse": 2, "touch": 2, "all_gone": 0.5}
SERVICES = {"delete": 0.7, "create": 1.5, "recreate": 1, "static": 1, "noise": 3}
SERVER = {"compact": 2.5, "restore": 0.8, "restart": 1, "lag": 1.5, "close": 1.5}
NETWORK = {"cut": 3, "mute": 1, "black_hole": 0.7, "slow": 1, "buffer": 0.7, "damage": 2.5, "busy": 1, "window": 9}
WEIGHTS: dict[str, float] = {**PODS, **SERVICES, **SERVER, **NETWORK}
CHANGES = frozenset({*PODS, *SERVICES})


@dataclass(frozen=True)
class Theme:
    """What a schedule is about: some actions and faults, so that those that make trouble together meet."""

    weights: dict[str, float]
    faults: tuple[str, ...] = FAULTS
    times: tuple[int, ...] = (1, 1, 2, 3, 5, 1000)
    relist_intervals: tuple[float, ...] = (300.0, 60.0, 10.0)
    stale_after: tuple[float, ...] = (90.0, 30.0, 9.0)


ANYTHING = Theme(WEIGHTS)
RESTORE = Theme(
    {"restore": 6, "ready": 4, "start": 4, "noise": 4, "touch": 2, "cut": 2, "busy": 2, "slow": 1, "window": 8},
    ("late", "late", "slow", "slow", "404", "refused", "503", "close"),
    (1, 1, 2, 3, 5, 1000),
    (3.0,),
    (9.0,),
)
DOUBT = Theme(
    {"damage": 12, "ready": 4, "start": 6, "static": 1, "gone": 2, "move": 2, "lag": 1, "compact": 2, "window": 8},
    ("outdated", "outdated", "page", "500", "close", "wrong-kind", "half", "late"),
)
MOVES = Theme(
    {
        **PODS,
        "move": 12,
        "terminate": 8,
        "gone": 8,
        "recreate": 3,
        "slow": 2,
        "buffer": 2,
        "busy": 1,
        "window": 6,
        "reuse": 3,
    },
    ("late", "slow", "close"),
    (1, 2, 5),
    (3.0,),
    (9.0, 30.0),
)
REFUSALS = Theme(
    {"window": 12, "ready": 3, "start": 2, "cut": 2, "close": 1},
    (*STATUSES, "504", "close", "page", "braces", "refused"),
    (3, 1000, 1000),
)
RACES = Theme(
    {"ready": 4, "start": 4, "noise": 1, "touch": 2, "busy": 2, "cut": 1}, relist_intervals=(3.0,), stale_after=(9.0,)
)
"""A restore, and what comes at the same time: a list beside the stream, a stream that is just being opened."""
THEMES = ((RACES, 2), (ANYTHING, 6), (RESTORE, 2), (DOUBT, 2), (MOVES, 2), (REFUSALS, 1))
SHORTEST, LONGEST = 0.002, 40.0
"""Seconds between two steps, evenly spread over the orders of magnitude."""
TARGETS = ("any", "any", "list", "watch", "endpointslices", "endpoints")


@dataclass(frozen=True, slots=True)
class Step:
    """At `at` seconds, `action` happens; what the other fields mean depends on it."""

    at: float
    action: str
    which: int = 0
    seconds: float = 0.0
    more: float = 0.0
    fault: str = ""
    target: str = ""

    def __str__(self) -> str:
        named = (("which", self.which), ("seconds", self.seconds), ("more", self.more))
        given = [f"{name}={value:.4g}" for name, value in named if value]
        given += [text for text in (self.fault, self.target) if text]
        return f"{self.at:9.3f} s  {self.action} {' '.join(given)}"


@dataclass(frozen=True)
class Setting:
    """What stays the same during a run."""

    services: tuple[str, ...]
    """As namespace/name."""
    options: Options
    gate: GateRules
    replicas: int
    bookmarks: float
    """Seconds between two of a stream; 0: there are none."""
    pods: int
    version: int
    """The store's first resource version."""


@dataclass(frozen=True)
class Schedule:
    seed: int
    setting: Setting
    steps: tuple[Step, ...]

    @property
    def restores(self) -> bool:
        return any(step.action == "restore" for step in self.steps)

    def only(self, numbers: Sequence[int]) -> "Schedule":
        return Schedule(self.seed, self.setting, tuple(self.steps[number] for number in numbers))


def generate(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = Random(seed)
    theme = random.choices([theme for theme, _ in THEMES], [weight for _, weight in THEMES])[0]
    setting = generate_setting(random, theme)
    # Some actions and not all: what goes wrong between two of them shows more often where no third intervenes.
    actions = [action for action in theme.weights if random.random() < 0.7] or list(theme.weights)
    weights = [theme.weights[action] for action in actions]
    steps, at = [], 0.0
    quiet = random.random() < 0.5
    for _ in range(random.choice((3, 6, 10, 14, 20))):
        at += math.exp(random.uniform(math.log(SHORTEST), math.log(LONGEST if quiet else 5.0)))
        if theme is RACES and random.random() < 0.3:
            steps += generate_race(random, at)
        steps.append(generate_step(random, at, random.choices(actions, weights)[0], theme))
    return Schedule(seed, setting, tuple(sorted(steps, key=lambda step: step.at)))


def generate_setting(random: Random, theme: Theme) -> Setting:
    services: tuple[str, ...] = random.choice(
        (("wso2/is",), ("wso2/is",), ("wso2/is", "wso2/gw"), ("wso2/is", "other/gw"))
    )
    if random.random() < 0.02:
        services = tuple(f"n{number}/is" for number in range(7))
    options = Options(
        ready_only=random.random() < 0.1,
        include_terminating=random.random() < 0.15,
        source=random.choice(("auto", "auto", "endpointslices", "endpoints")),
        poll_interval=random.choice((10.0, 2.0)),
        stale_after=random.choice(theme.stale_after),
        relist_interval=random.choice(theme.relist_intervals),
    )
    gate = GateRules(
        expect=random.randint(1, 4),
        stable=random.choice((2.0, 0.5)),
        timeout=random.choice((120.0, 10.0)),
        on_timeout=random.choice(("start", "fail")),
        self_ip=random.choice((None, "10.0.0.3", "10.0.0.9")),
    )
    return Setting(
        services,
        options,
        gate,
        random.randint(1, 3),
        random.choice((0.0, 60.0, 5.0, 5.0)),
        random.randint(0, 4),
        random.choice((95, 990)),
    )


def generate_race(random: Random, at: float) -> list[Step]:
    """A restore by a few versions, and within seconds answers that are late, doubts, and new versions."""

    def soon() -> float:
        return at + random.random() * 4.0

    restore = Step(at, "restore", which=random.randrange(100))
    late = Step(max(0.0, soon() - 2.0), "window", random.randint(1, 2), 3.0, 0, "late", "list")
    slow = Step(soon(), "window", 1, 3.0, random.randint(1, 2), "slow", "watch")
    doubt = Step(at, "window", 1, random.choice((0.5, 4.0)), 0, random.choice(("error-410", "422", "410")), "watch")
    events = [Step(soon(), random.choice(("ready", "start", "touch")), random.randrange(1000)) for _ in range(6)]
    found = [restore, *random.sample((late, slow, doubt), 2), *events]
    if random.random() < 0.5:
        found.append(Step(max(0.0, at - 1.0), "busy"))
    return sorted(found, key=lambda step: step.at)


def generate_step(random: Random, at: float, action: str, theme: Theme) -> Step:
    given: dict[str, Any] = {"which": random.randrange(1000)}
    if action in CHANGES:
        given["seconds"] = random.choice((0.0, 0.001, 0.05, 0.6, 3.0))
        given["more"] = random.choice((0.0, 0.002, 0.02, 0.2, 0.45, 0.7, 2.0))
    elif action == "window":
        given["fault"] = random.choice(theme.faults)
        given["target"] = random.choice(TARGETS)
        given["seconds"] = random.choice((0.5, 3.0, 30.0, 100.0))
        given["more"] = random.choice((0, 0, 1, 2, 7, 70, 100000))
        given["which"] = random.choice(theme.times)
    elif action == "damage":
        given["fault"] = random.choice(DAMAGES)
    else:
        given["seconds"] = random.choice((0.3, 2.0, 8.0, 40.0))
    return Step(at, action, **given)
