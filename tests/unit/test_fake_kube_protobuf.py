"""FakeKube's protobuf over HTTP: what is asked for, what is answered, and when it stays JSON."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from membership.errors import Forbidden
from membership.testing import FakeKube
from membership.wire import LISTS, WATCHES, EventType, Resource, decode_status
from tests.running import pods
from tests.unit.forms import PROTOBUF, assert_same_list

SLICES = "/apis/discovery.k8s.io/v1/namespaces/wso2/endpointslices"
TYPE = "application/vnd.kubernetes.protobuf"


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        server.set_service("wso2", "is", pods(2))
        yield server


def get(kube: FakeKube, path: str, accept: str | None, **more: Any) -> urllib3.BaseHTTPResponse:
    headers = {} if accept is None else {"Accept": accept}
    return urllib3.PoolManager(retries=False, timeout=10).request("GET", kube.url + path, headers=headers, **more)


@pytest.mark.parametrize(
    "accept, type",
    [
        (LISTS, TYPE),
        (TYPE, TYPE),
        ("application/json", "application/json"),
        (f"application/json, {TYPE}", "application/json"),
        ("*/*", "application/json"),
        (None, "application/json"),
    ],
)
def test_the_first_that_is_accepted_is_sent(kube: FakeKube, accept: str | None, type: str) -> None:
    assert get(kube, SLICES, accept).headers["Content-Type"] == type


def test_lists_say_the_same_in_both(kube: FakeKube) -> None:
    for resource, path in (
        (Resource.ENDPOINTSLICES, SLICES),
        (Resource.ENDPOINTS, "/api/v1/namespaces/wso2/endpoints"),
        (Resource.SERVICES, "/api/v1/namespaces/wso2/services"),
    ):
        listing = assert_same_list(get(kube, path, None).data, get(kube, path, LISTS).data, resource)
        assert len(listing.items) == 1


def test_a_watch_is_sent_in_frames(kube: FakeKube) -> None:
    query = "?watch=1&resourceVersion=101&allowWatchBookmarks=true&timeoutSeconds=30"
    stream = get(kube, SLICES + query, WATCHES, preload_content=False)
    assert stream.headers["Content-Type"] == f"{TYPE};stream=watch"
    kube.wait_for_watch()
    kube.set_service("wso2", "is", pods(3))
    kube.bookmark()
    framing, frames = PROTOBUF.codec.framing(), list[bytes]()
    while len(frames) < 3:
        frames += framing.feed(stream.read1(65536))
    events = [PROTOBUF.decode_event(frame, Resource.ENDPOINTSLICES) for frame in frames]
    assert [event.type for event in events[-2:]] == [EventType.MODIFIED, EventType.BOOKMARK]
    assert events[-1].resource_version == kube.resource_version
    stream.release_conn()
    stream.close()


def test_errors_are_in_protobuf_and_what_is_no_object_is_not(kube: FakeKube) -> None:
    kube.deny("list", "endpointslices")
    refused = get(kube, SLICES, LISTS)
    assert (refused.status, refused.headers["Content-Type"]) == (403, TYPE)
    assert type(decode_status(refused.data, 403)) is Forbidden
    assert json.loads(get(kube, "/version", LISTS).data)["gitVersion"] == "v1.36.3"
    kube.remove_api("endpointslices")
    assert get(kube, SLICES, LISTS).headers["Content-Type"].startswith("text/plain")


def test_a_server_of_json_only(kube: FakeKube) -> None:
    kube.protobuf = False
    assert get(kube, SLICES, LISTS).headers["Content-Type"] == "application/json"
    kube.protobuf = True
    assert get(kube, SLICES, LISTS).headers["Content-Type"] == TYPE
    with FakeKube(protobuf=False) as other:
        assert not other.protobuf
