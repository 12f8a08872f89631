"""What the reward trainer makes of rankings, marks, margins and marked parts."""

import json

import pytest
import torch
from safetensors.torch import load_file

from rlhf_desktop.core.runs import parse_event
from rlhf_desktop.evaluation.reward_report import RewardReport
from rlhf_desktop.feedback.snapshot import RankedAnswers, RankedText
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.reward import RewardTrainer, draw_prompts, usual_part
from rlhf_desktop.training.reward_model import HEAD, RewardModel, Scores
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.worker.train import main
from tests.training.folders import PROMPTS, adapter_of, ask, demonstrations, events, make_run, marked, rankings, ratings


def trainer(folder, base, rows, **settings):
    return RewardTrainer(RunFiles(make_run(folder, "reward", base, rows, **settings)))


# --- margins, marks and ties --------------------------------------------------------------------------------------------------


def lead_after(tiny_model, tmp_path, margin):
    """How far training drives two answers apart."""
    row = RankedAnswers(
        prompt=ask("Help me"), completions=[RankedText(text="Gladly.", rank=1), RankedText(text="No.", rank=2)], margin=margin
    )
    made = trainer(tmp_path / str(margin), tiny_model, [row], epochs=40, learning_rate=3e-3, margin=3.0, centering=0.0)
    for step in range(made.total_steps):
        last = made.step(step)
    return last["rewards/margins"]


def test_a_surer_preference_is_learned_with_a_wider_lead(tiny_model, tmp_path):
    guess, usual, sure = (lead_after(tiny_model, tmp_path, margin) for margin in (-1.0, 0.0, 1.0))
    assert guess < usual < sure


@pytest.fixture(scope="module")
def finished(tiny_model, tmp_path_factory):
    """A finished run on rankings and marks."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    make_run(folder, "reward", tiny_model, [*rankings(), *ratings()], epochs=12, learning_rate=5e-3, ensemble=2)
    assert main([str(folder)]) == 0
    return folder


def test_attributes_are_told_apart_by_their_own_heads(finished):
    """The kind answer is the wrong one, and the model knows: each head orders its own marks on the held-out prompt."""
    report = RewardReport.model_validate_json((finished / "report.json").read_text())
    assert report.attributes.keys() == {"kind", "true"}
    assert report.attributes["kind"].value == report.attributes["true"].value == 1.0


def test_each_member_is_a_standard_adapter_with_its_heads_beside_it(finished):
    description = json.loads((finished / "adapter" / "reward.json").read_text())
    assert description["attributes"] == ["kind", "true"]
    assert len(description["members"]) == 2
    for folder in (finished / "adapter", finished / "adapter" / "members" / "1"):
        assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
        assert load_file(folder / "adapter_model.safetensors")[HEAD].shape == (1, 64)
        assert load_file(folder / "heads.safetensors")["weight"].shape == (2, 64)


def test_the_scores_before_saving_are_those_after_loading(tiny_model, tmp_path):
    made = trainer(tmp_path / "run", tiny_model, [*rankings(), *ratings()], ensemble=2, learning_rate=5e-3)
    for step in range(made.total_steps):
        made.step(step)
    target = tmp_path / "adapter"
    target.mkdir()
    made.write_result(target)
    groups = [item.group for item in made.heldout]
    loaded = RewardModel.load(AdapterHost(load_base(tiny_model, dtype="float32")), target)
    torch.testing.assert_close(loaded.raw_scores(groups), made.model.raw_scores(groups), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(loaded.score_groups(groups), made.model.score_groups(groups), atol=1e-6, rtol=1e-5)
    scores = loaded.score(groups)
    members = loaded.score_groups(groups)
    torch.testing.assert_close(scores.mean, members.mean(0))
    torch.testing.assert_close(scores.least, torch.minimum(members[0], members[1]))


def test_a_reward_model_on_top_of_an_adapter_holds_it(tiny_model, tmp_path):
    sft = make_run(tmp_path / "sft", "sft", tiny_model, demonstrations(), epochs=4, learning_rate=5e-3)
    assert main([str(sft)]) == 0
    start = adapter_of(sft, tiny_model)
    made, plain = (trainer(tmp_path / name, tiny_model, rankings(), start=given) for name, given in (("on", start), ("off", None)))
    groups = [item.group for item in made.heldout]
    before = made.model.raw_scores(groups)
    assert not torch.allclose(before, plain.model.raw_scores(groups), atol=1e-3)  # the same seed: only what lies below differs
    for step in range(made.total_steps):
        made.step(step)
    assert not torch.allclose(before, made.model.raw_scores(groups), atol=1e-3)
    target = tmp_path / "adapter"
    target.mkdir()
    made.write_result(target)
    loaded = RewardModel.load(AdapterHost(load_base(tiny_model, dtype="float32")), target)
    torch.testing.assert_close(loaded.raw_scores(groups), made.model.raw_scores(groups), atol=1e-5, rtol=1e-4)


def test_marks_alone_can_train_where_one_answer_is_better_in_everything(tiny_model, tmp_path):
    made = trainer(tmp_path / "run", tiny_model, ratings())
    assert all(item.wins for item in made.items)
    assert {"loss", "rewards/accuracies"} <= made.step(0).keys()


def test_a_batch_of_ties_alone_is_a_step_without_an_accuracy(tiny_model, tmp_path):
    tie = RankedAnswers(prompt=ask("Help me"), completions=[RankedText(text="a", rank=1), RankedText(text="b", rank=1)])
    made = trainer(tmp_path / "run", tiny_model, [tie, *rankings()[:1]], batch_size=1)
    both = [made.step(0), made.step(1)]
    assert sorted("rewards/accuracies" in metrics for metrics in both) == [False, True]


def test_bad_parts_are_found_in_answers_never_seen(tiny_model, tmp_path):
    made = trainer(tmp_path / "run", tiny_model, [*rankings(), *marked()], epochs=12, learning_rate=5e-3, ensemble=2)
    for step in range(made.total_steps):
        made.step(step)
    found = made.evaluate(made.total_steps)
    assert found["eval/parts_recall"] > 0.8
    assert found["eval/parts_precision"] > 0.6
    target = tmp_path / "adapter"
    target.mkdir()
    made.write_result(target)
    loaded = RewardModel.load(AdapterHost(load_base(tiny_model, dtype="float32")), target)
    groups = [item.group for item in made.heldout]
    penalties = loaded.part_penalties(groups)
    torch.testing.assert_close(penalties, made.model.part_penalties(groups), atol=1e-6, rtol=1e-5)
    rude = penalties[-len(groups[-1].answers[0]) :]  # the last held-out row is the marked one
    assert 0.5 < float(rude.sum()) < 1.5  # a part of the usual length
    polite = penalties[: len(groups[0].answers[0])]
    assert float(polite.sum()) < 0.1


def test_without_marked_parts_nothing_is_bad(tiny_model, tmp_path):
    made = trainer(tmp_path / "run", tiny_model, rankings())
    assert made.model.part_penalties([item.group for item in made.items]).count_nonzero() == 0


def test_a_part_as_it_was_marked_on_average():
    assert usual_part([[0, 1, 1, 0, 2.0], [1, 1, 1]]) == 2.0
    assert usual_part([[0.0], []]) == 0.0


# --- the ensemble -------------------------------------------------------------------------------------------------------------


def test_scores_of_an_ensemble_by_literal_numbers():
    scores = Scores.of(torch.tensor([[1.0, 4.0], [3.0, 4.0]]))
    assert (scores.mean.tolist(), scores.std.tolist(), scores.least.tolist()) == ([2.0, 4.0], [1.0, 0.0], [1.0, 4.0])
    assert Scores.of(torch.tensor([[1.0, 4.0]])).std.tolist() == [0.0, 0.0]


def test_a_bootstrap_draws_whole_prompts():
    prompts = [f"p{i // 3}" for i in range(30)]
    drawn = draw_prompts(prompts, seed=1)
    assert len(drawn) == 30
    counts = torch.bincount(torch.tensor(drawn), minlength=30).reshape(10, 3)
    assert torch.equal(counts, counts[:, :1].expand(10, 3))  # the three rows of a prompt come together
    assert 0 < int((counts[:, 0] == 0).sum()) < 9  # some prompts are left out, others come twice
    assert draw_prompts(prompts, seed=1) == drawn != draw_prompts(prompts, seed=2)


def test_members_differ_in_start_and_in_what_they_see(tiny_model, tmp_path):
    made = trainer(tmp_path / "run", tiny_model, rankings(), ensemble=4)
    seen = [sorted(i for batch in batches[:2] for i in batch) for batches in made.batches]
    assert len({tuple(s) for s in seen}) > 1
    heads = [optimizer.masters[f"reward-{m}/{HEAD}"] for m, optimizer in enumerate(made.optimizers)]
    assert not torch.equal(heads[0], heads[1])
    alone = trainer(tmp_path / "alone", tiny_model, rankings())
    assert sorted(i for batch in alone.batches[0][:2] for i in batch) == list(range(5))


# --- the report ---------------------------------------------------------------------------------------------------------------


def test_the_report_lies_in_the_run_folder_and_its_numbers_are_metrics(finished):
    report = RewardReport.model_validate_json((finished / "report.json").read_text())
    found = [parse_event.validate_python(event) for event in events(finished, "artifact")]
    assert [(event.path, event.kind) for event in found] == [("report.json", "report"), ("adapter", "reward")]
    last = [event["values"] for event in events(finished, "metrics") if "eval/ece" in event["values"]][-1]
    assert last["eval/rewards/accuracies"] == pytest.approx(report.accuracy.value)
    assert {"eval/temperature", "eval/accuracy_low", "eval/accuracy_high", "eval/ensemble_spread"} <= last.keys()
    assert report.members == 2
    assert report.ties == 1
    assert json.loads((finished / "adapter" / "reward.json").read_text())["heldout_accuracy"] == report.accuracy.value


def test_without_held_out_comparisons_there_is_no_report(tiny_model, tmp_path):
    rows = [row for row in rankings() if row.split == "train"]
    folder = make_run(tmp_path / "run", "reward", tiny_model, rows, epochs=1)
    assert main([str(folder)]) == 0
    assert not (folder / "report.json").exists()
    assert [event["kind"] for event in events(folder, "artifact")] == ["reward"]


def test_the_report_is_by_prompt(tiny_model, tmp_path):
    rows = [row.model_copy(update={"split": "heldout" if i % 2 else "train"}) for i, row in enumerate([*rankings(), *rankings()])]
    made = trainer(tmp_path / "run", tiny_model, rows)
    made.evaluate(0)
    assert made.report.prompts == len(PROMPTS) / 2
    assert made.report.answers == 24
