"""Whatever object it is, both codecs give equal slices, definitions and errors: null, unset and empty as well."""

import json
import operator
import sys
import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from membership.testing.protobuf import encode_event, encode_object
from membership.wire import Protobuf, Resource, Seen, decode_event, decode_list, decode_status
from tests.unit.forms import JSON, PROTOBUF, assert_same_errors

SOME = settings(max_examples=300, deadline=None)
TEXT = st.text(max_size=8)
NUMBER = st.integers(-(2**31), 2**31 - 1)
FLAG = st.none() | st.booleans()


def unset(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """As Go's omitempty has it: null or something, and never empty."""
    return st.none() | values.filter(bool)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list: an empty one is null once it was stored, as protobuf has no other."""
    return st.none() | st.lists(values, min_size=1, max_size=4)


def fields(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects in which each of these may be left out."""
    return st.fixed_dictionaries({}, optional=values)


MAP = unset(st.dictionaries(TEXT, TEXT, max_size=3))
TIME = st.none() | st.datetimes().filter(lambda at: at.year > 1).map(lambda at: at.isoformat("T", "seconds") + "Z")
TARGET = st.none() | fields(kind=unset(TEXT), name=unset(TEXT), uid=unset(TEXT), namespace=unset(TEXT))
OWNER = st.fixed_dictionaries({"kind": st.sampled_from(["Service", "Pod", ""]), "name": TEXT, "uid": TEXT})
METADATA = st.fixed_dictionaries(
    {"name": TEXT, "resourceVersion": st.integers(1).map(str)},
    optional={
        "namespace": TEXT,
        "creationTimestamp": TIME,
        "deletionTimestamp": TIME,
        "generation": st.integers(0, 2**63 - 1),
        "labels": MAP | st.just({"kubernetes.io/service-name": "is"}),
        "annotations": MAP | st.just({"serviceloadbalancer/lb.host": "x"}),
        "ownerReferences": some(OWNER),
        "finalizers": some(TEXT),
    },
)
ENDPOINT = st.fixed_dictionaries(
    {"conditions": fields(ready=FLAG, serving=FLAG, terminating=FLAG)},
    optional={
        "addresses": some(TEXT),
        "hostname": st.none() | TEXT,
        "nodeName": st.none() | TEXT,
        "zone": st.none() | TEXT,
        "targetRef": TARGET,
        "hints": st.none() | fields(forZones=some(fields(name=TEXT))),
        "deprecatedTopology": MAP,
    },
)
PORT = fields(name=st.none() | TEXT, port=st.none() | NUMBER, protocol=st.none() | TEXT)
SLICE = st.fixed_dictionaries(
    {"kind": st.just("EndpointSlice"), "metadata": METADATA, "addressType": TEXT},
    optional={"endpoints": some(ENDPOINT), "ports": some(PORT)},
)
ADDRESS = st.fixed_dictionaries(
    {"ip": TEXT}, optional={"hostname": unset(TEXT), "nodeName": st.none() | TEXT, "targetRef": TARGET}
)
SUBSET = fields(
    addresses=some(ADDRESS),
    notReadyAddresses=some(ADDRESS),
    ports=some(st.fixed_dictionaries({"port": NUMBER}, optional={"name": unset(TEXT)})),
)
ENDPOINTS = st.fixed_dictionaries(
    {"kind": st.just("Endpoints"), "metadata": METADATA}, optional={"subsets": some(SUBSET)}
)
SERVICE_PORT = st.fixed_dictionaries(
    {"port": NUMBER, "targetPort": NUMBER | TEXT},
    optional={"name": unset(TEXT), "protocol": unset(TEXT), "appProtocol": st.none() | TEXT},
)
SPEC = fields(ports=some(SERVICE_PORT), sessionAffinity=unset(TEXT) | st.just("ClientIP"), selector=MAP)
SERVICE = st.fixed_dictionaries({"kind": st.just("Service"), "metadata": METADATA, "spec": SPEC})
STATUS = st.fixed_dictionaries(
    {"kind": st.just("Status"), "metadata": st.just({})},
    optional={
        "code": st.sampled_from([0, 302, 401, 403, 404, 410, 422, 429, 500, 504]),
        "message": TEXT | st.just("Too large resource version: 9, current: 8"),
        "reason": TEXT,
        "details": st.none()
        | fields(
            retryAfterSeconds=st.integers(1, 2**31 - 1),
            causes=some(fields(reason=TEXT | st.just("ResourceVersionTooLarge"), message=TEXT)),
        ),
    },
)
OBJECT = st.one_of(SLICE, SLICE, ENDPOINTS, SERVICE)
RESOURCES = {resource.kind: resource for resource in Resource}


@SOME
@given(object=OBJECT, type=st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]))
def test_an_event_is_the_same_in_both(object: dict[str, Any], type: str) -> None:
    resource = RESOURCES[object["kind"]]
    said = JSON.decode_event(JSON.event(type, object), resource)
    assert PROTOBUF.decode_event(PROTOBUF.event(type, object), resource) == said


@SOME
@given(objects=st.one_of(*(st.lists(kind, min_size=1, max_size=3) for kind in (SLICE, ENDPOINTS, SERVICE))))
def test_a_list_is_the_same_in_both(objects: list[dict[str, Any]]) -> None:
    resource = RESOURCES[objects[0]["kind"]]
    said = JSON.decode_list(JSON.list(objects, resource.kind), resource)
    assert PROTOBUF.decode_list(PROTOBUF.list(objects, resource.kind), resource) == said


@SOME
@given(status=STATUS)
def test_an_error_is_the_same_in_both(status: dict[str, Any]) -> None:
    assert_same_errors(decode_status(JSON.object(status), 500), decode_status(PROTOBUF.object(status), 500))


@SOME
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.lists(ENDPOINT, max_size=6), st.booleans()), max_size=6))
def test_what_was_seen_before_changes_nothing_but_the_time(story: list[tuple[str, list[Any], bool]]) -> None:
    """Events and lists in any order, read with one memory, say what each of them says alone."""
    codec = Protobuf(Seen())
    for name, endpoints, as_list in story:
        object = {
            "kind": "EndpointSlice",
            "metadata": {"name": name, "resourceVersion": "1"},
            "addressType": "IPv4",
            "endpoints": json.loads(json.dumps(endpoints)) or None,
        }
        if as_list:
            metadata, slices = codec.list(PROTOBUF.list([object]), Resource.ENDPOINTSLICES)
            alone = JSON.decode_list(JSON.list([object]), Resource.ENDPOINTSLICES)
            assert tuple(slices) == alone.items[0].slices
        else:
            event = decode_event(codec, PROTOBUF.event("MODIFIED", object), Resource.ENDPOINTSLICES)
            assert event == JSON.decode_event(JSON.event("MODIFIED", object), Resource.ENDPOINTSLICES)


POOL = [
    {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": ready}, "nodeName": "n" * (number % 3)}
    for number in range(4)
    for ready in (True, False)
]
EDIT = st.tuples(st.integers(0, 8), st.integers(0, 3), st.lists(st.sampled_from(POOL), max_size=3), st.integers(0, 9))


@SOME
@given(st.lists(st.sampled_from(POOL), max_size=8), st.lists(EDIT, min_size=1, max_size=8))
def test_a_version_that_differs_in_one_place_is_read_as_a_whole_one_is(before: list[Any], edits: list[Any]) -> None:
    """Endpoints come and go anywhere, equal ones side by side as well, and now and then a port with them."""
    codec, endpoints, port = Protobuf(Seen()), before, 4000
    for place, gone, come, luck in edits:
        endpoints = [*endpoints[:place], *come, *endpoints[place + gone :]]
        port += luck == 0
        object = {
            "kind": "EndpointSlice",
            "metadata": {"name": "a", "resourceVersion": "1"},
            "addressType": "IPv4",
            "endpoints": endpoints or None,
            "ports": [{"port": port}],
        }
        event = decode_event(codec, PROTOBUF.event("MODIFIED", object), Resource.ENDPOINTSLICES)
        assert event == JSON.decode_event(JSON.event("MODIFIED", object), Resource.ENDPOINTSLICES)


def test_endpoints_that_have_not_changed_are_the_same_objects() -> None:
    """Wherever they are by now: what is made of them is kept by that."""
    seen, found = Protobuf(Seen()), {}
    a, b, c = ({"addresses": [f"10.0.0.{number}"], "conditions": {}} for number in range(3))
    for name, endpoints in {"first": [a, b, c], "again": [a, b, c], "without": [a, c], "turned": [c, b, a]}.items():
        object = {"kind": "EndpointSlice", "metadata": {"name": "a", "resourceVersion": "1"}, "addressType": "IPv4"}
        event = decode_event(seen, PROTOBUF.event("ADDED", {**object, "endpoints": endpoints}), Resource.ENDPOINTSLICES)
        assert event.item is not None
        found[name] = event.item.slices[0].endpoints or ()
    assert all(map(operator.is_, found["first"], found["again"]))
    assert found["without"][0] is found["first"][0] and found["without"][1] is found["first"][2]
    assert found["turned"][0] is found["first"][2] and found["turned"][2] is found["first"][0]


def test_a_list_and_a_stream_are_read_at_the_same_time() -> None:
    """What they share is forgotten by the one while the other adds to it."""
    codec, over, failures = Protobuf(Seen()), threading.Event(), list[Exception]()

    def slice_(number: int) -> dict[str, Any]:
        metadata = {"name": f"is-{number}", "namespace": "wso2", "resourceVersion": "7"}
        return {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": metadata,
            "addressType": "IPv4",
        }

    listed = {"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {"resourceVersion": "7"}}
    body = encode_object({**listed, "items": [slice_(number) for number in range(300)]})
    events = [encode_event("ADDED", encode_object(slice_(number))) for number in range(1000, 3000)]

    def read_lists() -> None:
        try:
            while not over.is_set():
                decode_list(codec, body, Resource.ENDPOINTSLICES)
        except Exception as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=read_lists)
    thread.start()
    try:
        for event in events:
            framing = codec.framing()
            for frame in framing.feed(event):
                decode_event(codec, frame, Resource.ENDPOINTSLICES)
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert not failures
