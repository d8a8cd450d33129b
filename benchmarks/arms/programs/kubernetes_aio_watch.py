"""kubernetes.aio.watch: list, then watch from that list's version, as examples/aio of the client's repository does."""

import asyncio

from kubernetes.aio import client, config, watch

from benchmarks.arms.programs.report import NAMESPACE, SELECTOR, run, tell_slices


async def follow() -> None:
    config.load_incluster_config()
    async with client.ApiClient() as connections:
        api = client.DiscoveryV1Api(connections)
        found = await api.list_namespaced_endpoint_slice(NAMESPACE, label_selector=SELECTOR)
        slices = {item.metadata.name: addresses(item) for item in found.items}
        version = found.metadata.resource_version
        tell_slices(slices, version)
        async with watch.Watch().stream(
            api.list_namespaced_endpoint_slice, NAMESPACE, label_selector=SELECTOR, resource_version=version
        ) as stream:
            async for event in stream:
                item = event["object"]
                if event["type"] == "DELETED":
                    slices.pop(item.metadata.name, None)
                else:
                    slices[item.metadata.name] = addresses(item)
                tell_slices(slices, item.metadata.resource_version)


def addresses(item: client.V1EndpointSlice) -> list[str]:
    return [address for endpoint in item.endpoints or () for address in endpoint.addresses]


def main() -> None:
    asyncio.run(follow())


if __name__ == "__main__":
    run(main)
