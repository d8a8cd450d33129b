"""`hiera`: Hiera data for WSO2's Puppet modules, the key `wso2::clustering` with the members as its `wka` block.

A Hiera level of its own, above those that are written by hand: `hiera('wso2::clustering')` takes the first level that
has the key, whole, so all of it is here.
"""

import json

from membership.model import Snapshot
from membership.render.setup import DEFAULT_CLUSTER_NAME, Setup
from membership.wso2.clustering import make_clustering

_HEAD = """\
# Written by kubernetes-membership, and again with each new member list: what is changed here by hand is lost.
wso2::clustering:
  enabled: true
  domain: {domain}
{local_host}  local_member_port: {local_port}
  membership_scheme: wka
  wka:
    members:
"""


def render_hiera(snapshot: Snapshot, setup: Setup) -> bytes | None:
    """The file; None without any member."""
    clustering = make_clustering(snapshot, setup)
    if clustering is None:
        return None
    host = f"  local_member_host: {_quote(clustering.local_host)}\n" if clustering.local_host else ""
    head = _HEAD.format(
        domain=_quote(clustering.domain or DEFAULT_CLUSTER_NAME), local_host=host, local_port=clustering.local_port
    )
    members = (f"      - hostname: {_quote(one.host)}\n        port: {one.port}\n" for one in clustering.members)
    return (head + "".join(members)).encode()


def _quote(text: str) -> str:
    """A string of JSON is one of YAML, and a host named `on` stays a name. `%{` would be looked up by Hiera."""
    return json.dumps(text.replace("%{", "%{literal('%')}{"), ensure_ascii=False)
