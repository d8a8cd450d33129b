"""`hazelcast-xml`: a whole hazelcast.xml, for Hazelcast alone or as a Carbon server's `conf/etc/hazelcast.xml`.

Nothing of it is the user's: whoever mixes lists gets two truths. The schema is the one inside Hazelcast's jars. It has
two dialects: before 4.0 the cluster's name is in `<group>`, and from 4.1 on auto-detection has to be switched off.
"""

from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType

from membership.errors import RenderError
from membership.model import Snapshot, join_host_port
from membership.render.setup import DEFAULT_CLUSTER_NAME, Rest, Setup

PROPERTIES = {
    # A split heals only at a merge run of the cluster that must give way. Measured on 5.3.6: 298 s with Hazelcast's
    # 300/120, and every time in 21 s with 10/10; on Carbon 16 s with 15/10. A merge takes 5 to 6 s itself, and a run
    # that finds nobody costs the master one message for each listed address that is no member, and 5 s for each where
    # nothing listens (4.2.6).
    "hazelcast.merge.first.run.delay.seconds": 15,
    "hazelcast.merge.next.run.delay.seconds": 10,
    # How long a member stays in the cluster whose node is gone (a killed process is noticed at once). Measured: 600 s
    # with Carbon's default, 55 to 67 s with Hazelcast's 60, 30 s with 30. That is six beats of 5 s, so a pause has to
    # last half a minute to cost a member its place.
    "hazelcast.max.no.heartbeat.seconds": 30,
    # A listed address that drops SYNs delays a start. Measured: 13 to 17 s with Hazelcast's 10, 5 to 6 s with 1. Linux
    # sends a lost SYN again after 1 s: with 2 a single loss does no harm.
    "hazelcast.socket.connect.timeout.seconds": 2,
}

REST_SINCE = (3, 12)
"""Before, REST had a single switch, which opened all of it."""
GROUPS: Mapping[Rest, tuple[str, ...]] = MappingProxyType(
    {
        "off": (),
        "read": ("HEALTH_CHECK", "CLUSTER_READ"),
        "write": ("HEALTH_CHECK", "CLUSTER_READ", "CLUSTER_WRITE"),
    }
)
"""Those of Hazelcast's REST that are opened."""

_PAGE = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by kubernetes-membership, and again with each new member list: what is changed here by hand is lost. -->
<hazelcast xmlns="http://www.hazelcast.com/schema/config">
    {name}
    <properties>{properties}
    </properties>
    <network>{public_address}
        <port auto-increment="false">{port}</port>
        <join>{auto_detection}
            <multicast enabled="false"/>
            <tcp-ip enabled="true">
                <member-list>{members}
                </member-list>
            </tcp-ip>
        </join>{rest}
    </network>
</hazelcast>
"""


def render_hazelcast_xml(snapshot: Snapshot, setup: Setup) -> bytes | None:
    """The file in the dialect of `setup.hazelcast_version`; None without any member."""
    if not snapshot.endpoints:
        return None
    version, port = setup.hazelcast_version, setup.own_port(snapshot)
    if version is None:
        raise RenderError("the version of Hazelcast is not known (--hazelcast-version): 3.x and 4 are two dialects")
    if setup.hazelcast_rest != "off" and version < REST_SINCE:
        raise RenderError("Hazelcast before 3.12 has no <rest-api> (--hazelcast-rest)")
    name = escape(setup.cluster_name or DEFAULT_CLUSTER_NAME, quote=False)
    public = [f"<public-address>{join_host_port(setup.self_ip, port)}</public-address>"] if setup.self_ip else []
    return _PAGE.format(
        name=f"<cluster-name>{name}</cluster-name>" if version >= (4, 0) else f"<group><name>{name}</name></group>",
        properties=_indent(8, (f'<property name="{key}">{value}</property>' for key, value in PROPERTIES.items())),
        public_address=_indent(8, public),  # without the own address Hazelcast picks one of the machine's
        port=port,
        auto_detection=_indent(12, ['<auto-detection enabled="false"/>'] if version >= (4, 1) else []),
        members=_indent(20, (f"<member>{endpoint}</member>" for endpoint in snapshot.endpoints)),
        rest=_indent(8, _rest_api(setup.hazelcast_rest)),
    ).encode()


def _rest_api(rest: Rest) -> Iterable[str]:
    """Nothing where it is off: that is Hazelcast's default."""
    if GROUPS[rest]:
        yield '<rest-api enabled="true">'
        yield from (f'    <endpoint-group name="{name}" enabled="true"/>' for name in GROUPS[rest])
        yield "</rest-api>"


def _indent(width: int, lines: Iterable[str]) -> str:
    return "".join(f"\n{' ' * width}{line}" for line in lines)
