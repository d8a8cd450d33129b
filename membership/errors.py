"""Every error this library raises, as one tree.

    MembershipError
    ├── SettingsError          wrong or contradicting settings; `problems` names each of them
    ├── MembershipTimeout      the list did not become what the caller waits for; `cause` says why, where known
    ├── PublishError           an output could not be written (the message names target and reason)
    │   └── RenderError        ... for its source is not what it should be; names file, line and what was expected
    └── ApiError               the API server, or something in front of it; names server and request
        ├── Unreachable        no connection, or one that was cut
        │   └── Silent         connected, and no answer before the deadline
        ├── Unauthorized       401: the credentials are not accepted
        ├── Forbidden          403: RBAC does not allow this verb on this resource
        ├── NotFound           404: the server does not have this resource
        ├── Expired            410: the resource version is gone from the server's history
        ├── TooLarge           504 "Too large resource version": this server is behind the version we hold
        ├── Throttled          429: slow down; `retry_after` says by how much
        ├── ServerFault        5xx: the server has a problem of its own
        ├── Rejected           any other 4xx: the server does not take this request
        └── BadAnswer          the answer is not what Kubernetes sends: broken JSON, a proxy's page, a wrong kind

An `ApiError` says what was asked of whom, so that its text alone is enough in a log.
"""

from collections.abc import Sequence


class MembershipError(Exception):
    """Base of all errors of this library."""


class SettingsError(MembershipError):
    """Wrong settings, all of them at once: `problems` holds one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class MembershipTimeout(MembershipError):
    """What was waited for did not come in time. `cause` is the last error seen on the way, or None."""

    def __init__(self, message: str, cause: "ApiError | None" = None) -> None:
        self.cause = cause
        super().__init__(message)


class PublishError(MembershipError):
    """An output could not be written. Nothing was lost: the file that was there is untouched."""


class RenderError(PublishError):
    """The list cannot be put into this format: its source is broken or absent, or Carbon cannot take what there is.

    `source` is the file's name and `line` its line, from 1, where they are known; both are in the message.
    """

    def __init__(self, problem: str, source: str | None = None, line: int | None = None) -> None:
        self.source = source
        self.line = line
        place = ":".join(str(part) for part in (source, line) if part is not None)
        super().__init__(f"{place}: {problem}" if place else problem)


class ApiError(MembershipError):
    """A request to the API server did not give what was asked for.

    `server` is its URL, `request` the verb and path, `retry_after` the seconds the server asked us to wait or None.
    """

    def __init__(self, message: str, *, server: str = "", request: str = "", retry_after: float | None = None) -> None:
        self.message = message
        self.server = server
        self.request = request
        self.retry_after = retry_after
        super().__init__(message)

    def __str__(self) -> str:
        asked = " ".join(part for part in (self.server, self.request) if part)
        return f"{self.message} ({asked})" if asked else self.message


class Unreachable(ApiError):
    """No connection, or one that was cut."""


class Silent(Unreachable):
    """Connected, and no answer before the deadline: a hanging server, or a proxy that holds answers back."""


class Unauthorized(ApiError):
    """401."""


class Forbidden(ApiError):
    """403: the message names verb, resource and namespace."""


class NotFound(ApiError):
    """404."""


class Expired(ApiError):
    """410, as a status or inside a watch stream."""


class TooLarge(ApiError):
    """504 with the cause ResourceVersionTooLarge."""


class Throttled(ApiError):
    """429."""


class ServerFault(ApiError):
    """5xx."""


class Rejected(ApiError):
    """Any other 4xx."""


class BadAnswer(ApiError):
    """The answer is not Kubernetes': broken JSON, HTML, a redirect, a wrong kind, too big."""


def by_status(code: int) -> type[ApiError]:
    """The class for an HTTP status, or for the `code` of a Status object inside a watch stream."""
    known: dict[int, type[ApiError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 410: Expired, 429: Throttled}
    if code in known:
        return known[code]
    if 400 <= code < 500:
        return Rejected
    return ServerFault if code >= 500 else BadAnswer
