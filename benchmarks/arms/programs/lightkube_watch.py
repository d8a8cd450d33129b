"""lightkube's list-watch pattern (docs/list-watch.md), with its own `on_error_retry`.

The page lists, watches from the list's `resourceVersion` and keeps the objects in a dict; `on_error` is a parameter of
`Client.watch`, and `lightkube.types.on_error_retry` the documented handler that retries ("If the retry fails with an
unrecoverable error (such as "too old resource version"), it restarts without specifying a resource version").
"""

from lightkube import Client
from lightkube.resources.discovery_v1 import EndpointSlice
from lightkube.types import on_error_retry

from benchmarks.arms.programs.report import NAMESPACE, SERVICE, run, tell_slices

LABELS = {"kubernetes.io/service-name": SERVICE}


def main() -> None:
    client = Client()
    slices = {}
    for item in (found := client.list(EndpointSlice, namespace=NAMESPACE, labels=LABELS)):
        slices[item.metadata.name] = addresses(item)
    tell_slices(slices, found.resourceVersion)
    for event, item in client.watch(
        EndpointSlice,
        namespace=NAMESPACE,
        labels=LABELS,
        resource_version=found.resourceVersion,
        on_error=on_error_retry,
    ):
        match event:
            case "ADDED" | "MODIFIED":
                slices[item.metadata.name] = addresses(item)
            case "DELETED":
                slices.pop(item.metadata.name, None)  # the page has `del`: a repeated event would end it
        tell_slices(slices, item.metadata.resourceVersion)


def addresses(item: EndpointSlice) -> list[str]:
    return [address for endpoint in item.endpoints or () for address in endpoint.addresses]


if __name__ == "__main__":
    run(main)
