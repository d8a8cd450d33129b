"""From pods to members: what the real endpointslice controller makes of them, and what we make of that."""

from dataclasses import replace

from membership import Membership, connect
from testbed import cluster
from tests.real.world import LIMIT, Place, conditions, eventually, total
from tests.running import Asking, Sidecar


def test_scaled_from_none_to_three_to_one(place: Place) -> None:
    place.service()
    assert [piece["endpoints"] for piece in place.slices()] == [None], "the controller's placeholder is what we test"
    sidecar = place.sidecar()

    empty = sidecar.members()
    assert (empty["members"], empty["unknown_services"], empty["synced"]) == ([], [], True)
    assert empty["services"] == [f"{place.namespace}/is"]
    assert empty["source"] == "endpointslices"

    waiting = Asking(sidecar.port, f"/members?index={empty['generation']}&wait=20s")
    addresses = ["10.1.0.9", "10.1.0.10", "10.1.0.11"]
    place.pod("is-0", addresses[0])
    assert waiting.answer(LIMIT).json["generation"] == empty["generation"] + 1
    place.pod("is-1", addresses[1])
    place.pod("is-2", addresses[2])
    sidecar.follows(addresses, LIMIT)  # in the order of numbers, not of letters
    place.gone("is-0")
    place.gone("is-2")
    sidecar.follows([addresses[1]], LIMIT)
    place.gone("is-1")
    sidecar.follows([], LIMIT)
    assert sidecar.members()["unknown_services"] == []


def test_readiness_flips(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5", ready=False)
    place.pod("is-1", "10.1.0.6", ready=True)
    place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    everyone, ready_only = place.sidecar(), place.sidecar("--ready-only")
    for flipped in (False, True, False):
        place.ready("is-0", flipped)
        states = {"is-0": (flipped, flipped, False), "is-1": (True, True, False)}
        eventually(lambda: conditions(everyone), states)
        ready_only.follows(["10.1.0.5", "10.1.0.6"] if flipped else ["10.1.0.6"], LIMIT)
    assert total(everyone, "membership_members", state="not_ready") == 1
    assert total(everyone, "membership_members", state="ready") == 1


def test_termination(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.pod("is-1", "10.1.0.6")
    place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    plain, inclusive = place.sidecar(), place.sidecar("--include-terminating")
    place.terminate("is-0")
    plain.follows(["10.1.0.6"], LIMIT)
    eventually(lambda: conditions(inclusive), {"is-0": (False, True, True), "is-1": (True, True, False)})
    assert total(inclusive, "membership_members", state="terminating") == 1
    (entry,) = [each for each in plain.get("/explain").json["addresses"] if each["name"] == "is-0"]
    assert entry["included"] is False and "terminating" in entry["reason"]

    place.gone("is-0")
    inclusive.follows(["10.1.0.6"], LIMIT)
    assert plain.addresses() == ["10.1.0.6"]
    assert plain.members()["generation"] == 2, "what was out of the list already changes nothing when it is gone"


def test_termination_under_publish_not_ready_addresses(place: Place) -> None:
    """`ready` says nothing there; serving and terminating do, and --ready-only goes by them."""
    place.service(publish_not_ready=True)
    place.pod("is-0", "10.1.0.5", ready=True)
    place.pod("is-1", "10.1.0.6", ready=False)
    place.wait_addresses(["10.1.0.5", "10.1.0.6"])
    plain, inclusive = place.sidecar(), place.sidecar("--include-terminating")
    ready_only = place.sidecar("--ready-only", "--include-terminating")
    assert conditions(inclusive) == {"is-0": (True, True, False), "is-1": (True, False, False)}
    assert ready_only.addresses() == ["10.1.0.5"]

    place.terminate("is-0")
    eventually(lambda: conditions(inclusive), {"is-0": (True, True, True), "is-1": (True, False, False)})
    plain.follows(["10.1.0.6"], LIMIT)
    ready_only.follows([], LIMIT)
    place.ready("is-0", False)
    eventually(lambda: conditions(inclusive), {"is-0": (True, False, True), "is-1": (True, False, False)})


def test_a_pod_that_has_failed_leaves(place: Place) -> None:
    place.service(publish_not_ready=True)
    place.pod("is-0", "10.1.0.5")
    place.pod("is-1", "10.1.0.6")
    sidecar = place.sidecar()
    sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
    place.kubelet.fail(place.namespace, "is-0")
    sidecar.follows(["10.1.0.6"], LIMIT)


def test_where_a_member_is_and_what_it_is_called(place: Place) -> None:
    place.service()
    pod = place.pod("is-0", "10.1.0.5", node="n7", hostname="is-0", subdomain="is")
    place.pod("other", "10.1.0.6", node="n8")
    sidecar = place.sidecar("--port", "hazelcast")
    sidecar.follows(["10.1.0.5", "10.1.0.6"], LIMIT)
    first, second = sidecar.members()["members"]
    assert first == {
        "address": "10.1.0.5",
        "port": 4000,
        "addresses": ["10.1.0.5"],
        "service": "is",
        "namespace": place.namespace,
        "name": "is-0",
        "uid": pod["metadata"]["uid"],
        "ready": True,
        "serving": True,
        "terminating": False,
        "node": "n7",
        "zone": "zone-n7",
        "hostname": "is-0",
        "ports": {"hazelcast": 4000},
    }
    assert (second["name"], second["node"], second["zone"], second["hostname"]) == ("other", "n8", "zone-n8", None)


def test_port_names(place: Place) -> None:
    """Pods may have different numbers under one name, or lack it: the controller makes a slice for each port map."""
    place.service(ports={"hazelcast": "hz", "web": 9443})
    place.pod("is-0", "10.1.0.5", ports={"hz": 5701})
    place.pod("is-1", "10.1.0.6", ports={"hz": 5801})
    place.pod("is-2", "10.1.0.7")
    place.wait_addresses(["10.1.0.5", "10.1.0.6", "10.1.0.7"])
    target = place.folder / "members.csv"
    sidecar = place.sidecar("--port", "hazelcast", "--out", f"csv:{target}")
    members = {member["name"]: member for member in sidecar.members()["members"]}
    assert {name: member["port"] for name, member in members.items()} == {"is-0": 5701, "is-1": 5801, "is-2": None}
    assert members["is-0"]["ports"] == {"hazelcast": 5701, "web": 9443}
    assert members["is-2"]["ports"] == {"web": 9443}
    eventually(target.exists, True)
    assert target.read_text() == "10.1.0.5:5701,10.1.0.6:5801\n"
    assert sidecar.get("/members?format=lines").text == "10.1.0.5:5701\n10.1.0.6:5801\n"
    assert "10.1.0.7" in sidecar.get("/readyz?verbose").text, "who is left out of addresses is said"
    (entry,) = [each for each in sidecar.get("/explain").json["addresses"] if each["name"] == "is-2"]
    assert entry["included"] is True and "hazelcast" in entry["reason"]


def test_a_service_with_a_cluster_ip(place: Place) -> None:
    place.service(headless=False, ports={"hazelcast": 5701, "web": 9443})
    place.pod("is-0", "10.1.0.5")
    sidecar = place.sidecar("--port", "hazelcast")
    sidecar.follows(["10.1.0.5"], LIMIT)
    (member,) = sidecar.members()["members"]
    assert (member["port"], member["ports"]) == (5701, {"hazelcast": 5701, "web": 9443})


def test_a_headless_service_without_ports(place: Place) -> None:
    """Its slices have no ports at all: a number given as --port is all that is needed."""
    place.service(ports={})
    place.pod("is-0", "10.1.0.5")
    sidecar = place.sidecar("--port", "5701")
    sidecar.follows(["10.1.0.5"], LIMIT)
    (member,) = sidecar.members()["members"]
    assert (member["port"], member["ports"]) == (5701, {})
    # JSON says null, protobuf nothing at all.
    server = replace(connect(environ=place.in_cluster, service_account=place.mount), protobuf=False)
    with Membership(server, [f"{place.namespace}/is"], 5701) as membership:
        assert [found.endpoint for found in membership.wait(timeout=LIMIT).members] == ["10.1.0.5:5701"]


def test_dual_stack(place: Place) -> None:
    place.service(families=("IPv4", "IPv6"))
    place.service("six", families=("IPv6",))
    place.pod("is-0", "10.1.0.10", addresses=["fd00::10"])
    place.pod("is-1", "10.1.0.9", addresses=["fd00::9"])
    place.pod("six-0", "10.1.0.20", "six", addresses=["fd00::20"])
    place.wait_addresses(["10.1.0.10", "10.1.0.9", "fd00::10", "fd00::9"])
    place.wait_addresses(["fd00::20"], "six")
    both = place.sidecar("--family", "both")
    wanted = [["10.1.0.9", "fd00::9"], ["10.1.0.10", "fd00::10"]]
    assert [member["addresses"] for member in both.members()["members"]] == wanted
    assert both.addresses() == ["10.1.0.9", "10.1.0.10"]
    assert place.sidecar("--family", "ipv6").addresses() == ["fd00::9", "fd00::10"]
    assert place.sidecar("--family", "ipv6").get("/members?format=lines").text == "[fd00::9]:4000\n[fd00::10]:4000\n"
    assert place.sidecar().addresses() == ["10.1.0.9", "10.1.0.10"]

    other_family = place.sidecar(services="six")
    answer = other_family.members()
    assert (answer["members"], answer["unknown_services"]) == ([], []), "known, and empty in the family asked for"
    (entry,) = [each for each in other_family.get("/explain").json["addresses"] if each["address"] == "fd00::20"]
    assert entry["included"] is False and "ipv4" in entry["reason"]

    place.gone("is-1")
    eventually(lambda: [member["addresses"] for member in both.members()["members"]], [wanted[1]])


def test_a_service_without_selector(place: Place) -> None:
    place.service(selector=None)
    sidecar = place.sidecar("--port", "hazelcast")
    name = f"{place.namespace}/is"
    assert sidecar.members()["unknown_services"] == [name]

    place.make_slice("by-hand", "is", [{"addresses": ["10.1.0.9"]}], ports=[{"name": "hazelcast", "port": 5701}])
    place.make_slice("portless", "is", [{"addresses": ["10.1.0.8"], "conditions": {"ready": True}}])
    place.make_slice("unrelated", "other", [{"addresses": ["10.1.0.7"]}])
    sidecar.follows(["10.1.0.8", "10.1.0.9"], LIMIT)
    answer = sidecar.members()
    assert answer["unknown_services"] == []
    portless, by_hand = answer["members"]
    assert (by_hand["name"], by_hand["uid"], by_hand["node"], by_hand["zone"]) == (None, None, None, None)
    assert (by_hand["ready"], by_hand["serving"], by_hand["terminating"]) == (True, True, False)
    assert (by_hand["port"], portless["port"], portless["ports"]) == (5701, None, {})

    place.delete_slice("portless")
    sidecar.follows(["10.1.0.9"], LIMIT)
    place.delete_slice("by-hand")
    eventually(lambda: sidecar.members()["unknown_services"], [name])
    assert sidecar.addresses() == []


def test_recreated_while_a_slice_of_the_old_one_stays(place: Place) -> None:
    """The controller deletes its own old slices; those that others made stay until the garbage is collected."""
    place.service()
    place.pod("old-0", "10.1.0.5")
    before = place.plane.request("GET", f"/api/v1/namespaces/{place.namespace}/services/is")
    owner = {"apiVersion": "v1", "kind": "Service", "name": "is", "uid": before["metadata"]["uid"]}
    place.make_slice("mesh", "is", [{"addresses": ["10.1.0.8"]}], owner=owner)
    sidecar = place.sidecar()
    sidecar.follows(["10.1.0.5", "10.1.0.8"], LIMIT)

    cluster.delete_service(place.plane, place.namespace, "is", slices=False)
    place.gone("old-0")
    place.service()
    place.pod("new-0", "10.1.0.7")
    place.wait_addresses(["10.1.0.7", "10.1.0.8"])
    owners = {piece["metadata"]["ownerReferences"][0]["uid"] for piece in place.slices()}
    assert len(owners) == 2, "slices of two Services of one name are what we test"
    sidecar.follows(["10.1.0.7"], LIMIT)
    assert place.sidecar().addresses() == ["10.1.0.7"], "one that starts now sees the same"
    (entry,) = [each for each in sidecar.get("/explain").json["addresses"] if each["address"] == "10.1.0.8"]
    assert entry["included"] is False and entry["reason"]


def test_deleted_then_recreated(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5")
    sidecar = place.sidecar()
    sidecar.follows(["10.1.0.5"], LIMIT)
    cluster.delete_service(place.plane, place.namespace, "is")
    name = f"{place.namespace}/is"
    eventually(lambda: sidecar.members()["unknown_services"], [name])
    assert sidecar.addresses() == []
    place.service()
    sidecar.follows(["10.1.0.5"], LIMIT)
    assert sidecar.members()["unknown_services"] == []


def test_an_unknown_service_beside_a_known_one(place: Place) -> None:
    place.service()
    place.pod("is-0", "10.1.0.5")
    place.wait_addresses(["10.1.0.5"])
    sidecar = place.sidecar(services="is,later")
    answer = sidecar.members()
    later = f"{place.namespace}/later"
    assert answer["unknown_services"] == [later] and sidecar.addresses() == ["10.1.0.5"]
    ready = sidecar.get("/readyz?verbose")
    assert ready.status == 200 and later in ready.text

    place.service("later")  # it exists and is empty: no longer unknown, which is news
    eventually(lambda: sidecar.members()["unknown_services"], [])
    assert sidecar.members()["generation"] == answer["generation"] + 1
    assert later not in sidecar.get("/readyz?verbose").text


def test_an_address_that_went_to_a_new_pod(place: Place) -> None:
    """The terminating pod's endpoint still names it (kubernetes#135266): it belongs to the pod that serves."""
    place.service()
    place.pod("old", "10.1.0.5")
    sidecar, inclusive = place.sidecar(), place.sidecar("--include-terminating")
    sidecar.follows(["10.1.0.5"], LIMIT)
    place.terminate("old")
    place.pod("new", "10.1.0.5")
    place.wait_addresses(["10.1.0.5", "10.1.0.5"])
    for each in (sidecar, inclusive):
        eventually(lambda: _names(each), ["new"])


def _names(sidecar: Sidecar) -> list[str]:
    return [member["name"] for member in sidecar.members()["members"]]
