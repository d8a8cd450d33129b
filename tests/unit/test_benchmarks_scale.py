"""What the benchmarks of cost and scale make of raw figures; the model of the herd; the parts of the page."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.blackhole import ARMS as CUT
from benchmarks.blackhole import established
from benchmarks.arms.catalogue import arm
from benchmarks.consumers import SHAPE
from benchmarks.cost import ARMS as COSTED
from benchmarks.cost import size_of
from benchmarks.crowd import LongPoll, Stream
from benchmarks.herd import Herd, quiet_requests, spread, stampede
from benchmarks.measures import Usage, busiest, fit_line, read_usage
from benchmarks.pages import blackhole, cost, goals, scale
from benchmarks.scale import PLANS, combine
from benchmarks.sizes import Spread
from membership.policy import BACKOFF_LIMIT

RUN = {
    "command": "python -m benchmarks.x",
    "date": "2026-01-01",
    "machine": "2 cores",
    "busy_with_other_work": [0.5, 0.4],
    "quiet": False,
    "versions": {"Python": "3.11"},
}


def test_a_line_is_fitted() -> None:
    assert fit_line([(1, 5), (2, 7), (4, 11)]) == pytest.approx((3, 2))
    with pytest.raises(ValueError):
        fit_line([(1, 5), (1, 7)])


@pytest.mark.parametrize(
    ("times", "width", "most"),
    [([], 1, 0), ([5], 1, 1), ([0, 0.5, 1.0], 1, 2), ([3, 1, 2, 2.5, 2.9], 1, 3), ([0, 1, 2], 0.5, 1)],
)
def test_the_busiest_span(times: list[float], width: float, most: int) -> None:
    assert busiest(times, width) == most


def test_usage_is_what_a_process_has_used() -> None:
    before = read_usage(os.getpid())
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
    after = read_usage(os.getpid())
    assert 0.19 < after.cpu - before.cpu < 5
    assert after.mib > 5
    assert Usage(10, 1, 5).load_since(Usage(0, 0.5, 5)) == pytest.approx(5)


def test_a_short_outage_is_over_soon_and_nobody_is_lost() -> None:
    herd = stampede(200, 2.0, 1)
    assert len(herd.recovered) == 200
    assert min(herd.recovered) >= 2.0
    assert len(herd.attempts) == 200 + herd.refused_per_pod * 200
    assert 2 < herd.refused_per_pod < 8, "0.2 s doubling, full jitter: some four tries in two seconds"
    assert herd.busiest_second < 200, "they do not come back at once"
    assert herd.back_after(0.5) <= herd.back_after(0.99) <= herd.back_after(1.0) <= BACKOFF_LIMIT


def test_after_a_long_outage_all_are_back_within_the_limit_of_the_backoff() -> None:
    herd = stampede(300, 300.0, 2)
    assert herd.back_after(1.0) <= BACKOFF_LIMIT + 1
    assert herd.busiest_second < 300 / 5, "spread over half a minute"
    assert stampede(300, 300.0, 2) == herd, "the same seed gives the same"


def test_figures_of_a_herd() -> None:
    herd = Herd(2, 10.0, (1.0, 10.01, 10.02, 11.0), (10.02, 11.0))
    (found,) = spread([herd])
    assert found["refused_per_pod"] == 1
    assert (found["busiest_100_ms"], found["busiest_second"]) == (2, 3)
    assert (found["half_back_s"], found["all_back_s"]) == (0.02, 1.0)


def test_requests_of_a_quiet_cluster_grow_with_its_pods() -> None:
    one, many = quiet_requests(1), quiet_requests(10_000)
    assert many == {name: pytest.approx(10_000 * value) for name, value in one.items()}
    assert one["lists"] == pytest.approx(1 / 300)


def test_open_connections_are_those_the_kernel_calls_established() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0B00F40A:C350 0100F40A:192B 01 00000000:00000000 02:000A7F3B 00000000     0        0 1 2\n"
        "   1: 0B00F40A:C351 0100F40A:192B 04 00000000:00000000 02:000A7F3B 00000000     0        0 1 2\n"
        "   2: 0B00F40A:C352 0100F40A:01BB 01 00000000:00000000 02:000A7F3B 00000000     0        0 1 2\n"
        "   3: 0B00F40A:C353 0100F40A:192B 02 00000000:00000000 02:000A7F3B 00000000     0        0 1 2\n"
    )
    assert established(table, 0x192B) == {0xC350}


def test_the_size_of_an_installation_leaves_out_what_python_brought(tmp_path: Path) -> None:
    for name, size in (("ours/a.py", 100), ("ours/__pycache__/a.pyc", 1000), ("pip/b.py", 5000), ("single.py", 7)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    assert size_of(tmp_path, ("pip",)) == 107


def test_services_are_dealt_out_over_namespaces() -> None:
    assert Spread(3, 2).names == [("wso2", "s-0"), ("ns-1", "s-1"), ("wso2", "s-2")]
    assert (Spread(3).shape.endpoints, Spread(3).shape.slices) == (9, 3)


def test_every_arm_is_in_the_catalogue_and_every_plan_answers_the_goals() -> None:
    assert {arm(name).name for name in (*COSTED, *CUT)} >= {"ours_callback", "client_go", "kubernetes_watch"}
    for plan in PLANS.values():
        assert any(shape.endpoints == 20_000 and shape.slices == 200 for shape in plan.endpoints)
        assert {("none", 0), ("long-poll", 1000), ("sse", 1000)} <= set(plan.crowds)
        assert all(count <= plan.recovery for count in plan.fleets), "the model begins where the measures end"
    assert SHAPE.slices == 1


class _Wire:
    """Bytes for a consumer, in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def recv(self, size: int) -> bytes:
        return self.pieces.pop(0)


HEAD = b"HTTP/1.1 200 OK\r\nX-Membership-Generation: 7\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    "pieces", [(HEAD + b"hello",), (HEAD, b"hello"), (HEAD[:20], HEAD[20:] + b"he", b"llo")], ids=len
)
def test_an_answer_counts_with_its_last_byte(pieces: tuple[bytes, ...]) -> None:
    consumer = LongPoll.__new__(LongPoll)
    consumer.sock, consumer._parts, consumer._missing = _Wire(*pieces), [], 0  # type: ignore[assignment]
    assert [consumer.take() for _ in pieces] == [*(None for _ in pieces[1:]), 7]


def test_an_event_counts_with_its_last_byte_and_a_comment_does_not() -> None:
    consumer = Stream.__new__(Stream)
    pieces = (b"HTTP/1.1 200 OK\r\n\r\n", b"10\r\nid: 3\n", b"data: {}\n\n\r\n", b"3\r\n: x\n\n\r\n")
    consumer.sock, consumer._parts = _Wire(*pieces), []  # type: ignore[assignment]
    assert [consumer.take() for _ in pieces] == [None, None, 3, None]


TIMES = {"p50": 1.0, "p90": 2.0, "p99": 3.0, "max": 4.0}
OUTPUT = {"since_bytes_ms": TIMES, "cpu_ms_per_change": 1.0, "resident_mib": 40.0}
SCALE: dict[str, Any] = RUN | {
    "endpoints": [
        {"endpoints": size, "list_to_synced_s": TIMES, **{name: OUTPUT for name in scale._OUTPUTS}}
        for size in (10, 20_000)
    ],
    "consumers": [
        {"kind": "none", "consumers": 0, "changes": 9, "file_ms": TIMES, "cpu_ms_per_change": 1, "resident_mib": 40},
        *(
            {"kind": kind, "consumers": count, "changes": 9, "file_ms": TIMES, "cpu_ms_per_change": 1}
            | {"resident_mib": 40, "first_ms": TIMES, "middle_ms": TIMES, "last_ms": {**TIMES, "p99": 151.0}}
            for kind in ("long-poll", "sse")
            for count in (1, 1000)
        ),
    ],
}


def test_goals_are_answered_as_measured() -> None:
    found = scale.reached({"scale-look.json": SCALE})
    assert not found["released"].holds and "151" in found["released"].figure
    assert found["file-beside"].holds and found["publish-20000"].holds
    assert not found["synced-20000"].holds, "4 s"
    assert goals.render(found | cost.reached({}) | blackhole.reached({}))


def test_what_was_not_run_is_said_and_what_was_is_drawn() -> None:
    for part in (cost, scale, blackhole):
        assert "Not run yet" in part.render({}).text
    made = scale.render({"scale-full.json": None, "scale-look.json": SCALE})
    assert set(made.pictures) == {"scale-endpoints.svg", "scale-consumers.svg"}
    assert "20,000" in made.text and "not to be quoted" in made.text and "Sidecars" not in made.text
    hole = RUN | {"bound_s": 60.0, "arms": {"client_go": {"noticed_s": None, "true_after_mending_s": 1.5, "ended": ""}}}
    assert "not in 60 s | 1.5 s" in blackhole.render({"blackhole.json": json.loads(json.dumps(hole))}).text


def test_parts_of_two_runs_are_quiet_only_if_both_were() -> None:
    older = RUN | {"command": "a", "fleet": 1, "endpoints": 1}
    newer = RUN | {"command": "b", "quiet": True, "busy_with_other_work": [0.01, 0.02], "endpoints": 2}
    found = combine(older, newer)
    assert (found["fleet"], found["endpoints"], found["quiet"], found["command"]) == (1, 2, False, "a; b")
    assert found["busy_with_other_work"] == [0.5, 0.4]
    assert combine(found, newer)["command"] == "a; b"
