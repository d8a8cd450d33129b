"""Never more than five requests in any second, for as long as a fault lasts and however many namespaces it hits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from membership import Membership
from membership.testing import FakeKube, Request
from tests.faults.stage import LIMIT, server_of
from tests.running import busiest_second, pods

RATES: list[tuple[str, str, dict[str, Any], int]] = [
    ("list", "status", {"code": 500}, 1),
    ("list", "reset", {}, 1),
    ("list", "html", {}, 4),
    ("list", "reset", {}, 12),
    ("list", "expired-status", {}, 8),
    ("any", "status", {"code": 401}, 4),
    ("watch", "reset", {}, 1),
    ("watch", "status", {"code": 503}, 4),
    ("watch", "status", {"code": 401}, 8),
    ("watch", "reset", {}, 8),
    ("watch", "close", {}, 8),
    ("watch", "half-line", {}, 4),
    ("watch", "expired-event", {}, 4),
    ("watch", "expired-status", {}, 8),
    ("watch", "error-event", {"code": 410}, 4),
    ("watch", "bad-json", {}, 4),
]


@pytest.fixture(scope="module")
def rates() -> Iterator[list[Future[list[Request]]]]:
    def last(on: str, fault: str, params: dict[str, Any], namespaces: int) -> list[Request]:
        with FakeKube() as kube:
            names = [f"n{n}/is" for n in range(namespaces)]
            for name in names:
                kube.set_service(name.partition("/")[0], "is", pods(1))
            kube.fault(fault, on=on, **params)
            with Membership(server_of(kube), names):
                threading.Event().wait(5.0)  # nothing to wait for: this is how long the fault lasts
            return kube.requests

    with ThreadPoolExecutor(len(RATES)) as pool:
        yield [pool.submit(last, *rate) for rate in RATES]


@pytest.mark.parametrize("index", range(len(RATES)), ids=[f"{on} {fault} x{n}" for on, fault, _, n in RATES])
def test_no_fault_makes_more_than_five_requests_a_second(rates: list[Future[list[Request]]], index: int) -> None:
    requests = rates[index].result(30)
    assert len(requests) >= 3, "the fault must have been met"
    assert busiest_second(requests) <= LIMIT, f"{busiest_second(requests)} in a second, {len(requests)} in 5 s"
