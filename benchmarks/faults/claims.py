"""What had been measured or read before these runs, client by client, so that the page can say where it was wrong.

The source is the project's study of list+watch clients: a throwaway server over plain HTTP, most of it without the
recovery that the clients' documentation shows. `holds` is searched for in the verdict.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """`said` of the client at that fault; it holds where the verdict matches the regular expression `holds`.

    `why`: what is known to make the difference.
    """

    fault: str
    arm: str
    said: str
    holds: str
    why: str = ""


RATE = r"\d+ requests/s"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "dead stream",
        "kubernetes_watch",
        "never noticed: no read timeout",
        "old list",
        "README.md's `_request_timeout=60`, and the ReadTimeoutError that then comes is caught",
    ),
    Claim("dead stream", "kubernetes_informer", "never noticed: no read timeout", "old list"),
    Claim("dead stream", "kr8s_watch", "never noticed: no read timeout", "old list"),
    Claim("dead stream", "lightkube_watch", "never noticed: no read timeout", "old list"),
    Claim("dead stream", "k8s_sidecar", "noticed after 66 s", r"recovers in [67]\d\.\d s|ghost"),
    Claim("refused", "kubernetes_watch", "MaxRetryError", "MaxRetryError"),
    Claim("refused", "kubernetes_informer", "597 attempts/s, one full core", r"refused connections/s"),
    Claim("refused", "kr8s_watch", "raises", "raises"),
    Claim("refused", "lightkube_watch", "raises despite on_error_retry", "raises"),
    Claim("instant close", "kubernetes_watch", "976 requests/s", RATE),
    Claim("clean end", "kr8s_watch", "the iterator ends silently", "ends without an error"),
    Claim("no chunks", "kubernetes_watch", "events only at the end of the stream", "old list"),
    Claim("CA rotated", "kubernetes_watch", "survives", "undisturbed|recovers"),
    Claim(
        "CA rotated",
        "kr8s_loop",
        "fails for good",
        "raises|old list",
        "the synchronous functions make a new session, and read the CA, for each call",
    ),
    Claim("CA rotated", "lightkube_watch", "fails for good", "raises|old list"),
    Claim("token rotated", "kubernetes_watch", "raises", "raises"),
    Claim("token rotated", "kubernetes_informer", "839 requests/s with the old token", RATE),
    Claim("token rotated", "kr8s_loop", "reads the token again", "undisturbed|recovers"),
    Claim("token rotated", "lightkube_watch", "reads the token again", "undisturbed|recovers"),
    Claim(
        "410 in stream",
        "kubernetes_watch",
        "one retry from the dead version, then an exception",
        "raises",
        "both come; the documented recovery catches the exception and lists anew",
    ),
    Claim(
        "410 in stream",
        "kr8s_loop",
        "about 200 requests/s from the dead version",
        RATE,
        "that was with `since`, which needs a version that `get` does not hand out; this program begins anew",
    ),
    Claim("410 status", "lightkube_watch", "the same version for ever, then PoolTimeout", "PoolTimeout|requests/s"),
    Claim("410 status", "kubernetes_informer", "right", "undisturbed|recovers"),
    Claim("429", "kubernetes_informer", "1009 requests/s", RATE),
    Claim("500", "kubernetes_informer", "1096 requests/s", RATE),
    Claim("500 in stream", "kr8s_loop", "BoxKeyError", "BoxKeyError|AttributeError"),
    Claim("403", "kubernetes_informer", "1106 requests/s", RATE),
    Claim("403", "kr8s_loop", "4 tries (and /version), then an exception", "raises.*5 requests"),
    Claim(
        "half line",
        "kubernetes_watch",
        "yields None",
        "raises TypeError",
        "a half line in a broken chunk is a ProtocolError, which is caught; a complete bad line does yield None",
    ),
    Claim("half line", "kubernetes_informer", "AttributeError loop, 521 requests/s", RATE),
    Claim("half line", "kr8s_watch", "raises", "raises"),
    Claim(
        "half line",
        "lightkube_watch",
        "DecodeError",
        "raises DecodeError",
        "the broken chunk is an error of the connection first, which on_error_retry takes; a complete bad line raises",
    ),
    Claim(
        "etcd restored",
        "kubernetes_informer",
        "stays on the old set",
        "old list|wrong list",
        "the example's `resync_period=60` lists again",
    ),
    Claim("etcd restored", "lightkube_watch", "stays on the old set", "old list|wrong list"),
    Claim("etcd restored", "k8s_sidecar", "reads again every 60 s, but never drops members", "ghost|wrong list"),
    Claim("lost delete", "k8s_sidecar", "deleted members stay", "ghost"),
    Claim("lost delete", "lightkube_watch", "deleted members stay", "ghost"),
    Claim(
        "gzip", "kr8s_watch", "first event, then silence: httpx decodes the first gzip member only", "blind|old|wrong"
    ),
    Claim("gzip", "lightkube_watch", "the same", "blind|old list|wrong list|ghost"),
    Claim("SIGTERM", "kubernetes_informer", "stop() blocks while the server hangs", "still there"),
    Claim("health", "k8s_sidecar", "green while blind", "/healthz 200 for all"),
    Claim("null lists", "kubernetes_watch", "accepted since version 37", "undisturbed|recovers"),
)
