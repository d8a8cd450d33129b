"""A played pod to its end: a real Carbon server, in the server's container, on the file that the entrypoint has copied.

Carbon 4.5.1 in a home of its own stands for Identity Server 5.11: the same way in, deployment.toml, and Hazelcast 3.12.
What members do to each other is in tests/e2e.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

import yaml

from testbed.carbon import configure, resolve
from testbed.waiting import wait_for
from tests.deploy.stage import Stage, World, name_namespace
from tests.manifests import KUSTOMIZE, ROOT, Json, build, find

VERSION = "4.5.1"
FILEBEAT = ROOT / "examples/monitoring/filebeat/filebeat.yml"


def fill_in(objects: list[Json], source: str) -> None:
    """Give the chart's deployment.toml what it leaves out and a server needs, from that of the server itself."""
    data = find(objects, "ConfigMap", source)["data"]
    clustering = data["deployment.toml"][data["deployment.toml"].index("[clustering]") :]
    assert 'membership_scheme = "kubernetes"' in clustering, "what the chart has, and no server here could do"
    data["deployment.toml"] = configure(resolve(VERSION), "$env{NODE_IP}", clustering)


def test_the_server_forms_its_cluster_from_the_copied_file(world: World, image: Path) -> None:
    objects = build(KUSTOMIZE / "examples/is-5.11", name_namespace("is-5.11-server"))
    fill_in(objects, "identity-server-conf")
    with Stage(world, image, objects) as stage:
        pod = stage.add(0)
        server = pod.make_server(VERSION)
        pod.start_init()
        pod.finish_init()
        assert pod.run_entrypoint().returncode == 0
        assert stage.read_members(pod) == (pod.address, [f"{pod.address}:4000"])
        server.start()
        server.wait_ready()
        wait_for(lambda: server.cluster_size() == 1, timeout=30, what="its cluster", every=0.1)
        assert f"Member [{pod.address}]:4000" in server.log()
        # What it made of the file at its start.
        clustering = ElementTree.parse(server.home / "repository/conf/axis2/axis2.xml").getroot().find("clustering")
        assert clustering is not None and clustering.get("enable") == "true"
        parameters = {each.get("name"): each.text for each in clustering.iter("parameter")}
        assert (parameters["membershipScheme"], parameters["localMemberHost"]) == ("wka", pod.address)
        members = [(each.findtext("hostName"), each.findtext("port")) for each in clustering.iter("member")]
        assert members == [(pod.address, "4000")]
        lines = (server.home / "repository/logs/wso2carbon.log").read_text().splitlines()
        [parser] = yaml.safe_load(FILEBEAT.read_text())["filebeat.inputs"][0]["parsers"]
        begins = [bool(re.search(parser["multiline"]["pattern"], line)) for line in lines]
        assert begins[0] and sum(begins) > 20, "as the Filebeat beside a server takes its lines apart"
