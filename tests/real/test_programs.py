"""The programs as users start them, end to end: the sidecar, and the command in an init container and by hand."""

import json
import stat
import time
from collections.abc import MutableMapping

from tests.real.world import LIMIT, Place, eventually, total
from tests.running import STOP_LIMIT, EventStream


def test_the_sidecar_from_start_to_end(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5", hostname="is-0", subdomain="is")
    place.pod("is-1", "10.1.0.6", ready=False)
    place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    lines, whole, calls = (place.folder / name for name in ("members.txt", "members.json", "calls"))
    script = place.folder / "hook.sh"
    script.write_text(f'#!/bin/sh\necho "$MEMBERSHIP_GENERATION $MEMBERSHIP_MEMBERS $(wc -l < {lines})" >> {calls}\n')
    script.chmod(0o755)

    sidecar = place.sidecar(
        "--out", f"lines:{lines}", "--out", f"json:{whole}", "--on-change", str(script), "--expect", "2"
    )
    answer = sidecar.members()
    assert [member["address"] for member in answer["members"]] == ["10.1.0.5", "10.1.0.6"]
    assert answer["generation"] == 1 and answer["synced"] and not answer["stale"]
    assert answer["resource_versions"].keys() == {place.namespace}
    eventually(lambda: lines.exists() and whole.exists() and calls.exists(), True)
    assert lines.read_text() == "10.1.0.5:4000\n10.1.0.6:4000\n"
    assert json.loads(whole.read_text()) == {"services": answer["services"], "members": answer["members"]}
    assert stat.S_IMODE(lines.stat().st_mode) == 0o644
    eventually(lambda: sidecar.get("/startupz").status, 200)  # is-0 serves: there is a cluster to join

    with EventStream(sidecar.port) as stream:
        assert json.loads(stream.event()["data"])["generation"] == 1
        place.gone("is-1")
        event = stream.event(LIMIT)
        assert [member["name"] for member in json.loads(event["data"])["members"]] == ["is-0"]
        assert event["id"] == "2"
    eventually(lines.read_text, "10.1.0.5:4000\n")
    # The number of lines shows that the files are written before the command runs.
    eventually(lambda: calls.read_text().splitlines(), ["1 10.1.0.5:4000,10.1.0.6:4000 2", "2 10.1.0.5:4000 1"])

    place.gone("is-0")
    sidecar.follows([], LIMIT)
    eventually(lambda: json.loads(whole.read_text())["members"], [])
    assert lines.read_text() == "10.1.0.5:4000\n", "an empty list is never written over a file"
    assert total(sidecar, "membership_kept_empty_total", output=f"lines:{lines}") == 1
    eventually(lambda: calls.read_text().splitlines()[2:], ["3  1"])

    watches = place.plane.open_watches("endpointslices")
    code, took = sidecar.stop()
    assert code == 0 and took < STOP_LIMIT, f"ended with {code} after {took:.2f} s"
    assert "Traceback" not in sidecar.log and not [r for r in sidecar.records() if r["level"] in ("error", "critical")]
    eventually(lambda: place.plane.open_watches("endpointslices") < watches, True)


def test_start_to_synced(place: Place, figures: MutableMapping[str, str]) -> None:
    """And from SIGTERM to the end, which is promised within a second. The best of five: the machine may be busy."""
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    starts: list[float] = []
    stops: list[float] = []
    while not starts or (min(starts) >= 1.5 or min(stops) >= 1.0) and len(starts) < 5:
        sidecar = place.sidecar()
        starts.append(time.monotonic() - sidecar.began)
        stops.append(sidecar.stop()[1])
    figures["start to synced"] = f"{min(starts):.2f} s"
    figures["SIGTERM to exit"] = f"{min(stops):.2f} s"
    assert min(starts) < 1.5 and min(stops) < 1.0


def test_list_and_explain_with_a_kubeconfig(place: Place) -> None:
    """Read by the official client, named by flag or by $KUBECONFIG; the namespace is its context's."""
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.pod("is-1", "10.1.0.6")
    place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    place.terminate("is-1")
    token = place.plane.token(place.namespace, place.account)
    config = place.plane.write_kubeconfig(place.folder / "config", token=token, namespace=place.namespace)
    by_flag = place.bare_command("list", "--services", "is", "--kubeconfig", str(config))
    by_variable = place.bare_command("list", "--services", "is", "--format", "json", KUBECONFIG=str(config))
    explained = place.bare_command("explain", "--services", "is,none", "--kubeconfig", str(config))
    for command in (by_flag, by_variable, explained):
        assert command.result() == 0, command.log
    assert by_flag.output == "10.1.0.5:4000\n"
    content = json.loads(by_variable.output)
    assert content["services"] == [f"{place.namespace}/is"]
    assert [member["name"] for member in content["members"]] == ["is-0"]
    for line in explained.output.splitlines():
        assert line.startswith("in ") or "10.1.0.5" not in line
        assert not line.startswith("in ") or "10.1.0.6" not in line
    assert "terminating" in explained.output and f"{place.namespace}/none" in explained.output
    assert token not in by_flag.log + by_variable.log + explained.log


def test_list_as_in_a_pod(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    flags = ("--services", f"{place.namespace}/is", *place.credentials)
    command = place.bare_command("list", *flags, "--format", "csv", **place.in_cluster)
    assert command.result() == 0, command.log
    assert command.output == "10.1.0.5:4000\n"
    by_wso2_names = place.bare_command(
        "list",
        KUBERNETES_SERVICES="is",
        KUBERNETES_NAMESPACE=place.namespace,
        KUBERNETES_API_SERVER=place.plane.url,
        BEARER_TOKEN_FILE_LOCATION=str(place.mount / "token"),
        MEMBERSHIP_CA_FILE=str(place.mount / "ca.crt"),
        USE_DNS="false",
    )
    assert by_wso2_names.result() == 0, by_wso2_names.log
    assert by_wso2_names.output == "10.1.0.5:4000\n"
    assert by_wso2_names.count("USE_DNS") == 1


def test_wait_until_all_are_there(place: Place) -> None:
    """Progress says who is here; the gate opens when the pods that start together, none of them ready, are in."""
    place.service(publish_not_ready=True)
    place.pod("is-0", "10.1.0.5", ready=False)
    place.wait_addresses(["10.1.0.5"])
    waiting = place.command("wait", "--expect", "3", "--stable", "500ms", "--self-ip", "10.1.0.5")
    waiting.wait_log("1 of 3", LIMIT)
    place.pod("is-1", "10.1.0.6", ready=False)
    waiting.wait_log("2 of 3", LIMIT)
    assert waiting.running
    place.pod("is-2", "10.1.0.7", ready=False)
    assert waiting.result() == 0, waiting.log
    assert waiting.output == "10.1.0.5:4000\n10.1.0.6:4000\n10.1.0.7:4000\n"

    too_few = ("--expect", "4", "--gate-timeout", "1s")
    started, failed = place.command("wait", *too_few), place.command("wait", *too_few, "--on-timeout", "fail")
    assert started.result() == 0 and "warning" in started.log
    assert started.output == waiting.output
    assert failed.result() == 3 and failed.output == ""


def test_watch_prints_each_change(place: Place) -> None:
    place.service()
    command = place.command("watch")
    eventually(lambda: list(command.out), ["1 none"])
    place.pod("is-0", "10.1.0.5")
    eventually(lambda: list(command.out)[1:], ["2 10.1.0.5:4000 joined 10.1.0.5:4000"])
    place.gone("is-0")
    eventually(lambda: list(command.out)[2:], ["3 none left 10.1.0.5:4000"])
    code, took = command.stop()
    assert took < STOP_LIMIT, f"ended with {code} after {took:.2f} s"


def test_render_writes_nothing_without_members(place: Place) -> None:
    place.service()
    target = place.folder / "members"
    empty = place.command("render", "lines", "-o", str(target))
    assert empty.result() == 3 and not target.exists()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    assert place.command("render", "lines", "-o", str(target)).result() == 0
    assert target.read_text() == "10.1.0.5:4000\n"
