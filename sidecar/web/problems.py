"""Errors as application/problem+json (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response


class Problem(Exception):
    """An answer that is an error; `detail` says what is wrong and what would be right."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(detail)


def render_problem(request: Request, problem: Problem, headers: Mapping[str, str]) -> Response:
    content = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
    }
    headers = {"Cache-Control": "no-cache", **headers}
    return Response(json.dumps(content), problem.status, headers, "application/problem+json")
