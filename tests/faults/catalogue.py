"""The 32 ways in which following an API server can go wrong, what is right then, and which tests hold it.

The failure modes come from client-go and from what other clients do wrong. `test` is held against `FakeKube` over
real HTTP; `real` against a real kube-apiserver and etcd, where it can be produced there, else `why_not` says why.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure mode."""

    id: str
    name: str
    right: str
    """What the sidecar and the library do."""
    test: str
    """`file.py::function` below tests/faults."""
    real: tuple[str, ...] = ()
    """The same below tests/real."""
    why_not: str = ""
    """Where `real` is empty: why it cannot be produced there."""


CATALOGUE = (
    Fault(
        "F1",
        "black-holed TCP: packets vanish, nobody says so",
        "TCP keepalive and TCP_USER_TIMEOUT end the connection within 30 s, silence ends the stream before the list is "
        "stale; the list stays, with its age",
        "test_silence.py::test_f01_black_holed_connection",
        ("test_black_hole.py::test_dropped_packets", "test_outages.py::test_api_server_hangs"),
    ),
    Fault(
        "F2",
        "a live proxy with a dead upstream",
        "keepalive sees nothing; a stream that is silent for 5/6 of --stale-after is opened anew, within 90 s, by a "
        "watch",
        "test_silence.py::test_f02_live_proxy_with_a_dead_upstream",
        (
            "test_proxies.py::test_a_live_proxy_loses_its_upstream",
            "test_proxies.py::test_a_dead_upstream_was_seen_in_time",
        ),
    ),
    Fault(
        "F3",
        "the API server restarts: connection refused",
        "keep version and list, back off from 0.2 s to 30 s with full jitter, watch again, no list",
        "test_connection.py::test_f03_connection_refused",
        ("test_outages.py::test_api_server_killed_and_started",),
    ),
    Fault(
        "F4",
        "a watch that is accepted and ends at once",
        "shorter than 1 s without an event is a fault: back off, keep the version, no list",
        "test_connection.py::test_f04_watch_that_ends_at_once",
        why_not="a kube-apiserver does not end a watch that it has accepted; a bad balancer does",
    ),
    Fault(
        "F5",
        "rolling and lagging API servers",
        "watch on from the version held, list not older than it, 504 too large means the most recent list; never back "
        "in time",
        "test_connection.py::test_f05_rolling_and_lagging_api_servers",
        (
            "test_proxies.py::test_two_api_servers_one_lagging",
            "test_outages.py::test_a_server_that_has_just_started_denies_everything",
        ),
    ),
    Fault(
        "F6",
        "a balancer forgets idle connections",
        "probes after 10 s, timeoutSeconds of 240 to 300, and a cut stream is no news",
        "test_silence.py::test_f06_idle_timeout_of_a_balancer",
        ("test_proxies.py::test_a_balancer_cuts_an_idle_stream",),
    ),
    Fault(
        "F7",
        "a proxy that buffers",
        "read what is there; where nothing is sent in chunks say so, and list beside the stream",
        "test_silence.py::test_f07_proxy_that_buffers",
        ("test_proxies.py::test_a_proxy_that_buffers",),
    ),
    Fault(
        "F8",
        "the server's name cannot be resolved",
        "in a cluster no name is resolved; elsewhere it is a fault like a refused connection, and never no members",
        "test_connection.py::test_f08_dns_failure",
        why_not="the resolver is the machine's own: tests/faults breaks it inside a sidecar's process",
    ),
    Fault(
        "F9",
        "the CA is rotated in place",
        "the CA file is read for each connection; until it is new, the list stays and the certificate is named",
        "test_trust.py::test_f09_ca_rotated_in_place",
        ("test_credentials.py::test_a_new_authority",),
    ),
    Fault(
        "F10",
        "401 after the token was rotated or revoked",
        "the token is read for each request; after a 401 one retry at once, then with backoff; the list stays",
        "test_credentials.py::test_f10_token_rotated",
        (
            "test_credentials.py::test_tokens_expire_and_are_rotated",
            "test_credentials.py::test_a_token_is_revoked",
            "test_credentials.py::test_a_revoked_token_is_told_and_replaced",
        ),
    ),
    Fault(
        "F11",
        "the wall clock is set",
        "all times are monotonic; the wall clock is in log lines and in the --state file only",
        "test_credentials.py::test_f11_clock_step",
        why_not="time namespaces do not shift CLOCK_REALTIME, and the machine's own clock is not ours to set: "
        "tests/faults breaks it inside a sidecar's process",
    ),
    Fault(
        "F12",
        "410 inside the stream",
        "never the same version again: the most recent list, which replaces",
        "test_versions.py::test_f12_expired_inside_the_stream",
        ("test_outages.py::test_compaction_without_a_restart", "test_outages.py::test_history_expired_while_watching"),
    ),
    Fault(
        "F13",
        "410 as the status of a watch",
        "as inside the stream",
        "test_versions.py::test_f13_expired_as_a_status",
        why_not="kube-apiserver 1.36 gives a watch its 410 inside the stream",
    ),
    Fault(
        "F14",
        "410 on a list's continue token, or a list that breaks off",
        "no pages are asked for, and nothing of a list is used before its end; a first page alone is a bad answer",
        "test_versions.py::test_f14_list_that_breaks_off",
        why_not="kube-apiserver answers with pages only who asks for them",
    ),
    Fault(
        "F15",
        "429 with Retry-After",
        "obeyed up to 60 s, with jitter on top; keep version and list",
        "test_refusals.py::test_f15_throttled",
        ("test_overload.py::test_a_storm_of_429",),
    ),
    Fault(
        "F16",
        "500 and 503, as a status or inside the stream; etcd is away",
        "back off, serve the last list, say a lasting problem once a minute",
        "test_refusals.py::test_f16_server_faults",
        ("test_outages.py::test_etcd_killed_and_started",),
    ),
    Fault(
        "F17",
        "403: permissions missing or taken away",
        "name verb, resource and namespace in log, /readyz and exit code 4; ask again every 30 to 60 s; keep the list",
        "test_credentials.py::test_f17_permissions_lost",
        (
            "test_access.py::test_denied",
            "test_access.py::test_revoked_while_running",
            "test_access.py::test_granted_again",
        ),
    ),
    Fault(
        "F18",
        "a broken line in the stream",
        "half a line at the end is dropped and watched for again; a complete bad line means a list, and is counted",
        "test_answers.py::test_f18_broken_line",
        ("test_proxies.py::test_a_megabyte_cut_in_the_middle",),
    ),
    Fault(
        "F19",
        "big events",
        "bytes are joined and decoded once for each line, up to 32 MiB",
        "test_answers.py::test_f19_big_events",
        (
            "test_proxies.py::test_a_megabyte_cut_in_the_middle",
            "test_scale.py::test_a_thousand_endpoints_then_half_of_them",
        ),
    ),
    Fault(
        "F20",
        "etcd restored to an older state: the stream stays silent for good",
        "a consistent list every 5 min +-50 % beside the stream; older than what we held means restored: replace, "
        "count, open the stream anew",
        "test_versions.py::test_f20_restored_to_an_older_state",
        ("test_outages.py::test_restored_to_an_older_state",),
    ),
    Fault(
        "F21",
        "a list from a stale cache",
        "the first list is the most recent one, a later one not older than what we hold; never resourceVersion 0",
        "test_versions.py::test_f21_stale_list",
        ("test_proxies.py::test_two_api_servers_one_lagging",),
    ),
    Fault(
        "F22",
        "bookmarks do not come",
        "silence is a hint: watch again, no list, no alarm; a quiet healthy server never looks stale",
        "test_health.py::test_f22_bookmarks_that_do_not_come",
        ("test_quiet.py::test_twenty_quiet_seconds", "test_quiet.py::test_a_bookmark_makes_it_young_again"),
    ),
    Fault(
        "F23",
        "the same again: duplicate and unchanged objects",
        "compared by content: the version moves, generation, ETag and files do not",
        "test_consumers.py::test_f23_unchanged_and_duplicate_events",
        ("test_outages.py::test_history_expired_while_watching",),
    ),
    Fault(
        "F24",
        "deletes lost in a gap",
        "every list replaces, in one step",
        "test_versions.py::test_f24_delete_lost_in_a_gap",
        ("test_outages.py::test_nothing_that_happened_meanwhile_is_lost",),
    ),
    Fault(
        "F25",
        "compressed streams (Kubernetes 1.37)",
        "Accept-Encoding: identity; an answer that is encoded all the same is a bad answer, named",
        "test_answers.py::test_f25_compressed_stream",
        why_not="kube-apiserver 1.36 does not compress watches",
    ),
    Fault(
        "F26",
        "a slow consumer",
        "the reader never waits for one; it gets the newest list, without a backlog",
        "test_consumers.py::test_f26_slow_consumer",
        why_not="the consumer is on our side of the connection: the server plays no part",
    ),
    Fault(
        "F27",
        "Service made anew, pod moved between slices, address reused",
        "the newest owner's slices, the newer slice of one pod, the serving pod of one address; unknown is not empty",
        "test_consumers.py::test_f27_service_and_slices_replaced",
        (
            "test_slices.py::test_recreated_while_a_slice_of_the_old_one_stays",
            "test_slices.py::test_deleted_then_recreated",
            "test_slices.py::test_an_address_that_went_to_a_new_pod",
        ),
    ),
    Fault(
        "F28",
        "publishing before the first list",
        "nothing is published before every Service was listed: 503, no file, no hook",
        "test_consumers.py::test_f28_nothing_before_all_are_listed",
        ("test_outages.py::test_started_during_an_outage",),
    ),
    Fault(
        "F29",
        "all come back at the same instant",
        "full jitter from the first retry, random timeoutSeconds, a watch and no list, one stream for each namespace",
        "test_health.py::test_f29_thundering_herd",
        ("test_proxies.py::test_a_crowd_comes_back_spread_out",),
    ),
    Fault(
        "F30",
        "shutdown while blocked",
        "every wait can be interrupted: SIGTERM ends it with 0 within a second",
        "test_stop.py::test_f30_shutdown_while_blocked",
        (
            "test_outages.py::test_stopped_while_the_api_server_hangs",
            "test_outages.py::test_closing_while_the_api_server_hangs",
        ),
    ),
    Fault(
        "F31",
        "health that cannot fail",
        "/readyz is the age of the last proof from the server; /livez never depends on it; empty is ready",
        "test_health.py::test_f31_health_that_can_fail",
        ("test_outages.py::test_api_server_killed_and_started",),
    ),
    Fault(
        "F32",
        "null for a list",
        "legal, and an empty list",
        "test_answers.py::test_f32_null_lists",
        ("test_slices.py::test_a_headless_service_without_ports",),
    ),
)
