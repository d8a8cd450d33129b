"""JSON and protobuf of the same answers of the real kube-apiserver say the same to us."""

import json

from membership.testing import protobuf
from membership.wire import Resource, decode_status
from tests.real.recording import record
from tests.real.world import World
from tests.unit.forms import assert_same_errors, assert_same_list, assert_same_stream

PROTOBUF = "application/vnd.kubernetes.protobuf"


def test_both_codecs_read_the_same_in_what_the_server_sends(lone_world: World) -> None:
    answers = record(lone_world.plane)
    for name, (as_json, as_protobuf) in answers.items():
        assert as_json.status == as_protobuf.status, name
        assert as_json.content_type == "application/json", name
        stream = ";stream=watch" if name.endswith("-watch") else ""
        assert as_protobuf.content_type == PROTOBUF + stream, name
    bodies = {name: (as_json.body, as_protobuf.body) for name, (as_json, as_protobuf) in answers.items()}
    for resource in Resource:
        said, sent = bodies[f"{resource}-list"]
        assert assert_same_list(said, sent, resource).items
        assert protobuf.encode_object(json.loads(said)) == sent
        assert assert_same_stream(*bodies[f"{resource}-watch"], resource=resource)
    for name in ("not-found", "unknown-path", "too-large", "invalid"):
        code = answers[name][0].status
        assert_same_errors(*(decode_status(body, code) for body in bodies[name]))
    assert_same_stream(*bodies["expired-watch"], resource=Resource.ENDPOINTSLICES)
