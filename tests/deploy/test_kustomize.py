"""What the component makes of look-alikes of the charts, object by object; what servers say of it: tests/real."""

import re
from pathlib import Path

import pytest

from membership.settings import SETTINGS as SHARED
from membership.wso2.profiles import find_profile
from sidecar.settings import SETTINGS
from tests.manifests import (
    EXAMPLES,
    KUSTOMIZE,
    VARIANTS,
    Json,
    build,
    choose_variant,
    copy_components,
    edit,
    find,
    find_server,
    find_settings,
    list_containers,
    parse,
    try_build,
)

TOKEN = "membership-token"
KNOWN = {name for setting in (*SHARED, *SETTINGS) for name in setting.variables}
OUR_SETTINGS = {"WORKLOAD", "KIND", "SOURCE"}
"""Those of the components; all others are the sidecar's."""


@pytest.fixture(params=[(example, variant) for example in EXAMPLES for variant in VARIANTS], ids="-".join)
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> list[Json]:
    example, variant = request.param
    components = copy_components(tmp_path)
    choose_variant(components, variant)
    return build(components / "examples" / example)


@pytest.fixture
def pod(objects: list[Json]) -> Json:
    spec: Json = find_server(objects)["spec"]["template"]["spec"]
    return spec


def list_ours(pod: Json) -> list[Json]:
    return [each for each in list_containers(pod) if each["name"].startswith("membership")]


def list_others(pod: Json) -> list[Json]:
    return [each for each in list_containers(pod) if not each["name"].startswith("membership")]


def test_only_our_containers_have_a_token(objects: list[Json], pod: Json) -> None:
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("membership", False)
    assert find(objects, "ServiceAccount", "membership")["automountServiceAccountToken"] is False
    assert all(TOKEN in {mount["name"] for mount in each["volumeMounts"]} for each in list_ours(pod))
    assert not [each for each in list_others(pod) for mount in each.get("volumeMounts", ()) if mount["name"] == TOKEN]


def test_the_role_is_all_that_is_needed_and_no_more(objects: list[Json]) -> None:
    [rule] = find(objects, "Role", "membership")["rules"]
    assert rule == {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    binding = find(objects, "RoleBinding", "membership")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "membership", "namespace": "wso2"}]


def test_the_server_copies_our_tree(pod: Json) -> None:
    server = [each for each in pod["containers"] if not each["name"].startswith("membership")][0]
    assert server["volumeMounts"][0] == {
        "name": "membership",
        "mountPath": "/home/wso2carbon/wso2-artifact-volume",
        "subPath": "tree",
    }
    [ours] = [each for each in list_ours(pod) if each.get("args")]
    mounts = {mount["name"]: mount["mountPath"] for mount in ours["volumeMounts"]}
    assert "--staging=/membership/staging" in ours["args"] and mounts["membership"] == "/membership"


def test_the_server_has_an_address_to_tell(pod: Json) -> None:
    server = [each for each in pod["containers"] if not each["name"].startswith("membership")][0]
    assert [each["name"] for each in server["env"]].count("NODE_IP") == 1
    assert all("NODE_IP" in {each["name"] for each in ours["env"]} for ours in list_ours(pod))


def test_our_container_comes_first_and_is_the_gate(pod: Json) -> None:
    first = pod["initContainers"][0]
    if first["name"] == "membership":
        assert (first["restartPolicy"], first["startupProbe"]["httpGet"]["path"]) == ("Always", "/startupz")
        # The gate's own time-out is to end it; 120 s unless the settings say otherwise.
        assert first["startupProbe"]["periodSeconds"] * first["startupProbe"]["failureThreshold"] > 120 + 60
    else:
        names = [each["name"] for each in pod["initContainers"][:2]]
        assert names == ["membership-gate", "membership-render"]
        assert "membership" in {each["name"] for each in pod["containers"]}


def test_an_api_server_that_is_away_takes_nobody_out_of_the_service(pod: Json) -> None:
    assert not [each for each in list_ours(pod) if "readinessProbe" in each]


def test_ours_are_restricted(pod: Json) -> None:
    for each in list_ours(pod):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, "and no runAsUser: OpenShift gives one, and the charts do"


def test_the_charts_containers_are_restricted_with_truth_values(pod: Json) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    for each in list_others(pod):
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_images_are_pinned_and_from_a_registry_that_can_be_named(objects: list[Json], pod: Json) -> None:
    for each in list_ours(pod):
        name, _, digest = each["image"].partition("@sha256:")
        assert name == "registry.example.com/wso2/kubernetes-membership:0.1.0" and len(digest) == 64
    servers = [each["image"] for each in list_others(pod) if "/wso2/" in each["image"]]
    pinned = r"registry\.example\.com/wso2/[a-z0-9-]+:[0-9.]+@sha256:[0-9a-f]{64}"
    assert servers and all(re.fullmatch(pinned, image) for image in servers)
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_settings_are_known_and_reach_our_containers(objects: list[Json], pod: Json) -> None:
    settings = find_settings(objects)
    assert set(settings["data"]) - OUR_SETTINGS <= KNOWN
    for each in list_ours(pod):
        assert each["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    source = find(objects, "ConfigMap", settings["data"]["SOURCE"])
    _, file, target = settings["data"]["MEMBERSHIP_OUT"].split(":")
    folder, _, key = file.rpartition("/")
    assert key in source["data"] and target == "/membership/tree/"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["membership-source"]["configMap"]["name"] == settings["data"]["SOURCE"]
    assert folder in {mount["mountPath"] for each in list_ours(pod) for mount in each["volumeMounts"]}
    assert find(objects, "Service", settings["data"]["MEMBERSHIP_SERVICES"])


def test_policies_choose_the_pods(objects: list[Json]) -> None:
    server = find_server(objects)
    chosen = {"membership-cluster": server["metadata"]["name"]}
    assert chosen.items() <= server["spec"]["template"]["metadata"]["labels"].items()
    policy = find(objects, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == chosen
    assert policy["ingress"][0] == {"from": [{"podSelector": {"matchLabels": chosen}}]}
    assert find(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == chosen
    for kind in ("NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        assert find(objects, kind)["metadata"]["name"] == f"membership-{server['metadata']['name']}"
    scaled = find(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert scaled == {"apiVersion": "apps/v1", "kind": server["kind"], "name": server["metadata"]["name"]}


def test_the_policy_closes_the_member_port_and_ours_only(objects: list[Json]) -> None:
    data = find_settings(objects)["data"]
    ranges = find(objects, "NetworkPolicy")["spec"]["ingress"][1]["ports"]

    def is_open(port: int) -> bool:
        return any(each["port"] <= port <= each["endPort"] for each in ranges if each["protocol"] == "TCP")

    assert [each for each in ranges if each["protocol"] != "TCP"] == [{"protocol": "UDP"}, {"protocol": "SCTP"}]
    assert not is_open(find_profile(data["MEMBERSHIP_PRODUCT"]).port) and not is_open(4080)
    served = [port["port"] for port in find(objects, "Service", data["MEMBERSHIP_SERVICES"])["spec"]["ports"]]
    assert all(is_open(port) for port in served)


def test_what_is_labelled_off_stays_as_it_is() -> None:
    folder = KUSTOMIZE / "examples/ei-6.6"
    before = find(parse((folder / "rendered.yaml").read_text()), "Deployment", "mysql")
    after = find(build(folder), "Deployment", "mysql")
    assert after["spec"] == before["spec"]


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("kustomization.yaml", "      - WORKLOAD=identity-server\n", "", "WORKLOAD"),
        ("kustomization.yaml", "      - SOURCE=identity-server-deployment-toml\n", "", "SOURCE"),
        ("rendered.yaml", "          volumeMounts:\n", "          other:\n", "volumeMounts"),
    ],
)
def test_what_is_missing_is_told_by_kustomize(tmp_path: Path, file: str, old: str, new: str, why: str) -> None:
    components = copy_components(tmp_path)
    edit(components / "examples/is-7" / file, old, new)
    done = try_build(components / "examples/is-7")
    assert done.returncode != 0 and why in done.stderr
