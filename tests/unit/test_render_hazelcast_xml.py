"""hazelcast.xml: both dialects, what it must say, and what it refuses. Against the schemas: tests/real."""

from typing import Any

import pytest
from lxml import etree

from membership import RenderError
from membership.render import FORMATS, Setup
from tests.unit.lists import member, snapshot

NAMESPACE = "{http://www.hazelcast.com/schema/config}"


def render(*members: Any, **setup: Any) -> "etree._Element":
    content = FORMATS["hazelcast-xml"].render(snapshot(*members), Setup(**setup))
    assert content is not None
    return etree.fromstring(content)


def find(root: "etree._Element", path: str) -> "list[etree._Element]":
    return root.findall("/".join(NAMESPACE + name for name in path.split("/")))


def texts(root: "etree._Element", path: str) -> list[str | None]:
    return [element.text for element in find(root, path)]


def test_the_whole_file() -> None:
    content = FORMATS["hazelcast-xml"].render(snapshot("10.0.0.1", "10.0.0.2"), Setup(self_ip="10.0.0.2"))
    assert content is not None and content.decode() == """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by kubernetes-membership, and again with each new member list: what is changed here by hand is lost. -->
<hazelcast xmlns="http://www.hazelcast.com/schema/config">
    <cluster-name>wso2.carbon.domain</cluster-name>
    <properties>
        <property name="hazelcast.merge.first.run.delay.seconds">15</property>
        <property name="hazelcast.merge.next.run.delay.seconds">10</property>
        <property name="hazelcast.max.no.heartbeat.seconds">30</property>
        <property name="hazelcast.socket.connect.timeout.seconds">2</property>
    </properties>
    <network>
        <public-address>10.0.0.2:4000</public-address>
        <port auto-increment="false">4000</port>
        <join>
            <auto-detection enabled="false"/>
            <multicast enabled="false"/>
            <tcp-ip enabled="true">
                <member-list>
                    <member>10.0.0.1:4000</member>
                    <member>10.0.0.2:4000</member>
                </member-list>
            </tcp-ip>
        </join>
    </network>
</hazelcast>
"""


@pytest.mark.parametrize(
    ("version", "name", "detects"),
    [
        ((3, 5), "group/name", False),
        ((3, 12), "group/name", False),
        ((4, 0), "cluster-name", False),
        ((4, 2), "cluster-name", True),
        ((5, 3), "cluster-name", True),
    ],
)
def test_dialects(version: tuple[int, int], name: str, detects: bool) -> None:
    root = render("10.0.0.1", hazelcast_version=version, cluster_name="d")
    assert texts(root, name) == ["d"] and len(find(root, "group") + find(root, "cluster-name")) == 1
    join = "network/join"
    switches = find(root, f"{join}/multicast") + find(root, f"{join}/auto-detection")
    assert [one.get("enabled") for one in switches] == ["false"] * (1 + detects)


def test_names_are_escaped() -> None:
    root = render("10.0.0.1", cluster_name='<é> & "{members}"')
    assert texts(root, "cluster-name") == ['<é> & "{members}"']


def test_each_address_is_named_once_and_ipv6_in_brackets() -> None:
    root = render("10.0.0.1", member("10.0.0.1", service="other"), "fd00::1", self_ip="fd00::1", port=4001)
    assert texts(root, "network/join/tcp-ip/member-list/member") == ["10.0.0.1:4000", "[fd00::1]:4000"]
    assert texts(root, "network/public-address") == ["[fd00::1]:4001"] and texts(root, "network/port") == ["4001"]


def test_without_the_own_address_hazelcast_picks_one() -> None:
    assert find(render("10.0.0.1"), "network/public-address") == []


def test_the_own_port_is_that_of_the_own_member_where_the_port_is_a_name() -> None:
    members = member("10.0.0.1", port=4100), member("10.0.0.2", port=4200)
    assert texts(render(*members, port="hz", self_ip="10.0.0.2"), "network/port") == ["4200"]
    with pytest.raises(RenderError, match="own port is not known"):
        render(*members, port="hz")


@pytest.mark.parametrize(
    ("rest", "groups"),
    [("read", ["HEALTH_CHECK", "CLUSTER_READ"]), ("write", ["HEALTH_CHECK", "CLUSTER_READ", "CLUSTER_WRITE"])],
)
@pytest.mark.parametrize("version", [(3, 12), (4, 2), (5, 3)])
def test_rest_opens_just_what_is_asked_for(version: tuple[int, int], rest: Any, groups: list[str]) -> None:
    root = render("10.0.0.1", hazelcast_version=version, hazelcast_rest=rest)
    assert [one.get("enabled") for one in find(root, "network/rest-api")] == ["true"]
    found = find(root, "network/rest-api/endpoint-group")
    assert [(one.get("name"), one.get("enabled")) for one in found] == [(name, "true") for name in groups]


def test_rest_is_not_to_be_had_before_3_12() -> None:
    with pytest.raises(RenderError, match="--hazelcast-rest"):
        render("10.0.0.1", hazelcast_version=(3, 11), hazelcast_rest="read")
    assert not find(render("10.0.0.1", hazelcast_version=(3, 11)), "network/rest-api")


def test_the_dialect_has_to_be_known_and_an_empty_list_gives_nothing() -> None:
    with pytest.raises(RenderError, match="--hazelcast-version"):
        render("10.0.0.1", hazelcast_version=None)
    for empty in (snapshot(), snapshot(member("10.0.0.1", port=None))):
        assert FORMATS["hazelcast-xml"].render(empty, Setup(hazelcast_version=None)) is None
