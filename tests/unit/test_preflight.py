"""`membership check` prints a Role that takes nothing from anybody when it is applied."""

import pytest
import yaml

from membership.preflight import render_role
from membership.wire import Resource


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ("system:serviceaccount:wso2:membership", "membership"),  # that of the manifests
        ("system:serviceaccount:wso2:haproxy", "membership-haproxy"),
        ("system:serviceaccount:edge:membership", "membership-edge"),
        ("system:serviceaccount:edge:haproxy", "membership-edge-haproxy"),
        ("Jane Doe@example.org", "membership-jane-doe-example-org"),
        (None, "membership-default"),
    ],
)
def test_each_account_has_a_role_of_its_own(account: str | None, name: str) -> None:
    """What is applied takes the place of the subjects of a RoleBinding of that name."""
    role, binding = yaml.safe_load_all(render_role("wso2", [Resource.ENDPOINTSLICES], account))
    assert role["metadata"] == binding["metadata"] == {"name": name, "namespace": "wso2"}
    assert binding["roleRef"]["name"] == name and len(binding["subjects"]) == 1
