"""What a real kube-apiserver 1.36.3 has sent (tests/real/recording.py): both codecs read the same in it.

And FakeKube's encoder writes it, byte for byte: so the tests that it serves stand on what a server sends.
"""

import json
from pathlib import Path

import pytest

from membership.testing import protobuf
from membership.wire import Resource, decode_status
from tests.unit.forms import JSON, PROTOBUF, assert_same_errors, assert_same_list, assert_same_stream, frames

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def recorded(name: str) -> tuple[bytes, bytes]:
    return (FOLDER / f"{name}.json").read_bytes(), (FOLDER / f"{name}.protobuf").read_bytes()


def test_everything_is_recorded_in_both() -> None:
    assert NAMES and {path.stem for path in FOLDER.glob("*.protobuf")} == set(NAMES)


@pytest.mark.parametrize("resource", list(Resource))
def test_lists(resource: Resource) -> None:
    listing = assert_same_list(*recorded(f"{resource}-list"), resource)
    assert len(listing.items) == {"endpointslices": 2, "endpoints": 1, "services": 1}[resource]


def test_an_empty_list() -> None:
    assert assert_same_list(*recorded("empty-list"), Resource.ENDPOINTSLICES).items == ()


@pytest.mark.parametrize("resource", list(Resource))
def test_streams(resource: Resource) -> None:
    types = [event.type for event in assert_same_stream(*recorded(f"{resource}-watch"), resource)]
    assert types[:1] == ["ADDED"] and "DELETED" in types
    assert resource is not Resource.ENDPOINTSLICES or types[-1] == "BOOKMARK"


@pytest.mark.parametrize("name", ["not-found", "unknown-path", "too-large", "invalid"])
def test_errors(name: str) -> None:
    assert_same_errors(*(decode_status(body, 599) for body in recorded(name)))


def test_an_error_in_the_stream() -> None:
    assert assert_same_stream(*recorded("expired-watch"), Resource.ENDPOINTSLICES) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("-watch")])
def test_fake_kubes_protobuf_is_that_of_the_real_one(name: str) -> None:
    as_json, as_protobuf = recorded(name)
    assert protobuf.encode_object(json.loads(as_json)) == as_protobuf


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-watch")])
def test_fake_kubes_frames_are_those_of_the_real_one(name: str) -> None:
    as_json, as_protobuf = recorded(name)
    lines = [json.loads(line) for line in frames(JSON, as_json)]
    # Bookmarks come when the server likes, and their versions are those of the moment.
    said = [line for line in lines if line["type"] != "BOOKMARK"]
    sent = [frame for frame in frames(PROTOBUF, as_protobuf) if b"BOOKMARK" not in frame[:12]]
    for line, frame in zip(said, sent, strict=True):
        written = protobuf.encode_event(line["type"], protobuf.encode_object(line["object"]))
        assert written == len(frame).to_bytes(4, "big") + frame
