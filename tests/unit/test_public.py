"""The public door: what `membership` exports, that all of it is documented, and that what it hands out is immutable.

The fields of `Snapshot` and `Member` are those of `GET /members` in contract.md; the errors are the tree that errors.py
draws.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import membership
from membership import errors
from membership.model import Explanation, Member, Snapshot

PUBLIC = [
    "ApiError",
    "ApiServer",
    "BadAnswer",
    "Expired",
    "Explanation",
    "Forbidden",
    "Member",
    "Membership",
    "MembershipError",
    "MembershipTimeout",
    "NotFound",
    "Options",
    "PublishError",
    "Rejected",
    "RenderError",
    "ServerFault",
    "SettingsError",
    "Silent",
    "Snapshot",
    "Throttled",
    "TooLarge",
    "Unauthorized",
    "Unreachable",
    "connect",
]

MEMBERS_ANSWER: dict[str, Any] = {  # contract.md, GET /members
    "generation": 7,
    "epoch": "9f2c…",
    "synced": True,
    "stale": False,
    "age_seconds": 0.4,
    "source": "endpointslices",
    "services": ["wso2/is"],
    "unknown_services": [],
    "resource_versions": {"wso2": "245"},
    "members": [
        {
            "address": "10.244.0.5",
            "port": 4000,
            "addresses": ["10.244.0.5"],
            "service": "is",
            "namespace": "wso2",
            "name": "is-0",
            "uid": "b864…",
            "ready": True,
            "serving": True,
            "terminating": False,
            "node": "n1",
            "zone": None,
            "hostname": "is-0",
            "ports": {"hazelcast": 4000},
        }
    ],
}
MEMBER = Member(**{**MEMBERS_ANSWER["members"][0], "addresses": ("10.244.0.5",)})
SNAPSHOT = Snapshot(**{**MEMBERS_ANSWER, "services": ("wso2/is",), "unknown_services": (), "members": (MEMBER,)})


def test_the_door_is_exactly_this() -> None:
    assert membership.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_named_can_be_imported(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from membership import {name}", namespace)
    assert namespace[name] is getattr(membership, name)


def test_a_star_import_brings_just_these() -> None:
    namespace: dict[str, Any] = {}
    exec("from membership import *", namespace)
    assert sorted(set(namespace) - {"__builtins__"}) == PUBLIC


def documented() -> Iterator[tuple[str, Any]]:
    """Every public class and function, and the public methods and properties that each class defines."""
    for name in PUBLIC:
        thing = getattr(membership, name)
        yield name, thing
        for inner, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not inner.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                yield f"{name}.{inner}", value


@pytest.mark.parametrize("thing", [pytest.param(thing, id=name) for name, thing in documented()])
def test_what_is_public_is_documented(thing: Any) -> None:
    text = thing.__doc__ or ""
    assert text.strip() and not re.match(r"\w+\(\w+: .*\)$", text), "a docstring that dataclass made counts for nothing"


# Errors


def drawn() -> dict[str, str]:
    """The tree in the docstring of errors.py: each class and its parent."""
    parents, path = dict[str, str](), dict[int, str]()
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([ │├└─]*)([A-Z]\w+)\b", line)
        if found and (found[1] or found[2] == "MembershipError"):
            depth = len(found[1]) // 4
            path[depth] = found[2]
            parents[found[2]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_error_classes_are_the_tree_that_is_drawn() -> None:
    real = {
        name: thing.__bases__[0].__name__
        for name, thing in vars(errors).items()
        if inspect.isclass(thing) and issubclass(thing, Exception) and thing.__module__ == errors.__name__
    }
    assert real == drawn()
    assert len(real) > 10


def test_every_error_is_public() -> None:
    assert set(drawn()) <= set(PUBLIC)


def test_an_api_error_says_what_was_asked_of_whom() -> None:
    error = errors.Forbidden("403 Forbidden: no", server="https://k", request="list endpointslices in namespace wso2")
    assert str(error) == "403 Forbidden: no (https://k list endpointslices in namespace wso2)"
    assert str(errors.Forbidden("no")) == "no"


def test_settings_errors_name_all_problems() -> None:
    error = errors.SettingsError(["a is wrong", "b is wrong"])
    assert error.problems == ("a is wrong", "b is wrong") and "a is wrong" in str(error) and "b is wrong" in str(error)


def test_a_timeout_says_what_was_in_the_way() -> None:
    cause = errors.Silent("no answer")
    assert errors.MembershipTimeout("too late", cause).cause is cause
    assert errors.MembershipTimeout("too late").cause is None


@pytest.mark.parametrize(
    "code, kind",
    [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (410, "Expired"),
        (429, "Throttled"),
        (400, "Rejected"),
        (499, "Rejected"),
        (500, "ServerFault"),
        (599, "ServerFault"),
        (302, "BadAnswer"),
        (0, "BadAnswer"),
    ],
)
def test_each_status_has_its_error(code: int, kind: str) -> None:
    assert errors.by_status(code).__name__ == kind


# Model


def test_a_snapshot_has_the_fields_of_members() -> None:
    assert [field.name for field in dataclasses.fields(Snapshot)] == list(MEMBERS_ANSWER)


def test_a_member_has_the_fields_of_members() -> None:
    assert [field.name for field in dataclasses.fields(Member)] == list(MEMBERS_ANSWER["members"][0])


DATACLASSES = [thing for name in PUBLIC if dataclasses.is_dataclass(thing := getattr(membership, name))]


@pytest.mark.parametrize("kind", DATACLASSES, ids=lambda kind: str(kind.__name__))
def test_what_is_handed_out_is_frozen(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen


def test_every_public_dataclass_is_held() -> None:
    assert {Member, Snapshot, Explanation, membership.Options, membership.ApiServer} == set(DATACLASSES)


@pytest.mark.parametrize("thing, field", [(MEMBER, "address"), (SNAPSHOT, "members")], ids=["member", "snapshot"])
def test_nobody_can_change_a_list_that_others_read(thing: Any, field: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, field, None)
    with pytest.raises((AttributeError, TypeError)):
        thing.unknown = 1
    assert isinstance(hash(thing), int)


ENDPOINTS = [("10.0.0.1", 4000, "10.0.0.1:4000"), ("fd00::1", 4000, "[fd00::1]:4000"), ("10.0.0.1", None, None)]


@pytest.mark.parametrize("address, port, expected", ENDPOINTS)
def test_an_endpoint_is_host_and_port(address: str, port: int | None, expected: str | None) -> None:
    assert dataclasses.replace(MEMBER, address=address, port=port).endpoint == expected


def test_address_formats_name_each_endpoint_once_and_leave_out_members_without_port() -> None:
    other = dataclasses.replace(MEMBER, address="10.244.0.6")
    members = (MEMBER, dataclasses.replace(MEMBER, service="am"), dataclasses.replace(other, port=None), other)
    assert dataclasses.replace(SNAPSHOT, members=members).endpoints == ("10.244.0.5:4000", "10.244.0.6:4000")
