"""kubernetes.informer.SharedInformer, as examples/informer_example.py of the client's repository uses it.

`resync_period=60`, handlers for the three events, the main thread reads `informer.cache` ("free to query the cache at
any time without worrying about connectivity or retries"), `stop()` in `finally`. The example reads the cache every
10 s; here it is read 20 times a second, so that nothing is counted as late which the client knew.
"""

import time

from kubernetes import client, config
from kubernetes.informer import SharedInformer

from benchmarks.faults.drivers.report import NAMESPACE, SELECTOR, run, tell_addresses

PAUSE = 0.05


def main() -> None:
    config.load_incluster_config()
    informer = SharedInformer(
        list_func=client.DiscoveryV1Api().list_namespaced_endpoint_slice,
        namespace=NAMESPACE,
        label_selector=SELECTOR,
        resync_period=60,
    )
    informer.start()
    told: set[str] | None = None
    try:
        while True:
            cached = {
                address
                for item in informer.cache.list()
                for endpoint in item.endpoints or ()
                for address in endpoint.addresses
            }
            # There is no has_synced: an empty cache may be an empty Service or a list that has not come yet. A careful
            # user can only take the first as the second until something was there.
            if cached != told and (cached or told is not None):
                told = cached
                tell_addresses(told)
            time.sleep(PAUSE)
    finally:
        informer.stop()


if __name__ == "__main__":
    run(main)
