"""The objects a `FakeKube` serves, as a test writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from .deployment import remove_service, write_service
from .history import Checkpoint, History
from .objects import Json, Pod, build_stray

_PORTS: Final[Mapping[str, int | None]] = MappingProxyType({"hazelcast": 4000})


class World:
    """Every write gives one new resource version, shared by all objects; `on_change` is called after it."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._history = History(on_change)

    def set_service(
        self,
        namespace: str,
        name: str,
        pods: Sequence[Pod],
        *,
        ports: Mapping[str, int | None] = _PORTS,
        per_slice: int = 100,
        publish_not_ready: bool = False,
        headless: bool = True,
        families: Sequence[str] | None = None,
        annotations: Mapping[str, str] = MappingProxyType({}),
        exposed: Mapping[str, int] = MappingProxyType({}),
        session_affinity: str = "None",
    ) -> str:
        """Bring Service, EndpointSlices and Endpoints to `pods`; the resource version after the last write.

        Writes what the real controllers would, and only what changed. `families`: "IPv4", "IPv6" (None: those
        that the pods have). `exposed`: the Service's own ports by name, where they are not those of its pods.
        """
        with self._history.lock:
            write_service(
                self._history,
                namespace,
                name,
                pods,
                ports=ports,
                per_slice=per_slice,
                publish_not_ready=publish_not_ready,
                headless=headless,
                families=families,
                annotations=annotations,
                exposed=exposed,
                session_affinity=session_affinity,
            )
            return self.resource_version

    def delete_service(self, namespace: str, name: str, *, leave_slices: bool = False) -> str:
        """Delete a Service, its Endpoints and slices; `leave_slices`: as before the garbage collector came.

        Returns the resource version of the last deletion. Raises KeyError if there is no such Service.
        """
        with self._history.lock:
            remove_service(self._history, namespace, name, leave_slices=leave_slices)
            return self.resource_version

    def put_slice(self, value: Json) -> str:
        """Create or replace an EndpointSlice as given; apiVersion, kind, server-side metadata are filled in.

        Returns its resource version. Raises ValueError without metadata.name. Without a namespace: `default`.
        """
        return str(self._history.put("endpointslices", value).version)

    def delete_slice(self, namespace: str, name: str) -> str:
        """Delete one slice; the resource version of the deletion. Raises KeyError if there is none."""
        return str(self._history.delete("endpointslices", namespace, name))

    def put_endpoints(self, value: Json) -> str:
        """Create or replace a v1 Endpoints object just as given; as `put_slice`."""
        return str(self._history.put("endpoints", value).version)

    def delete_endpoints(self, namespace: str, name: str) -> str:
        """Delete a v1 Endpoints object; as `delete_slice`."""
        return str(self._history.delete("endpoints", namespace, name))

    def put_config_map(self, value: Json) -> str:
        """Create or replace a ConfigMap just as given, for clients that can watch nothing else; as `put_slice`."""
        return str(self._history.put("configmaps", value).version)

    def delete_config_map(self, namespace: str, name: str) -> str:
        """Delete a ConfigMap; as `delete_slice`."""
        return str(self._history.delete("configmaps", namespace, name))

    def touch(self, resource: str = "endpointslices") -> str:
        """Write an unrelated object of the same type in another namespace; the new resource version."""
        return str(self._history.put(resource, build_stray(resource)).version)

    @property
    def resource_version(self) -> str:
        """The newest resource version of all."""
        return str(self._history.version)

    def compact(self, rv: str | int | None = None, *, as_status: bool = False) -> None:
        """Forget the history up to `rv` (None: now): a watch from before it gets an in-stream ERROR 410.

        `as_status`: from now on it gets an HTTP 410 in place of that, as from a server that asks etcd.
        """
        self._history.compact(None if rv is None else int(rv), as_status)

    def checkpoint(self) -> Checkpoint:
        """A backup for `restore`."""
        return self._history.checkpoint()

    def restore(self, backup: Checkpoint) -> None:
        """Go back to a backup, as after an etcd restore: objects and resource version are the old ones again.

        Open watches get nothing of it, and no event until the version has passed the one they have reached.
        """
        self._history.restore(backup)
