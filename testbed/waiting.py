"""Waiting for something to become true, without fixed sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(ask: Callable[[], T | None], *, timeout: float = 10.0, what: str = "", every: float = 0.01) -> T:
    """The first truthy answer of `ask`, asked each `every` seconds. TimeoutError after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what or ask}; last answer: {answer!r}")
        time.sleep(every)
