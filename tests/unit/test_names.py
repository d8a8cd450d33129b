"""Names of Services as contract.md's --services takes them: a comma list, an item may be namespace/service."""

import pytest

from membership.errors import SettingsError
from membership.names import is_name, parse_services

GOOD = ["is", "a", "0", "is-km", "wso2is-7-1", "a" * 63]
BAD = ["", "-is", "is-", "IS", "i_s", "i.s", "is ", "is\n", "ïs", "a" * 64, "wso2/is"]

ITEMS = {
    "a name is in the own namespace": (["is"], [("own", "is")]),
    "namespace/service": (["wso2/is"], [("wso2", "is")]),
    "a comma list": ("is,wso2/am", [("own", "is"), ("wso2", "am")]),
    "spaces around items": (" is , wso2/am ", [("own", "is"), ("wso2", "am")]),
    "in the order named": (["z", "a"], [("own", "z"), ("own", "a")]),
    "each once": (["is", "own/is", "is"], [("own", "is")]),
    "every Service": (["*", "is"], [("own", "*")]),
    "every Service of one namespace": (["am", "wso2/*", "wso2/is"], [("own", "am"), ("wso2", "*")]),
    "one name in two namespaces": (["a/is", "b/is"], [("a", "is"), ("b", "is")]),
}

PROBLEMS = {
    "none": ([], ["no service"]),
    "empty text": ("", ["''"]),
    "too many slashes": (["a/b/c"], ["'a/b/c'"]),
    "no namespace": (["/is"], ["'/is'"]),
    "no service": (["wso2/"], ["'wso2/'"]),
    "every namespace": (["*/is", "*/*"], ["'*/is'", "'*/*'"]),
    "a part of a name": (["is*"], ["'is*'"]),
    "every wrong one is named": (["IS", "am", "k m"], ["'IS'", "'k m'"]),
    "no way out of the URL's path": (["../is", "is?x"], ["'../is'", "'is?x'"]),
}


@pytest.mark.parametrize("name", GOOD)
def test_is_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", BAD)
def test_is_no_name(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("items, expected", list(ITEMS.values()), ids=list(ITEMS))
def test_services(items: str | list[str], expected: list[tuple[str, str]]) -> None:
    assert parse_services(items, "own") == tuple(expected)


@pytest.mark.parametrize("items, words", list(PROBLEMS.values()), ids=list(PROBLEMS))
def test_wrong_services_are_all_reported_at_once(items: str | list[str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_services(items, "own")
    assert len(raised.value.problems) == len(words)
    assert all(word in problem for word, problem in zip(words, raised.value.problems, strict=True))
    assert str(raised.value) == "; ".join(raised.value.problems)
