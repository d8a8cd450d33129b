"""`axis2-xml`: the user's axis2.xml with the members in it, for Carbon 4.4 and Enterprise Integrator."""

from membership.model import Snapshot
from membership.render.setup import Setup
from membership.wso2.clustering import make_clustering


def render_axis2_xml(snapshot: Snapshot, setup: Setup) -> bytes | None:
    """SOURCE with the `<clustering>` element patched, every other byte as it was; None without any member."""
    from membership.wso2.axis2_xml import patch_axis2_xml

    clustering = make_clustering(snapshot, setup)
    return None if clustering is None else patch_axis2_xml(setup.required_source(), clustering)
