"""What an event costs from the socket to the published list, in JSON and in protobuf: the reader's own part.

    python -m benchmarks.decode [--endpoints 1000] [--events 400] [--pause 0.02] [--profile protobuf]

One slice; each event is another readiness of one of its endpoints, and is sent when the last one was published, so
nothing else runs meanwhile; `--pause` seconds later, for what the caches hold of us by then. "decode" is the codec
alone, first for a slice never seen, then for the events; "published" is from the bytes read to the subscriber's
callback (the `read_at` of the publication). Beside them in the same run: json.loads of the same lines, the least that
other Python clients do. Medians, in milliseconds.
"""

import argparse
import cProfile
import json
import pstats
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from membership import Membership, connect
from membership import follower
from membership.testing import protobuf
from membership.wire import Codec, Json, Protobuf, Resource, Seen, decode_event

NAMESPACE, SERVICE = "wso2", "is"
TYPES = {"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"}
SLICES = Resource.ENDPOINTSLICES


def slice_object(endpoints: int, version: int) -> dict[str, Any]:
    """As the endpointslice controller writes it; in version n the endpoint n is not ready."""
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": "is-x7k2p",
            "generateName": "is-",
            "namespace": NAMESPACE,
            "uid": "5e4d1c9a-6f53-4a53-9a2b-2f6f6f0a3b11",
            "resourceVersion": str(1000 + version),
            "generation": version + 1,
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": SERVICE,
            },
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": SERVICE, "uid": "s1"}],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(number, number != version % endpoints) for number in range(endpoints)],
        "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP"}],
    }


def _endpoint(number: int, ready: bool) -> dict[str, Any]:
    return {
        "addresses": [f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": f"node-{number % 50}",
        "targetRef": {
            "kind": "Pod",
            "namespace": NAMESPACE,
            "name": f"is-{number}",
            "uid": f"{number:08x}-aaaa-bbbb-cccc-000000000000",
        },
    }


def frames(form: str, endpoints: int, events: int) -> tuple[bytes, list[bytes]]:
    """The list, and the events as they are sent."""
    first = slice_object(endpoints, 0)
    listed: dict[str, Any] = {"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "items": [first]}
    listed["metadata"] = {"resourceVersion": "1000"}
    objects = [slice_object(endpoints, version) for version in range(1, events + 1)]
    if form == "protobuf":
        sent = [protobuf.encode_event("MODIFIED", protobuf.encode_object(object)) for object in objects]
        return protobuf.encode_object(listed), sent
    lines = [json.dumps({"type": "MODIFIED", "object": object}, separators=(",", ":")) for object in objects]
    return json.dumps(listed).encode(), [line.encode() + b"\n" for line in lines]


@contextmanager
def server(form: str, listing: bytes, sent: list[bytes], go: threading.Semaphore, pause: float) -> Iterator[str]:
    """Answers one list and one watch; each event waits for `go`, and then for `pause` seconds. Its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[form]}\r\n".encode()
        if b"watch=1" not in request:
            connection.sendall(head + f"Content-Length: {len(listing)}\r\n\r\n".encode() + listing)
            return
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for data in sent:
            go.acquire()
            time.sleep(pause)
            connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
        connection.recv(1)  # until the client leaves

    def serve() -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with connection:
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        thread.join(5)


def published(form: str, endpoints: int, events: int, pause: float = 0.0) -> list[float]:
    """Seconds from the bytes read to the callback, for each event."""
    listing, sent = frames(form, endpoints, events)
    go, took, done = threading.Semaphore(0), [], threading.Event()
    with server(form, listing, sent, go, pause) as url, Membership(
        connect(url, environ={}), [f"{NAMESPACE}/{SERVICE}"]
    ) as live:
        live.wait(endpoints, 20)

        def callback(publication: Any) -> None:
            took.append(time.monotonic() - publication.read_at)
            done.set() if publication.snapshot.generation > events else go.release()

        live.subscribe(callback)
        if not done.wait(120):
            raise SystemExit(f"{len(took)} of {events} events were published")
    return took[1:]


def decoded(codec: Codec, sent: list[bytes]) -> tuple[float, list[float]]:
    """Seconds for the first event, of a slice never seen, and for each that follows."""
    messages = [message for data in sent for message in codec.framing().feed(data)]
    took = [_timed(lambda: decode_event(codec, message, SLICES)) for message in messages]
    return took[0], took[1:]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__.splitlines()[0])
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--events", type=int, default=400)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each event that is published")
    parser.add_argument("--profile", choices=list(TYPES), help="the reader's thread under cProfile")
    given = parser.parse_args()
    if given.profile:
        _profile(given.profile, given.endpoints, given.events)
        return
    print(f"{given.endpoints} endpoints, {given.events} events; ms, medians (p99)")
    for form, codec in (("json", Json()), ("protobuf", Protobuf(Seen()))):
        _, sent = frames(form, given.endpoints, given.events)
        first, rest = decoded(codec, sent)
        if form == "json":
            print(f"{'json.loads':10} decode {_shown([_timed(lambda: json.loads(line)) for line in sent])}")
        whole = published(form, given.endpoints, given.events, given.pause)
        size = len(sent[0]) / 1000
        print(f"{form:10} decode {_shown(rest)}, first {first * 1000:.2f}; published {_shown(whole)}; {size:.0f} kB")


def _shown(took: list[float]) -> str:
    return f"{statistics.median(took) * 1000:.2f} ({statistics.quantiles(took, n=100)[98] * 1000:.2f})"


def _profile(form: str, endpoints: int, events: int) -> None:
    profile = cProfile.Profile()
    read = follower.Follower._read

    def profiled(self: Any, *arguments: Any) -> None:
        profile.enable()
        try:
            read(self, *arguments)
        finally:
            profile.disable()

    follower.Follower._read = profiled  # type: ignore[method-assign,assignment]
    published(form, endpoints, events)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
