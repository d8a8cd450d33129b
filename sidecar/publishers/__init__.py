"""Outputs of the list. Each takes the newest list when it is ready; none can delay or stop another."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """How an output fares."""

    name: str
    generation: int
    """The newest one it has dealt with; 0 before the first."""
    problem: str
    """Why the newest list could not be put out; "" while all is well."""
    kept_empty: bool
    """The newest list has nothing for this format, and what was there before stays."""
    failures: int
    kept_empty_times: int
    problem_since: float | None
    """Monotonic seconds."""
    put_out_at: float | None = None
    """When a list was put out last; monotonic seconds, None before the first."""
    waiting: str = ""
    """What the output waits for before it can take the list; not a problem."""


class Publisher(Protocol):
    """An output with a thread of its own."""

    def start(self) -> None: ...

    def close(self) -> None:
        """Stop soon; called after the session has been closed."""

    @property
    def status(self) -> PublisherStatus: ...
