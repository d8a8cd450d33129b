"""`deployment-toml`: the user's deployment.toml with the members in it, for Carbon 4.5 and newer."""

from membership.model import Snapshot
from membership.render.setup import Setup
from membership.wso2.clustering import make_clustering


def render_deployment_toml(snapshot: Snapshot, setup: Setup) -> bytes | None:
    """SOURCE with its `clustering` table patched, every other byte as it was; None without any member."""
    from membership.wso2.deployment_toml import patch_deployment_toml

    clustering = make_clustering(snapshot, setup)
    return None if clustering is None else patch_deployment_toml(setup.required_source(), clustering)
