"""Ports for programs that are told where to listen."""

import random
import socket
from pathlib import Path


def find_free_ports(count: int, *hosts: str) -> list[int]:
    """`count` different ports nobody listens on at any of these addresses (none given: at all), from below the
    kernel's ephemeral range; OSError if there are not so many.

    A port from inside that range can become the source port of any connection until our program listens, or while it
    is down for a restart, even that of a client which tries to reach it (TCP then connects the client to itself).
    """
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    upper = first_ephemeral if first_ephemeral > 12000 else 32768
    ports: list[int] = []
    for port in random.SystemRandom().sample(range(upper - 10000, upper), 500):
        if all(_is_free(host, port) for host in hosts or ("",)):
            ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"no {count} free ports on {', '.join(hosts) or 'this machine'}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
