"""The faults. Numbers F1 to F32 name the failure modes of list+watch clients that the project knows of.

Where a fault has to be there before the client comes, `before` puts it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.faults import acts
from benchmarks.faults.acts import Act


class Kind(StrEnum):
    """What is asked of the client."""

    RECOVER = "recover"
    START = "start"
    STOP = "stop"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`window`: seconds after the fault within which the client has to have the list; `later`: those for a change then.

    Some clients sleep 5 s after an error, this library may wait 13 s after a fault of 4 s, and poll every 10 s.
    """

    mode: str
    name: str
    text: str
    act: Act
    kind: Kind = Kind.RECOVER
    before: Act | None = None
    window: float = 20.0
    later: float = 12.0


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "F1",
        "lost server",
        "the server's node is lost: no FIN, no RST; new connections reach another one",
        acts.lose_server,
        window=100.0,
    ),
    Scenario(
        "F2",
        "dead stream",
        "the stream goes silent for good, TCP stays alive (a proxy with a dead upstream); new requests are answered",
        acts.silent_stream,
        before=lambda stage: acts.once(stage, "silent", "watch"),
        window=100.0,
    ),
    Scenario("F3", "refused", "server restart: streams reset, connections refused for 4 s", acts.refuse),
    Scenario("F4", "instant close", "for 4 s every watch gets 200 and ends at once", acts.during("close", "watch")),
    Scenario(
        "F5",
        "503",
        "rolling restart: for 4 s 503 with Retry-After 1",
        acts.during("status", code=503, retry_after=1),
    ),
    Scenario("F5b", "clean end", "the server ends the stream, as each does after its timeout", acts.end_cleanly),
    Scenario("F6", "reset streams", "a proxy resets the stream every second, three times", acts.reset_streams),
    Scenario(
        "F7",
        "no chunks",
        "streams have no chunked encoding, for good (a proxy speaks HTTP/1.0 style)",
        acts.change_in_stream,
        before=lambda stage: acts.always(stage, "buffer", "watch", hold=False),
        window=75.0,
        later=75.0,
    ),
    Scenario("F9", "CA rotated", "server certificate and ca.crt are those of a new CA", acts.rotate_authority),
    Scenario("F10", "token rotated", "the old token gets 401, the file holds the new one", acts.rotate_token),
    Scenario("F12", "410 in stream", "history compacted in a gap: ERROR 410 in the stream", acts.compact(acts.REPLACE)),
    Scenario("F13", "410 status", "the same as HTTP status 410", acts.compact(acts.REPLACE, as_status=True)),
    Scenario(
        "F15",
        "429 Retry-After",
        "for 4 s 429 with Retry-After 2",
        acts.during("status", code=429, retry_after=2),
    ),
    Scenario("F15b", "429", "for 4 s 429 without Retry-After", acts.during("status", code=429)),
    Scenario("F16", "500", "for 4 s 500 (etcd has no leader)", acts.during("status", code=500)),
    Scenario(
        "F16b",
        "500 in stream",
        "for 4 s each watch gets an ERROR 500 in the stream",
        acts.during("error-event", "watch", code=500),
    ),
    Scenario("F17", "403", "the Role is taken away for 4 s", acts.revoke_rights, window=75.0),
    Scenario(
        "F18",
        "half line",
        "the stream breaks within a line, and so does every watch for 4 s",
        acts.during("half-line", "watch", cut="half"),
    ),
    Scenario(
        "F18b",
        "bad line",
        "for 4 s each watch begins with a complete line that is not JSON",
        acts.during("bad-json", "watch"),
    ),
    Scenario("F18c", "HTML page", "for 4 s a proxy's 200 text/html page in place of each answer", acts.during("html")),
    Scenario("F19", "big event", "one slice of 1000 endpoints and 100 kB of non-ASCII text", acts.send_much),
    Scenario(
        "F20",
        "etcd restored",
        "the server is restored from a backup: its versions and objects go back",
        acts.restore,
        window=460.0,
    ),
    Scenario(
        "F22",
        "quiet type",
        "50 writes elsewhere, a bookmark for those who asked, compaction, a gap",
        acts.age_out,
    ),
    Scenario("F23", "events twice", "for 4 s each event is sent twice", acts.send_twice),
    Scenario("F24", "lost delete", "a slice is deleted in a gap whose history is compacted", acts.compact(acts.CHANGE)),
    Scenario(
        "F25",
        "gzip",
        "streams are gzip for who accepts it, one member for each flush (1.37's watch lists, a proxy)",
        acts.change_in_stream,
        before=lambda stage: acts.always(stage, "gzip", "watch"),
    ),
    Scenario(
        "F27",
        "slice move",
        "a pod moves to another slice in two writes, 0.3 s apart, the removal first",
        acts.move_between_slices,
    ),
    Scenario(
        "F28",
        "start-up",
        "the server answers 503 for the first 4 s",
        acts.fail_at_start,
        kind=Kind.START,
        before=lambda stage: acts.always(stage, "status", "any", code=503),
    ),
    Scenario("F30", "SIGTERM", "SIGTERM while the server hangs", acts.hang_for_good, kind=Kind.STOP, window=8.0),
    Scenario(
        "F31",
        "health",
        "the whole server is a black hole, and the Service changes: does the client tell?",
        acts.stall,
        kind=Kind.HEALTH,
        window=120.0,
    ),
    Scenario("F32", "null lists", "a slice with `endpoints: null` and `ports: null` comes", acts.null_lists),
)

NOT_DRIVEN: Mapping[str, str] = {
    "F8 DNS failure": "in a pod no client here resolves a name: the server is an IP address in a variable",
    "F11 clock set back": "happens in the client's kernel",
    "F14 410 on a `continue` token": "FakeKube hands out first pages only",
    "F21 stale list from version 0": "no client here lists from version 0 (so the requests of these runs say)",
    "F26 slow consumer": "the fault is in the program that uses the client",
    "F29 thundering herd": "needs hundreds of clients at once",
}
