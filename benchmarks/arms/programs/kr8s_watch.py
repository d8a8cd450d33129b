"""kr8s.get and kr8s.watch.

README.md and docs.kr8s.org show `kr8s.get(...)`; `watch` has its signature and a one-line docstring only, used as in
kr8s/tests/test_api.py (`async for event, obj in kr8s.asyncio.watch("pods", namespace=ns)`). Nothing there says what to
do when the iteration ends or raises, so nothing is done. `get` hands out no resource version to watch from: the watch
begins without one, and the server sends all slices again as ADDED. `new_class` is the documented way to a kind that
kr8s does not know.
"""

import kr8s
from kr8s.objects import new_class

from benchmarks.arms.programs.report import NAMESPACE, SELECTOR, run, tell_slices

EndpointSlice = new_class(kind="EndpointSlice", version="discovery.k8s.io/v1", namespaced=True)


def main() -> None:
    slices = {
        item.name: addresses(item) for item in kr8s.get(EndpointSlice, namespace=NAMESPACE, label_selector=SELECTOR)
    }
    tell_slices(slices, None)
    for event, item in kr8s.watch(EndpointSlice, namespace=NAMESPACE, label_selector=SELECTOR):
        if event == "DELETED":
            slices.pop(item.name, None)
        else:
            slices[item.name] = addresses(item)
        tell_slices(slices, item.raw["metadata"]["resourceVersion"])


def addresses(item: EndpointSlice) -> list[str]:
    return [address for endpoint in item.raw.get("endpoints") or () for address in endpoint["addresses"]]


if __name__ == "__main__":
    run(main)
