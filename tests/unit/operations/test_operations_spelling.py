"""Spell check with what the system has: silent where it has nothing, and with an eye for what is no prose."""

import sys
from types import SimpleNamespace

import pytest

from rlhf_desktop.operations import checkup
from rlhf_desktop.operations.spelling import MOST_SUGGESTIONS, OFF, dictionary, languages, misspelled, suggestions, usual_language


class Words:
    def __init__(self, *known):
        self.known = set(known)

    def check(self, word):
        return word.lower() in self.known

    def suggest(self, word):
        return [f"{word}{n}" for n in range(20)]

    def add(self, word):
        self.known.add(word.lower())


class EnchantError(Exception):
    pass


@pytest.fixture
def enchant(monkeypatch):
    def open_dictionary(language):
        if language == "xx":
            raise EnchantError("damaged")
        return Words("the", "customer's", "blender", "broke")

    made = SimpleNamespace(
        list_languages=lambda: ["en_US", "de_DE", "xx"], Dict=open_dictionary, errors=SimpleNamespace(Error=EnchantError)
    )
    monkeypatch.setitem(sys.modules, "enchant", made)
    return made


@pytest.fixture
def no_enchant(monkeypatch):
    monkeypatch.setitem(sys.modules, "enchant", None)  # as where the package or the library behind it is missing


def wrong(text, words):
    return [text[start:end] for start, end in misspelled(text, words)]


def test_words_that_no_dictionary_knows_are_found(enchant):
    words = dictionary("en_US")
    assert wrong("Teh customer's blender broke, the Customer’s blnder.", words) == ["Teh", "blnder"]


def test_what_is_no_prose_is_left_alone(enchant):
    text = "The `blndr` broke: see https://exmpl.org/abc, me@exmpl.org, 4kg, a/b_c, NASA, x\n```\ncodde\n```\nand the end"
    assert wrong(text, dictionary("en_US")) == ["see", "and", "end"]
    assert wrong("the ```never closd", dictionary("en_US")) == []


def test_suggestions_are_few(enchant):
    assert suggestions("blnder", dictionary("en_US")) == [f"blnder{n}" for n in range(MOST_SUGGESTIONS)]


def test_where_there_is_none_all_is_silent(no_enchant):
    assert languages() == []
    assert dictionary("en_US") is None


def test_a_dictionary_that_is_not_there_or_damaged_is_none(enchant):
    assert dictionary("fr_FR") is None
    assert dictionary("xx") is None
    assert dictionary(OFF) is None


@pytest.mark.parametrize(
    ("system", "used"), [("de_DE", "de_DE"), ("de_AT", "de_DE"), ("en_GB", "en_US"), ("fr_FR", OFF), ("", OFF), ("C", OFF)]
)
def test_the_systems_language_is_used_if_there_is_a_dictionary(system, used):
    assert usual_language(["de_DE", "en_US"], system) == used


def test_check_says_whether_there_is_one(enchant):
    finding = checkup._spelling()
    assert (finding.state, finding.sentence) == ("well", "Dictionaries of de_DE, en_US, xx are here.")


def test_check_says_what_a_missing_one_needs(no_enchant):
    finding = checkup._spelling()
    assert (finding.state, finding.sentence) == ("note", "There is no spell check.")
    assert "pyenchant" in finding.remedy
