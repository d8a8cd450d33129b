"""A server that has too much to do: API Priority and Fairness sends all our requests away with 429."""

import contextlib
import time
from collections.abc import Iterator, MutableMapping

from testbed.plane import ControlPlane
from tests.real.world import LIMIT, Place, eventually, total

FLOWCONTROL = "/apis/flowcontrol.apiserver.k8s.io/v1"
CROWD = 3


def test_a_storm_of_429(place: Place, figures: MutableMapping[str, str]) -> None:
    """F15: Retry-After is obeyed, the list stays, and when it is over all come back by watch."""
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    crowd = [place.sidecar("--stale-after", "3s") for _ in range(CROWD)]  # opened anew every 2 to 2.5 s
    with throttled(place.plane, place.namespace, place.account):
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
        assert sidecar.count("429 TooManyRequests") == 1
    figures["storm of 429"] = f"{CROWD} sidecars for {seconds:.1f} s"


@contextlib.contextmanager
def throttled(plane: ControlPlane, namespace: str, account: str) -> Iterator[None]:
    """Let no request of a service account through; nobody else notices.

    A priority level with no seats, and none to borrow, is the documented jail:
    https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/priority-level-configuration-v1/
    """
    name = f"jail-{namespace}"
    limited = {"nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}
    level = {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}
    subject = {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": account}}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    schema = {
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name},
            "matchingPrecedence": 2,  # 1 is reserved
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": [subject], "resourceRules": [everything]}],
        },
    }
    plane.request("POST", f"{FLOWCONTROL}/prioritylevelconfigurations", level)
    plane.request("POST", f"{FLOWCONTROL}/flowschemas", schema)
    try:
        yield
    finally:
        plane.request("DELETE", f"{FLOWCONTROL}/flowschemas/{name}")
        plane.request("DELETE", f"{FLOWCONTROL}/prioritylevelconfigurations/{name}")
