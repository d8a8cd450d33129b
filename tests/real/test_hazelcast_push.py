"""What real members say to a question for their list, and to a new one, where that is not to be had.

That it is taken where it is to be had, and heals a split: tests/e2e/test_push.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from membership.hazelcast_rest import ask_list, give_list
from membership.push import Answer
from membership.transport import Interrupt
from membership.verify import Target
from testbed.members import CLUSTER, Members
from tests.running import until

START = 60.0


@pytest.mark.parametrize(
    ("version", "rest", "state", "why"),
    [
        ("5.3.6", True, "ready", ""),
        ("5.3.6", False, "off", "HEALTH_CHECK"),
        ("4.2.6", True, "off", "before 5.2"),
        ("3.12.2", True, "off", "before 5.2"),
    ],
)
def test_without_the_group_or_the_version_nothing_is_given(
    tmp_path: Path, version: str, rest: bool, state: str, why: str
) -> None:
    with Members(tmp_path, version) as members:
        members.start("a", [members.endpoint("a")], rest=rest)
        target = Target(members.host("a"), members.port)

        def look() -> Answer | None:
            answer = ask_list(target, Interrupt())
            return None if answer.state in ("silent", "joining") else answer

        answer = until(look, START, "an answer")
        assert (answer.state, answer.entries) == (state, (members.endpoint("a"),) if state == "ready" else ())
        assert why in answer.why
        if answer.state == "ready":
            answer = give_list(target, CLUSTER, ("10.0.0.1:4000",), Interrupt())
            assert answer.state == "off" and "CLUSTER_WRITE" in answer.why
            assert ask_list(target, Interrupt()).entries == (members.endpoint("a"),)
