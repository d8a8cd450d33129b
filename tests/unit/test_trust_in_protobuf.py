"""Protobuf that could not be read is not asked for again for a while, whoever is to blame: JSON is read instead."""

import pytest

from membership import connect, kube
from membership.errors import BadAnswer, Rejected, Throttled
from membership.kube import DISTRUST, Trust
from membership.testing import FakeKube
from membership.transport import Interrupt
from membership.wire import Json, Protobuf, Resource, Seen


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_it_is_given_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(kube, "time", clock)
    trust = Trust()
    trust.note(BadAnswer("x"), Protobuf(Seen()))
    assert not trust.given
    clock.now += DISTRUST
    assert trust.given


def test_what_says_of_itself_that_it_is_neither_may_have_been_protobuf() -> None:
    trust = Trust()
    trust.note(BadAnswer("x"), Json(), named=False)
    assert not trust.given


def test_bad_json_and_other_errors_say_nothing_of_it() -> None:
    trust = Trust()
    trust.note(BadAnswer("x"), Json())
    trust.note(Throttled("x"), Protobuf(Seen()))
    assert trust.given


@pytest.mark.parametrize("protobuf", [True, False], ids=["both", "JSON only"])
def test_what_is_asked_for(protobuf: bool) -> None:
    with FakeKube() as server:
        asking = connect(server.url, environ={})
        asking = type(asking)(asking.url, protobuf=protobuf)
        server.fault("bad-json", on="list", times=1)
        with pytest.raises(BadAnswer):
            asking.list(Resource.ENDPOINTSLICES, "wso2", ["is"], "", Interrupt(), Seen())
        asking.list(Resource.ENDPOINTSLICES, "wso2", ["is"], "", Interrupt(), Seen())
        first, second = (request.headers["accept"] for request in server.requests)
        assert first.startswith("application/vnd.kubernetes.protobuf") is protobuf
        assert second == "application/json"


def test_a_server_that_refuses_the_very_question_is_asked_for_json() -> None:
    with FakeKube() as server:
        asking = connect(server.url, environ={})
        server.fault("status", on="list", times=1, code=406)
        with pytest.raises(Rejected):
            asking.list(Resource.ENDPOINTSLICES, "wso2", ["is"], "", Interrupt(), Seen())
        asking.list(Resource.ENDPOINTSLICES, "wso2", ["is"], "", Interrupt(), Seen())
        assert [request.headers["accept"] for request in server.requests][1:] == ["application/json"]
