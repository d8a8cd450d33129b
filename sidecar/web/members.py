"""`/members`: the list, at once, when it changed, or as a stream."""

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from membership.model import Snapshot
from membership.peer import AGE, ASKED_BY
from membership.quantity import parse_duration
from membership.render import SERVED, render_served
from membership.session import Membership
from sidecar.publishers.http import Newest
from sidecar.web.problems import Problem, render_problem

WAIT_DEFAULT, WAIT_LIMIT = 300.0, 600.0
"""Seconds, as in Consul: https://developer.hashicorp.com/consul/api-docs/features/blocking"""
COMMENT_INTERVAL = 15.0
"""Seconds between comments of a silent stream, so that nothing in between takes it for dead."""
CONTENT_TYPES = {"json": "application/json", "prometheus-sd": "application/json"}


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
        self._cached_generation = 0
        self._cache: dict[tuple[str, str | None], bytes] = {}

    async def get(self, request: Request) -> Response:
        """`GET /members`."""
        if "text/event-stream" in request.headers.get("accept", ""):
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
        await self._wait(question, request)
        snapshot = self._membership.current()
        if snapshot.generation == 0:
            problem = self._membership.problem
            raise Problem(503, f"no list yet: not every Service was listed so far: {problem or 'no answer yet'}")
        headers = name_list(snapshot)
        headers["ETag"] = etag = self._etag(snapshot, question)
        if ASKED_BY in request.headers and snapshot.age_seconds < math.inf:
            headers[AGE] = f"{snapshot.age_seconds:.3f}"
        if _matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        media_type = CONTENT_TYPES.get(question.format, "text/plain; charset=utf-8")
        return Response(self._body(snapshot, question), headers=headers, media_type=media_type)

    async def _wait(self, question: _Question, request: Request) -> None:
        if question.index is None:
            return
        generation = self._newest.generation
        if question.epoch is not None and question.epoch != self._membership.current().epoch:
            seen = 0  # another process gave that index
        else:
            # A larger index than ours is another epoch's: what there is is news. Before the first list, wait for it.
            seen = question.index if question.index <= generation else 0
        if generation > seen:
            return
        waiting = asyncio.ensure_future(self._newest.wait_newer(seen, question.wait))
        leaving = asyncio.ensure_future(_left(request))
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not waiting.done():  # nobody is there for the answer any more
            waiting.cancel()
        elif waiting.result() and (publication := self._newest.publication):
            self._published("http", self._membership.now() - publication.read_at)

    async def _stream(self, request: Request) -> Response:
        question = self._read(request)
        headers = name_list(self._membership.current())
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        return StreamingResponse(self._events(question), headers=headers, media_type="text/event-stream")

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
        if index is not None and not re.fullmatch(r"[0-9]{1,18}", index):
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
    }


async def _left(request: Request) -> None:
    """Returns when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


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


def _matches(header: str | None, etag: str) -> bool:
    """If-None-Match compares weakly: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2"""
    if header is None:
        return False
    wanted = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in wanted or etag.removeprefix("W/") in wanted
