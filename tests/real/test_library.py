"""What custom init tooling imports, found as in a pod."""

import time

import pytest

from membership import Membership, MembershipTimeout, connect
from tests.real.world import LIMIT, Place
from tests.running import STOP_LIMIT


def test_the_library_in_a_pod(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    server = connect(environ=place.in_cluster, service_account=place.mount)
    assert (server.namespace, server.origin) == (place.namespace, "in-cluster")
    with Membership(server, services=["is"], port=4000) as membership:
        assert [member.endpoint for member in membership.wait(1, LIMIT).members] == ["10.1.0.5:4000"]
        with pytest.raises(MembershipTimeout, match="1 of at least 2"):
            membership.wait(minimum=2, timeout=0.2)
        changes = membership.changes()
        first = next(changes)
        place.pod("is-1", "10.1.0.6")
        second = next(changes)
        assert (first.generation, second.generation) == (1, 2)
        assert [member.name for member in second.members] == ["is-0", "is-1"]
        began = time.monotonic()
    assert time.monotonic() - began < STOP_LIMIT
    assert list(changes) == []
