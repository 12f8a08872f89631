import pytest

from rlhf_desktop.feedback.columns import likely_form, propose_columns

PREFERENCE = ("prompt", "chosen", "rejected")


@pytest.mark.parametrize(
    "headings",
    [
        "Question|Better|Worse", "Frage|Bessere Antwort|Schlechtere Antwort", "Anfrage|gewählt|abgelehnt",
        "Question|Préférée|Rejetée",
        "Consigne|Meilleure réponse|Moins bonne", "Pregunta|Mejor respuesta|Peor respuesta", "Domanda|Migliore|Peggiore",
        "ticket|best_reply|worst_reply", "userPrompt|chosenAnswer|rejectedAnswer", "Вопрос|Лучший|Худший", "PROMPT|CHOSEN|REJECTED",
    ],
)  # fmt: skip
def test_headings_in_several_languages(headings):
    names = headings.split("|")
    assert likely_form(["nr", *names]) == ("preference", dict(zip(PREFERENCE, names, strict=True)))


@pytest.mark.parametrize(
    ("headings", "form", "fields"),
    [
        ("Frage|Antwort|Bewertung", "unpaired", ("prompt", "completion", "label")),
        ("Demande|Réponse|Avis", "unpaired", ("prompt", "completion", "label")),
        ("Frage|Antwort", "prompt-completion", ("prompt", "completion")),
        ("id|Gespräch", "messages", (None, "messages")),
    ],
)
def test_what_the_columns_fill_says_the_format(headings, form, fields):
    names = headings.split("|")
    assert likely_form(names) == (form, {field: name for field, name in zip(fields, names, strict=True) if field})


@pytest.mark.parametrize(
    "headings", ["a|b|c", "Frage|Antwort A|Antwort B", "Question|Réponse 1|Réponse 2|Choix", "prompt|answer_a|answer_b"]
)
def test_which_answer_is_better_is_not_guessed(headings):
    assert not {"chosen", "rejected"} & propose_columns("preference", headings.split("|")).keys()
    assert likely_form(headings.split("|"))[0] in ("", "prompt-completion")


@pytest.mark.parametrize("headings", ["question|bad answer", "Frage|schlechte Antwort", "prompt|rejectedAnswer"])
def test_a_bad_answer_is_never_proposed_as_an_example(headings):
    assert "completion" not in propose_columns("prompt-completion", headings.split("|"))


def test_no_column_is_proposed_twice():
    for form in ("preference", "unpaired", "alpaca", "prompt-completion"):
        for headings in ("Question", "prompt|answer", "good|bad", "feedback|rating|Antwort", "input|output|text"):
            found = propose_columns(form, headings.split("|"))
            assert len(set(found.values())) == len(found)


def test_contents_help_where_headings_do_not():
    rows = [{"A": "Where is it?", "B": "There.", "C": "ja"}, {"A": "How much?", "B": "Much.", "C": "nein"}]
    assert propose_columns("unpaired", ["A", "B", "C"], rows) == {"prompt": "A", "label": "C"}
    talk = [{"x": 1, "y": [{"role": "user", "content": "q"}]}]
    assert propose_columns("messages", ["x", "y"], talk) == {"messages": "y"}


@pytest.mark.parametrize("headings", ["prompt|response_a|response_b|winner", "question|answer 1|answer 2|score 1|score 2"])
def test_one_of_several_answers_is_never_proposed_as_an_example(headings):
    assert likely_form(headings.split("|")) == ("", {})


def test_a_column_of_words_that_judge_is_no_answer():
    rows = [{"text": "A bird.", "prompt": "What flies?", "answer": word} for word in ("accept", "reject", "ignore")]
    assert propose_columns("prompt-completion", ["text", "prompt", "answer"], rows) == {"prompt": "prompt", "completion": "text"}


def test_one_of_two_conversations_is_never_proposed():
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    record = {"conversation_a": talk, "conversation_b": talk, "winner": "B"}
    assert likely_form(record, [record]) == ("", {})


@pytest.mark.parametrize("heading", ["hallucination", "incorrect", "toxic", "has_code", "errors"])
def test_a_column_of_yes_and_no_that_does_not_call_an_answer_good_is_no_label(heading):
    rows = [{"prompt": "Where?", "answer": "A", heading: said} for said in ("yes", "no")]
    assert "label" not in propose_columns("unpaired", ["prompt", "answer", heading], rows)
