"""A set that shares nearly all with the one it was made from is the set it says it is."""

from hypothesis import given, settings
from hypothesis import strategies as st

from membership.keys import Keys

FEW = st.sets(st.integers(0, 60).map(str), max_size=6)


@settings(max_examples=300, deadline=None)
@given(first=st.sets(st.integers(0, 60).map(str)), changes=st.lists(st.tuples(FEW, FEW), max_size=30))
def test_after_any_changes_it_is_the_set_that_they_make(
    first: set[str], changes: list[tuple[set[str], set[str]]]
) -> None:
    model, keys = set(first), Keys(first)
    for gone, come in changes:
        gone &= model
        later, before = keys.replaced(gone, sorted(come)), set(model)
        twice = (model - gone) & come
        assert (later is None) == bool(twice)
        if later is not None:
            model = model - gone | come
            assert set(later) == model and len(later) == len(model)
            assert all((key in later) == (key in model) for key in map(str, range(61)))
            assert set(keys) == before, "the one it was made from is as it was"
            keys = later


def test_it_is_a_set_like_others() -> None:
    keys = Keys("ab").replaced("a", ["c"])
    assert keys is not None
    for result, expected in ((keys, "bc"), (keys & {"b"}, "b"), (keys - {"b"}, "c"), (keys | {"d"}, "bcd")):
        assert isinstance(result, Keys) and set(result) == set(expected)


def test_one_that_comes_twice_at_once_is_refused() -> None:
    assert Keys("ab").replaced("a", ["c", "c"]) is None


def test_what_it_keeps_beside_the_shared_ones_stays_small() -> None:
    """Else each change would copy all that ever came."""
    keys: Keys | None = Keys(map(str, range(1000)))
    most = 0
    for number in range(5000):
        assert keys is not None
        keys = keys.replaced([str(number)], [str(number + 1000)])
        assert keys is not None
        most = max(most, len(keys._come) + len(keys._gone))
    assert most <= 64
    assert set(keys or ()) == {str(number) for number in range(5000, 6000)}
