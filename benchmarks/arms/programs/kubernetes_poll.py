"""A list every BENCH_EVERY seconds, and nothing between: what a program does that polls.

One second is the Hazelcast plugin's habit for Endpoints where it looks for members again, five that of k8s-sidecar's
`METHOD=SLEEP` and of its watches between retries. The official client lists; the pause is between the lists.
"""

import os
import time

from kubernetes import client, config

from benchmarks.arms.programs.report import NAMESPACE, SELECTOR, run, tell_slices


def main() -> None:
    pause = float(os.environ["BENCH_EVERY"])
    config.load_incluster_config()
    api = client.DiscoveryV1Api()
    while True:
        found = api.list_namespaced_endpoint_slice(NAMESPACE, label_selector=SELECTOR, _request_timeout=60)
        slices = {item.metadata.name: addresses(item) for item in found.items}
        tell_slices(slices, found.metadata.resource_version)
        time.sleep(pause)


def addresses(item: client.V1EndpointSlice) -> list[str]:
    return [address for endpoint in item.endpoints or () for address in endpoint.addresses]


if __name__ == "__main__":
    run(main)
