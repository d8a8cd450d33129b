"""What the bytes say, in both codecs: null lists and unknown fields are fine, the same rules and the same errors.

What no Kubernetes sends is in test_wire_hostile.py.
"""

from typing import Any

import pytest

from membership import errors
from membership.errors import BadAnswer
from membership.model import ServiceDefinition, ServicePort
from membership.wire import EndpointSlice, EventType, Resource, decode_status, newer
from tests.unit.forms import FORMS, Form
from tests.unit.slices import endpoints_json, slice_json

SLICES, ENDPOINTS, SERVICES = Resource.ENDPOINTSLICES, Resource.ENDPOINTS, Resource.SERVICES
BOTH = pytest.mark.parametrize("resource", [SLICES, ENDPOINTS], ids=["slices", "endpoints"])


def object_json(resource: Resource, **more: Any) -> dict[str, Any]:
    return slice_json(**more) if resource is SLICES else endpoints_json(**more)


# Lists


@FORMS
@BOTH
def test_a_list_has_a_version_and_its_items(form: Form, resource: Resource) -> None:
    listing = form.decode_list(form.list([object_json(resource, name=name) for name in "ab"], resource.kind), resource)
    assert listing.resource_version == "42"
    assert [item.name for item in listing.items] == ["a", "b"]


@FORMS
@BOTH
@pytest.mark.parametrize("items", [None, []], ids=["null", "[]"])
def test_an_empty_list_is_empty(form: Form, resource: Resource, items: list[Any] | None) -> None:
    assert form.decode_list(form.list(items, resource.kind), resource).items == ()


@FORMS
@BOTH
def test_a_list_without_items_is_empty(form: Form, resource: Resource) -> None:
    body = form.object({"kind": f"{resource.kind}List", "metadata": {"resourceVersion": "1"}})
    assert form.decode_list(body, resource).items == ()


@FORMS
def test_a_slice_is_read_and_unknown_fields_are_skipped(form: Form) -> None:
    (item,) = form.decode_list(form.list([slice_json(newField={"deep": [1, {"x": None}]})]), SLICES).items
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


@FORMS
@pytest.mark.parametrize("more", list(NULLS.values()), ids=list(NULLS))
def test_null_is_allowed_in_lists_and_events(form: Form, more: dict[str, Any]) -> None:
    assert len(form.decode_list(form.list([slice_json(**more)]), SLICES).items) == 1
    assert form.decode_event(form.event("ADDED", slice_json(**more)), SLICES).item is not None


@FORMS
@pytest.mark.parametrize("subsets", [None, [], [{}], [{"addresses": None, "notReadyAddresses": None, "ports": None}]])
def test_endpoints_without_addresses_say_that_the_service_exists(form: Form, subsets: Any) -> None:
    (item,) = form.decode_list(form.list([endpoints_json(subsets=subsets)], "Endpoints"), ENDPOINTS).items
    (slice,) = item.slices
    assert slice.service == "is" and not slice.endpoints


@FORMS
@pytest.mark.parametrize("ports", [[{"port": -1}], [{"port": 2**31 - 1}], [{"name": ""}], [{"port": 0}]])
def test_a_port_is_what_it_is(form: Form, ports: Any) -> None:
    (item,) = form.decode_list(form.list([slice_json(ports=ports)]), SLICES).items
    (port,) = item.slices[0].ports or ()
    assert (port.name, port.port) == (ports[0].get("name"), ports[0].get("port"))


NO_LISTS = {
    "no resourceVersion": ([slice_json()], "EndpointSlice", {"resourceVersion": ""}),
    "a first page": ([slice_json()], "EndpointSlice", {"continue": "x"}),
    "a list of another kind": ([], "Pod", {}),
    "the other resource's list": ([], "Endpoints", {}),
}


@FORMS
@pytest.mark.parametrize("case", list(NO_LISTS.values()), ids=list(NO_LISTS))
def test_what_is_no_whole_list_of_this_kind_is_a_bad_answer(form: Form, case: Any) -> None:
    items, kind, metadata = case
    with pytest.raises(BadAnswer):
        form.decode_list(form.list(items, kind, **metadata), SLICES)


@FORMS
@pytest.mark.parametrize("object", [slice_json(), {"kind": "Status", "metadata": {}, "code": 500}, {"metadata": {}}])
def test_an_object_is_no_list(form: Form, object: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        form.decode_list(form.object(object), SLICES)


@FORMS
def test_a_list_of_slices_is_no_answer_to_the_question_for_endpoints(form: Form) -> None:
    with pytest.raises(BadAnswer, match="'EndpointSliceList', not 'EndpointsList'"):
        form.decode_list(form.list([slice_json()]), ENDPOINTS)


# Events


@FORMS
@BOTH
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_an_event_has_its_type_version_and_object(form: Form, resource: Resource, kind: str) -> None:
    event = form.decode_event(form.event(kind, object_json(resource, name="x", rv="9")), resource)
    assert (event.type, event.resource_version) == (EventType(kind), "9")
    assert event.item is not None and event.item.name == "x"


@FORMS
@BOTH
def test_a_bookmark_is_a_version_and_nothing_else(form: Form, resource: Resource) -> None:
    """A real one is of the resource's kind and leaves out or empties all that the kind demands."""
    bare = {"kind": resource.kind, "metadata": {"resourceVersion": "77", "creationTimestamp": None}, "addressType": ""}
    event = form.decode_event(form.event("BOOKMARK", {**bare, "endpoints": None, "ports": None}), resource)
    assert (event.type, event.resource_version, event.item) == (EventType.BOOKMARK, "77", None)


NO_EVENTS = {
    "an unknown type": ("CHANGED", slice_json()),
    "a type in lower case": ("added", slice_json()),
    "no type": ("", slice_json()),
    "no object": ("ADDED", None),
    "another kind": ("ADDED", {"kind": "Pod", "metadata": {"name": "x", "resourceVersion": "1"}}),
    "the other resource": ("ADDED", endpoints_json()),
    "a Status that is no ERROR": ("ADDED", {"kind": "Status", "metadata": {}, "code": 410}),
    "no resourceVersion": ("ADDED", slice_json(rv="")),
    "a bookmark without version": ("BOOKMARK", {"kind": "EndpointSlice", "metadata": {}}),
    "a bookmark without anything": ("BOOKMARK", None),
}


@FORMS
@pytest.mark.parametrize("case", list(NO_EVENTS.values()), ids=list(NO_EVENTS))
def test_what_is_no_event_of_this_kind_is_a_bad_answer(form: Form, case: tuple[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        form.decode_event(form.event(*case), SLICES)


@FORMS
def test_a_slice_is_no_event_of_endpoints(form: Form) -> None:
    with pytest.raises(BadAnswer):
        form.decode_event(form.event("ADDED", slice_json()), ENDPOINTS)


@FORMS
def test_an_object_without_an_envelope_is_no_event(form: Form) -> None:
    with pytest.raises(BadAnswer):
        form.decode_event(form.object(slice_json()), SLICES)


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


@FORMS
@BOTH
@pytest.mark.parametrize("code", BY_CODE)
def test_an_error_event_is_the_error_of_its_code(form: Form, resource: Resource, code: int) -> None:
    with pytest.raises(errors.ApiError) as raised:
        form.decode_event(form.event("ERROR", status(code, "why")), resource)
    assert type(raised.value) is BY_CODE[code]
    assert "why" in str(raised.value)


@FORMS
@pytest.mark.parametrize("object", [None, {"metadata": {}}, {"kind": "Status"}, slice_json()])
def test_an_error_event_without_a_code_is_the_servers_fault(form: Form, object: Any) -> None:
    with pytest.raises(errors.ServerFault):
        form.decode_event(form.event("ERROR", object), SLICES)


@FORMS
@pytest.mark.parametrize("reason", ["Expired", "Gone"])
def test_an_error_event_without_a_code_may_name_it_by_its_reason(form: Form, reason: str) -> None:
    with pytest.raises(errors.Expired):
        form.decode_event(form.event("ERROR", {"kind": "Status", "apiVersion": "v1", "reason": reason}), SLICES)


@FORMS
def test_a_statuss_own_code_counts_and_its_text_is_shown(form: Form) -> None:
    error = decode_status(form.object(status(410, "too old resource version", reason="Expired")), 500)
    assert type(error) is errors.Expired and "too old resource version" in str(error) and "Expired" in str(error)


@FORMS
def test_a_status_names_the_seconds_to_wait(form: Form) -> None:
    assert decode_status(form.object(status(429, details={"retryAfterSeconds": 7})), 429).retry_after == 7.0
    long = form.object(status(429, details={"retryAfterSeconds": 2**31 - 1}))
    assert decode_status(long, 429).retry_after == 86_400.0
    assert decode_status(form.object(status(429, details=None)), 429).retry_after is None
    assert decode_status(form.object(status(429, details={"name": "x"})), 429).retry_after is None


TOO_LARGE = {
    "by cause": status(504, "Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge", "message": "x"}]}),
    "by text, as servers before 1.19 say it": status(504, "Too large resource version: 500, current: 7", details=None),
    "by the second cause": status(504, details={"causes": [{"reason": "x"}, {"reason": "ResourceVersionTooLarge"}]}),
}


@FORMS
@pytest.mark.parametrize("object", list(TOO_LARGE.values()), ids=list(TOO_LARGE))
def test_too_large_resource_version(form: Form, object: dict[str, Any]) -> None:
    assert type(decode_status(form.object(object), 504)) is errors.TooLarge
    with pytest.raises(errors.TooLarge):
        form.decode_event(form.event("ERROR", object), SLICES)


@FORMS
def test_another_504_is_the_servers_fault(form: Form) -> None:
    object = status(504, "etcd is slow", details={"causes": [{"reason": "Other"}]})
    assert type(decode_status(form.object(object), 504)) is errors.ServerFault


# v1 Endpoints


def converted(form: Form, *subsets: dict[str, Any]) -> tuple[EndpointSlice, ...]:
    event = form.decode_event(form.event("ADDED", endpoints_json(name="am", rv="5", subsets=list(subsets))), ENDPOINTS)
    assert event.item is not None
    return event.item.slices


@FORMS
def test_endpoints_become_the_slices_that_would_say_the_same(form: Form) -> None:
    target = {"kind": "Pod", "name": "is-0", "uid": "u0"}
    (slice,) = converted(
        form,
        {
            "addresses": [{"ip": "10.0.0.1", "hostname": "is-0", "nodeName": "n1", "targetRef": target}],
            "notReadyAddresses": [{"ip": "10.0.0.2"}],
            "ports": [{"name": "hazelcast", "port": 4000, "protocol": "TCP"}],
        },
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


@FORMS
def test_both_families_of_endpoints_become_a_slice_each(form: Form) -> None:
    slices = converted(
        form, {"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "notReadyAddresses": [{"ip": "fd00::2"}]}
    )
    found = {slice.address_type: [e.addresses for e in slice.endpoints or ()] for slice in slices}
    assert found == {"IPv4": [("10.0.0.1",)], "IPv6": [("fd00::1",), ("fd00::2",)]}


@FORMS
def test_each_subset_keeps_its_ports(form: Form) -> None:
    first, second = converted(
        form,
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


@FORMS
def test_a_service_says_its_ports_affinity_and_the_annotations_of_the_load_balancer(form: Form) -> None:
    ports = [
        {"name": "a", "port": 443, "targetPort": 9443, "protocol": "TCP", "appProtocol": "https"},
        {"name": "b", "port": 53, "protocol": "UDP"},
    ]
    annotations = {"serviceloadbalancer/lb.host": "a.b", "other": "x"}
    body = service(ports=ports, sessionAffinity="ClientIP", metadata={"annotations": annotations})
    listing = form.decode_list(form.list([body], "Service"), SERVICES)
    assert listing.items[0].definition == ServiceDefinition(
        "wso2",
        "is",
        (ServicePort("a", 443, "TCP", "https"), ServicePort("b", 53, "UDP", "")),
        True,
        {"lb.host": "a.b"},
    )
    assert listing.items[0].slices == ()


@FORMS
@pytest.mark.parametrize("spec", [None, {}, {"ports": None}, {"ports": [{"name": "x"}]}])
def test_a_service_may_leave_nearly_everything_out(form: Form, spec: Any) -> None:
    event = form.decode_event(form.event("ADDED", {**service(), "spec": spec}), SERVICES)
    assert event.item is not None and event.item.definition == ServiceDefinition("wso2", "is")


@FORMS
def test_a_watch_of_services_takes_nothing_else(form: Form) -> None:
    with pytest.raises(BadAnswer, match="'Endpoints', not 'Service'"):
        form.decode_event(form.event("ADDED", {**service(), "kind": "Endpoints"}), SERVICES)
    with pytest.raises(BadAnswer, match="'EndpointsList', not 'ServiceList'"):
        form.decode_list(form.list([], "Endpoints"), SERVICES)
