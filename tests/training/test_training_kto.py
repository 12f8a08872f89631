"""What the KTO trainer makes of thumbs."""

import pytest
import torch

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.feedback.snapshot import ThumbedAnswer
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.kto import KtoTrainer, Thumbed, class_weights, partners
from rlhf_desktop.training.run import RunFiles
from tests.training.folders import ask, events, make_run, rankings, thumbs


def trainer(folder, base, rows, **settings):
    return KtoTrainer(RunFiles(make_run(folder, "kto", base, rows, **{"watched_prompts": 0, **settings})))


def after(tmp_path, base, rows, steps=4, **settings):
    """The trained tensors after a few steps."""
    made = trainer(tmp_path / f"run-{len(list(tmp_path.iterdir()))}", base, rows, **settings)
    made.prepare(resumed=False)
    for step in range(min(steps, made.total_steps)):
        made.step(step)
    return {name: tensor.clone() for name, tensor in made.optimizer.masters.items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_more_epochs_are_more_steps_and_watched_prompts_are_sampled(tiny_model, tmp_path):
    made = trainer(tmp_path / "a", tiny_model, thumbs(), epochs=3, watched_prompts=2)
    assert made.total_steps == 3 * 2
    made.prepare(resumed=False)
    made.evaluate(made.total_steps)
    assert len({event["prompt"] for event in events(tmp_path / "a", "sample")}) == 2


def test_the_weight_of_an_answer_counts(tiny_model, tmp_path):
    lighter = [row.model_copy(update={"weight": 0.2}) if i == 0 else row for i, row in enumerate(thumbs())]
    assert not equal(after(tmp_path, tiny_model, lighter), after(tmp_path, tiny_model, thumbs()))


# --- partners and weights -----------------------------------------------------------------------------------------------------


def test_every_row_has_a_partner_from_another_prompt_where_there_is_one():
    rows = thumbs()
    found = partners(rows, seed=3)
    assert all(rows[i].prompt != rows[j].prompt for i, j in enumerate(found))
    assert found == partners(rows, seed=3) != partners(rows, seed=4)


def test_rows_of_one_prompt_are_each_others_partners_and_one_row_is_its_own():
    rows = [ThumbedAnswer(prompt=ask("a"), text=text, desirable=True) for text in "abc"]
    assert all(i != j for i, j in enumerate(partners(rows, seed=0)))
    assert partners(rows[:1], seed=0) == [0]


def item(desirable, weight=1.0):
    group = Group([1], [[2]])
    return Thumbed(group, group, desirable, weight)


def test_good_and_bad_answers_weigh_alike_together_however_many_there_are():
    items = [item(True), item(False), item(False), item(False, 0.5)]
    found = class_weights(items, 2.0)
    assert found[True] * 1 == pytest.approx(2 * found[False] * 2.5)
    assert class_weights([item(True)], 2.0) == {True: 1.0, False: 1.0}


# --- what it says -------------------------------------------------------------------------------------------------------------


def test_no_thumbs_is_said(tiny_model, tmp_path):
    with pytest.raises(NotEnoughFeedback, match="good or bad"):
        trainer(tmp_path / "a", tiny_model, rankings())


def test_only_bad_answers_train_with_a_warning(tiny_model, tmp_path):
    made = trainer(tmp_path / "a", tiny_model, [row for row in thumbs() if not row.desirable])
    made.prepare(resumed=False)
    metrics = made.step(0)
    assert "rewards/chosen" not in metrics
    assert metrics["rewards/rejected"] == pytest.approx(0, abs=1e-6)
    (warning,) = events(tmp_path / "a", "warning")
    assert "All the answers are called bad" in warning["message"]


def test_the_drift_is_measured_on_foreign_answers_and_holds_back_good_ones(tiny_model, tmp_path):
    """A policy that has drifted towards every answer gains less from a good one."""
    made = trainer(tmp_path / "a", tiny_model, thumbs())
    made.prepare(resumed=False)
    assert float(made._drift(made.items)) == pytest.approx(0, abs=1e-4)
    for group, logprob in list(made.reference.items()):
        made.reference[group] = logprob - 2.0  # as if the policy gave every answer two nats more than the reference
    assert float(made._drift(made.items)) == pytest.approx(2, abs=1e-4)
    metrics = made.evaluate(0)
    assert metrics["eval/objective/kl"] == pytest.approx(2, abs=1e-4)
    assert metrics["eval/loss"] == pytest.approx(0.5, abs=1e-4)
    assert metrics["eval/rewards/chosen"] == pytest.approx(0.2, abs=1e-4)
