"""Bytes that no Kubernetes sends. Whatever comes, nothing but an ApiError leaves the reader.

Another exception would end the thread that follows.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership import errors
from membership.testing import protobuf
from membership.wire import Port, Protobuf, Resource, Seen, decode_event, decode_status
from tests.unit.forms import FORMS, JSON, PROTOBUF, Form
from tests.unit.slices import endpoints_json, slice_json
from tests.unit.test_wire import BY_CODE, service, status

SLICES, ENDPOINTS, SERVICES = Resource.ENDPOINTSLICES, Resource.ENDPOINTS, Resource.SERVICES
KINDS = pytest.mark.parametrize("resource", list(Resource), ids=list(Resource))
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
LIST, EVENT = JSON.list([slice_json()]), JSON.event("ADDED", slice_json())
NEST = b"[" * 200_000
ONE = {"kind": "EndpointSlice", "metadata": {"name": "x"}}

JSON_LISTS = {
    "nothing": b"",
    "{}": b"{}",
    "null": b"null",
    "[]": b"[]",
    "a proxy's page": PAGE,
    "truncated": LIST[:-20],
    "invalid UTF-8": LIST.replace(b"10.244.0.5", b"10.244.\xff\xfe"),
    "invalid UTF-8 in a name": LIST.replace(b'"endpoints"', b'"endpoi\xffts"'),
    "deep nesting": b'{"kind":"EndpointSliceList","metadata":{"resourceVersion":"1"},"x":' + NEST,
    "an item of another shape": JSON.list([slice_json(endpoints="none")]),
    "an item without addressType": JSON.list([ONE]),
    "no metadata": b'{"kind":"EndpointSliceList","items":[]}',
    "no resourceVersion": b'{"kind":"EndpointSliceList","metadata":{},"items":[]}',
    "no kind": b'{"metadata":{"resourceVersion":"1"},"items":[]}',
    "a table": b'{"kind":"Table","metadata":{"resourceVersion":"1"},"rows":[]}',
    "two lists": LIST * 2,
    "protobuf": PROTOBUF.list([slice_json()]),
}
JSON_EVENTS = {
    "nothing": b"",
    "{}": b"{}",
    "text": b"upstream connect error or disconnect/reset before headers",
    "a proxy's page": PAGE,
    "truncated": EVENT[:-9],
    "invalid UTF-8": EVENT.replace(b"is-0", b"\xc3("),
    "invalid UTF-8 in a name": EVENT.replace(b'"endpoints"', b'"endpoi\xffts"'),
    "deep nesting": EVENT[:-2] + b',"x":' + NEST,
    "no object": b'{"type":"ADDED"}',
    "no type": json.dumps({"object": slice_json()}).encode(),
    "protobuf": PROTOBUF.event("ADDED", slice_json()),
}


def field(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    size = len(data)
    if size < 128:
        return bytes([number << 3 | 2, size]) + data
    return bytes([number << 3 | 2, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + data


META = field(1, field(1, b"is-a") + field(3, b"wso2") + field(6, b"7"))
IPV4 = field(4, b"IPv4")
OTHER_TYPES = {"a fixed 64": b"\x11" + bytes(8), "a varint": b"\x10\x05", "a fixed 32": b"\x15" + bytes(4)}

SLICE_MESSAGES = {
    "a length beyond the end": META + IPV4 + b"\x12\x05abc",
    "a length of 2**63": META + IPV4 + b"\x12" + b"\xff" * 8 + b"\x7f",
    "a length of more than 64 bits": META + IPV4 + b"\x12" + b"\xff" * 9 + b"\x7f",
    "a length that never ends": META + IPV4 + b"\x12" + b"\x80" * 11 + b"\x00",
    "a tag that is cut off": META + IPV4 + b"\x92",
    "a length that is cut off": META + IPV4 + b"\x12\x92",
    "a number that is cut off": META + IPV4 + b"\x78\x92",
    "an unknown fixed 64 that is cut off": META + IPV4 + b"\x79" + bytes(7),
    "an unknown fixed 32 that is cut off": META + IPV4 + b"\x7d" + bytes(3),
    "an unknown string that is cut off": META + IPV4 + b"\x7a\x05abc",
    "field 0": META + IPV4 + b"\x02\x00",
    "a tag of more than 32 bits": META + IPV4 + b"\xfa\xff\xff\xff\x7f\x00",
    "a group": META + IPV4 + b"\x7b\x7c",
    "the end of a group": META + IPV4 + b"\x7c",
    "type 6": META + IPV4 + b"\x7e",
    "type 7": META + IPV4 + b"\x7f",
    **{f"endpoints as {name}": META + IPV4 + data for name, data in OTHER_TYPES.items()},
    "no metadata": IPV4,
    "no addressType": META,
    "invalid UTF-8 in an address": META + IPV4 + field(2, field(1, b"10.0.0.\xff")),
    "invalid UTF-8 in the name": field(1, field(1, b"\xff") + field(6, b"7")) + IPV4,
    "invalid UTF-8 in a label": field(1, field(6, b"7") + field(11, field(1, b"\xc3("))) + IPV4,
    "conditions that are cut off": META + IPV4 + field(2, field(2, b"\x08")),
    "a condition that is a string": META + IPV4 + field(2, field(2, field(1, b"x"))),
    "a port that is a string": META + IPV4 + field(3, field(3, b"4000")),
    "a time beyond the calendar": field(1, field(6, b"7") + field(8, b"\x08" + b"\xff" * 8 + b"\x7f")) + IPV4,
    "a bad endpoint among good ones": META + IPV4 + field(2, field(1, b"10.0.0.1")) + field(2, b"\x0a\x09"),
}


def unknown(message: bytes, kind: bytes = b"EndpointSlice", encoding: bytes = b"", type: bytes = b"") -> bytes:
    types = field(1, b"discovery.k8s.io/v1") + field(2, kind)
    return protobuf.MAGIC + field(1, types) + field(2, message) + field(3, encoding) + field(4, type)


def frame(object: bytes, type: bytes = b"ADDED") -> bytes:
    return field(1, type) + field(2, field(1, object))


def listed(*items: bytes) -> bytes:
    message = field(1, field(2, b"42")) + b"".join(field(2, item) for item in items)
    return unknown(message, b"EndpointSliceList")


GOOD = META + IPV4
PROTOBUF_LISTS = {
    **{name: listed(GOOD, message) for name, message in SLICE_MESSAGES.items()},
    "nothing": b"",
    "the magic alone": protobuf.MAGIC,
    "another magic": b"k8s\x01" + listed(GOOD)[4:],
    "a proxy's page": PAGE,
    "JSON": LIST,
    "truncated": listed(GOOD)[:-20],
    "two lists": listed(GOOD) * 2,
    "a frame": frame(unknown(GOOD)),
    "without metadata": unknown(field(2, GOOD), b"EndpointSliceList"),
    "without an object": protobuf.MAGIC + field(1, field(2, b"EndpointSliceList")),
    "compressed": unknown(field(1, field(2, b"42")), b"EndpointSliceList", encoding=b"gzip"),
    "JSON within": unknown(field(1, field(2, b"42")), b"EndpointSliceList", type=b"application/json"),
    "invalid UTF-8 in the kind": unknown(GOOD, b"\xff"),
    "no kind": protobuf.MAGIC + field(2, field(1, field(2, b"42"))),
}
PROTOBUF_EVENTS = {
    **{name: frame(unknown(message)) for name, message in SLICE_MESSAGES.items()},
    "nothing": b"",
    "a proxy's page": PAGE,
    "JSON": EVENT,
    "truncated": frame(unknown(GOOD))[:-9],
    "an object without magic": frame(GOOD),
    "an empty object": frame(b""),
    "no object": field(1, b"ADDED"),
    "no type": field(2, field(1, unknown(GOOD))),
    "invalid UTF-8 in the type": frame(unknown(GOOD), b"\xff"),
    "a type that is a number": b"\x08\x01" + field(2, field(1, unknown(GOOD))),
    "a list": frame(listed(GOOD)),
    "what follows in the stream": frame(unknown(GOOD)) + b"\x00\x00\x01\x00" + frame(unknown(GOOD)),
}


def test_the_parts_of_the_table_are_good_where_they_are_good() -> None:
    assert PROTOBUF.decode_list(listed(GOOD), SLICES).items[0].name == "is-a"
    item = PROTOBUF.decode_event(frame(unknown(GOOD)), SLICES).item
    assert item is not None and item.slices[0].address_type == "IPv4"


@pytest.mark.parametrize("body", list(JSON_LISTS.values()), ids=list(JSON_LISTS))
def test_what_is_no_list_in_json_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        JSON.decode_list(body, SLICES)


@pytest.mark.parametrize("line", list(JSON_EVENTS.values()), ids=list(JSON_EVENTS))
def test_what_is_no_event_in_json_is_a_bad_answer(line: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        JSON.decode_event(line, SLICES)


@pytest.mark.parametrize("body", list(PROTOBUF_LISTS.values()), ids=list(PROTOBUF_LISTS))
def test_what_is_no_list_in_protobuf_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        PROTOBUF.decode_list(body, SLICES)


@pytest.mark.parametrize("frame", list(PROTOBUF_EVENTS.values()), ids=list(PROTOBUF_EVENTS))
def test_what_is_no_event_in_protobuf_is_a_bad_answer(frame: bytes) -> None:
    with pytest.raises(errors.BadAnswer):
        PROTOBUF.decode_event(frame, SLICES)


UNKNOWN_FIELDS = {
    "a string": field(15, b"x"),
    "a number": b"\x78\x05",
    "the largest number": b"\x78" + b"\xff" * 9 + b"\x01",
    "a fixed 64": b"\x79" + bytes(8),
    "a fixed 32": b"\x7d" + bytes(4),
    "invalid UTF-8": field(15, b"\xff"),
    "a number of 29 bits": b"\xfa\xff\xff\xff\x0f\x00",
}


@pytest.mark.parametrize("more", list(UNKNOWN_FIELDS.values()), ids=list(UNKNOWN_FIELDS))
def test_unknown_fields_are_skipped_wherever_they_are(more: bytes) -> None:
    endpoint = field(2, field(1, b"10.0.0.1") + more + field(2, more + b"\x08\x01" + more))
    message = more + META + more + endpoint + more + IPV4
    for decoded in (
        PROTOBUF.decode_event(more + frame(unknown(message) + more) + more, SLICES).item,
        PROTOBUF.decode_list(listed(message) + more, SLICES).items[0],
    ):
        assert decoded is not None
        (found,) = decoded.slices[0].endpoints or ()
        assert found.addresses == ("10.0.0.1",) and found.conditions and found.conditions.ready is True


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    item = PROTOBUF.decode_event(frame(unknown(META + field(4, b"IPv6") + IPV4)), SLICES).item
    assert item is not None and item.slices[0].address_type == "IPv4"


def test_fields_in_another_order_are_read_all_the_same() -> None:
    """Also after a version in the usual order: what stands between two endpoints is no endpoint that has changed."""
    seen = Protobuf(Seen())
    one, two, port = field(2, field(1, b"10.0.0.1")), field(2, field(1, b"10.0.0.2")), field(3, field(1, b"x"))
    for message, ports in (
        (META + one + two + IPV4, None),
        (META + one + port + two + IPV4, (Port("x"),)),
        (META + one + two + IPV4 + port, (Port("x"),)),
        (IPV4 + two + port + META, (Port("x"),)),
        (META + port + IPV4 + one + two, (Port("x"),)),
        (META + one + two + IPV4, None),
    ):
        item = decode_event(seen, frame(unknown(message)), SLICES).item
        assert item is not None and item.slices[0].ports == ports
        addresses = [endpoint.addresses for endpoint in item.slices[0].endpoints or ()]
        assert addresses == [("10.0.0.1",), ("10.0.0.2",)][-message.count(b"10.0.0") :]


# Errors


@pytest.mark.parametrize("code", BY_CODE)
@pytest.mark.parametrize(
    "body", [b"", PAGE, b"{}", b"[]", b"null", b'{"kind":"Status"', b"\xff\xfe", b"k8s\x00", b"k8s"]
)
def test_without_a_status_the_http_code_counts(code: int, body: bytes) -> None:
    error = decode_status(body, code)
    assert type(error) is BY_CODE[code] and str(code) in str(error)


def test_of_a_proxys_page_only_the_beginning_is_shown() -> None:
    text = str(decode_status(b"<html>\n\n" + b"x" * 10_000, 502))
    assert "<html> xxx" in text and len(text) < 300


HOSTILE = {
    "invalid UTF-8 in the message": b'{"kind":"Status","message":"caf\xe9","code":503}',
    "invalid UTF-8 in a reason": b'{"kind":"Status","reason":"\xff","code":503}',
    "deep nesting": b'{"kind":"Status","code":503,"x":' + NEST,
    "protobuf, invalid UTF-8": unknown(field(3, b"caf\xe9"), b"Status"),
    "protobuf, truncated": PROTOBUF.object(status(503))[:-3],
    "protobuf, a wrong type": unknown(b"\x18\x05", b"Status"),
}


@pytest.mark.parametrize("body", list(HOSTILE.values()), ids=list(HOSTILE))
def test_no_body_of_an_error_answer_breaks_the_reader(body: bytes) -> None:
    assert type(decode_status(body, 503)) is errors.ServerFault


@pytest.mark.parametrize("body", list(HOSTILE.values()), ids=list(HOSTILE))
def test_no_error_event_breaks_the_reader(body: bytes) -> None:
    with pytest.raises(errors.ApiError):
        PROTOBUF.decode_event(frame(body, b"ERROR"), SLICES)
    with pytest.raises(errors.ApiError):
        JSON.decode_event(b'{"type":"ERROR","object":' + body + b"}", SLICES)


@pytest.mark.parametrize("object", [{}, [], {"kind": "Status", "code": "x"}])
def test_a_status_of_another_shape_is_the_servers_fault(object: Any) -> None:
    with pytest.raises(errors.ServerFault):
        JSON.decode_event(JSON.event("ERROR", object), SLICES)


# Fuzzing


def whole(form: Form) -> list[bytes]:
    objects = {SLICES: slice_json(), ENDPOINTS: endpoints_json(subsets=[{"addresses": [{"ip": "10.0.0.1"}]}])}
    objects[SERVICES] = service()
    lists = [form.list([object], resource.kind) for resource, object in objects.items()]
    return lists + [form.event("ADDED", object) for object in objects.values()] + [form.event("ERROR", status(410))]


WHOLE = whole(JSON) + whole(PROTOBUF)
JUNK = st.sampled_from(
    [b"", b"0", b"}", b'"', b"null", b"[[", b"\xff", b"\x80" * 12, b"\x12\x7f", b"\x0a\x00", b"\x03"]
)


@FORMS
@KINDS
@settings(max_examples=150, deadline=None)
@given(
    body=st.one_of(st.binary(max_size=60), st.sampled_from(WHOLE)),
    cut=st.integers(0, 600),
    gone=st.integers(0, 3),
    junk=JUNK,
)
def test_any_bytes_are_decoded_or_are_an_api_error(
    form: Form, resource: Resource, body: bytes, cut: int, gone: int, junk: bytes
) -> None:
    for decode in (form.decode_list, form.decode_event):
        try:
            decode(body[:cut] + junk + body[cut + gone :], resource)
        except errors.ApiError:
            pass


@KINDS
@settings(max_examples=400, deadline=None)
@given(which=st.sampled_from(whole(PROTOBUF)), place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_any_changed_byte_of_protobuf_is_decoded_or_is_an_api_error(
    resource: Resource, which: bytes, place: float, byte: int
) -> None:
    at = int(place * len(which))
    for decode in (PROTOBUF.decode_list, PROTOBUF.decode_event):
        try:
            decode(which[:at] + bytes([byte]) + which[at + 1 :], resource)
        except errors.ApiError:
            pass


@KINDS
@pytest.mark.parametrize("which", range(7))
def test_no_beginning_of_protobuf_is_taken_for_the_whole(resource: Resource, which: int) -> None:
    """What a cut between two fields leaves of a message is one as well; what is around it then misses its end."""
    body = whole(PROTOBUF)[which].removesuffix(b"\x1a\x00\x22\x00")  # the envelope's last two fields, both empty
    for size in range(len(body)):
        for decode in (PROTOBUF.decode_list, PROTOBUF.decode_event):
            with pytest.raises(errors.ApiError):
                decode(body[:size], resource)
