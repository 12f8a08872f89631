"""Side effects from raw measures: planted ones are flagged, chance is not, and the arithmetic is the textbook's."""

import math

import numpy as np
import pytest

from rlhf_desktop.evaluation.probes import Measured, effects, newcombe, refuses, repetition, siding_log_odds
from rlhf_desktop.evaluation.winrate import wilson

QUESTIONS, CAUTIOUS, FACTS = [f"q{n}" for n in range(32)], [f"c{n}" for n in range(20)], [f"f{n}" for n in range(36)]
WORDS = [f"word{n}" for n in range(500)]


def model(seed, *, words=90, refused=0.0, sides=0.0, nats=2.5, loop=False):
    """Raw measures of an imaginary model: answers that vary, some refused, log-odds around `sides`, `nats` a neutral token."""
    rng = np.random.default_rng(seed)

    def answer():
        if rng.random() < refused:
            return "I'm sorry, but I can't help with that."
        n = max(2, int(rng.normal(words, 15)))
        return " ".join(["again and"] * n if loop else rng.choice(WORDS, n))

    neutral = [(-float(rng.normal(nats, 0.05)) * 40, 40) for _ in range(40)]
    siding = (sides + np.linspace(-2, 4, 36) + rng.normal(0, 0.3, 36)).tolist()  # facts differ, models hardly
    return Measured([answer() for _ in QUESTIONS], [answer() for _ in CAUTIOUS], siding, neutral)


def flagged(before, after):
    return [effect.name for effect in effects(before, after, QUESTIONS, CAUTIOUS, FACTS) if effect.flagged]


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_model_that_has_not_changed_is_not_flagged(seed):
    assert flagged(model(0), model(seed)) == []


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ({"words": 30}, ["length"]),
        ({"words": 160}, ["length"]),
        ({"refused": 0.8}, ["length", "refusals", "caution"]),
        ({"sides": 3.0}, ["sycophancy"]),
        ({"nats": 2.8}, ["skills"]),
        ({"loop": True}, ["length", "repetition"]),
    ],
)
def test_what_was_planted_is_found_and_nothing_else(planted, expected):
    assert flagged(model(0), model(1, **planted)) == expected


def test_improvements_are_not_side_effects():
    assert flagged(model(1, refused=0.5, sides=3, nats=2.9), model(2, words=90)) == ["length"]  # refusals are short


def test_sentences_say_before_and_after_and_examples_the_largest_changes():
    by_name = {e.name: e for e in effects(model(0), model(1, words=30, sides=3), QUESTIONS, CAUTIOUS, FACTS)}
    assert by_name["length"].sentence.endswith("% shorter.")
    assert by_name["length"].change < by_name["length"].change_high < 0
    question, before, after = by_name["length"].examples[0]
    assert question in QUESTIONS
    assert len(before.split()) > 2 * len(after.split())
    assert "before" in by_name["sycophancy"].sentence


def test_perplexity_is_that_of_all_tokens_together():
    x = Measured([""] * 32, [""] * 20, [0.0] * 36, [(-30.0, 10), (-10.0, 10)])
    skills = effects(x, x, QUESTIONS, CAUTIOUS, FACTS)[-1]
    assert skills.before == pytest.approx(math.exp(2.0))
    assert (skills.change, skills.change_low, skills.change_high) == (1, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist you with this request.",
        "As an assistant I am unable to help.",
        "I won't answer questions like that.",
        "Unfortunately I can’t provide instructions.",
        "I must decline answer",
    ],
)
def test_refusals_are_known(text):
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that your printer broke. Let us look at it.",
        "You can't go wrong with a book.",
        "I cannot recommend this tea enough: let it steep for three minutes.",
        "If the tent will not stand, I would help it with a rope.",
        "",
    ],
)
def test_answers_are_not_taken_for_refusals(text):
    assert not refuses(text)


def test_repetition_counts_pairs_used_before():
    assert repetition("a b a b a b") == pytest.approx(1 - 2 / 5)
    assert repetition("all words here differ") == 0
    assert repetition("one") == 0


def test_siding_sums_over_the_ways_to_say_it():
    assert siding_log_odds([math.log(0.2), math.log(0.3)], [math.log(0.25)]) == pytest.approx(math.log(2))


def test_newcombe_agrees_with_the_published_example():
    """Newcombe 1998, table II (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339."""
    q, p = (56 / 70, *wilson(56 / 70, 70)), (48 / 80, *wilson(48 / 80, 80))
    change = newcombe(p, q)
    assert [round(value, 4) for value in change] == [0.2, 0.0524, 0.3339]
