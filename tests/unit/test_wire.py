"""Kubernetes' JSON: null lists and unknown fields are fine, anything that is no answer of Kubernetes' is an ApiError.

Whatever bytes come, nothing but an ApiError leaves wire.py: another exception would end the thread that follows.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership import errors
from membership.errors import BadAnswer
from membership.model import ServiceDefinition, ServicePort
from membership.wire import EndpointSlice, EventType, Resource, decode_status, newer
from tests.unit.forms import JSON
from tests.unit.slices import endpoints_json, line_json, list_json, slice_json

decode_list, decode_event = JSON.decode_list, JSON.decode_event
SLICES, ENDPOINTS = Resource.ENDPOINTSLICES, Resource.ENDPOINTS
BOTH = pytest.mark.parametrize("resource", [SLICES, ENDPOINTS], ids=["slices", "endpoints"])


def object_json(resource: Resource, **more: Any) -> dict[str, Any]:
    return slice_json(**more) if resource is SLICES else endpoints_json(**more)


# Lists


@BOTH
def test_a_list_has_a_version_and_its_items(resource: Resource) -> None:
    listing = decode_list(list_json([object_json(resource, name=name) for name in "ab"], resource.kind, "42"), resource)
    assert listing.resource_version == "42"
    assert [item.name for item in listing.items] == ["a", "b"]


@BOTH
@pytest.mark.parametrize("items", [None, []], ids=["null", "[]"])
def test_an_empty_list_is_empty(resource: Resource, items: list[Any] | None) -> None:
    assert decode_list(list_json(items, resource.kind), resource).items == ()


@BOTH
def test_a_list_without_items_is_empty(resource: Resource) -> None:
    body = json.dumps({"kind": f"{resource.kind}List", "metadata": {"resourceVersion": "1"}}).encode()
    assert decode_list(body, resource).items == ()


def test_a_slice_is_read_and_unknown_fields_are_skipped() -> None:
    (item,) = decode_list(list_json([slice_json(newField={"deep": [1, {"x": None}]})]), SLICES).items
    (slice,) = item.slices
    (endpoint,) = slice.endpoints or ()
    assert (slice.service, slice.owner_uid, slice.address_type) == ("is", "s1", "IPv4")
    assert (slice.metadata.name, slice.metadata.namespace, slice.metadata.resource_version) == ("is-a", "wso2", "7")
    assert slice.metadata.creation_timestamp == "2026-11-21T12:00:00Z"
    assert endpoint.addresses == ("10.244.0.5",) and endpoint.hostname == "is-0"
    assert (endpoint.node_name, endpoint.zone) == ("n1", "z1")
    assert endpoint.target_ref and (endpoint.target_ref.name, endpoint.target_ref.uid) == ("is-0", "u0")
    assert endpoint.conditions and (endpoint.conditions.ready, endpoint.conditions.terminating) == (True, False)
    assert [(port.name, port.port) for port in slice.ports or ()] == [("hazelcast", 4000)]


NULLS = {
    "endpoints": {"endpoints": None},
    "ports": {"ports": None},
    "addresses": {"endpoints": [{"addresses": None}]},
    "conditions": {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": None}]},
    "each condition": {"endpoints": [{"conditions": {"ready": None, "serving": None, "terminating": None}}]},
    "targetRef, nodeName, zone, hostname": {
        "endpoints": [{"targetRef": None, "nodeName": None, "zone": None, "hostname": None}]
    },
    "a port's fields": {"ports": [{"name": None, "port": None}]},
    "labels and owners": {"metadata": {"name": "x", "resourceVersion": "7", "labels": None, "ownerReferences": None}},
}


@pytest.mark.parametrize("more", list(NULLS.values()), ids=list(NULLS))
def test_null_is_allowed_in_lists_and_events(more: dict[str, Any]) -> None:
    assert len(decode_list(list_json([slice_json(**more)]), SLICES).items) == 1
    assert decode_event(line_json("ADDED", slice_json(**more)), SLICES).item is not None


@pytest.mark.parametrize("subsets", [None, [], [{}], [{"addresses": None, "notReadyAddresses": None, "ports": None}]])
def test_endpoints_without_addresses_say_that_the_service_exists(subsets: Any) -> None:
    (item,) = decode_list(list_json([endpoints_json(subsets=subsets)], "Endpoints"), ENDPOINTS).items
    (slice,) = item.slices
    assert slice.service == "is" and not slice.endpoints


NO_LISTS = {
    "nothing": b"",
    "{}": b"{}",
    "null": b"null",
    "[]": b"[]",
    "a proxy's page": b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    "truncated": list_json([slice_json()])[:-20],
    "invalid UTF-8": list_json([slice_json()]).replace(b"10.244.0.5", b"10.244.\xff\xfe"),
    "invalid UTF-8 in a name": list_json([slice_json()]).replace(b'"endpoints"', b'"endpoi\xffts"'),
    "deep nesting": b'{"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},"x":' + b"[" * 200_000,
    "an item of another shape": list_json([slice_json(endpoints="none")]),
    "an item without addressType": list_json([{"metadata": {"name": "x"}}]),
    "no metadata": b'{"kind":"EndpointSliceList","items":[]}',
    "no resourceVersion": b'{"kind":"EndpointSliceList","metadata":{},"items":[]}',
    "an empty resourceVersion": b'{"kind":"EndpointSliceList","metadata":{"resourceVersion":""},"items":[]}',
    "a first page": b'{"kind":"EndpointSliceList","metadata":{"resourceVersion":"1","continue":"x"},"items":[]}',
    "no kind": b'{"metadata":{"resourceVersion":"1"},"items":[]}',
    "one object": json.dumps(slice_json()).encode(),
    "a list of another kind": list_json([], "Pod"),
    "the other resource's list": list_json([], "Endpoints"),
    "a Status": b'{"kind":"Status","metadata":{},"status":"Failure","code":500}',
    "a table": b'{"kind":"Table","metadata":{"resourceVersion":"1"},"rows":[]}',
    "two lists": list_json([]) * 2,
}


@pytest.mark.parametrize("body", list(NO_LISTS.values()), ids=list(NO_LISTS))
def test_what_is_no_list_of_this_kind_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        decode_list(body, SLICES)


def test_a_list_of_slices_is_no_answer_to_the_question_for_endpoints() -> None:
    with pytest.raises(errors.BadAnswer):
        decode_list(list_json([slice_json()]), ENDPOINTS)


# Events


@BOTH
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_an_event_has_its_type_version_and_object(resource: Resource, kind: str) -> None:
    event = decode_event(line_json(kind, object_json(resource, name="x", rv="9")), resource)
    assert (event.type, event.resource_version) == (EventType(kind), "9")
    assert event.item is not None and event.item.name == "x"


@BOTH
def test_a_bookmark_is_a_version_and_nothing_else(resource: Resource) -> None:
    """A real one is of the resource's kind and leaves out or empties all that the kind demands."""
    bare = {"kind": resource.kind, "metadata": {"resourceVersion": "77", "creationTimestamp": None}, "addressType": ""}
    event = decode_event(line_json("BOOKMARK", {**bare, "endpoints": None, "ports": None}), resource)
    assert (event.type, event.resource_version, event.item) == (EventType.BOOKMARK, "77", None)


NO_EVENTS = {
    "nothing": b"",
    "{}": b"{}",
    "text": b"upstream connect error or disconnect/reset before headers",
    "a proxy's page": b"<html>502</html>",
    "truncated": line_json("ADDED", slice_json())[:-9],
    "invalid UTF-8": line_json("ADDED", slice_json()).replace(b"is-0", b"\xc3("),
    "invalid UTF-8 in a name": line_json("ADDED", slice_json()).replace(b'"endpoints"', b'"endpoi\xffts"'),
    "deep nesting": line_json("ADDED", slice_json())[:-2] + b',"x":' + b"[" * 200_000,
    "no object": b'{"type":"ADDED"}',
    "object: null": b'{"type":"ADDED","object":null}',
    "an unknown type": line_json("CHANGED", slice_json()),
    "a type in lower case": line_json("added", slice_json()),
    "no type": json.dumps({"object": slice_json()}).encode(),
    "another kind": line_json("ADDED", {"kind": "Pod", "metadata": {"name": "x", "resourceVersion": "1"}}),
    "the other resource": line_json("ADDED", endpoints_json()),
    "a Status that is no ERROR": line_json("ADDED", {"kind": "Status", "metadata": {}, "code": 410}),
    "no resourceVersion": line_json("ADDED", slice_json(rv="")),
    "a bookmark without version": line_json("BOOKMARK", {"kind": "EndpointSlice", "metadata": {}}),
    "an object without an envelope": json.dumps(slice_json()).encode(),
}


@pytest.mark.parametrize("line", list(NO_EVENTS.values()), ids=list(NO_EVENTS))
def test_what_is_no_event_of_this_kind_is_a_bad_answer(line: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        decode_event(line, SLICES)


def test_a_slice_is_no_event_of_endpoints() -> None:
    with pytest.raises(errors.BadAnswer):
        decode_event(line_json("ADDED", slice_json()), ENDPOINTS)


# Errors

BY_CODE = {
    400: errors.Rejected,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Rejected,
    410: errors.Expired,
    422: errors.Rejected,
    429: errors.Throttled,
    500: errors.ServerFault,
    502: errors.ServerFault,
    503: errors.ServerFault,
    504: errors.ServerFault,
    302: errors.BadAnswer,
}


def status(code: int, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code, **more}


@BOTH
@pytest.mark.parametrize("code", BY_CODE)
def test_an_error_event_is_the_error_of_its_code(resource: Resource, code: int) -> None:
    with pytest.raises(errors.ApiError) as raised:
        decode_event(line_json("ERROR", status(code, "why")), resource)
    assert type(raised.value) is BY_CODE[code]
    assert "why" in str(raised.value)


@pytest.mark.parametrize("object", [None, {}, [], {"kind": "Status"}, {"kind": "Status", "code": "x"}, slice_json()])
def test_an_error_event_without_a_code_is_the_servers_fault(object: Any) -> None:
    with pytest.raises(errors.ServerFault):
        decode_event(line_json("ERROR", object), SLICES)


@pytest.mark.parametrize("code", BY_CODE)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"{}", b"[]", b"null", b'{"kind":"Status"', b"\xff\xfe"])
def test_without_a_status_the_http_code_counts(code: int, body: bytes) -> None:
    error = decode_status(body, code)
    assert type(error) is BY_CODE[code] and str(code) in str(error)


def test_a_statuss_own_code_counts_and_its_text_is_shown() -> None:
    error = decode_status(json.dumps(status(410, "too old resource version", reason="Expired")).encode(), 500)
    assert type(error) is errors.Expired and "too old resource version" in str(error) and "Expired" in str(error)


def test_of_a_proxys_page_only_the_beginning_is_shown() -> None:
    text = str(decode_status(b"<html>\n\n" + b"x" * 10_000, 502))
    assert "<html> xxx" in text and len(text) < 300


def test_a_status_names_the_seconds_to_wait() -> None:
    assert decode_status(json.dumps(status(429, details={"retryAfterSeconds": 7})).encode(), 429).retry_after == 7.0
    assert decode_status(json.dumps(status(429, details=None)).encode(), 429).retry_after is None


TOO_LARGE = {
    "by cause": status(504, "Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge", "message": "x"}]}),
    "by text, as servers before 1.19 say it": status(504, "Too large resource version: 500, current: 7", details=None),
    "by the second cause": status(504, details={"causes": [{"reason": "x"}, {"reason": "ResourceVersionTooLarge"}]}),
}


@pytest.mark.parametrize("object", list(TOO_LARGE.values()), ids=list(TOO_LARGE))
def test_too_large_resource_version(object: dict[str, Any]) -> None:
    object = {**object}
    assert type(decode_status(json.dumps(object).encode(), 504)) is errors.TooLarge
    with pytest.raises(errors.TooLarge):
        decode_event(line_json("ERROR", object), SLICES)


def test_another_504_is_the_servers_fault() -> None:
    object = status(504, "etcd is slow", details={"causes": [{"reason": "Other"}]})
    assert type(decode_status(json.dumps(object).encode(), 504)) is errors.ServerFault


HOSTILE = {
    "invalid UTF-8 in the message": b'{"kind":"Status","message":"caf\xe9","code":503}',
    "invalid UTF-8 in a reason": b'{"kind":"Status","reason":"\xff","code":503}',
    "deep nesting": b'{"kind":"Status","code":503,"x":' + b"[" * 200_000,
}


@pytest.mark.parametrize("body", list(HOSTILE.values()), ids=list(HOSTILE))
def test_no_body_of_an_error_answer_breaks_the_reader(body: bytes) -> None:
    assert type(decode_status(body, 503)) is errors.ServerFault


def test_no_error_event_breaks_the_reader() -> None:
    with pytest.raises(errors.ApiError):
        decode_event(b'{"type":"ERROR","object":{"kind":"Status","message":"caf\xe9","code":410}}', SLICES)


BYTES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([list_json([slice_json()]), line_json("ADDED", slice_json()), line_json("ERROR", status(410))]),
)


@BOTH
@settings(max_examples=100, deadline=None)
@given(body=BYTES, cut=st.integers(0, 600), junk=st.sampled_from([b"", b"0", b"}", b'"', b"null", b"[["]))
def test_any_bytes_are_decoded_or_are_an_api_error(resource: Resource, body: bytes, cut: int, junk: bytes) -> None:
    for decode in (decode_list, decode_event):
        try:
            decode(body[:cut] + junk + body[cut:], resource)
        except errors.ApiError:
            pass


# v1 Endpoints


def converted(*subsets: dict[str, Any]) -> tuple[EndpointSlice, ...]:
    event = decode_event(line_json("ADDED", endpoints_json(name="am", rv="5", subsets=list(subsets))), ENDPOINTS)
    assert event.item is not None
    return event.item.slices


def test_endpoints_become_the_slices_that_would_say_the_same() -> None:
    target = {"kind": "Pod", "name": "is-0", "uid": "u0"}
    (slice,) = converted(
        {
            "addresses": [{"ip": "10.0.0.1", "hostname": "is-0", "nodeName": "n1", "targetRef": target}],
            "notReadyAddresses": [{"ip": "10.0.0.2"}],
            "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP"}],
        }
    )
    ready, not_ready = slice.endpoints or ()
    assert (slice.service, slice.metadata.name, slice.metadata.namespace) == ("am", "am", "wso2")
    assert slice.address_type == "IPv4" and slice.metadata.resource_version == "5"
    assert [(port.name, port.port) for port in slice.ports or ()] == [("hazelcast", 4000)]
    assert (ready.addresses, ready.hostname, ready.node_name) == (("10.0.0.1",), "is-0", "n1")
    assert ready.target_ref and (ready.target_ref.name, ready.target_ref.uid) == ("is-0", "u0")
    assert ready.conditions and ready.conditions.ready and ready.conditions.serving
    assert not_ready.addresses == ("10.0.0.2",) and not_ready.conditions
    assert (not_ready.conditions.ready, not_ready.conditions.serving) == (False, False)
    assert not any(endpoint.conditions and endpoint.conditions.terminating for endpoint in (ready, not_ready))


def test_both_families_of_endpoints_become_a_slice_each() -> None:
    slices = converted({"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "notReadyAddresses": [{"ip": "fd00::2"}]})
    found = {slice.address_type: [e.addresses for e in slice.endpoints or ()] for slice in slices}
    assert found == {"IPv4": [("10.0.0.1",)], "IPv6": [("fd00::1",), ("fd00::2",)]}


def test_each_subset_keeps_its_ports() -> None:
    first, second = converted(
        {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "a", "port": 1}]},
        {"addresses": [{"ip": "10.0.0.2"}], "ports": None},
    )
    assert [port.port for port in first.ports or ()] == [1] and not second.ports


# Resource versions

VERSIONS = [
    ("10", "9", True),
    ("9", "10", False),
    ("9", "9", False),
    ("1" + "0" * 30, "9" * 30, True),
    ("", "9", None),
    ("9", "", None),
    ("abc", "9", None),
    ("-1", "9", None),
    ("1.5", "1", None),
    ("²", "1", None),
    ("٥", "1", None),
]


@pytest.mark.parametrize("version, than, expected", VERSIONS)
def test_resource_versions_compare_as_integers_or_not_at_all(version: str, than: str, expected: bool | None) -> None:
    assert newer(version, than) is expected


@pytest.mark.parametrize(
    "resource, group, kind, qualified",
    [
        (SLICES, "discovery.k8s.io", "EndpointSlice", "endpointslices.discovery.k8s.io"),
        (ENDPOINTS, "", "Endpoints", "endpoints"),
    ],
)
def test_resources_have_the_api_servers_names(resource: Resource, group: str, kind: str, qualified: str) -> None:
    assert (resource.group, resource.kind, resource.qualified) == (group, kind, qualified)


def test_a_resource_version_of_any_length_does_not_break_the_reader() -> None:
    assert newer("9" * 5000, "1") in (True, None)


# Services


def service(**more: Any) -> dict[str, Any]:
    return {
        "kind": "Service",
        "metadata": {"name": "is", "namespace": "wso2", "resourceVersion": "7", "uid": "u", **more.pop("metadata", {})},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443, "targetPort": "https"}], **more},
    }


def test_a_service_says_its_ports_affinity_and_the_annotations_of_the_load_balancer() -> None:
    ports = [
        {"name": "a", "port": 443, "targetPort": 9443, "protocol": "TCP", "appProtocol": "https"},
        {"name": "b", "port": 53, "protocol": "UDP"},
    ]
    annotations = {"serviceloadbalancer/lb.host": "a.b", "other": "x"}
    body = service(ports=ports, sessionAffinity="ClientIP", metadata={"annotations": annotations})
    listing = decode_list(
        json.dumps({"kind": "ServiceList", "metadata": {"resourceVersion": "9"}, "items": [body]}).encode(),
        Resource.SERVICES,
    )
    assert listing.resource_version == "9"
    assert listing.items[0].definition == ServiceDefinition(
        "wso2",
        "is",
        (ServicePort("a", 443, "TCP", "https"), ServicePort("b", 53, "UDP", "")),
        True,
        {"lb.host": "a.b"},
    )
    assert listing.items[0].slices == ()


def test_a_service_may_leave_nearly_everything_out() -> None:
    for spec in (None, {}, {"ports": None}, {"ports": [{"name": "x"}]}):
        line = json.dumps({"type": "ADDED", "object": {**service(), "spec": spec}}).encode()
        event = decode_event(line, Resource.SERVICES)
        assert event.item is not None and event.item.definition == ServiceDefinition("wso2", "is")


def test_a_watch_of_services_takes_nothing_else() -> None:
    line = json.dumps({"type": "ADDED", "object": {**service(), "kind": "Endpoints"}}).encode()
    with pytest.raises(BadAnswer, match="'Endpoints', not 'Service'"):
        decode_event(line, Resource.SERVICES)
    with pytest.raises(BadAnswer, match="'EndpointsList', not 'ServiceList'"):
        decode_list(b'{"kind": "EndpointsList", "metadata": {"resourceVersion": "1"}}', Resource.SERVICES)
