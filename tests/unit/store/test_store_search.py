import pytest

from rlhf_desktop.store.search import MAX_WORDS, Words


@pytest.fixture
def words():
    made = Words()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("typed", "match"),
    [
        ("printer", '"printer"*'),
        ("the printer ", '"the" AND "printer"'),
        ("don't", '"don" AND "t"'),
        ("Über", '"uber"*'),
        ("ab", '"ab"'),
        ("日本", '"日本"*'),
        ('a" OR b*', '"a" AND "or" AND "b"'),
        ("", ""),
        ("--- ", ""),
        ("x\0y", '"x" AND "y"'),
    ],
)
def test_what_is_typed_becomes_words_that_all_must_occur(words, typed, match):
    assert words.match(typed) == match


def test_a_page_pasted_into_the_search_is_cut(words):
    assert words.match("word " * 10_000).count("word") == MAX_WORDS
