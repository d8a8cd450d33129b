"""For tests: `FakeKube`, a Kubernetes API server on loopback, with real resource versions and faults by name.

with FakeKube() as kube:
    kube.set_service("wso2", "is", [Pod("10.244.0.5", "is-0")])
    kube.fault("reset", on="watch", times=1)
    ...                                        # follow kube.url
"""

from .faults import FAULTS, Fault
from .messages import Request
from .objects import Pod
from .server import FakeKube

FAULT_NAMES = tuple(FAULTS)

__all__ = ["FAULTS", "FAULT_NAMES", "FakeKube", "Fault", "Pod", "Request"]
