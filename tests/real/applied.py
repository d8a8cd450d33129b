"""Manifests given to a real API server by server-side apply: for a dry run, or for good."""

from testbed import cluster
from testbed.plane import ControlPlane
from testbed.rest import Json

GROUPS = {
    "v1": "api/v1",
    "admissionregistration.k8s.io/v1": "apis/admissionregistration.k8s.io/v1",
    "apps/v1": "apis/apps/v1",
    "autoscaling/v2": "apis/autoscaling/v2",
    "networking.k8s.io/v1": "apis/networking.k8s.io/v1",
    "policy/v1": "apis/policy/v1",
    "rbac.authorization.k8s.io/v1": "apis/rbac.authorization.k8s.io/v1",
}
PLURALS = {"NetworkPolicy": "networkpolicies", "ValidatingAdmissionPolicy": "validatingadmissionpolicies"}
OF_THE_CLUSTER = ("PersistentVolume", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
LEVEL = "pod-security.kubernetes.io/enforce"


def create_restricted(plane: ControlPlane, namespace: str) -> None:
    """A namespace that takes restricted pods only, and the account that ours name."""
    cluster.create_namespace(plane, namespace)
    plane.request("PATCH", f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {LEVEL: "restricted"}}})
    cluster.create_service_account(plane, namespace, "membership")


def apply(plane: ControlPlane, each: Json, namespace: str, *, dry_run: bool = False) -> Json:
    """What the server stores, or would store. RequestFailed, also for a field that it does not know."""
    query = f"?fieldValidation=Strict&fieldManager=test&force=true{'&dryRun=All' if dry_run else ''}"
    path = f"{collection(each, namespace)}/{each['metadata']['name']}{query}"
    return plane.request("PATCH", path, each, content_type="application/apply-patch+yaml")


def dry_run_pod(plane: ControlPlane, workload: Json, namespace: str) -> Json:
    """A pod of this workload: Pod Security only warns about workloads, and refuses pods."""
    template = workload["spec"]["template"]
    metadata = {"name": "pod", "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    return apply(plane, pod, namespace, dry_run=True)


def collection(each: Json, namespace: str) -> str:
    """The path of what `each` is one of."""
    plural = PLURALS.get(each["kind"], f"{each['kind'].lower()}s")
    where = "" if each["kind"] in OF_THE_CLUSTER else f"/namespaces/{namespace}"
    return f"/{GROUPS[each['apiVersion']]}{where}/{plural}"
