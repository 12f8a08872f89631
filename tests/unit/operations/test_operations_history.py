import pytest
from operations_helpers import user

from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Judgement,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
)
from rlhf_desktop.operations.history import count_history, find_history, history_item, verdict_words, words_about
from rlhf_desktop.store.history import HistoryQuery


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([Ranking((2, 1, 2))], "B > A = C"),
        ([Ranking((1, 2), 3)], "A > B (much)"),
        ([AllBad(), Correction("x", 1)], "None will do · B corrected"),
        ([Thumbs(True, 0), Thumbs(False, 1)], "A good · B not good"),
        ([Ratings((Rating("accuracy", 5, (4, None)),))], "Accuracy: answer A 4 of 5"),
        (
            [Ratings((Rating("accuracy", 5, (None, 2)), Rating("tone", 3, (1, 2))))],
            "Accuracy: answer B 2 of 5 · Tone: A 1, B 2 of 3",
        ),
        ([Labels((Choice("refuses", (("yes", "rude"), ())),))], "Refuses: answer A yes and rude"),
        (
            [Labels((Choice("Is it advice?", (("information",), ("general advice",))),))],
            "Is it advice? A information, B general advice",
        ),
        ([Spans((Span(1, 0, 2, "x"), Span(1, 3, 4, "y"), Span(0, 0, 1, "x")))], "1 part of A marked, 2 parts of B marked"),
        ([Skip("tired")], "Skipped"),
        ([Demonstrated()], "Written example"),
    ],
)
def test_everything_said_is_on_one_line(said, words):
    shown = {Ranking: 0}.get(type(said[0]), 2)
    if isinstance(said[0], Ranking):
        shown = len(said[0].ranks)
    if isinstance(said[0], Demonstrated):
        shown = 1
    displayed = tuple("abcdefg"[:shown])
    assert verdict_words(Judgement("p", "me", displayed, said[0], also=tuple(said[1:]))) == words


def test_a_single_answer_needs_no_letter():
    said = (Ratings((Rating("accuracy", 5, (4,)),)), Spans((Span(0, 0, 1, "x"),)), Correction("better"))
    judgement = Judgement("p", "me", ("a",), Thumbs(False), also=said)
    assert verdict_words(judgement) == "Not good · Accuracy: 4 of 5 · 1 part marked · Corrected"


def test_what_was_said_of_one_answer_is_a_line_each():
    marks = Ratings((Rating("accuracy", 5, (4, None)), Rating("tone", 3, (1, 2))))
    labels = Labels((Choice("Advice?", (("general", "urgent"), ())),))
    judgement = Judgement("p", "me", ("a", "b"), Ranking((1, 2)), also=(marks, labels, Thumbs(True, 1)))
    assert words_about(judgement, 0) == ["Accuracy: 4 of 5", "Tone: 1 of 3", "Advice? general and urgent"]
    assert words_about(judgement, 1) == ["Tone: 2 of 3", "Good"]


def test_a_page_has_questions_tags_and_where_to_go_on(store, project):
    made = []
    for n in range(5):
        _, question = store.conversations.start(project.id, user(f"Question {n}"))
        ids = tuple(a.id for a in store.conversations.add_answers(question.id, ["a", "b"]))
        made.append(store.judgements.add(Judgement(project.id, "me", ids, Ranking((1, 2)))))
    store.tags.add([made[4].id], "hard")
    first = find_history(store, project, limit=3)
    second = find_history(store, project, after=first.next, limit=3)
    assert [row.prompt for row in (*first.rows, *second.rows)] == [f"Question {n}" for n in (4, 3, 2, 1, 0)]
    assert (first.rows[0].tags, first.rows[0].verdict, first.rows[0].standing) == (("hard",), "A > B", True)
    assert second.next is None
    assert count_history(store, project, HistoryQuery(text="question")) == 5
    item = history_item(store, first.rows[0])
    assert (item.prompt, item.answers) == (user("Question 4"), ("a", "b"))
