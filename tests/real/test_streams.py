"""One list and one stream for each namespace, however many Services are followed."""

from pathlib import Path

from testbed import cluster
from tests.real.world import LIMIT, WHOLE, Place, World, eventually
from tests.running import STOP_LIMIT


def test_one_stream_per_namespace(lone_world: World, lone_place: Place, tmp_path: Path) -> None:
    here = lone_place
    (tmp_path / "there").mkdir()
    with Place(lone_world, "t-there", tmp_path / "there", rules=()) as there:
        cluster.grant(there.plane, there.namespace, here.account, WHOLE, account_namespace=here.namespace)
        for place, service in ((here, "is"), (here, "apim"), (there, "is")):
            place.service(service)
        here.service("both", selector={"group": "is"})
        assert here.plane.open_watches("endpointslices") == 0
        here.pod("is-0", "10.1.0.5")
        here.pod("apim-0", "10.1.0.4", "apim")
        there.pod("is-0", "10.1.0.3")
        here.wait_addresses(["10.1.0.5"])
        here.wait_addresses(["10.1.0.4"], "apim")
        there.wait_addresses(["10.1.0.3"])

        sidecar = here.sidecar(services=f"is,{there.namespace}/is,apim,both")
        eventually(lambda: here.plane.open_watches("endpointslices"), 2)
        answer = sidecar.members()
        members = [(member["namespace"], member["service"], member["address"]) for member in answer["members"]]
        assert members == sorted(
            [
                (here.namespace, "apim", "10.1.0.4"),
                (here.namespace, "is", "10.1.0.5"),
                (there.namespace, "is", "10.1.0.3"),
            ]
        )
        assert set(answer["resource_versions"]) == {here.namespace, there.namespace}

        # Each stream brings what happens in its namespace, for each of its Services; a pod of two is two members.
        pods = f"/api/v1/namespaces/{here.namespace}/pods"
        here.plane.request("PATCH", f"{pods}/is-0", {"metadata": {"labels": {"group": "is"}}})
        there.pod("is-1", "10.1.0.2")
        wanted = sorted([*members, (here.namespace, "both", "10.1.0.5"), (there.namespace, "is", "10.1.0.2")])
        eventually(
            lambda: sorted((m["namespace"], m["service"], m["address"]) for m in sidecar.members()["members"]), wanted
        )
        assert sidecar.get("/members?service=both&format=lines").text == "10.1.0.5:4000\n"

        assert here.plane.open_watches("endpointslices") == 2
        asked = [(request.namespace, request.verb) for request in here.world.asked(here.user)]
        assert sorted(asked) == sorted((n, v) for n in (here.namespace, there.namespace) for v in ("list", "watch"))
        watches = [request.query for request in here.world.asked(here.user) if request.verb == "watch"]
        for query in watches:
            assert query["allowWatchBookmarks"] == "true"
            assert 240 <= int(query["timeoutSeconds"]) <= 300
            assert int(query["resourceVersion"]) > 0
        assert any("apim" in q["labelSelector"] and "both" in q["labelSelector"] for q in watches)

        code, took = sidecar.stop()
        assert code == 0 and took < STOP_LIMIT
        eventually(lambda: here.plane.open_watches("endpointslices"), 0, LIMIT)
