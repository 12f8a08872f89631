"""Plain facts about answers."""

import math

import pytest

from rlhf_desktop.evaluation.texts import distinct_n, mean_by_name, mean_words, perplexity


def test_mean_words():
    assert mean_words(["one two", "one two three four"]) == 3
    assert mean_words([]) == 0


def test_distinct_n_counts_over_all_answers():
    assert distinct_n(["a b a b", "a b"]) == pytest.approx(2 / 4)
    assert distinct_n(["word"]) == 0


def test_mean_by_name():
    assert mean_by_name([{"end": 1.0, "length": 0.0}, {"end": 0.0, "length": 0.0}]) == {"end": 0.5, "length": 0.0}


def test_perplexity_is_pooled_by_tokens():
    # a uniform choice among 8: every token costs log 8, however the answers are cut
    assert perplexity([-3 * math.log(8), -math.log(8)], [3, 1]) == pytest.approx(8)
    assert math.isnan(perplexity([], []))
