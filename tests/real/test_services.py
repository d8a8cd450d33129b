"""The format `haproxy` on a real API server: annotated Services, and the Role that `membership check` prints."""

from pathlib import Path

import yaml

from tests.real.world import LIMIT, Place
from tests.running import until


def annotate(place: Place, **annotations: str | None) -> None:
    """`lb_host=...`: the annotation serviceloadbalancer/lb.host; None takes it away."""
    named = {f"serviceloadbalancer/{key.replace('_', '.', 1)}": value for key, value in annotations.items()}
    path = f"/api/v1/namespaces/{place.namespace}/services/is"
    place.plane.request(
        "PATCH", path, {"metadata": {"annotations": named}}, content_type="application/merge-patch+json"
    )


def test_services_are_followed_with_the_role_that_check_prints(place: Place, tmp_path: Path) -> None:
    place.service(ports={"http": 8280}, headless=False)
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    report = place.command("check", "--out", "haproxy:/x")
    assert report.result() == 4 and "# missing: list services in namespace" in report.output
    role = next(one for one in yaml.safe_load_all(report.output) if one["kind"] == "Role")

    target = tmp_path / "services.cfg"
    forbidden = place.sidecar("--out", f"haproxy:{target}")
    until(lambda: 'services "is" is forbidden' in forbidden.get("/readyz?verbose").text, LIMIT, "the reason")
    assert forbidden.addresses() == ["10.1.0.5"] and not target.exists()
    forbidden.stop()

    place.grant(*role["rules"])
    assert place.command("check", "--out", "haproxy:/x").result() == 0
    place.sidecar("--out", f"haproxy:{target}", services="*")
    until(lambda: target.exists() and "server is-0 10.1.0.5:8280" in target.read_text(), LIMIT, "the file")
    annotate(place, lb_host="is.example.com")
    until(lambda: "-i is.example.com" in target.read_text(), LIMIT, "the annotation")
    annotate(place, lb_host=None)
    until(lambda: "is.example.com" not in target.read_text(), LIMIT, "the annotation to be gone")
    place.pod("is-1", "10.1.0.6")
    until(lambda: "server is-1 10.1.0.6:8280" in target.read_text(), LIMIT, "the second pod")
    place.terminate("is-1")
    until(lambda: "is-1" not in target.read_text(), LIMIT, "the pod to be left out while it terminates")
