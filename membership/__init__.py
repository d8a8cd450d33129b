"""A live, true list of the members of named Kubernetes Services.

    from membership import Membership, connect

    with Membership(connect(), services=["wso2/is"], port=4000) as membership:
        snapshot = membership.wait(minimum=2, timeout=120)
        for snapshot in membership.changes():
            print(snapshot.generation, [member.endpoint for member in snapshot.members])

The data goes one way: kube -> wire -> reflector -> store -> members -> roster -> session -> Snapshot.
"""

from membership.access import connect
from membership.errors import (
    ApiError,
    BadAnswer,
    Expired,
    Forbidden,
    MembershipError,
    MembershipTimeout,
    NotFound,
    PublishError,
    Rejected,
    RenderError,
    ServerFault,
    SettingsError,
    Silent,
    Throttled,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from membership.kube import ApiServer
from membership.model import Explanation, Member, Snapshot
from membership.session import Membership, Options

__all__ = [
    "ApiError",
    "ApiServer",
    "BadAnswer",
    "Expired",
    "Explanation",
    "Forbidden",
    "Member",
    "Membership",
    "MembershipError",
    "MembershipTimeout",
    "NotFound",
    "Options",
    "PublishError",
    "Rejected",
    "RenderError",
    "ServerFault",
    "SettingsError",
    "Silent",
    "Snapshot",
    "Throttled",
    "TooLarge",
    "Unauthorized",
    "Unreachable",
    "connect",
]
