"""The requests to the API server: list, watch, and the question what we are allowed to do.

Every error leaves here as an `ApiError` that names server and request. The token is read anew for each request, for
bound service account tokens are replaced about every hour.
"""

import json
import threading
import time
from base64 import b64encode
from calendar import timegm
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from membership.errors import ApiError, BadAnswer, Unreachable
from membership.names import EVERY
from membership.secrets import Secrets
from membership.transport import Address, Exchange, Interrupt, Tls
from membership.wire import (
    LISTS,
    SERVICE_NAME_LABEL,
    WATCHES,
    Codec,
    Event,
    Listing,
    Protobuf,
    Resource,
    Seen,
    codec_of,
    decode_event,
    decode_list,
    decode_status,
    is_named,
    is_page,
)

ANSWER_TIMEOUT = 30.0
"""Seconds for a whole answer; the API server gives up on its own after 60 s."""
JSON = "application/json"
UNAUTHORIZED, NOT_ACCEPTABLE = 401, 406
DISTRUST = 600.0
"""Seconds without protobuf after an answer in it that could not be read: a server of another mind, or a bug of ours."""
WATCH_GRACE = 10.0
"""A watch that outlives its own timeoutSeconds by this many seconds is held open by something in between."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What goes into the Authorization header: the first that is set counts.

    `token_file` is read for each request; `refresh` gives the header's value for each (kubeconfig: exec plugins, OIDC),
    and `refused` is called where the server has answered it with 401.
    """

    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    refresh: Callable[[], str | None] | None = None
    refused: Callable[[], None] | None = None

    def header(self) -> str | None:
        if self.token:
            return f"Bearer {self.token}"
        if self.token_file:
            return f"Bearer {self.token_file.read_text().strip()}"
        if self.username:
            return "Basic " + b64encode(f"{self.username}:{self.password or ''}".encode()).decode()
        return self.refresh() if self.refresh else None


class RequestCount:
    """Requests by HTTP status; "error" for those that got no answer. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_code: Counter[str] = Counter()

    def add(self, code: str) -> None:
        with self._lock:
            self._by_code[code] += 1

    def by_code(self) -> dict[str, int]:
        with self._lock:
            return dict(self._by_code)


class Trust:
    """Whether to ask for protobuf: not for `DISTRUST` seconds after an answer in it that could not be read.

    What keeps a list from being read would else keep it from being read for ever. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def given(self) -> bool:
        return time.monotonic() >= self._until

    def note(self, error: ApiError, codec: Codec, *, named: bool = True) -> None:
        """What came of reading an answer; `named`: its Content-Type said that it is of this codec."""
        if isinstance(error, BadAnswer) and (isinstance(codec, Protobuf) or not named):
            self.withdraw()

    def withdraw(self) -> None:
        """From now on, for `DISTRUST` seconds."""
        self._until = time.monotonic() + DISTRUST


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of the API server, whoever we are to it."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    accept: str = JSON


@dataclass(frozen=True, slots=True)
class ApiServer:
    """An API server and who we are to it; safe to use from several threads. Made by `membership.connect`."""

    url: str
    credentials: Credentials = Credentials()
    tls: Tls = Tls()
    proxy: tuple[str, int, dict[str, str]] | None = field(default=None, repr=False)
    """Host, port and headers of an HTTP proxy; the headers may hold its password."""
    namespace: str = "default"
    """The namespace of Services that name none."""
    origin: str = "given"
    """Where `url` was found: given, in-cluster or kubeconfig."""
    protobuf: bool = True
    """Ask for protobuf, and take JSON as well; False asks for JSON only."""
    trust: Trust = field(default_factory=Trust, compare=False, repr=False)
    requests: RequestCount = field(default_factory=RequestCount, compare=False, repr=False)
    secrets: Secrets = field(default_factory=Secrets, compare=False, repr=False)

    def list(
        self,
        resource: Resource,
        namespace: str,
        services: Sequence[str],
        version: str,
        interrupt: Interrupt,
        seen: Seen,
    ) -> Listing:
        """All slices (or Endpoints) of the Services; `version` as in the API: "" for the most recent.

        `seen`: the endpoints of the namespace's last answers, and now of this one.
        """
        path = _path(resource, namespace)
        query = {**_selector(resource, services), **({"resourceVersion": version} if version else {})}
        with self._naming(f"list {resource.qualified} in namespace {namespace}"):
            deadline = time.monotonic() + ANSWER_TIMEOUT
            request = _Request("GET", path, query, accept=self._accept(LISTS))
            content_type, body = self._whole(request, deadline, interrupt)
            codec = codec_of(content_type, seen, body)
            try:
                return decode_list(codec, body, resource)
            except ApiError as error:
                self.trust.note(error, codec)
                raise

    def watch(
        self,
        resource: Resource,
        namespace: str,
        services: Sequence[str],
        version: str,
        timeout_seconds: int,
        answer_timeout: float,
        interrupt: Interrupt,
        seen: Seen,
    ) -> "Stream":
        """The changes since `version`; returns when the server has accepted the watch, within `answer_timeout` s."""
        query = {
            **_selector(resource, services),
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_seconds),
        }
        asked = f"watch {resource.qualified} in namespace {namespace}"
        with self._naming(asked):
            deadline = time.monotonic() + answer_timeout
            request = _Request("GET", _path(resource, namespace), query, accept=self._accept(WATCHES))
            exchange = self._send(request, deadline, interrupt)
            content_type = exchange.response.getheader("Content-Type")
            if is_page(content_type):
                exchange.close()
                raise BadAnswer(f"the watch is answered with a page, {content_type}: is this the API server?")
        expiry = time.monotonic() + timeout_seconds + WATCH_GRACE
        codec = codec_of(content_type, seen)

        def note(error: ApiError) -> None:
            self.trust.note(error, codec, named=is_named(content_type))
            self._name(error, asked)

        return Stream(exchange, resource, codec, expiry, note)

    def may(self, verb: str, resource: Resource, namespace: str, deadline: float) -> bool:
        """Whether RBAC allows this, by SelfSubjectAccessReview, which itself needs no permission.

        `deadline`: monotonic seconds.
        https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/
        """
        attributes = {"verb": verb, "group": resource.group, "resource": resource.value, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        with self._naming(f"review {verb} {resource.qualified} in namespace {namespace}"):
            answer = self._json("POST", path, review, deadline)
            status = answer.get("status")
            if answer.get("kind") != "SelfSubjectAccessReview" or not isinstance(status, dict):
                raise BadAnswer(f"the answer is of kind {answer.get('kind')!r}, not 'SelfSubjectAccessReview'")
            return status.get("allowed") is True

    def whoami(self, deadline: float) -> str:
        """Our user name, by SelfSubjectReview (since 1.28; NotFound before)."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        with self._naming("review ourselves"):
            answer = self._json("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, deadline)
            try:
                return str(answer["status"]["userInfo"]["username"])
            except (KeyError, TypeError) as error:
                raise BadAnswer(f"the answer is of kind {answer.get('kind')!r}, not 'SelfSubjectReview'") from error

    def service(self, namespace: str, name: str, deadline: float, interrupt: Interrupt) -> dict[str, Any]:
        """The Service as the API server has it; needs `get`, which following it does not."""
        with self._naming(f"get service {name} in namespace {namespace}"):
            path = f"{_path(Resource.SERVICES, namespace)}/{name}"
            found = self._json("GET", path, None, deadline, interrupt)
            if found.get("kind") != "Service":
                raise BadAnswer(f"the answer is of kind {found.get('kind')!r}, not 'Service'")
            return found

    def version(self, deadline: float) -> str:
        """The server's gitVersion."""
        with self._naming("get /version"):
            return str(self._json("GET", "/version", None, deadline).get("gitVersion", "unknown"))

    @contextmanager
    def _naming(self, request: str) -> Iterator[None]:
        """Put server and request into the errors that pass, and keep our secrets out of them."""
        try:
            yield
        except ApiError as error:
            self._name(error, request)
            raise

    def _name(self, error: ApiError, request: str) -> None:
        error.server, error.request = self.url, request
        error.message = self.secrets.redact(error.message)
        error.args = (error.message,)

    def _json(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        deadline: float,
        interrupt: Interrupt | None = None,
    ) -> dict[str, Any]:
        encoded = None if body is None else json.dumps(body).encode()
        _, whole = self._whole(_Request(method, path, body=encoded), deadline, interrupt or Interrupt())
        try:
            answer = json.loads(whole)
        except ValueError as error:
            raise BadAnswer(f"not JSON: {whole[:200]!r}") from error
        if not isinstance(answer, dict):
            raise BadAnswer(f"not a JSON object: {whole[:200]!r}")
        return answer

    def _accept(self, both: str) -> str:
        return both if self.protobuf and self.trust.given else JSON

    def _whole(self, request: _Request, deadline: float, interrupt: Interrupt) -> tuple[str | None, bytes]:
        """Content-Type and body."""
        exchange = self._send(request, deadline, interrupt)
        try:
            return exchange.response.getheader("Content-Type"), exchange.read_all(deadline)
        finally:
            exchange.close()

    def _send(self, request: _Request, deadline: float, interrupt: Interrupt) -> Exchange:
        """An exchange whose answer is a 200; any other answer is raised as the error it stands for."""
        url = urlsplit(self.url)
        tls = self.tls if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        exchange = Exchange(Address(url.hostname or "", port, tls, self.proxy), interrupt)
        target = url.path.rstrip("/") + request.path + ("?" + urlencode(request.query) if request.query else "")
        code = "error"
        try:
            exchange.request(request.method, target, self._headers(request), request.body, deadline)
            status = exchange.response.status
            code = str(status)
            if status == UNAUTHORIZED and self.credentials.refused:
                self.credentials.refused()
            if status == NOT_ACCEPTABLE and request.accept != JSON:  # though JSON is asked for as well
                self.trust.withdraw()
            if not 200 <= status < 300:
                raise _refusal(exchange, status, deadline)
            encoding = exchange.response.getheader("Content-Encoding") or "identity"
            if encoding.strip().lower() != "identity":
                raise BadAnswer(f"the answer is encoded as {encoding[:40]!r}, which was not asked for")
        except BaseException:
            exchange.close()
            raise
        finally:
            self.requests.add(code)
        return exchange

    def _headers(self, request: _Request) -> dict[str, str]:
        # identity: a compressed stream would hold events back until a block is full (watch.md F25)
        headers = {"Accept": request.accept, "Accept-Encoding": "identity", "User-Agent": "kubernetes-membership"}
        if request.body is not None:
            headers["Content-Type"] = JSON
        try:
            authorization = self.credentials.header()
        except (OSError, UnicodeDecodeError) as error:
            raise Unreachable(f"the token file cannot be read: {error}") from error
        if authorization and not (authorization.isascii() and authorization.isprintable()):
            place = "" if self.credentials.token else f" in {self.credentials.token_file or 'the kubeconfig'}"
            raise Unreachable(f"the token{place} has a line break inside, or another character that no token has")
        if authorization:
            headers["Authorization"] = authorization
        for secret in (authorization or "", *(self.proxy[2].values() if self.proxy else ())):
            self.secrets.note(secret)
        return headers


class Stream:
    """An accepted watch. Read it from one thread; `cut` it from any."""

    def __init__(
        self, exchange: Exchange, resource: Resource, codec: Codec, expiry: float, note: Callable[[ApiError], None]
    ) -> None:
        self._exchange = exchange
        self._resource = resource
        self._expiry = expiry
        self._note = note
        self._codec = codec
        self._framing = codec.framing()
        self.chunked = exchange.streams
        """False where something in between may hold events back until the stream ends (watch.md F7)."""

    def read(self, deadline: float) -> list[bytes] | None:
        """The next complete frames, as soon as their bytes are there; None at the clean end of the stream.

        A frame that the end cuts off is dropped: the server sends it again to the next watch. Raises Silent when
        `deadline` (monotonic seconds) passes, Unreachable when the stream is cut, BadAnswer for an endless frame.
        """
        try:
            while got := self._exchange.read_some(min(deadline, self._expiry)):
                if frames := self._framing.feed(got):
                    return frames
        except ApiError as error:
            self._note(error)
            raise
        return None

    def decode(self, frame: bytes) -> Event:
        """The event in a frame; raises what `wire.decode_event` raises."""
        try:
            return decode_event(self._codec, frame, self._resource)
        except ApiError as error:
            self._note(error)
            raise

    def cut(self) -> None:
        """End it from another thread: `read` then ends or raises Unreachable."""
        self._exchange.cut()

    def close(self) -> None:
        self._exchange.close()


def _refusal(exchange: Exchange, status: int, deadline: float) -> ApiError:
    response = exchange.response
    if 300 <= status < 400:
        return BadAnswer(f"HTTP {status}, a redirect to {response.getheader('Location', 'nowhere')!r}: not followed")
    try:
        body = exchange.read_all(deadline)
    except ApiError:
        body = b""
    error = decode_status(body, status)
    after = _retry_after(response.getheader("Retry-After", "").strip(), response.getheader("Date", ""))
    if after is not None:
        error.retry_after = after
    return error


def _retry_after(text: str, date: str) -> float | None:
    """Seconds; None for what is neither a number nor a time: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3

    A time counts from `date`, that of the answer itself, so that our clock may be wrong.
    """
    if text.isascii() and text.isdigit():
        return float(text)
    until, now = _read_date(text), _read_date(date)
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _read_date(text: str) -> float | None:
    """Unix time of an HTTP date, which is always in GMT."""
    parsed = parsedate(text)
    try:
        return None if parsed is None else float(timegm(parsed))
    except (ValueError, OverflowError):  # 99 digits for a year
        return None


def _path(resource: Resource, namespace: str) -> str:
    prefix = f"/apis/{resource.group}/v1" if resource.group else "/api/v1"
    return f"{prefix}/namespaces/{namespace}/{resource.value}"


def _selector(resource: Resource, services: Sequence[str]) -> dict[str, str]:
    """One stream for all Services of a namespace. Others have no such label; their own name is the Service's."""
    if EVERY in services:
        return {"labelSelector": SERVICE_NAME_LABEL} if resource is Resource.ENDPOINTSLICES else {}
    if resource is Resource.ENDPOINTSLICES:
        return {"labelSelector": f"{SERVICE_NAME_LABEL} in ({','.join(services)})"}
    return {"fieldSelector": f"metadata.name={services[0]}"} if len(services) == 1 else {}
