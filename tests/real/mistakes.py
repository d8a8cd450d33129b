"""Mistakes put into the product on purpose, one or more for each test of a fault on the real control plane.

    python -m tests.real.mistakes                     all of them, 40 minutes
    python -m tests.real.mistakes test_denied ...     those of some tests, or "test: mistake"; the others keep theirs

Each is made in a copy of the working tree, where the test that it is for must then fail by an assertion or a
time-out of its own. What that said is kept in benchmarks/results/mistakes.json, for docs/faults.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "mistakes.json"
LONGEST = 300.0
"""Seconds for the tests of one mistake."""
_OWN = r"AssertionError: |TimeoutError: |membership\.errors\.MembershipTimeout: |assert "
"""How pytest begins what an assertion or a time-out of a test says."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In `file`, `old`, which is there once, becomes `new`."""

    file: str
    old: str
    new: str

    def made(self, root: Path) -> str:
        """The file's text with it; LookupError where it does not fit any more."""
        text = (root / self.file).read_text()
        if text.count(self.old) != 1:
            raise LookupError(f"{self.old!r} is {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Where `name` is the case `test`, below tests/real, must fail. `begins` is the test that begins its story."""

    name: str
    test: str
    edits: tuple[Edit, ...]
    begins: str = ""

    @property
    def key(self) -> str:
        return f"{self.test.partition('::')[2]}: {self.name}"


EMPTIED = Edit(
    "membership/follower.py",
    "self._reflector.failed(error, now)\n",
    "self._reflector.failed(error, now)\n"
    "            self._book.update(self._book.store.replace(()), now, listed=True)\n",
)
LIST_AFTER_A_CUT = Edit(
    "membership/policy.py",
    "(Step.WATCH, Cause.CUT): Rule(Step.WATCH, Delay.BACKOFF)",
    "(Step.WATCH, Cause.CUT): Rule(Step.LIST, Delay.BACKOFF)",
)
LIST_AFTER_SILENCE = Edit(
    "membership/policy.py",
    "(Step.WATCH, Cause.QUIET): Rule(Step.WATCH, Delay.NONE)",
    "(Step.WATCH, Cause.QUIET): Rule(Step.LIST, Delay.NONE)",
)
EXPIRED_AND_KEPT = Edit(
    "membership/policy.py",
    "(Step.WATCH, Cause.EXPIRED): Rule(Step.LIST, Delay.EAGER, keep_version=False)",
    "(Step.WATCH, Cause.EXPIRED): Rule(Step.WATCH, Delay.BACKOFF)",
)
TOKEN_ONCE = Edit(
    "membership/kube.py",
    "self.token_file.read_text()",
    "globals().setdefault('_once', self.token_file.read_text())",
)
UNVERIFIED = Edit(
    "membership/reflector.py",
    "self.verify_at = now + self._policy.relist",
    "self.verify_at = now + 1e9 * self._policy.relist",
)
UNINTERRUPTED = Edit(
    "membership/transport.py",
    "            for sock in self._sockets:\n                _shut(sock)\n",
    "",
)
PROVED_BY_AN_ERROR = Edit(
    "membership/reflector.py",
    "before, self.problem = self.problem, error\n",
    "before, self.problem = self.problem, error\n        self._prove(now)\n",
)
UNLISTED = Edit("membership/session.py", "self._synced = all(", "self._synced = True or all(")

MISTAKES = (
    Mistake(
        "no TCP keepalive",
        "test_black_hole.py::test_dropped_packets",
        (Edit("membership/transport.py", "socket.SO_KEEPALIVE, 1)", "socket.SO_KEEPALIVE, 0)"),),
    ),
    Mistake(
        "wait for ever on a silent stream",
        "test_outages.py::test_api_server_hangs",
        (Edit("membership/follower.py", "stream.read(proved_at + silence)", "stream.read(1e9)"),),
    ),
    Mistake(
        "give a silent stream up after 1.4 times --stale-after",
        "test_proxies.py::test_a_dead_upstream_was_seen_in_time",
        (Edit("membership/policy.py", "SILENCE = (2 / 3, 5 / 6)", "SILENCE = (1.3, 1.4)"),),
        begins="test_proxies.py::test_a_live_proxy_loses_its_upstream",
    ),
    Mistake(
        "empty the list on an error",
        "test_outages.py::test_api_server_killed_and_started",
        (EMPTIED,),
    ),
    Mistake(
        "an error counts as a proof of the list",
        "test_outages.py::test_api_server_killed_and_started",
        (PROVED_BY_AN_ERROR,),
    ),
    Mistake(
        'first list from version "0"',
        "test_proxies.py::test_two_api_servers_one_lagging",
        (Edit("membership/reflector.py", 'version = "" if self._consistent', 'version = "0" if self._consistent'),),
    ),
    Mistake(
        "list after a silent stream",
        "test_proxies.py::test_two_api_servers_one_lagging",
        (LIST_AFTER_SILENCE,),
    ),
    Mistake(
        "believe each 403 at once",
        "test_outages.py::test_a_server_that_has_just_started_denies_everything",
        (Edit("membership/policy.py", "FRESH_START, DOUBT = 30.0, 2.5", "FRESH_START, DOUBT = 30.0, 0.0"),),
    ),
    Mistake(
        "list after a cut",
        "test_proxies.py::test_a_balancer_cuts_an_idle_stream",
        (LIST_AFTER_A_CUT,),
    ),
    Mistake(
        "no list beside the stream",
        "test_proxies.py::test_a_proxy_that_buffers",
        (UNVERIFIED,),
    ),
    Mistake(
        "do not look whether an answer comes in chunks",
        "test_proxies.py::test_a_proxy_that_buffers",
        (Edit("membership/transport.py", "return bool(self.response.chunked)", "return True"),),
    ),
    Mistake(
        "read the CA file once",
        "test_credentials.py::test_a_new_authority",
        (
            Edit(
                "membership/transport.py",
                "context.load_verify_locations(self.ca_file)",
                "context.load_verify_locations(cadata=globals().setdefault('_once', self.ca_file.read_text()))",
            ),
        ),
    ),
    Mistake(
        "read the token file once",
        "test_credentials.py::test_tokens_expire_and_are_rotated",
        (TOKEN_ONCE,),
    ),
    Mistake(
        "read the token file once",
        "test_credentials.py::test_a_revoked_token_is_told_and_replaced",
        (TOKEN_ONCE,),
        begins="test_credentials.py::test_a_token_is_revoked",
    ),
    Mistake(
        "tell the same problem again and again",
        "test_credentials.py::test_a_revoked_token_is_told_and_replaced",
        (Edit("membership/follower.py", "REPEAT_LOG = 60.0", "REPEAT_LOG = 0.0"),),
        begins="test_credentials.py::test_a_token_is_revoked",
    ),
    Mistake(
        "watch again from an expired version",
        "test_outages.py::test_compaction_without_a_restart",
        (EXPIRED_AND_KEPT,),
    ),
    Mistake(
        "watch again from an expired version",
        "test_outages.py::test_history_expired_while_watching",
        (EXPIRED_AND_KEPT,),
    ),
    Mistake(
        "a generation for each step",
        "test_outages.py::test_history_expired_while_watching",
        (Edit("membership/session.py", "if self._generation and list_ == self._list:", "if False:"),),
    ),
    Mistake(
        "no Retry-After",
        "test_overload.py::test_a_storm_of_429",
        (Edit("membership/kube.py", "error.retry_after = after", "pass"),),
    ),
    Mistake(
        "publish before the first list",
        "test_outages.py::test_etcd_killed_and_started",
        (UNLISTED,),
    ),
    Mistake(
        "/livez fails while there is a problem",
        "test_access.py::test_denied",
        (
            Edit(
                "sidecar/health.py",
                'Check("threads", not dead,',
                'Check("threads", not dead and not membership.problem,',
            ),
        ),
    ),
    Mistake(
        "empty the list on an error",
        "test_access.py::test_revoked_while_running",
        (EMPTIED,),
    ),
    Mistake(
        "ask again after minutes",
        "test_access.py::test_granted_again",
        (Edit("membership/policy.py", "SLOW = (30.0, 60.0)", "SLOW = (200.0, 300.0)"),),
        begins="test_access.py::test_revoked_while_running",
    ),
    Mistake(
        "list after a cut",
        "test_proxies.py::test_a_megabyte_cut_in_the_middle",
        (LIST_AFTER_A_CUT,),
    ),
    Mistake(
        "lines of 512 kB at most",
        "test_proxies.py::test_a_megabyte_cut_in_the_middle",
        (Edit("membership/transport.py", "LIMIT = 32 * 2**20", "LIMIT = 2**19"),),
    ),
    Mistake(
        "lines and lists of 16 kB at most",
        "test_scale.py::test_a_thousand_endpoints_then_half_of_them",
        (Edit("membership/transport.py", "LIMIT = 32 * 2**20", "LIMIT = 2**14"),),
    ),
    Mistake(
        "no list beside the stream",
        "test_outages.py::test_restored_to_an_older_state",
        (UNVERIFIED,),
    ),
    Mistake(
        "go on with the stream of a restored server",
        "test_outages.py::test_restored_to_an_older_state",
        (Edit("membership/reflector.py", "reopen = restored is not False", "reopen = False"),),
    ),
    Mistake(
        "list after a silent stream",
        "test_quiet.py::test_twenty_quiet_seconds",
        (LIST_AFTER_SILENCE,),
    ),
    Mistake(
        "no bookmarks",
        "test_quiet.py::test_a_bookmark_makes_it_young_again",
        (Edit("membership/kube.py", '"allowWatchBookmarks": "true"', '"allowWatchBookmarks": "false"'),),
        begins="test_quiet.py::test_a_version_grows_old_without_bookmarks",
    ),
    Mistake(
        "a list adds and does not replace",
        "test_outages.py::test_nothing_that_happened_meanwhile_is_lost",
        (
            Edit(
                "membership/store.py",
                "before, self._items = self._items, {}",
                "before, self._items = self._items, dict(self._items)",
            ),
        ),
    ),
    Mistake(
        "slices of the deleted Service count",
        "test_slices.py::test_recreated_while_a_slice_of_the_old_one_stays",
        (Edit("membership/members.py", 'outdated = reading.slice.owner_uid not in ("", owner)', "outdated = False"),),
    ),
    Mistake(
        "deletions are ignored",
        "test_slices.py::test_deleted_then_recreated",
        (
            Edit(
                "membership/store.py",
                "if event.type is EventType.DELETED or not item.slices:",
                "if not item.slices:",
            ),
        ),
    ),
    Mistake(
        "the worse of two pods has the address",
        "test_slices.py::test_an_address_that_went_to_a_new_pod",
        (
            Edit(
                "membership/members.py",
                "if _worth(candidate) >= _worth(rival[2]):",
                "if _worth(candidate) < _worth(rival[2]):",
            ),
        ),
    ),
    Mistake(
        "publish before the first list",
        "test_outages.py::test_started_during_an_outage",
        (UNLISTED,),
    ),
    Mistake(
        "no jitter",
        "test_proxies.py::test_a_crowd_comes_back_spread_out",
        (Edit("membership/reflector.py", "return self._random.uniform(0.0, ceiling)", "return ceiling"),),
    ),
    Mistake(
        "nothing ends a blocked read, and both that wait for its thread wait on",
        "test_outages.py::test_stopped_while_the_api_server_hangs",
        (
            UNINTERRUPTED,
            *(
                Edit(file, "thread.join(max(0.0, deadline - time.monotonic()))", "thread.join(20.0)")
                for file in ("membership/session.py", "sidecar/app.py")
            ),
        ),
    ),
    Mistake(
        "nothing ends a blocked read",
        "test_outages.py::test_closing_while_the_api_server_hangs",
        (UNINTERRUPTED,),
    ),
    Mistake(
        "null is no empty list of ports",
        "test_slices.py::test_a_headless_service_without_ports",
        (
            Edit(
                "membership/wire/objects.py",
                "    endpoints: tuple[Endpoint, ...] | None = None\n    ports: tuple[Port, ...] | None = None\n",
                "    endpoints: tuple[Endpoint, ...] | None = None\n    ports: tuple[Port, ...] = ()\n",
            ),
        ),
    ),
)


@contextmanager
def broken(mistake: Mistake) -> Iterator[Path]:
    """A copy of the working tree with the mistake in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory(prefix="membership-broken-") as folder:
        for name in filter(None, listed.stdout.split("\0")):
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        for edit in mistake.edits:
            (Path(folder) / edit.file).write_text(edit.made(Path(folder)))
        yield Path(folder)


def failure(mistake: Mistake) -> str | None:
    """What the test says of it; None where it passes, or fails by anything but an assertion."""
    tests = [f"tests/real/{test}" for test in (mistake.begins, mistake.test) if test]
    with broken(mistake) as root:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *tests]
        environ = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "400"}
        done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=LONGEST)
    found = re.search(
        rf"^FAILED tests/real/{re.escape(mistake.test)} - (?:{_OWN})(.*)$",
        done.stdout,
        re.M,
    )
    if found is None:
        print(done.stdout[-3000:], done.stderr[-1000:], file=sys.stderr)
    return None if found is None else found[1]


def main() -> int:
    names = sys.argv[1:]
    chosen = [each for each in MISTAKES if not names or {each.key, each.key.partition(":")[0]} & set(names)]
    missed = 0
    for mistake in chosen:
        text = failure(mistake)
        missed += text is None
        print(f"{mistake.key}\n    {text or 'MISSED'}", flush=True)
        results = {**json.loads(RESULTS.read_text()), mistake.key: text}
        kept = {each.key: results[each.key] for each in MISTAKES if each.key in results}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{len(chosen) - missed} of {len(chosen)} seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
