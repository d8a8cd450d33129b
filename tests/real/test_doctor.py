"""`membership doctor` on a real API server: real tokens and their audiences, real RBAC, real Services."""

import json
from typing import Any

from tests.real.world import Place, rule


def examine(place: Place, *flags: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and findings by code; one host of loopback stands for the pod's."""
    command = place.command("doctor", "--output", "json", "--namespace", place.namespace, *flags)
    code = command.result(30)
    assert command.err == []
    return code, {one["code"]: one for one in json.loads(command.output)["findings"]}


def test_what_the_sidecars_role_allows_is_enough(place: Place) -> None:
    place.service(publish_not_ready=True)
    place.pod("is-0", "10.1.0.5", ready=False)
    place.wait_addresses(["10.1.0.5"])
    _, found = examine(place)
    assert {"dns.ok", "tcp.ok", "tls.ok", "server.ok", "token.ok", "rbac.ok", "slices.ok"} <= set(found)
    assert f"we are {place.user}" in found["token.ok"]["evidence"]
    assert place.user in found["token.claims"]["evidence"] and "audience: https://" in found["token.claims"]["evidence"]
    assert found["service.unreadable"]["severity"] == "information" and "service.ok" not in found
    assert "10.1.0.5" in found["slices.not-serving"]["evidence"]
    place.grant(rule("services", "get"), rule("endpointslices", "list", "watch"))
    _, found = examine(place)
    assert "selector app=is" in found["service.ok"]["evidence"] and "service.unreadable" not in found


def test_services_as_they_should_not_be(place: Place) -> None:
    place.grant(rule("services", "get"), rule("endpointslices", "list", "watch"))
    place.service("bare", selector=None)
    external = {"metadata": {"name": "external"}, "spec": {"type": "ExternalName", "externalName": "is.example"}}
    place.plane.request("POST", f"/api/v1/namespaces/{place.namespace}/services", external)
    place.service("is", headless=False, ports={"https": 9443})
    code, found = examine(place, "--services", "bare,external,is,nowhere")
    assert code == 5
    wanted = {
        "no-selector": "bare",
        "external": "external",
        "other-port": "is",
        "not-headless": "is",
        "missing": "nowhere",
    }
    for word, name in wanted.items():
        assert f"{place.namespace}/{name}" in found[f"service.{word}"]["evidence"], word
    assert {"slices.none", "slices.empty"} <= set(found)


def test_the_role_it_prints_is_what_is_missing(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.revoke()
    code, found = examine(place)
    assert code == 4 and "rbac.list" in found and "slices.skipped" in found
    assert f"name: sidecar\n  namespace: {place.namespace}" in found["rbac.list"]["fix"]


def test_tokens_that_are_not_accepted(place: Place) -> None:
    place.service()
    path = f"/api/v1/namespaces/{place.namespace}/serviceaccounts/{place.account}/token"
    answer = place.plane.request("POST", path, {"spec": {"audiences": ["vault"], "expirationSeconds": 600}})
    place.mount_token(answer["status"]["token"])
    code, found = examine(place)
    assert code == 4 and "audience: vault; issuer: https://" in found["token.audience"]["evidence"]
    place.mount_token()
    place.plane.request("DELETE", path.removesuffix("/token"))
    code, found = examine(place)
    assert code == 4 and "token.refused" in found and "token.audience" not in found
