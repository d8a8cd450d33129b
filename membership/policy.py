"""What follows when a list or a watch is over: `RULES` is the whole policy, and each number has its reason here.

Every promise of ARCHITECTURE.md's table is a row of `RULES` or a constant; reflector.py only carries them out.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from membership import errors

BACKOFF_FIRST, BACKOFF_LIMIT = 0.2, 30.0
"""Doubling, with full jitter: thousands of sidecars lose the same server at the same moment."""
FIRST_LIST_LIMIT = 5.0
"""The limit until the first list has come: a server waits behind this pod's gate, there is no kept list to live on, and
few pods start at one moment. With 30 s a start in an outage of 30 s took up to 25 s longer than WSO2's and Hazelcast's
own ways (docs/formation.md)."""
HEALTHY = 60.0
"""Seconds without a failure, streaming or polling, after which the next one starts at `BACKOFF_FIRST` again."""
EAGER_GAP = 10.0
"""A retry without any delay is allowed this often for one cause: an answer that repeats must not become a loop."""
SLOW = (30.0, 60.0)
"""Asking again after a refusal by RBAC, and asking again for what a fallback replaces."""
FRESH_START, DOUBT = 30.0, 2.5
"""A 403 within the first so many seconds after a fault of the server is not believed for the second number of seconds:
a kube-apiserver that has just started answers 403 for about a second, until it has read its Roles (measured in
tests/real/test_outages.py). Nor is a 403 or 404 to a list that was answered before, whenever it comes: a balancer
without a server behind it says 404 as well, and believed it would cost half a minute without a list."""
DOUBT_DELAY = (0.1, 0.5)
"""Seconds between tries meanwhile."""
RETRY_AFTER_LIMIT = 60.0
SHORT_STREAM = 1.0
"""A stream that ends sooner without an event is a server that is starting or a bad balancer, not a normal end."""
WATCH_TIMEOUT = (240, 300)
"""timeoutSeconds of a watch: below the 350 s after which the strictest balancers forget a silent connection."""
SILENCE = (2 / 3, 5 / 6)
"""Parts of `stale_after` after which a silent stream is opened anew: in time for a quiet server never to look stale."""
RELIST_JITTER = (0.5, 1.5)
WATCH_ANSWER = 15.0
"""Seconds within which a server accepts a watch, which costs it nothing; one held back by a proxy never comes."""
FAULTS_BEFORE_LIST, SHORT_BEFORE_LIST = 3, 5
"""Watches in a row that fail although the server answers (a proxy that cannot stream), or that are accepted and over at
once, as those of a server that stops are, too. A list then keeps the truth, and proves it, which a watch that brings
nothing does not. Where nothing comes after that list either, it is polled, and a watch tried again after `SLOW`."""


class Step(Enum):
    LIST = "list"
    WATCH = "watch"


class Cause(StrEnum):
    """Why a list or a watch is over. The values are the `reason` labels of the metrics."""

    START = "start"
    PERIODIC = "periodic"
    POLL = "poll"
    PROBE = "probe"
    ENDED = "ended"
    SHORT = "short"
    QUIET = "quiet"
    RESTORED = "restored"
    CUT = "cut"
    UNREACHABLE = "unreachable"
    SILENT = "silent"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    EXPIRED = "expired"
    TOO_LARGE = "too-large"
    THROTTLED = "throttled"
    SERVER_FAULT = "server-fault"
    REJECTED = "rejected"
    BAD_ANSWER = "bad-answer"
    OUTDATED = "outdated"


class Delay(Enum):
    NONE = "none"
    EAGER = "none the first time, then backoff"
    BACKOFF = "backoff"
    SLOW = "30 to 60 s"


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows a cause: the next step, whether the resource version still serves, and the delay."""

    step: Step
    delay: Delay
    keep_version: bool = True


RULES: dict[tuple[Step, Cause], Rule] = {
    (Step.WATCH, Cause.ENDED): Rule(Step.WATCH, Delay.NONE),
    (Step.WATCH, Cause.QUIET): Rule(Step.WATCH, Delay.NONE),
    (Step.WATCH, Cause.RESTORED): Rule(Step.WATCH, Delay.NONE),
    (Step.WATCH, Cause.SHORT): Rule(Step.WATCH, Delay.BACKOFF),
    (Step.WATCH, Cause.CUT): Rule(Step.WATCH, Delay.BACKOFF),
    (Step.WATCH, Cause.UNREACHABLE): Rule(Step.WATCH, Delay.BACKOFF),
    (Step.WATCH, Cause.SILENT): Rule(Step.WATCH, Delay.BACKOFF),
    (Step.WATCH, Cause.THROTTLED): Rule(Step.WATCH, Delay.BACKOFF),
    (Step.WATCH, Cause.SERVER_FAULT): Rule(Step.WATCH, Delay.BACKOFF),
    (Step.WATCH, Cause.UNAUTHORIZED): Rule(Step.WATCH, Delay.EAGER),
    (Step.WATCH, Cause.NOT_FOUND): Rule(Step.LIST, Delay.EAGER),
    (Step.WATCH, Cause.EXPIRED): Rule(Step.LIST, Delay.EAGER, keep_version=False),
    (Step.WATCH, Cause.TOO_LARGE): Rule(Step.LIST, Delay.EAGER, keep_version=False),
    (Step.WATCH, Cause.REJECTED): Rule(Step.LIST, Delay.BACKOFF, keep_version=False),
    (Step.WATCH, Cause.BAD_ANSWER): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.SHORT): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.CUT): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.UNREACHABLE): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.SILENT): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.THROTTLED): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.SERVER_FAULT): Rule(Step.LIST, Delay.BACKOFF),
    (Step.LIST, Cause.UNAUTHORIZED): Rule(Step.LIST, Delay.EAGER),
    (Step.LIST, Cause.FORBIDDEN): Rule(Step.LIST, Delay.SLOW),
    (Step.LIST, Cause.NOT_FOUND): Rule(Step.LIST, Delay.SLOW),
    (Step.LIST, Cause.EXPIRED): Rule(Step.LIST, Delay.EAGER, keep_version=False),
    (Step.LIST, Cause.TOO_LARGE): Rule(Step.LIST, Delay.EAGER, keep_version=False),
    (Step.LIST, Cause.OUTDATED): Rule(Step.LIST, Delay.EAGER, keep_version=False),
    (Step.LIST, Cause.REJECTED): Rule(Step.LIST, Delay.BACKOFF, keep_version=False),
    (Step.LIST, Cause.BAD_ANSWER): Rule(Step.LIST, Delay.BACKOFF),
}
"""Two rows are missing on purpose, a watch that is forbidden and a fallback between resources: see `_refused`."""

FAULTS = frozenset({Cause.CUT, Cause.UNREACHABLE, Cause.SILENT, Cause.THROTTLED, Cause.SERVER_FAULT})
"""Causes that a server which is away, starting or overloaded gives."""

CAUSES: dict[type[errors.ApiError], Cause] = {
    errors.Unreachable: Cause.UNREACHABLE,
    errors.Silent: Cause.SILENT,
    errors.Unauthorized: Cause.UNAUTHORIZED,
    errors.Forbidden: Cause.FORBIDDEN,
    errors.NotFound: Cause.NOT_FOUND,
    errors.Expired: Cause.EXPIRED,
    errors.TooLarge: Cause.TOO_LARGE,
    errors.Throttled: Cause.THROTTLED,
    errors.ServerFault: Cause.SERVER_FAULT,
    errors.Rejected: Cause.REJECTED,
    errors.BadAnswer: Cause.BAD_ANSWER,
}
"""By the error that a request or a stream ended with."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that steer a reflector; all times in seconds."""

    source: str = "auto"
    """auto, or what to ask for: endpointslices, endpoints or services."""
    poll_interval: float = 10.0
    stale_after: float = 90.0
    relist_interval: float = 300.0
