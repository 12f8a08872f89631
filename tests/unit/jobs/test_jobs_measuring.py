"""Asking a worker to measure: remembered for the same question, and every failure is a sentence."""

import json
import sys

import pytest

from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
from rlhf_desktop.core.measures import Line, ModelCheck, Rates, TextRow
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.jobs.measuring import calibrate, check_model, known_rates

BASE = ModelRef(name="tiny", path="/nowhere", hash="b" * 64)
ROWS = [TextRow(prompt=[{"role": "user", "content": "Q"}], answers=["A"])]
LINE = Line(fixed_s=0.1, each_s=0.01)
RATES = Rates(
    base_hash=BASE.hash, device="cpu", dtype="float32", parameters=1, forward=LINE, train=LINE, train_wide=LINE,
    attention_forward_s=0.0, attention_train_s=0.0, new_forward=LINE, new_train=LINE, head_forward_s=0.0, head_train_s=0.0,
    decode=LINE, optimizer_s=0.0, checkpoint_s=0.0, answer_tokens=[3], loaded_bytes=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))


def says(value, tmp_path):
    """A worker that answers so, and counts how often it is asked."""
    count = tmp_path / "count"
    text = f"import sys; sys.stdin.read(); open({str(count)!r}, 'a').write('x'); print({json.dumps(value)!r})"
    return [sys.executable, "-c", text], lambda: len(count.read_text())


def test_the_same_question_is_asked_once(tmp_path):
    command, asked = says(ModelCheck(has_template=True).model_dump(), tmp_path)
    first = check_model(BASE, ROWS, command=command)
    moved = BASE.model_copy(update={"path": "/elsewhere"})
    assert check_model(moved, ROWS, command=command) == first
    assert asked() == 1
    check_model(BASE, [], command=command)
    check_model(BASE.model_copy(update={"hash": "c"}), ROWS, command=command)
    assert asked() == 3


def test_a_mended_template_is_looked_at_anew(tmp_path):
    command, asked = says(ModelCheck(has_template=True).model_dump(), tmp_path)
    base = BASE.model_copy(update={"path": str(tmp_path)})
    check_model(base, command=command)
    (tmp_path / "chat_template.jinja").write_text("new")
    check_model(base, command=command)
    check_model(base, command=command)
    assert asked() == 2


def test_rates_are_remembered_by_model_and_number_format(tmp_path):
    command, asked = says(RATES.model_dump(), tmp_path)
    assert known_rates(BASE) is None
    assert calibrate(BASE, command=command) == known_rates(BASE) == RATES
    assert known_rates(BASE, "float32") is None
    calibrate(BASE, command=command, refresh=True)
    assert asked() == 2


def test_a_trouble_of_the_worker_is_passed_on(tmp_path):
    trouble = {"error": {"message": "The tokenizer cannot be read.", "hint": "Copy it again.", "detail": "x"}}
    with pytest.raises(ModelTrouble, match="tokenizer cannot be read"):
        check_model(BASE, command=says(trouble, tmp_path)[0])


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "print('nonsense')", "print('[1]')"])
def test_a_worker_that_fails_is_said(program):
    with pytest.raises(WorkerTrouble):
        check_model(BASE, command=[sys.executable, "-c", program])


def test_a_missing_program_is_said():
    with pytest.raises(WorkerTrouble, match="could not be measured"):
        check_model(BASE, command=["/nowhere/python"])
