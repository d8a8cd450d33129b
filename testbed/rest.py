"""JSON calls to an API server over kept-alive connections, for fixtures. Not what the product uses."""

import json
import ssl
from pathlib import Path
from typing import Any

import urllib3

Json = dict[str, Any]
_PATCH_TYPE = "application/merge-patch+json"


class RequestFailed(Exception):
    """The server answered with 400 or more. `status` is the code, `reason` the Status object's, or ""."""

    def __init__(self, request: str, status: int, body: bytes) -> None:
        self.request = request
        self.status = status
        self.reason, message = _read_status(body)
        super().__init__(f"{request}: {status} {self.reason}: {message}")


class RestClient:
    """Calls to one server with one bearer token ("" for none). Threads may share it."""

    def __init__(self, host: str, port: int, *, ca_file: Path | None = None, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = (
            urllib3.HTTPConnectionPool(host, port, maxsize=32, headers=headers)
            if ca_file is None
            else urllib3.HTTPSConnectionPool(
                host,
                port,
                maxsize=32,
                headers=headers,
                ssl_context=ssl.create_default_context(cafile=str(ca_file)),
            )
        )

    def call(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        *,
        content_type: str | None = None,
        timeout: float = 30,
    ) -> bytes:
        """The body of the answer. RequestFailed from 400 on, urllib3's HTTPError without one. No retries."""
        headers = {**self._pool.headers, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type or (_PATCH_TYPE if method == "PATCH" else "application/json")
        answer = self._pool.request(
            method,
            path,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=timeout,
            retries=False,
            redirect=False,
        )
        if answer.status >= 400:
            raise RequestFailed(f"{method} {path}", answer.status, answer.data)
        return answer.data

    def request(self, method: str, path: str, body: Json | None = None, *, content_type: str | None = None) -> Json:
        """The same for a JSON object: decoded."""
        decoded: Json = json.loads(self.call(method, path, body, content_type=content_type))
        return decoded

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()


def _read_status(body: bytes) -> tuple[str, str]:
    try:
        status = json.loads(body)
        return str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        return "", body[:400].decode(errors="replace")
