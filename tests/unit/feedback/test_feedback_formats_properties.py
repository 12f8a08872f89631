"""Properties of every reader: swapped answers with a swapped verdict say the same, keys have no order, and bad is no example."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_desktop.feedback.formats import FORMATS, Reading
from rlhf_desktop.feedback.judgements import Demonstrated, Ranking, Ratings, Thumbs
from rlhf_desktop.feedback.rows import Unusable
from tests.fuzzing import documented

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=30).filter(
    lambda text: text.strip() == text and "\n\n" not in text and not text.startswith(("Human", "Assistant"))
)
TWO = st.lists(TEXT, min_size=2, max_size=2, unique=True)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def sides(first, second, winner):
    """Chosen and rejected."""
    return {"chosen": first, "rejected": second} if winner == 1 else {"chosen": second, "rejected": first}


def wrapped(first, second, winner, make):
    return {side: make(text) for side, text in sides(first, second, winner).items()}


def ranked(first, second, winner, text="text", offset=0):
    return [{text: first, "rank": winner - 1 + offset}, {text: second, "rank": 2 - winner + offset}]


def argilla(question, value, first, second):
    return {
        "fields": {"prompt": "Q", "response-1": first, "response-2": second},
        "responses": {question: [{"value": value, "user_id": "u"}]},
    }


def label_studio(first, second, *results, names=("answer1", "answer2")):
    return {
        "data": {"prompt": "Q", names[0]: first, names[1]: second},
        "annotations": [{"completed_by": 1, "result": list(results)}],
    }


def result(kind, value, to_name, name="comparison"):
    return {"from_name": name, "to_name": to_name, "type": kind, "value": value}


def oasst_node(text, rank):
    return {"text": text, "role": "assistant", "rank": rank, "replies": []}


# name of the format → two answers in the order shown, and which of them won
COMPARISONS = {
    "rankings": [lambda a, b, w: {"prompt": "Q", "completions": ranked(a, b, w, offset=1)}],
    "preference": [
        lambda a, b, w: {"prompt": "Q", **sides(a, b, w)},
        lambda a, b, w: {"prompt": "Q", **wrapped(a, b, w, lambda text: [assistant(text)])},
        lambda a, b, w: {"prompt": "Q", **wrapped(a, b, w, lambda text: [user("Q"), assistant(text)])},
    ],
    "preference-implicit": [lambda a, b, w: wrapped(a, b, w, lambda text: [user("Q"), assistant(text)])],
    "hh": [lambda a, b, w: wrapped(a, b, w, lambda text: f"\n\nHuman: Q\n\nAssistant: {text}")],
    "ultrafeedback": [
        lambda a, b, w: {
            "prompt": "Q", **wrapped(a, b, w, lambda text: [user("Q"), assistant(text)]), "score_chosen": 8.0, "score_rejected": 2,
        }
    ],
    "oasst": [
        lambda a, b, w: {
            "message_tree_id": "t",
            "prompt": {"text": "Q", "role": "prompter", "replies": [oasst_node(a, w - 1), oasst_node(b, 2 - w)]},
        }
    ],
    "argilla": [
        lambda a, b, w: argilla("preference", f"response-{w}", a, b),
        lambda a, b, w: argilla("preference", "AB"[w - 1], a, b),
        lambda a, b, w: argilla("ranking", ["response-1", "response-2"][:: 1 if w == 1 else -1], a, b),
        lambda a, b, w: argilla("ranking", [{"value": "response-1", "rank": w}, {"value": "response-2", "rank": 3 - w}], a, b),
        lambda a, b, w: argilla("worst", f"response-{3 - w}", a, b),
    ],
    "label-studio": [
        lambda a, b, w: label_studio(a, b, result("pairwise", {"selected": ["left", "right"][w - 1]}, "answer1,answer2")),
        lambda a, b, w: label_studio(a, b, result("pairwise", {"selected": ["right", "left"][w - 1]}, "answer2,answer1")),
        lambda a, b, w: label_studio(
            a, b, result("pairwise", {"selected": ["left", "right"][w - 1]}, "ours,theirs"), names=("ours", "theirs")
        ),
        lambda a, b, w: label_studio(a, b, result("choices", {"choices": [f"Answer {w} is better"]}, "prompt", "better")),
        lambda a, b, w: label_studio(a, b, result("ranker", {"ranker": [f"answer{w}", f"answer{3 - w}"]}, "prompt")),
    ],
    "rivals": [
        lambda a, b, w: {"prompt": "Q", "response_a": a, "response_b": b, "winner": "AB"[w - 1]},
        lambda a, b, w: {"question": "Q", "answer 1": a, "answer 2": b, "Score 1": 5 - 2 * w, "Score 2": 2 * w - 1},
        lambda a, b, w: {"prompt": "Q", "response_0": a, "response_1": b, "worst": 2 - w},
        lambda a, b, w: {"instruction": "Q", "generations": [a, b], "ranks": [w, 3 - w]},
        lambda a, b, w: {
            "text": "Q", "options": [{"id": "x", "text": a}, {"id": "y", "text": b}], "accept": ["xy"[w - 1]], "answer": "accept",
        },
    ],
    "sharegpt": [
        lambda a, b, w: {
            "conversations": [{"from": "human", "value": "Q"}],
            **wrapped(a, b, w, lambda text: {"from": "gpt", "value": text}),
        }
    ],
    "alpaca": [lambda a, b, w: {"instruction": "Q", **sides(a, b, w)}],
    "openai-preference": [
        lambda a, b, w: {
            "input": {"messages": [user("Q")]},
            "preferred_output": [assistant((a, b)[w - 1])],
            "non_preferred_output": [assistant((b, a)[w - 1])],
        }
    ],
    "arena": [
        lambda a, b, w: {
            "conversation_a": [user("Q"), assistant(a)],
            "conversation_b": [user("Q"), assistant(b)],
            "winner": f"model_{'ab'[w - 1]}",
        }
    ],
    "arena-table": [
        lambda a, b, w: {
            "prompt": json.dumps(["Q"]), "response_a": json.dumps([a]), "response_b": json.dumps([b]),
            "winner_model_a": int(w == 1), "winner_model_b": int(w == 2), "winner_tie": 0,
        }
    ],
    "helpsteer": [
        lambda a, b, w: {"prompt": "Q", "response_1": a, "response_2": b, "preference_strength": -2 if w == 1 else 2},
        lambda a, b, w: {"context": [user("Q")], "response1": a, "response2": b, "overall_preference": -3 if w == 1 else 3},
    ],
    "safe-rlhf": [
        lambda a, b, w: {"prompt": "Q", "response_0": a, "response_1": b, "better_response_id": w - 1, "safer_response_id": 2 - w}
    ],
    "shp": [lambda a, b, w: {"history": "Q", "human_ref_A": a, "human_ref_B": b, "labels": int(w == 1)}],
    "nectar": [lambda a, b, w: {"prompt": "\n\nHuman: Q\n\nAssistant: ", "answers": ranked(a, b, w, "answer", 1)}],
    "ultrafeedback-raw": [
        lambda a, b, w: {
            "instruction": "Q",
            "completions": [{"response": a, "fine-grained_score": 3 - w}, {"response": b, "fine-grained_score": w}],
        }
    ],
}  # fmt: skip
MAKERS = [pytest.param(name, make, id=f"{name}-{n}") for name, makes in COMPARISONS.items() for n, make in enumerate(makes)]


def judged(rows):
    """What was said of which text, whatever the order shown."""
    found = set()
    for row in rows:
        for verdict in row.verdicts:
            if isinstance(verdict, Ranking):
                places = list(zip(verdict.ranks, row.completions, strict=True))
                found |= {("better", a, b) for x, a in places for y, b in places if x < y}
            elif isinstance(verdict, Ratings):
                found |= {
                    (r.attribute, text, s) for r in verdict.ratings for text, s in zip(row.completions, r.scores, strict=True)
                }
            elif isinstance(verdict, Thumbs):
                found.add(("thumb", row.completions[verdict.index], verdict.up))
            else:
                found.add(json.dumps([verdict.kind, row.completions]))
    return found


def backwards(value):
    """The same value with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: backwards(part) for key, part in reversed(value.items())}
    return [backwards(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("name", "make"), MAKERS)
@given(texts=TWO)
def test_swapping_the_answers_and_the_verdict_says_the_same(name, make, texts):
    first, second = texts
    reading = Reading(FORMATS[name])
    said = judged(reading.rows(make(first, second, 1)))
    assert ("better", first, second) in said
    assert judged(reading.rows(make(second, first, 2))) == said
    assert judged(Reading().rows(make(first, second, 1))) == said, "recognised by itself"
    opposite = judged(reading.rows(make(first, second, 2)))
    assert ("better", second, first) in opposite
    assert opposite.isdisjoint(said)


@pytest.mark.parametrize(("name", "make"), MAKERS)
@given(texts=TWO)
def test_the_order_of_keys_says_nothing(name, make, texts):
    record = make(*texts, 1)
    assert judged(Reading(FORMATS[name]).rows(backwards(record))) == judged(Reading(FORMATS[name]).rows(record))


@pytest.mark.parametrize("number", range(len(documented())))
def test_the_order_of_keys_of_a_documented_record_says_nothing(number):
    def read(record):
        try:
            return judged(Reading().rows(record))
        except Unusable as reason:
            return str(reason)

    assert read(backwards(documented()[number])) == read(documented()[number])


# name of the format → an answer and whether it is good
ONE_ANSWER = {
    "unpaired": [lambda a, good: {"prompt": "Q", "completion": a, "label": good}],
    "prompt-completion": [
        lambda a, good: {"prompt": "Q", "completion": a, "kto_tag": good},
        lambda a, good: {"prompt": "Q", "completion": a, "rating": 5 if good else 1},
    ],
    "messages": [
        lambda a, good: {"messages": [user("Q"), assistant(a)], "label": good},
        lambda a, good: {"messages": [user("Q"), {**assistant(a), "weight": int(good)}]},
        lambda a, good: {"messages": [user("Q"), {**assistant(a), "rating": 1 if good else -1}]},
    ],
    "alpaca": [lambda a, good: {"instruction": "Q", "input": "", "output": a, "kto_tag": good}],
    "sharegpt": [
        lambda a, good: {
            "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": a}],
            "label": "good" if good else "bad",
        }
    ],
    "chats": [lambda a, good: {"conversation": [user("Q"), assistant(a)], "toxic": not good}],
    "argilla": [
        lambda a, good: {
            "fields": {"prompt": "Q", "response": a},
            "responses": {"thumb": [{"value": "👍" if good else "👎", "user_id": "u"}]},
        },
        lambda a, good: {
            "fields": {"prompt": "Q", "response": a},
            "responses": {"quality": [{"value": 5 if good else 1, "user_id": "u"}]},
        },
    ],
    "label-studio": [
        lambda a, good: {
            "data": {"prompt": "Q", "answer1": a},
            "annotations": [{"result": [result("choices", {"choices": ["up" if good else "down"]}, "answer1", "thumb")]}],
        }
    ],
    "helpsteer": [lambda a, good: {"prompt": "Q", "response": a, "helpfulness": 4 * good}],
}


@pytest.mark.parametrize(
    ("name", "make"),
    [pytest.param(name, make, id=f"{name}-{n}") for name, makes in ONE_ANSWER.items() for n, make in enumerate(makes)],
)
@given(text=TEXT)
def test_turning_good_into_bad_never_leaves_an_example(name, make, text):
    def read(good):
        try:
            return Reading(FORMATS[name]).rows(make(text, good))
        except Unusable:
            return []

    good, bad = read(True), read(False)
    assert good, "good is read"
    assert not any(isinstance(verdict, Demonstrated) for row in bad for verdict in row.verdicts)
    assert judged(good) != judged(bad)


BAD = [{"label": False}, {"label": "bad"}, {"kto_tag": 0}, {"thumbs_up": "no"}, {"score": -1}, {"is_good": False}, {"vote": "👎"}]


@pytest.mark.parametrize("number", range(len(documented())))
def test_no_documented_example_stays_one_when_its_row_says_bad(number):
    for said in BAD:
        try:
            rows = Reading().rows({**documented()[number], **said})
        except Unusable:
            continue
        assert not any(isinstance(verdict, Demonstrated) for row in rows for verdict in row.verdicts), said


def test_every_reader_has_a_property():
    own = {"oasst-flat"}  # a message alone says nothing: see the tests of the published sets
    programs = {name for name, form in FORMATS.items() if ".programs" in form.read.__module__}  # see their own tests
    assert {*COMPARISONS, *ONE_ANSWER, *own} == set(FORMATS) - programs
