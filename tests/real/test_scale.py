"""A thousand endpoints over ten slices and more, coming and going as fast as the controller writes them."""

import ipaddress
import json
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from tests.real.world import LIMIT, Place, eventually, total
from tests.running import Sidecar, ask

FIRST = ipaddress.IPv4Address("10.128.0.1")


def test_a_thousand_endpoints_then_half_of_them(place: Place, figures: MutableMapping[str, str]) -> None:
    place.service()
    files = {format: place.folder / f"members.{format}" for format in ("json", "lines", "csv", "prometheus-sd")}
    sidecar = place.sidecar(
        "--port", "hazelcast", *(word for name, path in files.items() for word in ("--out", f"{name}:{path}"))
    )
    began = time.monotonic()
    names = place.kubelet.run_many(place.namespace, "is", 1000, {"app": "is"}, nodes=("n1", "n2", "n3"))
    addresses = [str(FIRST + number) for number in range(1000)]
    answer = _follow(sidecar, addresses, 60)
    assert len(place.slices()) >= 10, "many slices are what we test"
    assert {member["node"] for member in answer["members"]} == {"n1", "n2", "n3"}
    assert all(member["port"] == 4000 and member["ready"] and member["uid"] for member in answer["members"])
    assert [member["name"] for member in answer["members"]] == names
    _compare_files(sidecar, files)
    figures["0 to 1000 endpoints"] = (
        f"{time.monotonic() - began:.1f} s, {answer['generation']} lists, "
        f"{total(sidecar, 'membership_events_total'):g} events, then {sidecar.resident():.0f} MiB resident"
    )

    began = time.monotonic()
    place.kubelet.gone_many(place.namespace, names[::2])
    _follow(sidecar, addresses[1::2], 60)
    _compare_files(sidecar, files)
    figures["1000 to 500 endpoints"] = f"{time.monotonic() - began:.1f} s"
    assert total(sidecar, "membership_relists_total") == 1, "all of it came by watch"

    late = place.sidecar()
    assert late.addresses() == addresses[1::2], "one that starts now sees the same"


def _follow(sidecar: Sidecar, wanted: list[str], timeout: float) -> Any:
    """By blocking queries to the list that is wanted; every list on the way is sorted and names nobody twice."""
    deadline, index = time.monotonic() + timeout, 0
    addresses: list[str] = []
    while True:
        remaining = deadline - time.monotonic()
        assert remaining > 0, f"{len(addresses)} members after {timeout:g} s, not the {len(wanted)} wanted"
        answer = ask(sidecar.port, f"/members?index={index}&wait={max(1, int(remaining))}s", timeout=timeout).json
        addresses = [member["address"] for member in answer["members"]]
        assert addresses == sorted(set(addresses), key=ipaddress.ip_address)
        if addresses == wanted:
            return answer
        index = answer["generation"]


def _compare_files(sidecar: Sidecar, files: Any) -> None:
    answer = sidecar.members()
    endpoints = [f"{member['address']}:{member['port']}" for member in answer["members"]]
    readers: dict[str, tuple[Callable[[str], Any], Any]] = {
        "json": (json.loads, {"services": answer["services"], "members": answer["members"]}),
        "lines": (str.splitlines, endpoints),
        "csv": (lambda text: text.rstrip("\n").split(","), endpoints),
        "prometheus-sd": (lambda text: [group["targets"][0] for group in json.loads(text)], endpoints),
    }
    for name, (read, wanted) in readers.items():
        eventually(lambda: read(files[name].read_text()) == wanted, True, LIMIT, f"{name} is as /members")
