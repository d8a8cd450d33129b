"""A server that has too much to do: API Priority and Fairness sends all our requests away with 429."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping

from testbed.rest import Json, RequestFailed, RestClient
from tests.real.world import LIMIT, WHOLE, Place, eventually, total

SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
CROWD = 3


def test_a_storm_of_429(place: Place, figures: MutableMapping[str, str]) -> None:
    """F15: Retry-After is obeyed, the list stays, and when it is over all come back by watch."""
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    crowd = [place.sidecar("--stale-after", "3s") for _ in range(CROWD)]  # opened anew every 2 to 2.5 s
    with throttled(place):
        began = time.time()
        for sidecar in crowd:
            eventually(lambda: total(sidecar, "membership_requests_total", code="429") >= 3, True, 30)
            assert sidecar.addresses() == ["10.1.0.5"], "an error empties nothing"
            eventually(lambda: sidecar.get("/readyz").status, 503, 10)
            assert "429" in sidecar.get("/readyz?verbose").text
        seconds = time.time() - began
        for sidecar in crowd:
            tries = total(sidecar, "membership_requests_total", code="429")
            assert tries <= seconds + 1, "Retry-After is a second or more"
    place.pod("is-1", "10.1.0.6")
    for sidecar in crowd:
        sidecar.follows(["10.1.0.5", "10.1.0.6"], 45)
        eventually(lambda: sidecar.get("/readyz").status, 200, LIMIT)
        assert total(sidecar, "membership_relists_total") == 1, "by watch"
        assert sidecar.members()["generation"] == 2
        assert sidecar.count("HTTP 429, and no Status: .*Too many requests") == 1
    figures["storm of 429"] = f"{CROWD} sidecars for {seconds:.1f} s"


@contextlib.contextmanager
def throttled(place: Place) -> Iterator[None]:
    """Let no request of the place's service account through; nobody else notices.

    Its priority level has no seats and can borrow none. One request at a time is let in all the same (queueset.go), so
    one sits there: it waits for an admission webhook that never answers.
    https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
    """
    place.grant(*WHOLE, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]})
    over = threading.Event()
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as webhook:
        for path, body in _obstacles(place, webhook.getsockname()[1]):
            place.plane.request("POST", path, body)
            stack.callback(place.plane.request, "DELETE", f"{path}/{body['metadata']['name']}")
        sitter = threading.Thread(target=_sit, args=(place, over), daemon=True)
        sitter.start()
        stack.callback(sitter.join, 15)
        stack.callback(over.set)
        with contextlib.closing(_client(place)) as client:
            eventually(lambda: _status(client, "GET", SLICES.format(place.namespace)), 429, what="the answer")
        yield


def _sit(place: Place, over: threading.Event) -> None:
    """Take the one place there is, again and again: each time for the 10 s that a TLS handshake may take."""
    with contextlib.closing(_client(place)) as client:
        while not over.is_set():
            _status(client, "POST", f"/api/v1/namespaces/{place.namespace}/configmaps")
            over.wait(0.02)


def _client(place: Place) -> RestClient:
    port = int(place.in_cluster["KUBERNETES_SERVICE_PORT"])
    token = (place.mount / "token").read_text().strip()
    return RestClient("127.0.0.1", port, ca_file=place.plane.ca_file, token=token)


def _status(client: RestClient, method: str, path: str) -> int:
    try:
        client.call(method, path, {"metadata": {"generateName": "sitter-"}} if method == "POST" else None)
        return 200
    except RequestFailed as failed:
        return failed.status


def _obstacles(place: Place, port: int) -> Iterator[tuple[str, Json]]:
    """Path and object of the priority level, the flow schema that leads there, and the webhook."""
    name, group = f"jail-{place.namespace}", "apis/flowcontrol.apiserver.k8s.io/v1"
    limited = {"nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}
    yield f"/{group}/prioritylevelconfigurations", {
        "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": limited},
    }
    subject = {"kind": "ServiceAccount", "serviceAccount": {"namespace": place.namespace, "name": place.account}}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    yield f"/{group}/flowschemas", {
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name},
            "matchingPrecedence": 2,  # 1 is reserved
            "rules": [{"subjects": [subject], "resourceRules": [everything]}],
        },
    }
    created = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    yield "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", {
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "silent.example.org",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
                "rules": [created],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 30,
            }
        ],
    }
