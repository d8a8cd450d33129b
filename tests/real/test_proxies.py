"""What stands between us and the API server: balancers and proxies that forget, cut and buffer, and lagging servers."""

import contextlib
import http.client
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from membership import Membership, connect
from testbed.plane import ControlPlane
from testbed.proxy import Proxy
from testbed.rest import Json
from tests.real.world import LIMIT, Place, eventually, total
from tests.running import Sidecar

CROWD = 20
"""Clients of one server."""
PROMISE = 90.0
"""Seconds within which a live proxy with a dead upstream is seen, with default settings."""


def _port(place: Place) -> int:
    return int(place.in_cluster["KUBERNETES_SERVICE_PORT"])


def _with_a_pod(place: Place) -> Place:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    return place


@dataclass
class Orphan:
    """A sidecar with default settings whose proxy has lost the server behind it."""

    place: Place
    proxy: Proxy
    sidecar: Sidecar
    lost_at: float = 0.0


@pytest.fixture(scope="session")
def orphan(make_place: Callable[..., Place]) -> Iterator[Orphan]:
    place = _with_a_pod(make_place("t-orphan"))
    with Proxy(_port(place)) as proxy:
        sidecar = place.sidecar("--server", proxy.url)
        sidecar.wait_log("watching endpointslices", LIMIT)
        yield Orphan(place, proxy, sidecar)


def test_a_live_proxy_loses_its_upstream(orphan: Orphan) -> None:
    """The beginning. TCP is in order: the proxy answers every probe of the kernel."""
    orphan.proxy.forget()
    orphan.lost_at = time.monotonic()
    orphan.place.pod("is-1", "10.1.0.6")
    orphan.place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    assert orphan.sidecar.addresses() == ["10.1.0.5"]


@pytest.mark.last
def test_a_dead_upstream_was_seen_in_time(orphan: Orphan, figures: MutableMapping[str, str]) -> None:
    """F2: the silence of the stream ends it, before the list is stale, and by a watch."""
    assert orphan.lost_at, "the beginning has failed"
    sidecar = orphan.sidecar
    sidecar.follows(["10.1.0.5", "10.1.0.6"], max(1.0, orphan.lost_at + PROMISE - time.monotonic()))
    seen_after = next(at for at in orphan.proxy.accepted if at > orphan.lost_at) - orphan.lost_at
    assert seen_after < PROMISE
    assert total(sidecar, "membership_watch_restarts_total", reason="quiet") >= 1
    assert total(sidecar, "membership_relists_total", reason="start") == 1
    assert sidecar.count("the list is stale") == 0
    assert sidecar.members()["generation"] == 2
    figures["live proxy with a dead upstream"] = f"seen after {seen_after:.0f} s, with default settings"


def test_a_balancer_cuts_an_idle_stream(place: Place) -> None:
    """F6: no news, no list, and on from the version held."""
    _with_a_pod(place)
    with Proxy(_port(place)) as proxy:
        sidecar = place.sidecar("--server", proxy.url)
        sidecar.wait_log("watching endpointslices", LIMIT)
        held = sidecar.members()["resource_versions"][place.namespace]
        proxy.cut()
        eventually(lambda: total(sidecar, "membership_watch_restarts_total", reason="cut"), 1.0)
        place.pod("is-1", "10.1.0.6")
        sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
        assert "warning" not in sidecar.log
        asked = [(request.verb, request.query.get("resourceVersion")) for request in place.world.asked(place.user)]
        assert asked == [("list", None), ("watch", held), ("watch", held)]


def test_a_crowd_comes_back_spread_out(place: Place, figures: MutableMapping[str, str]) -> None:
    """F29: all lose the same server at once. Behind a balancer: a server that starts parks them all in its backlog."""
    _with_a_pod(place)
    with Proxy(_port(place)) as proxy, contextlib.ExitStack() as stack:
        servers = [connect(proxy.url, environ={}, service_account=place.mount) for _ in range(CROWD)]
        crowd = [stack.enter_context(Membership(server, services=["is"])) for server in servers]
        eventually(lambda: len(place.world.asked(place.user)), 2 * CROWD)
        proxy.refuse(True)
        proxy.cut()
        eventually(lambda: all(one.requests_by_code().get("error", 0) >= 3 for one in crowd), True)
        proxy.refuse(False)
        eventually(lambda: len(place.world.asked(place.user)), 3 * CROWD)
        back = place.world.asked(place.user)[2 * CROWD :]
        assert {request.verb for request in back} == {"watch"}
        times = [request.at for request in back]
        together = max(sum(begin <= at < begin + 0.1 for at in times) for begin in times)
        assert together <= CROWD * 0.6, f"{together} of {CROWD} within a tenth of a second: {times}"
        assert all(len(one.current().members) == 1 for one in crowd)
        figures["a crowd after an outage"] = (
            f"{CROWD} clients back within {times[-1] - times[0]:.1f} s of the first, at most {together} in 0.1 s"
        )


def test_a_megabyte_cut_in_the_middle(place: Place, figures: MutableMapping[str, str]) -> None:
    """F18 and F19: an object near etcd's limit; half of it is nothing, and it comes again whole."""
    _with_a_pod(place)
    with Proxy(_port(place)) as proxy:
        sidecar = place.sidecar("--server", proxy.url)
        sidecar.wait_log("watching endpointslices", LIMIT)
        proxy.cut_after(400_000)
        wanted = [f"10.2.{n // 250}.{n % 250 + 1}" for n in range(1000)]
        place.make_slice("big", "is", [_fat_endpoint(address) for address in wanted])
        began = time.monotonic()
        sidecar.follows(["10.1.0.5", *wanted], LIMIT)
        took = time.monotonic() - began
        assert total(sidecar, "membership_watch_restarts_total") == 1, "it was cut"
        assert total(sidecar, "membership_relists_total") == 1, "and no list was needed"
        assert sidecar.members()["generation"] == 2
        assert sidecar.resident() <= 100
        figures["a slice of 1 MB, cut once"] = f"followed after {took:.2f} s, {sidecar.resident():.0f} MiB resident"
        place.delete_slice("big")
        sidecar.follows(["10.1.0.5"], LIMIT)


def _fat_endpoint(address: str) -> Json:
    reference = {"kind": "Pod", "name": "p", "uid": address, "fieldPath": "spec." + "x" * 900}
    return {"addresses": [address], "conditions": {"ready": True}, "targetRef": reference}


def test_a_proxy_that_buffers(place: Place) -> None:
    """F7: it ends TLS and holds each stream back to its end: that is told, and the lists beside it go on."""
    _with_a_pod(place)
    with buffering(place.plane) as url:
        sidecar = place.sidecar("--server", url, "--relist-interval", "2s")
        line = sidecar.wait_log("not sent in chunks", LIMIT)
        assert '"level": "warning"' in line and url in line
        place.pod("is-1", "10.1.0.6")
        sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
        assert total(sidecar, "membership_relists_total", reason="periodic") >= 1
        assert total(sidecar, "membership_events_total") == 0, "not one event came"
        assert sidecar.get("/readyz").status == 200


@contextlib.contextmanager
def buffering(plane: ControlPlane) -> Iterator[str]:
    """The URL of a proxy for HTTP that sends the head of an answer at once, and its body when it is complete."""
    host, _, port = plane.url.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    upstreams: list[http.client.HTTPSConnection] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream = http.client.HTTPSConnection(host, int(port), context=context)
            upstreams.append(upstream)
            try:
                upstream.request("GET", self.path, headers=dict(self.headers))
                answer = upstream.getresponse()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", ""))
                self.end_headers()
                self.wfile.write(answer.read())
            except (OSError, http.client.HTTPException):
                pass  # one of the two has left
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        for upstream in upstreams:
            if upstream.sock is not None:
                upstream.sock.close()
        server.server_close()


def test_two_api_servers_one_lagging(lone_place: Place, tmp_path: Path) -> None:
    """F5 and F21: a balancer turns to a server that hears nothing from etcd. Nothing goes back in time."""
    place, plane = _with_a_pod(lone_place), lone_place.plane
    audit = f"--audit-log-path={tmp_path / 'twin.log'}"
    with contextlib.ExitStack() as stack:
        etcd, balancer = (stack.enter_context(Proxy(port)) for port in (plane.etcd_port, _port(place)))
        lagging = stack.enter_context(plane.twin(audit, etcd_port=etcd.port))
        sidecar = place.sidecar("--server", balancer.url, "--stale-after", "4s")
        sidecar.wait_log("watching endpointslices", LIMIT)
        etcd.hold()
        place.pod("is-1", "10.1.0.6")
        sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
        seen = sidecar.members()

        balancer.target = lagging
        balancer.cut()
        place.pod("is-2", "10.1.0.7")
        place.wait_addresses(["10.1.0.5", "10.1.0.6", "10.1.0.7"])
        # The watch from a version that the lagging server has not seen yet is accepted there, and silent.
        eventually(lambda: total(sidecar, "membership_watch_restarts_total", reason="quiet") >= 1, True, 15)
        answer = sidecar.members()
        assert (answer["members"], answer["generation"]) == (seen["members"], seen["generation"])
        fresh = place.command("list", "--server", f"https://127.0.0.1:{lagging}", "--timeout", "2s")
        assert (fresh.result(), fresh.output) == (6, ""), "the first list is the most recent one, or none"

        etcd.release()
        sidecar.follows(["10.1.0.5", "10.1.0.6", "10.1.0.7"], LIMIT)
        assert sidecar.members()["generation"] == seen["generation"] + 1
        assert (
            total(sidecar, "membership_relists_total") == 1 and total(sidecar, "membership_server_restored_total") == 0
        )
        eventually(lambda: sidecar.get("/readyz").status, 200, LIMIT)
