"""kubernetes.watch, as a careful reader of its documentation would use it.

- List, then watch from that list's version, and do so again after 410: docstring of `Watch.stream` ("you have to
  recover yourself, probably by listing the API resource to obtain the latest state and then watching from that state
  on").
- Bookmarks, watching again from the last version after ProtocolError, and raising everything else:
  examples/watch/watch_recovery.py of the client's repository.
- `_request_timeout=60`: README.md ("watch on namespace object") and examples/watch/timeout-settings.md, which names
  the ReadTimeoutError that then comes.
"""

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from benchmarks.arms.programs.report import NAMESPACE, SELECTOR, run, tell_slices


def main() -> None:
    config.load_incluster_config()
    api = client.DiscoveryV1Api()
    slices: dict[str, list[str]] = {}
    version = None
    while True:
        try:
            if version is None:
                found = api.list_namespaced_endpoint_slice(NAMESPACE, label_selector=SELECTOR, _request_timeout=60)
                slices = {item.metadata.name: addresses(item) for item in found.items}
                version = found.metadata.resource_version
                tell_slices(slices, version)
            for event in watch.Watch().stream(
                api.list_namespaced_endpoint_slice,
                NAMESPACE,
                label_selector=SELECTOR,
                resource_version=version,
                allow_watch_bookmarks=True,
                _request_timeout=60,
            ):
                if event["type"] == "BOOKMARK":
                    version = event["raw_object"]["metadata"]["resourceVersion"]
                    continue
                item = event["object"]
                version = item.metadata.resource_version
                if event["type"] == "DELETED":
                    slices.pop(item.metadata.name, None)
                else:
                    slices[item.metadata.name] = addresses(item)
                tell_slices(slices, version)
        except ApiException as error:
            if error.status != 410:
                raise
            version = None
        except (ProtocolError, ReadTimeoutError):
            pass


def addresses(item: client.V1EndpointSlice) -> list[str]:
    return [address for endpoint in item.endpoints or () for address in endpoint.addresses]


if __name__ == "__main__":
    run(main)
