"""F15 and F16: a server that asks for patience, and one that has a problem of its own."""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from membership import connect
from membership.errors import Throttled
from membership.testing import FakeKube
from tests.faults.stage import answering, following, heals, kept
from tests.running import HOST


def test_f15_throttled(kube: FakeKube) -> None:
    """F15, 429 with Retry-After: obey it and add jitter, keep the version, do not list."""
    with following(kube) as sidecar:
        throttled = kube.fault("status", on="watch", times=2, code=429, retry_after=1)
        kube.cut_watches("eof")
        sidecar.wait_log("429.*watch endpointslices")
        kept(sidecar)
        kube.wait_for(lambda: throttled.left == 0, 10)
        kube.wait_for_watch()
        heals(kube, sidecar)
        assert sidecar.count("429") == 1 and sidecar.metric("membership_requests_total", code="429") == 2
    times = [request.time for request in kube.requests if request.kind == "watch"][1:]
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert len(gaps) == 2 and all(1.0 <= gap < 6.0 for gap in gaps), gaps
    assert len({round(gap, 4) for gap in gaps}) == 2, "with jitter"
    assert kube.count("list") == 1


def retry_after(*headers: str) -> float | None:
    """What a 429 with these headers asks for."""
    answer = "\r\n".join(["HTTP/1.1 429 Too Many Requests", "Content-Length: 0", *headers, "", ""])
    with answering(answer.encode(), b"") as port, pytest.raises(Throttled) as caught:
        server = connect(f"http://{HOST}:{port}", environ={}, service_account=Path("/nonexistent"))
        server.version(time.monotonic() + 10)
    return caught.value.retry_after


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 12.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 12.0),
        ("Sun Nov  6 08:49:37 1994", 12.0),
        ("Sun, 06 Nov 1994 08:49:20 GMT", 0.0),
        ("Sun, 06 Nov 99999999999 08:49:37 GMT", None),
        ("soon", None),
        ("3.5", None),
        ("-1", None),
    ],
)
def test_retry_after_is_a_number_or_a_time_by_the_clock_of_the_answer(asked: str, seconds: float | None) -> None:
    assert retry_after(f"Retry-After: {asked}", "Date: Sun, 06 Nov 1994 08:49:25 GMT") == seconds


@pytest.mark.parametrize("date", [[], ["Date: today"]], ids=["no date", "no date that can be read"])
def test_retry_after_is_a_time_by_our_clock_where_the_answer_has_none(date: list[str]) -> None:
    found = retry_after(f"Retry-After: {formatdate(time.time() + 40, usegmt=True)}", *date)
    assert found is not None and 30 < found <= 40


@pytest.mark.parametrize(
    ("on", "fault", "params"),
    [("any", "status", {"code": 500}), ("any", "status", {"code": 503}), ("watch", "error-event", {"code": 500})],
)
def test_f16_server_faults(kube: FakeKube, on: str, fault: str, params: dict[str, Any]) -> None:
    """F16, 500 and 503 as a status or in the stream: back off, serve the last list, and say a lasting problem once."""
    code = params["code"]
    with following(kube) as sidecar:
        lasting = kube.fault(fault, on=on, **params)
        kube.cut_watches("eof")
        line = sidecar.wait_log(f"{code} .*watch endpointslices")
        assert kube.url in line and '"level": "warning"' in line
        kube.wait_for(lambda: lasting.hits >= 3, 15, "the fault")
        kept(sidecar)
        ready = sidecar.get("/readyz?verbose")
        assert ready.status == 200 and re.search(rf"\[!\]namespace wso2: .*{code}", ready.text)
        assert sidecar.count(f" {code} |: {code} ") == 1
        lasting.clear()
        heals(kube, sidecar)
