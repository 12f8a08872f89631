import random
from itertools import permutations

import krippendorff
import numpy as np
import pytest

from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Judgement,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Thumbs,
)
from rlhf_desktop.feedback.quality import (
    REPEAT_GAP,
    alphas,
    choose_repeat,
    disagreements,
    distributions,
    likeness,
    overlap,
    pace,
    pairwise_agreement,
    position_bias,
    refusal_rate,
    self_agreement,
    share,
    tie_rate,
    too_fast,
)


def judged(item, ranks, who="Ada", order=None, **fields):
    """A ranking of answers a, b, … of an item, shown in some order; `ranks` are of a, b, …"""
    names = [f"{item}{letter}" for letter in "abcd"[: len(ranks)]]
    places = order or range(len(ranks))
    shown = tuple(names[i] for i in places)
    return Judgement("p", who, shown, Ranking(tuple(ranks[i] for i in places)), **fields)


def test_wilsons_interval_is_the_known_one_and_stays_in_bounds():
    found = share([1.0] * 8 + [0.0] * 2)
    assert (found.value, found.n) == (0.8, 10)
    assert (found.low, found.high) == pytest.approx((0.490162, 0.943318), abs=1e-5)
    assert share([]).high == 1.0
    assert share([1.0] * 5).high == 1.0
    assert share([0.0] * 5).low == pytest.approx(0.0)


def test_the_order_on_screen_does_not_matter_for_likeness():
    one = judged("x", (1, 2, 2))
    for order in permutations(range(3)):
        assert likeness(one, judged("x", (1, 2, 2), order=order)) == 1.0
    assert likeness(one, judged("x", (2, 1, 1))) == pytest.approx(1 / 3)
    assert likeness(one, judged("x", (1, 3, 2))) == pytest.approx(2 / 3)
    bad = Judgement("p", "Ada", one.displayed, AllBad())
    assert likeness(bad, bad) == 1.0
    assert likeness(bad, one) == likeness(one, bad) == 0.0
    assert likeness(Judgement("p", "A", ("x",), Thumbs(True)), Judgement("p", "A", ("x",), Thumbs(True))) is None


def test_self_agreement_compares_returns_with_ones_own_first_judgement():
    events = [
        judged("x", (1, 2)),
        judged("y", (1, 2)),
        judged("x", (2, 1), who="Bo"),
        judged("x", (1, 2), order=(1, 0), purpose="repeat"),
        judged("y", (2, 1), purpose="repeat"),
        judged("z", (2, 1), purpose="repeat"),  # of nothing we know
    ]
    found = self_agreement(events)
    assert (found.value, found.n) == (0.5, 2)


def test_position_bias_counts_wins_of_what_is_shown_first():
    always_first = [judged(str(n), (1, 2), order=(0, 1)) for n in range(6)]
    even = [judged(str(n), (1, 2), order=(n % 2, 1 - n % 2)) for n in range(40)]
    assert (position_bias(always_first).value, position_bias(always_first).low > 0.5) == (1.0, True)
    assert position_bias(even).value == 0.5
    assert position_bias(even).low < 0.5 < position_bias(even).high
    assert position_bias([judged("x", (1, 1))]).n == 0


def test_ties_and_refusals_are_counted_by_item():
    events = [judged("x", (1, 1)), judged("y", (1, 2, 2)), judged("z", (1, 2)), Judgement("p", "A", ("q", "r"), AllBad())]
    assert tie_rate(events).value == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert (refusal_rate(events).value, refusal_rate(events).n) == (0.25, 4)


def test_haste_is_measured_against_the_length_of_what_was_shown():
    events = [judged(str(n), (1, 2), seconds_spent=s) for n, s in enumerate((0.4, 3.0, 3.0, 30.0))]
    events.append(judged("x", (1, 2)))
    chars = {events[1].id: 100, events[2].id: 4000, events[3].id: 4000}
    assert too_fast(events, chars) == [events[0].id, events[2].id]


def test_pace_is_by_day_and_person():
    def at(day, who, seconds):
        return judged("x", (1, 2), who=who, seconds_spent=seconds, created_at=f"2026-01-{day:02}T10:00:00.000+00:00")

    found = pace([at(2, "Ada", 3.0), at(1, "Ada", 4.0), at(1, "Ada", 8.0), at(1, "Bo", None)])
    assert [(p.day[-2:], p.who, p.judgements, p.median_s) for p in found] == [
        ("01", "Ada", 2, 6.0),
        ("01", "Bo", 1, None),
        ("02", "Ada", 1, 3.0),
    ]


def test_marks_are_counted_by_step():
    one = Judgement("p", "A", ("a", "b"), Ratings((Rating("tone", 3, (1, 3)), Rating("accuracy", 2, (None, 2)))))
    assert distributions([one, one]) == {"tone (of 3)": (2, 0, 2), "accuracy (of 2)": (0, 2)}


def history(count, start=0):
    return [judged(f"i{n}", (1, 2)) for n in range(start, start + count)]


def test_about_one_in_twenty_returns_later_in_another_order_and_only_once():
    chance = random.Random(7)
    done = history(1)
    repeats = []
    for n in range(400):
        due = choose_repeat(done, 0.05, chance)
        if due is None:
            done += history(1, n + 10)
            continue
        place = done.index(due.of)
        assert len(done) - place > REPEAT_GAP
        assert due.displayed == due.of.displayed[::-1]
        repeats.append(due.of.id)
        done.append(Judgement("p", "Ada", due.displayed, Ranking((2, 1)), purpose="repeat"))
    assert 0.04 <= len(repeats) / len(done) <= 0.06
    assert len(set(repeats)) == len(repeats)


def test_nothing_returns_too_early_or_when_it_cannot_be_compared():
    chance = random.Random(1)
    assert choose_repeat([], 0.5, chance) is None
    assert choose_repeat(history(REPEAT_GAP), 0.5, chance) is None
    assert choose_repeat(history(30), 0.0, chance) is None
    single = [Judgement("p", "A", (f"a{n}",), Thumbs(True)) for n in range(30)]
    skipped = [Judgement("p", "A", (f"a{n}", f"b{n}"), Skip()) for n in range(30)]
    assert choose_repeat(single + skipped, 0.5, chance) is None
    four = [judged(f"i{n}", (1, 2, 3, 4)) for n in range(30)]
    assert choose_repeat(four, 0.5, chance).displayed[0] != "a"


def team():
    """Three people on twelve items; they disagree on some."""
    draw = random.Random(3)
    events = []
    for n in range(12):
        truth = draw.choice([(1, 2), (2, 1), (1, 1)])
        for who in ("Ada", "Bo", "Cy"):
            seen = truth if draw.random() < 0.7 else draw.choice([(1, 2), (2, 1), (1, 1)])
            score = draw.randint(1, 3)
            if not (who == "Cy" and n % 3 == 0):
                labels = Labels((Choice("kind", (("x",), ("yz"[n % 2],))),))
                also = (Ratings((Rating("tone", 3, (score, None)),)), labels)
                events.append(judged(str(n), seen, who=who, order=(n % 2, 1 - n % 2), also=also))
    return events


def test_alpha_is_that_of_a_matrix_of_annotators_by_units():
    events = team()
    found = {alpha.what: alpha for alpha in alphas(events)}
    matrix = np.full((3, 12), np.nan)
    for event in events:
        first = event.displayed.index(min(event.displayed))
        ranks = event.verdict.ranks
        matrix[["Ada", "Bo", "Cy"].index(event.who), int(event.displayed[0][:-1])] = np.sign(ranks[1 - first] - ranks[first])
    expected = krippendorff.alpha(reliability_data=matrix, level_of_measurement="ordinal")
    assert found["order"].value == pytest.approx(expected)
    assert found["order"].low < found["order"].value < found["order"].high
    assert found["order"].units == 12
    assert set(found) == {"order", "tone", "kind"}
    assert alphas(events, seed=0) == alphas(events, seed=0)


def test_alpha_of_people_who_never_differ_is_one_and_of_nobody_unknown():
    same = [judged("x", (1, 2), who=who) for who in ("Ada", "Bo")]
    assert [(alpha.what, alpha.value, alpha.low) for alpha in alphas(same)] == [("order", 1.0, None)]
    assert alphas([judged("x", (1, 2))]) == []


def test_agreement_of_each_two_people_overlap_and_what_is_to_settle():
    events = [
        judged("x", (1, 2), who="Ada"),
        judged("x", (1, 2), who="Bo", order=(1, 0)),
        judged("y", (1, 2), who="Ada"),
        judged("y", (2, 1), who="Bo"),
        judged("z", (1, 2), who="Ada"),
        judged("w", (1, 2, 3), who="Ada"),
        judged("w", (1, 3, 2), who="Bo"),
    ]
    assert overlap(events).value == 0.75
    (pair,) = pairwise_agreement(events)
    assert (pair.one, pair.other, pair.agreement.n) == ("Ada", "Bo", 3)
    assert pair.agreement.value == pytest.approx((1 + 0 + 2 / 3) / 3)
    first, second = disagreements(events)
    assert ([j.who for j in first.judgements], first.likeness) == (["Ada", "Bo"], 0.0)
    assert second.likeness == pytest.approx(2 / 3)
    settled = judged("y", (2, 1), who="Chief", purpose="adjudication")
    assert [d.likeness for d in disagreements([*events, settled])] == [second.likeness]


def test_a_persons_newest_judgement_of_an_item_is_their_opinion():
    events = [judged("x", (1, 2)), judged("x", (2, 1)), judged("x", (2, 1), who="Bo")]
    assert disagreements(events) == []
    assert pairwise_agreement(events)[0].agreement.value == 1.0
