"""The slices of a namespace: a list replaces all, an event replaces one object, and both say whose slices changed."""

from membership.store import Store
from membership.wire import EndpointSlice
from tests.unit.slices import bookmark, event, item, piece, pod

ONE = piece(pod("10.0.0.1", "a"), rv=1, name="one")
TWO = piece(pod("10.0.0.2", "b"), rv=2, name="two")
AM = piece(pod("10.0.0.3", "c"), rv=3, name="am-one", service="am")
STRANGE = piece(pod("10.0.0.4", "d"), rv=4, name="strange", service="unfollowed")
NOBODY: frozenset[str] = frozenset()


def store(*slices: EndpointSlice) -> Store:
    made = Store(["is", "am"])
    made.replace(map(item, slices))
    return made


def names(of: Store, service: str = "is") -> set[str]:
    return {slice.metadata.name for slice in of.slices(service)}


def test_a_list_tells_whose_slices_came() -> None:
    made = Store(["is", "am"])
    assert made.replace([item(ONE), item(AM)]) == {"is", "am"}
    assert (names(made), names(made, "am")) == ({"one"}, {"am-one"})


def test_what_a_list_does_not_name_is_gone() -> None:
    made = store(ONE, TWO, AM)
    assert made.replace([item(TWO), item(AM)]) == {"is"}
    assert names(made) == {"two"}


def test_an_empty_list_empties() -> None:
    made = store(ONE, AM)
    assert made.replace([]) == {"is", "am"}
    assert not made.slices("is") and not made.slices("am")


def test_the_same_list_again_changes_nothing() -> None:
    made = store(ONE, TWO, AM)
    again = [piece(pod("10.0.0.1", "a"), rv=1, name="one"), TWO, AM]
    assert made.replace(map(item, again)) == NOBODY


def test_a_list_tells_whose_slices_changed() -> None:
    made = store(ONE, TWO, AM)
    changed = piece(rv=9, name="one")
    assert made.replace(map(item, [changed, TWO, AM])) == {"is"}
    assert changed in made.slices("is")


def test_an_event_adds_replaces_and_deletes_one_object() -> None:
    made = store(TWO)
    assert made.apply(event("ADDED", ONE)) == {"is"}
    assert names(made) == {"one", "two"}
    changed = piece(rv=9, name="one")
    assert made.apply(event("MODIFIED", changed)) == {"is"}
    assert sorted(made.slices("is"), key=lambda slice: slice.metadata.name) == [changed, TWO]
    assert made.apply(event("DELETED", changed)) == {"is"}
    assert names(made) == {"two"}


def test_modified_of_what_was_never_seen_adds_it() -> None:
    made = store()
    assert made.apply(event("MODIFIED", ONE)) == {"is"}
    assert names(made) == {"one"}


def test_an_object_sent_again_as_it_was_changes_nothing() -> None:
    made = store(ONE)
    for kind in ("ADDED", "MODIFIED"):
        assert made.apply(event(kind, piece(pod("10.0.0.1", "a"), rv=1, name="one"))) == NOBODY


def test_deleted_of_what_was_never_seen_changes_nothing() -> None:
    assert store(ONE).apply(event("DELETED", TWO)) == NOBODY


def test_deleted_counts_whatever_the_object_looks_like_by_then() -> None:
    made = store(ONE)
    assert made.apply(event("DELETED", piece(rv=9, name="one", service="unfollowed"))) == {"is"}
    assert not made.slices("is")


def test_a_bookmark_changes_nothing() -> None:
    made = store(ONE)
    assert made.apply(bookmark(99)) == NOBODY
    assert names(made) == {"one"}


def test_a_label_that_now_names_another_followed_service_moves_the_slice() -> None:
    made = store(ONE)
    assert made.apply(event("MODIFIED", piece(rv=9, name="one", service="am"))) == {"is", "am"}
    assert (names(made), names(made, "am")) == (set(), {"one"})


def test_a_label_that_now_names_an_unfollowed_service_removes_the_slice() -> None:
    made = store(ONE)
    assert made.apply(event("MODIFIED", piece(rv=9, name="one", service="unfollowed"))) == {"is"}
    assert not made.slices("is") and not made.slices("unfollowed")


def test_a_label_changed_between_two_lists_touches_both_services() -> None:
    made = store(ONE)
    assert made.replace([item(piece(rv=9, name="one", service="am"))]) == {"is", "am"}


def test_unfollowed_services_are_ignored() -> None:
    made = store(STRANGE)
    assert made.apply(event("ADDED", STRANGE)) == NOBODY
    assert made.replace([item(STRANGE)]) == NOBODY
    assert not made.slices("unfollowed")


def test_the_name_of_a_slice_says_nothing_about_its_service() -> None:
    made = store(piece(name="am-xyz", service="is"))
    assert names(made) == {"am-xyz"} and not names(made, "am")


def test_an_object_of_several_slices_is_replaced_as_one() -> None:
    """A v1 Endpoints object amounts to a slice for each subset and family."""
    made = Store(["is"])
    subsets = [piece(rv=1, name="is"), piece(rv=1, name="is", family="IPv6")]
    assert made.replace([item(*subsets)]) == {"is"}
    assert len(made.slices("is")) == 2
    assert made.apply(event("MODIFIED", piece(rv=2, name="is"))) == {"is"}
    assert len(made.slices("is")) == 1
