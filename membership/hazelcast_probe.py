"""Asks one member through the official Hazelcast client: python -m membership.hazelcast_probe HOST:PORT CLUSTER

Prints one line of JSON: members, own, uuid and version, or error. A program of its own, because the client hangs for
ever on a member that is joining, and logs some 20 lines each time; membership/hazelcast.py starts it, and kills it.
Needs the extra `hazelcast`; servers from 4.0.
"""

import faulthandler
import json
import logging
import os
import sys

from membership.verify import endpoint_of

LIMIT = 15.0
"""Seconds until it ends by itself, should nobody be left who could kill it."""


def main(address: str, cluster: str) -> None:
    faulthandler.dump_traceback_later(LIMIT, exit=True, file=open(os.devnull, "w"))
    logging.disable(logging.CRITICAL)
    print(json.dumps(ask(address, cluster)), flush=True)


def ask(address: str, cluster: str) -> dict[str, object]:
    """The member's view, or `error`."""
    try:
        from hazelcast.client import HazelcastClient
        from hazelcast.config import ReconnectMode

        client = HazelcastClient(
            cluster_name=cluster,
            cluster_members=[address],
            smart_routing=False,  # else it connects to every member, and speaks for none of them
            reconnect_mode=ReconnectMode.OFF,
            cluster_connect_timeout=3,
            connection_timeout=2,
        )
    except Exception as error:  # one class for refused, wrong name, black hole and 3.12: nothing to tell apart
        return {"error": str(error) or repr(error)}
    members = client.cluster_service.get_members()
    named = {str(member.uuid): _name(member.address) for member in members}
    own = next((member for member in members if _name(member.address) == address), None)
    client.shutdown()
    return {
        "members": list(named.values()),
        "own": None if own is None else _name(own.address),
        "uuid": None if own is None else str(own.uuid),
        "version": None if own is None else f"{own.version.major}.{own.version.minor}.{own.version.patch}",
    }


def _name(address: object) -> str:
    """As members are named elsewhere: Java writes an IPv6 address with all of its zeros."""
    return endpoint_of(str(getattr(address, "host")), int(getattr(address, "port")))


if __name__ == "__main__":
    main(*sys.argv[1:3])
