"""`/members`: the list, at once, when it changed, or as a stream."""

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from membership.model import Snapshot
from membership.peer import AGE, ASKED_BY
from membership.quantity import parse_duration
from membership.render import SERVED, render_served
from membership.session import Membership
from sidecar.publishers.connections import Connection, Reply
from sidecar.publishers.http import Newest
from sidecar.web.headers import HEADERS
from sidecar.web.problems import Problem, render_problem

WAIT_DEFAULT, WAIT_LIMIT = 300.0, 600.0
"""Seconds, as in Consul: https://developer.hashicorp.com/consul/api-docs/features/blocking"""
COMMENT_INTERVAL = 15.0
"""Seconds between comments of a silent stream, so that nothing in between takes it for dead."""
JSON, EVENTS = "application/json", "text/event-stream"
CONTENT_TYPES = {"json": JSON, "prometheus-sd": JSON}


@dataclass(frozen=True, slots=True)
class _Question:
    """What a request asks for."""

    format: str
    service: str | None
    index: int | None
    epoch: str | None
    wait: float


class Members:
    """Answers `/members` and `/members/stream`. `published` is told how long a list took to its waiting reader."""

    def __init__(self, membership: Membership, newest: Newest, published: Callable[[str, float], None]) -> None:
        self._membership = membership
        self._newest = newest
        self._published = published
        self._replies: dict[tuple[int, str, str | None], Reply] = {}
        self._cached_generation = 0
        self._cache: dict[tuple[str, str | None], bytes] = {}

    async def get(self, request: Request) -> Response:
        """`GET /members`."""
        if _wants_events(_whole(request, "accept")):
            return await self.stream(request)
        return await self._named(self._answer, request)

    async def stream(self, request: Request) -> Response:
        """`GET /members/stream`."""
        return await self._named(self._stream, request)

    async def _named(self, answer: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        """Generation and epoch are on every answer, on errors too."""
        try:
            return await answer(request)
        except Problem as problem:
            return render_problem(request, problem, name_list(self._membership.current()))

    async def _answer(self, request: Request) -> Response:
        question = self._read(request)
        if await self._wait(question, request):
            return _Answered()
        snapshot = self._membership.current()
        if snapshot.generation == 0:
            problem = self._membership.problem
            raise Problem(503, f"no list yet: not every Service was listed so far: {problem or 'no answer yet'}")
        etag = self._etag(snapshot, question)
        headers = {AGE: f"{snapshot.age_seconds:.3f}"} if _is_peer(request) and snapshot.age_seconds < math.inf else {}
        if _matches(_whole(request, "if-none-match"), etag):
            return Response(status_code=304, headers={**name_list(snapshot), "ETag": etag, **headers})
        return self._render(snapshot, question, headers)

    async def _wait(self, question: _Question, request: Request) -> bool:
        """Until there is news, the wait ends or the client has gone; whether it was answered by then.

        A thousand queries that one change releases would each wait for the others' way through the application, so
        all are answered first, with one encoded body, and go that way afterwards with nothing left to say: the last
        of 1000 has its answer after 50 ms of this thread's time and not 120 (docs/benchmarks.md).
        """
        if question.index is None:
            return False
        generation = self._newest.generation
        if question.epoch is not None and question.epoch != self._membership.current().epoch:
            seen = 0  # another process gave that index
        else:
            # A larger index than ours is another epoch's: what there is is news. Before the first list, wait for it.
            seen = question.index if question.index <= generation else 0
        if generation > seen:
            return False
        connection: Connection = request.scope["state"]["connection"]
        plain = request.method == "GET" and "if-none-match" not in request.headers and not _is_peer(request)
        loop = asyncio.get_running_loop()
        over: asyncio.Future[bool] = loop.create_future()

        def release() -> None:
            answered = False
            try:
                if not over.done() and plain and self._newest.generation > seen:
                    answered = connection.answer(self._reply(question))
            finally:
                end(answered)

        def end(answered: bool = False) -> None:
            if not over.done():
                over.set_result(answered)

        timer = loop.call_later(question.wait, end)
        self._newest.waiting.add(release)
        connection.on_left = end
        try:
            answered = await over
        finally:
            timer.cancel()
            self._replies.clear()  # everybody who was released with this one has been answered
            self._newest.waiting.discard(release)
            connection.on_left = None
        if self._newest.generation > seen and (publication := self._newest.publication):
            self._published("http", self._membership.now() - publication.read_at)
        return answered

    def _reply(self, question: _Question) -> Reply:
        """One for all that wait for this list: they are released at one moment, so its age is the same for all."""
        key = (self._newest.generation, question.format, question.service)
        if key not in self._replies:
            response = self._render(self._membership.current(), question, {})
            response.raw_headers.extend(HEADERS)
            self._replies[key] = Reply(response)
        return self._replies[key]

    def _render(self, snapshot: Snapshot, question: _Question, more: Mapping[str, str]) -> Response:
        headers = {**name_list(snapshot), "ETag": self._etag(snapshot, question), **more}
        media_type = CONTENT_TYPES.get(question.format, "text/plain; charset=utf-8")
        return Response(self._body(snapshot, question), headers=headers, media_type=media_type)

    async def _stream(self, request: Request) -> Response:
        question = self._read(request)
        headers = name_list(self._membership.current())
        if request.method == "HEAD":
            return StreamingResponse(_nothing(), headers=headers, media_type=EVENTS)
        return StreamingResponse(self._events(question), headers=headers, media_type=EVENTS)

    async def _events(self, question: _Question) -> AsyncIterator[bytes]:
        """The newest list, and again whenever it changed. A client that does not read costs its own connection only."""
        seen = 0
        while not self._newest.closed:
            if await self._newest.wait_newer(seen, COMMENT_INTERVAL):
                snapshot = self._membership.current()
                seen = snapshot.generation
                data = self._body(snapshot, replace(question, format="json")).decode()
                yield f"id: {seen}\ndata: {data}\n\n".encode()
            else:
                yield b": still here\n\n"

    def _read(self, request: Request) -> _Question:
        query = request.query_params
        format, service = query.get("format", "json"), query.get("service")
        if format not in SERVED:
            raise Problem(400, f"format {format[:40]!r} is none of {', '.join(SERVED)}")
        index = query.get("index")
        if index is not None and not re.fullmatch(r"[0-9]{1,100}", index):
            raise Problem(400, f"index {index[:40]!r} is not a generation: a number, 0 or more")
        try:
            wait = parse_duration(query.get("wait", f"{WAIT_DEFAULT:g}s"))
        except ValueError as error:
            raise Problem(400, f"wait: {str(error)[:80]}") from None
        return _Question(
            format=format,
            service=None if service is None else self._full_name(service),
            index=None if index is None else int(index),
            epoch=query.get("epoch"),
            wait=min(wait, WAIT_LIMIT),
        )

    def _full_name(self, service: str) -> str:
        services = self._membership.current().services
        found = [name for name in services if service in (name, name.partition("/")[2])]
        if not found:
            raise Problem(404, f"service {service[:130]!r} is not followed; followed are {', '.join(services)}")
        return service

    def _body(self, snapshot: Snapshot, question: _Question) -> bytes:
        part = _filter(snapshot, question.service)
        if question.format != "json":
            return render_served(question.format, part)
        age = part.age_seconds
        return msgspec.json.encode(
            {
                "generation": part.generation,
                "epoch": part.epoch,
                "synced": part.synced,
                "stale": part.stale,
                "age_seconds": None if age == math.inf else round(age, 3),
                "source": part.source,
                "services": part.services,
                "unknown_services": part.unknown_services,
                "resource_versions": dict(part.resource_versions),
                "members": msgspec.Raw(self._members(snapshot, question)),
            }
        )

    def _members(self, snapshot: Snapshot, question: _Question) -> bytes:
        """Encoded apart from the rest of the answer: its age differs each time, the members seldom do."""
        key = ("members", question.service)
        return self._once(snapshot, key, lambda: msgspec.json.encode(_filter(snapshot, question.service).members))

    def _etag(self, snapshot: Snapshot, question: _Question) -> str:
        """Weak, for two answers with one list differ in their age."""

        def digest() -> bytes:
            part = _filter(snapshot, question.service)
            others = msgspec.json.encode((question.format, part.services, part.unknown_services))
            return hashlib.blake2b(others + self._members(snapshot, question), digest_size=12).hexdigest().encode()

        return f'W/"{self._once(snapshot, ("etag " + question.format, question.service), digest).decode()}"'

    def _once(self, snapshot: Snapshot, key: tuple[str, str | None], make: Callable[[], bytes]) -> bytes:
        """Made once for each list, however many ask for it."""
        if self._cached_generation != snapshot.generation:
            self._cached_generation, self._cache = snapshot.generation, {}
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]


def name_list(snapshot: Snapshot) -> dict[str, str]:
    """The headers that say which list an answer is about."""
    return {
        "X-Membership-Generation": str(snapshot.generation),
        "X-Membership-Epoch": snapshot.epoch,
        "Cache-Control": "no-cache",
        "Vary": "Accept",
    }


class _Answered(Response):
    """Of a request that has its answer: nothing more to send."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing."""


def _is_peer(request: Request) -> bool:
    """Another sidecar, which wants the list's age with every answer."""
    return ASKED_BY in request.headers


def _filter(snapshot: Snapshot, service: str | None) -> Snapshot:
    if service is None:
        return snapshot

    def named(full: str) -> bool:
        return service in (full, full.partition("/")[2])

    return replace(
        snapshot,
        services=tuple(filter(named, snapshot.services)),
        unknown_services=tuple(filter(named, snapshot.unknown_services)),
        members=tuple(m for m in snapshot.members if named(f"{m.namespace}/{m.service}")),
    )


def _whole(request: Request, header: str) -> str:
    """Its value; lines of one name are one list: https://www.rfc-editor.org/rfc/rfc9110#section-5.3"""
    return ", ".join(request.headers.getlist(header))


def _wants_events(accept: str) -> bool:
    """Whether server-sent events are named, in any case, and not refused, nor JSON named that is liked better.

    By the higher weight, where `q=0` refuses, or named first of two alike:
    https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2
    """
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        given = [match[1] for one in parameters if (match := re.fullmatch(r"q=([01](?:\.[0-9]*)?)", one))]
        weights.setdefault(kind, float(given[0]) if given else 1.0)
    liked = [kind for kind in weights if kind in (JSON, EVENTS) and weights[kind] > 0]
    return max(liked, key=weights.__getitem__, default=JSON) == EVENTS


async def _nothing() -> AsyncIterator[bytes]:
    """The body of an answer to HEAD whose length nobody knows."""
    nothing: tuple[bytes, ...] = ()
    for part in nothing:
        yield part


def _matches(header: str, etag: str) -> bool:
    """If-None-Match compares weakly: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2"""
    wanted = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in wanted or etag.removeprefix("W/") in wanted
