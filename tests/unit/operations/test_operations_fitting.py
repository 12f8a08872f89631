"""What the preflight says of rows that are too long or that a template refuses."""

import pytest

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.measures import RowSize
from rlhf_desktop.core.recipes import make_settings
from rlhf_desktop.operations.fitting import fit_findings, fitted

FITS = RowSize(prompt=40, question=40, answers=[30, 20])
OLD_TURNS = RowSize(prompt=90, question=20, answers=[50, 10])
LONG_ANSWER = RowSize(prompt=40, question=40, answers=[70, 10])
LONG_QUESTION = RowSize(prompt=100, question=100, answers=[5, 5])
REFUSED = RowSize(prompt=0, answers=[], trouble="The template wants turns to alternate.")


def settings(algorithm, **more):
    return make_settings(algorithm, {"max_length": 100, **more})


def test_old_turns_go_first_and_cost_nothing_else():
    for algorithm in ("sft", "dpo", "reward", "kto"):
        assert fitted(FITS, settings(algorithm)) == FITS
        assert fitted(OLD_TURNS, settings(algorithm)) == OLD_TURNS.model_copy(update={"prompt": 50})
        assert fit_findings([(1, FITS), (2, OLD_TURNS)], settings(algorithm)) == []


def test_an_answer_to_imitate_is_cut_and_any_other_row_set_aside():
    assert fitted(LONG_ANSWER, settings("sft")).answers == [60, 10]
    (note,) = fit_findings([(1, FITS), (2, LONG_ANSWER)], settings("sft"))
    assert note.sentence == "Longer than max_length = 100 tokens: row 2 is cut at the end of the answer, which then teaches no end."
    assert note.remedy.startswith("max_length = 110 would keep all of them")
    (note,) = fit_findings([(1, FITS), (2, LONG_ANSWER), (3, LONG_QUESTION)], settings("dpo"))
    assert note.sentence == "Longer than max_length = 100 tokens: 2 rows (2, 3) are set aside."


def test_a_prompt_to_practise_on_needs_room_for_an_answer():
    prompt = RowSize(prompt=40, question=40, answers=[])
    assert fitted(prompt, settings("ppo", max_new_tokens=60)) == prompt
    (note,) = fit_findings([(7, prompt), (8, RowSize(prompt=9, question=9, answers=[]))], settings("ppo", max_new_tokens=61))
    assert "row 7 is set aside" in note.sentence
    assert "101" in note.remedy


def test_a_refused_row_is_named_with_the_reason_and_many_are_counted():
    (note,) = fit_findings([(1, FITS), (31, REFUSED)], settings("sft"))
    assert note.sentence == "Row 31 is set aside: The template wants turns to alternate."
    numbered = [(n, REFUSED) for n in range(1, 1201)]
    (note,) = fit_findings([*numbered, (1201, FITS)], settings("sft"))
    assert note.sentence.startswith("1,200 rows (1, 2, 3, 4, 5 …) are set aside:")


def test_where_no_row_is_left_the_run_is_refused_with_the_reason():
    with pytest.raises(NotEnoughFeedback, match=r"None of the rows can be used. Row 1 is set aside: The template") as trouble:
        fit_findings([(1, REFUSED)], settings("sft"))
    assert trouble.value.hint
    with pytest.raises(NotEnoughFeedback, match="max_length = 100"):
        fit_findings([(1, LONG_QUESTION)], settings("dpo"))


def test_guessed_sizes_can_always_be_shortened():
    assert fitted(RowSize(prompt=3000, answers=[60]), settings("dpo")).prompt == 40
