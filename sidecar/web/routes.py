"""What the HTTP endpoint answers: one line for each path. Nothing here changes anything."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from membership.history import History, parse_since
from membership.render.explanation import explain_text
from membership.render.history import changes_text
from membership.session import Membership
from membership.verify import DIFFERENCES
from sidecar.health import Check, GateKeeper, Report, check_live, check_ready, check_started
from sidecar.metrics import Metrics
from sidecar.publishers import PublisherStatus
from sidecar.publishers.http import Newest
from sidecar.web.members import Members, name_list
from sidecar.web.headers import HardeningHeaders
from sidecar.web.page import ASSETS, FOLDER, render_page
from sidecar.web.problems import Problem, render_problem


@dataclass(frozen=True, slots=True)
class View:
    """What the answers are made from."""

    membership: Membership
    newest: Newest
    gate: GateKeeper
    metrics: Metrics
    outputs: Callable[[], Sequence[PublisherStatus]]
    files: Callable[[], Sequence[PublisherStatus]]
    """Those of the outputs that a member reads when it starts."""
    stale_after: float
    version: str
    verdict: Callable[[], Mapping[str, object]]
    history: Callable[[], History]


def make_app(view: View) -> Starlette:
    """The ASGI application."""
    members = Members(view.membership, view.newest, view.metrics.published)

    async def page(request: Request) -> Response:
        return _page(view)

    async def asset(request: Request) -> Response:
        path = request.scope["path"]  # the URL has a part that the client names: its Host
        headers = {"Cache-Control": "no-cache"}
        return Response((FOLDER / path.removeprefix("/")).read_bytes(), headers=headers, media_type=ASSETS[path])

    async def openapi(request: Request) -> Response:
        return _openapi(view)

    async def explain(request: Request) -> Response:
        return _explain(view, request)

    async def changes(request: Request) -> Response:
        return _changes(view, request)

    async def livez(request: Request) -> Response:
        return _probe(check_live(view.membership), request)

    async def readyz(request: Request) -> Response:
        return _probe(_ready(view), request)

    async def startupz(request: Request) -> Response:
        return _probe(check_started(view.gate.state, view.files()), request)

    async def metrics(request: Request) -> Response:
        return Response(view.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def verify(request: Request) -> Response:
        return _json(view.verdict())

    async def version(request: Request) -> Response:
        return _json({"version": view.version, "python": platform.python_version()})

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _refuse(view, request, error)

    app = Starlette(
        routes=[
            Route("/", page),
            *(Route(path, asset) for path in ASSETS),
            Route("/openapi.json", openapi),
            Route("/members", members.get),
            Route("/members/stream", members.stream),
            Route("/changes", changes),
            Route("/explain", explain),
            Route("/livez", livez),
            Route("/healthz", livez),
            Route("/readyz", readyz),
            Route("/startupz", startupz),
            Route("/metrics", metrics),
            Route("/verify", verify),
            Route("/version", version),
        ],
        exception_handlers={HTTPException: refuse},
        middleware=[Middleware(HardeningHeaders)],
    )
    app.router.redirect_slashes = False  # a path that is not in the table does not exist
    return app


def _page(view: View) -> Response:
    text = render_page(
        view.membership.current(),
        _ready(view),
        view.gate.state,
        view.verdict(),
        view.history().changes,
        view.outputs(),
        datetime.now(timezone.utc),
        time.monotonic(),
    )
    return Response(text, headers={"Cache-Control": "no-cache"}, media_type="text/html")


def _openapi(view: View) -> Response:
    """openapi.json of this folder, with the version that runs."""
    content = msgspec.json.decode((FOLDER / "openapi.json").read_bytes())
    content["info"]["version"] = view.version
    return _json(content)


def _ready(view: View) -> Report:
    verdict = view.verdict()
    well = verdict["verdict"] not in DIFFERENCES
    age = verdict["age_seconds"]
    asked = "" if age is None else f" (found {age} s ago)"
    said = Check("verdict", well, f"{verdict['verdict']}: {verdict['reason']}{asked}", required=False)
    return check_ready(view.membership, view.outputs(), view.stale_after, said)


def _probe(report: Report, request: Request) -> Response:
    verbose = "verbose" in request.query_params
    headers = {"Cache-Control": "no-cache"}
    return Response(report.text(verbose=verbose), 200 if report.ok else 503, headers, "text/plain")


def _changes(view: View, request: Request) -> Response:
    """All that are kept, or those `since` a generation of this epoch, a time, or so long ago."""
    snapshot, since = view.membership.current(), request.query_params.get("since")
    try:
        start = None if since is None else parse_since(since, datetime.now(timezone.utc))
        format = _report_format(request)
    except ValueError as error:
        return render_problem(request, Problem(400, str(error)), {})
    found = view.history().since(start, snapshot.epoch)
    if format == "text":
        return Response(changes_text(found), headers={"Cache-Control": "no-cache"}, media_type="text/plain")
    return _json({"generation": snapshot.generation, "epoch": snapshot.epoch, "changes": found})


def _report_format(request: Request) -> str:
    format = request.query_params.get("format", "json")
    if format not in ("json", "text"):
        raise ValueError(f"format {format[:40]!r} is none of json, text")
    return format


def _explain(view: View, request: Request) -> Response:
    snapshot, entries = view.membership.current(), view.membership.explain()
    try:
        format = _report_format(request)
    except ValueError as error:
        return render_problem(request, Problem(400, str(error)), {})
    if format == "text":
        return Response(explain_text(snapshot.unknown_services, entries), media_type="text/plain")
    return _json(
        {
            "generation": snapshot.generation,
            "epoch": snapshot.epoch,
            "synced": snapshot.synced,
            "source": snapshot.source,
            "services": snapshot.services,
            "unknown_services": snapshot.unknown_services,
            "addresses": [asdict(entry) for entry in entries],
        }
    )


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), headers={"Cache-Control": "no-cache"}, media_type="application/json")


def _refuse(view: View, request: Request, error: HTTPException) -> Response:
    """Unknown paths and wrong methods, which starlette raises."""
    details = {404: "there is no such path here", 405: "only GET and HEAD: nothing here can be changed"}
    problem = Problem(error.status_code, details.get(error.status_code, error.detail))
    return render_problem(request, problem, {**name_list(view.membership.current()), **(error.headers or {})})
