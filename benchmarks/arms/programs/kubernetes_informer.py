"""kubernetes.informer.SharedInformer, as examples/informer_example.py of the client's repository uses it.

`resync_period=60`, handlers for the three events, the main thread reads `informer.cache` ("free to query the cache at
any time without worrying about connectivity or retries"), `stop()` in `finally`. The example reads the cache every
10 s; here it is read 20 times a second, so that nothing is counted as late which the client knew. Where resource
versions are asked for, the handlers tell what they are handed and the main thread waits.
"""

import time
from functools import partial

from kubernetes import client, config
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

from benchmarks.arms.programs.report import NAMESPACE, SELECTOR, VERSIONS, run, tell_addresses, tell_slices

PAUSE = 0.05


def main() -> None:
    config.load_incluster_config()
    informer = SharedInformer(
        list_func=client.DiscoveryV1Api().list_namespaced_endpoint_slice,
        namespace=NAMESPACE,
        label_selector=SELECTOR,
        resync_period=60,
    )
    if VERSIONS:
        slices: dict[str, list[str]] = {}
        for kind in (ADDED, MODIFIED, DELETED):
            informer.add_event_handler(kind, partial(handle, slices, kind))
    informer.start()
    try:
        while VERSIONS:
            time.sleep(60)
        follow_cache(informer)
    finally:
        informer.stop()


def handle(slices: dict[str, list[str]], kind: str, item: client.V1EndpointSlice) -> None:
    if kind == DELETED:
        slices.pop(item.metadata.name, None)
    else:
        slices[item.metadata.name] = addresses(item)
    tell_slices(slices, item.metadata.resource_version)


def follow_cache(informer: SharedInformer) -> None:
    told: set[str] | None = None
    while True:
        cached = {address for item in informer.cache.list() for address in addresses(item)}
        # There is no has_synced: an empty cache may be an empty Service or a list that has not come yet. A careful
        # user can only take the first as the second until something was there.
        if cached != told and (cached or told is not None):
            told = cached
            tell_addresses(told)
        time.sleep(PAUSE)


def addresses(item: client.V1EndpointSlice) -> list[str]:
    return [address for endpoint in item.endpoints or () for address in endpoint.addresses]


if __name__ == "__main__":
    run(main)
