"""The format `haproxy`: the example byte for byte, each annotation, and what cannot be balanced."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from membership import RenderError
from membership.model import Member, ServiceDefinition, ServicePort
from membership.render import FORMATS, Setup
from membership.wire import Json, Resource, decode_list
from tests.unit.lists import member, snapshot

EXAMPLE = Path(__file__).parents[2] / "examples" / "haproxy"
HTTP = ServicePort("http", 80)
PORTS = {"http": 8280, "https": 9443, "thrift": 7611, "": 1234}


def service(name: str = "is", *ports: ServicePort, by_client: bool = False, **annotations: str) -> ServiceDefinition:
    """`lb_host=...` stands for the annotation lb.host."""
    named = {key.replace("_", ".", 1).replace("_", "-"): value for key, value in annotations.items()}
    return ServiceDefinition("wso2", name, ports or (HTTP,), by_client, named)


def pod(address: str, service: str = "is", ports: Mapping[str, int] = PORTS, **more: Any) -> Member:
    return member(address, service=service, ports=ports, **more)


def render(*parts: ServiceDefinition | Member) -> str:
    members = [part for part in parts if isinstance(part, Member)] or [pod("10.244.0.5"), pod("10.244.0.6")]
    definitions = tuple(part for part in parts if isinstance(part, ServiceDefinition))
    made = FORMATS["haproxy"].render(snapshot(*members), Setup(definitions=definitions))
    return (made or b"").decode()


def example() -> tuple[ServiceDefinition, ...]:
    """The Services of the example, as the API server gives them."""
    items = list(yaml.safe_load_all((EXAMPLE / "services.yaml").read_text()))
    answer = {"kind": "ServiceList", "metadata": {"resourceVersion": "1"}, "items": items}
    listing = decode_list(Json(), json.dumps(answer).encode(), Resource.SERVICES)
    return tuple(item.definition for item in listing.items if item.definition)


def test_the_example() -> None:
    ports = {"servlet-https": 9443, "servlet-http": 9763, "gateway-http": 8280, "thrift": 7611}
    names = [definition.name for definition in example()]
    members = [pod(f"10.244.0.{number}", name, ports) for name in names for number in (5, 6)]
    assert render(*example(), *members) == (EXAMPLE / "services.cfg").read_text()


def test_only_ready_addresses() -> None:
    made = render(
        service(),
        pod("10.0.0.1"),
        pod("10.0.0.2", serving=False),
        pod("10.0.0.3", terminating=True),
        pod("10.0.0.4", ready=False),
    )
    assert "10.0.0.1:8280" in made and "10.0.0.4:8280" in made  # `ready` alone means little: membership/model.py
    assert "10.0.0.2" not in made and "10.0.0.3" not in made


def test_while_nobody_is_ready_nothing_is_written() -> None:
    assert render(service(), pod("10.0.0.2", serving=False)) == ""
    assert "backend wso2.am.81" in render(
        service(), service("am", ServicePort("http", 81)), pod("10.0.0.1"), pod("10.0.0.2", "am", serving=False)
    )


def test_what_the_services_say_has_to_be_known() -> None:
    with pytest.raises(RenderError, match="not known"):
        FORMATS["haproxy"].render(snapshot("10.0.0.1"), Setup())


def test_an_ignored_service() -> None:
    assert render(service(lb_ignore="true")) == ""
    made = render(service(lb_ignore="True"), service("am", ServicePort("http", 81)), pod("10.0.0.1", "am"))
    assert "# wso2.is is left out: lb.ignore" in made and "backend wso2.is" not in made


@pytest.mark.parametrize(
    ("definition", "lines"),
    [
        (service(), ["mode http", "default_backend wso2.is.80", "balance roundrobin"]),
        (service(lb_algorithm="leastconn"), ["balance leastconn"]),
        (service(lb_algorithm="magic\n  evil"), ["balance roundrobin"]),
        (service(by_client=True), ["balance source", "hash-type consistent"]),
        (
            service(by_client=True, lb_cookie_sticky_session="true"),
            ["cookie SERVERID insert indirect nocache", "cookie is-5 check port 8280 inter 5s", "balance roundrobin"],
        ),
        (service("is", ServicePort("https", 443)), ["mode tcp", "bind :443\n"]),
        (
            service("is", ServicePort("https", 443), lb_sslTerm="true"),
            ["mode http", 'bind :443 ssl crt "${HAPROXY_CRT-', "inter 5s ssl verify none"],
        ),
        (service("is", HTTP, lb_sslTerm="true"), ["bind :80\n", "mode http"]),
        (service("is", ServicePort("", 443), lb_sslTerm="true"), ["bind :443 ssl crt", ":1234 check port 1234"]),
        (service("is", ServicePort("thrift", 7611)), ["mode tcp"]),
        (service("is", ServicePort("", 90), lb_cookie_sticky_session="true"), ["mode http", "cookie SERVERID"]),
        (service("is", ServicePort("thrift", 90, app_protocol="http")), ["mode http"]),
        (service(lb_host="a.example.com"), ["use_backend wso2.is.80 if { req.hdr(host),field(1,:) -i a.example.com }"]),
        (service(lb_host="a }\n  evil"), ["default_backend wso2.is.80"]),
        (
            service("is", ServicePort("https", 443), lb_cookie_sticky_session="true"),
            ["needs lb.sslTerm", "balance source"],
        ),
        (service("is", HTTP, ServicePort("dns", 53, "UDP")), ["# wso2.is.53 is left out: not TCP"]),
    ],
)
def test_annotations_and_ports(definition: ServiceDefinition, lines: list[str]) -> None:
    made = render(definition)
    assert all(line in made for line in lines), made
    assert "evil" not in made


def test_services_that_share_a_port() -> None:
    made = render(service(), service("am"), service("gw", lb_host="gw.example.com"), pod("10.0.0.1"))
    assert "use_backend wso2.gw.80 if { req.hdr(host),field(1,:) -i gw.example.com }" in made
    assert "use_backend wso2.is.80 if { path /is } || { path_beg /is/ }" in made
    assert r"http-request replace-path ^/am/?(.*) /\1" in made and "replace-path ^/gw" not in made
    assert made.count("frontend ") == 1 and "default_backend" not in made


def test_services_that_nothing_tells_apart() -> None:
    """A second rule with the same condition would never be asked."""
    ours = service()
    theirs = ServiceDefinition("other", "is", (HTTP,), False, {})
    made = render(theirs, ours, pod("10.0.0.1"), pod("10.0.0.2", namespace="other"))
    assert "# wso2.is.80 is left out: other.is.80 has /is on this port" in made
    assert "backend wso2.is.80" not in made and made.count("backend other.is.80") == 2
    hosts = render(service(lb_host="x.example"), service("am", lb_host="X.example"), pod("10.0.0.1"))
    assert "# wso2.is.80 is left out: wso2.am.80 has x.example on this port" in hosts


def test_services_that_cannot_share_a_port() -> None:
    made = render(service(), service("am", ServicePort("thrift", 80)), pod("10.0.0.1"), pod("10.0.0.2", "am"))
    assert "# wso2.is.80 is left out: the port is that of wso2.am.80, and cannot be shared" in made
    assert "backend wso2.is.80" not in made


def test_servers_are_named_after_their_pods_and_keep_their_names() -> None:
    before = render(service(lb_cookie_sticky_session="true"), pod("10.0.0.1"), pod("10.0.0.2"))
    after = render(service(lb_cookie_sticky_session="true"), pod("10.0.0.2"))
    line = "    server is-2 10.0.0.2:8280 cookie is-2 check port 8280 inter 5s"
    assert line in before and line in after


def test_servers_without_a_name_of_their_own() -> None:
    members = [
        pod("10.0.0.1", name=None),
        pod("fd00::2", name="a b\n"),
        pod("10.0.0.3", name="x"),
        pod("10.0.0.4", name="x"),
    ]
    made = render(service(), *members)
    assert "server 10.0.0.1 10.0.0.1:8280" in made and "server fd00::2 [fd00::2]:8280" in made
    assert "server 10.0.0.3 " in made and "server 10.0.0.4 " in made


def test_members_without_the_port_are_left_out() -> None:
    made = render(service(), pod("10.0.0.1"), pod("10.0.0.2", ports={"other": 1}))
    assert "10.0.0.1" in made and "10.0.0.2" not in made
