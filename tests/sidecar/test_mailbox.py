"""What the reader leaves for a thread: the newest list, at once, without a backlog."""

import threading
from collections.abc import Callable

from membership.session import Publication
from sidecar.publishers.mailbox import Mailbox
from tests.unit.lists import snapshot

LIMIT = 10.0


def publication(generation: int) -> Publication:
    return Publication(snapshot(generation=generation), read_at=0.0)


ONE, TWO, THREE = (publication(generation) for generation in (1, 2, 3))


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    return thread, found


def test_the_newest_is_taken_and_those_before_it_are_not() -> None:
    mail = Mailbox()
    for one in (ONE, TWO, THREE):
        mail.put(one)
    assert mail.take(None) is THREE
    assert not mail.wait(THREE, 0.01), "what was put before was left lying"
    mail.put(ONE)
    assert mail.take(THREE) is ONE


def test_who_waits_is_woken_by_each_list() -> None:
    mail = Mailbox()
    before = None
    for one in (ONE, TWO, THREE):
        thread, found = in_thread(lambda: mail.take(before))
        mail.put(one)
        thread.join(LIMIT)
        assert found == [one]
        before = one


def test_no_list_is_missed_however_fast_they_come() -> None:
    mail, last = Mailbox(), publication(2000)
    seen: list[int] = []

    def read() -> None:
        before = None
        while (before := mail.take(before)) is not None:
            seen.append(before.snapshot.generation)
            if before is last:
                return

    thread, _ = in_thread(read)
    for generation in range(1, 2000):
        mail.put(publication(generation))
    mail.put(last)
    thread.join(LIMIT)
    assert seen[-1] == 2000 and seen == sorted(set(seen))


def test_closing_ends_the_wait_and_hides_what_came() -> None:
    mail = Mailbox()
    thread, found = in_thread(lambda: mail.take(None))
    mail.close()
    thread.join(LIMIT)
    assert found == [None]
    mail.put(ONE)
    assert mail.take(None) is None and mail.newest is ONE


def test_a_wait_ends_with_its_time() -> None:
    mail = Mailbox()
    mail.put(ONE)
    assert mail.wait(None, 0.0)
    assert not mail.wait(ONE, 0.0)
