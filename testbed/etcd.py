"""Calls to etcd's JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/"""

import base64

from testbed.rest import Json, RestClient

# The key that kube-apiserver's own compactor writes; every server watches it to forget cached old lists.
_COMPACT_KEY = "compact_rev_key"


class EtcdClient:
    """One etcd, reached over plain HTTP on loopback."""

    def __init__(self, port: int) -> None:
        self._rest = RestClient("127.0.0.1", port)

    def put(self, key: str, value: str) -> int:
        """Write a key; the revision of the store after it, which Kubernetes calls resourceVersion."""
        answer = self._rest.request("POST", "/v3/kv/put", {"key": _encode(key), "value": _encode(value)})
        return _revision(answer)

    def compact(self) -> int:
        """Compact so far that a watch from any revision handed out before is refused; the compacted one."""
        # A watch from R asks etcd for R+1, which is refused only *below* the compacted revision: write twice.
        self.put("testbed/tick", "1")
        revision = self.put("testbed/tick", "2")
        self.put(_COMPACT_KEY, str(revision))
        self._rest.request("POST", "/v3/kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def read_metrics(self) -> str:
        """Its metrics in Prometheus' text format."""
        return self._rest.call("GET", "/metrics").decode()

    def close(self) -> None:
        """Close the idle connections."""
        self._rest.close()


def _revision(answer: Json) -> int:
    return int(answer["header"]["revision"])


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
