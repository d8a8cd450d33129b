"""F15 and F16: a server that asks for patience, and one that has a problem of its own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from membership.testing import FakeKube
from tests.faults.stage import following, heals, kept


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
    assert len(gaps) == 2 and all(1.0 <= gap < 3.0 for gap in gaps), gaps
    assert len({round(gap, 4) for gap in gaps}) == 2, "with jitter"
    assert kube.count("list") == 1


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
