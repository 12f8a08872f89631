"""What a batch of PPO is worth and what its update descends, beside loops over plain numbers. For whole runs: test_training_run."""

import math

import numpy as np
import pytest
import torch

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training import losses
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.ppo import PpoTrainer
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.scale import Scale
from rlhf_desktop.training.watchdog import Verdict
from tests.training.folders import adapter_of, ask, events, make_run

PROMPTS = [PracticePrompt(prompt=ask(f"Where is my lamp number {n}?")) for n in range(2)]
SETTINGS = {
    "episodes": 16,
    "batch_size": 4,
    "samples_per_prompt": 2,
    "max_new_tokens": 8,
    "ppo_epochs": 1,
    "minibatches": 1,
    "learning_rate": 1e-3,
    "kl_coef": 0.1,
    "kl_target": 0.0,
    "reward_std_coef": 0.5,
    "score_clip": 2.0,
    "part_penalty": 0.25,
    "length_penalty": 0.5,
    "missing_end_penalty": 0.7,
    "watched_prompts": 0,
}


@pytest.fixture(scope="module")
def scorer(tiny_model, tmp_path_factory):
    """Two members with random heads, that of bad parts among them."""
    folder = tmp_path_factory.mktemp("scorer")
    (folder / "adapter").mkdir()
    host = AdapterHost(load_base(tiny_model, dtype="float32"))
    model = RewardModel.create(host, count=2, rank=2, alpha=4, seed=0, part_tokens=2.0)
    masters = {f"{m.name}/{key}": p for m in model.members for key, p in host.parameters(m.name).items()}
    model.save(folder / "adapter", {**masters, **{f"{m.name}/{HEAD}": m.head for m in model.members}}, {})
    return adapter_of(folder, tiny_model)


@pytest.fixture
def make(tiny_model, scorer, tmp_path):
    def trainer(rows=PROMPTS, **settings):
        folder = make_run(tmp_path / "run", "ppo", tiny_model, rows, reward=scorer, **{**SETTINGS, **settings})
        return PpoTrainer(RunFiles(folder))

    return trainer


def captured(trainer, monkeypatch):
    """What the trainer practises, as it is made."""
    seen, practise = [], trainer._practise
    monkeypatch.setattr(trainer, "_practise", lambda *args, **options: seen.append(practise(*args, **options)) or seen[-1])
    return seen


def test_a_score_is_cautious_on_the_usual_scale_clipped_and_pays_for_length_and_for_not_ending(make, monkeypatch):
    trainer = make()
    trainer.scale = Scale(mean=1.0, std=2.0, length=4.0, reward=0.3, recent=8.0)  # answers have become twice as long
    members = torch.tensor([[3.0, 9.0, 1.0, -7.0], [1.0, 9.0, 5.0, -7.0]])
    parts = []
    monkeypatch.setattr(trainer.reward, "score_groups", lambda groups: members)
    monkeypatch.setattr(
        trainer.reward, "part_penalties", lambda groups: parts.append(sum(g.tokens for g in groups)) or _ones(groups)
    )
    answers = trainer._practise(trainer.prompts, 2, 0)
    assert answers.raw_scores.tolist() == [1.5, 9.0, 2.0, -7.0]  # means 2, 9, 3, −7; half of 1, 0, 2, 0 taken off
    assert answers.disagreement == 0.75
    on_scale = [0.25, 2.0, 0.5, -2.0]  # (s − 1) / 2 within ±2
    for found, start, ended, length in zip(answers.scores.tolist(), on_scale, answers.ended.tolist(), answers.lengths, strict=True):
        slope = 2 * 0.5 * math.log2(8 / 4) / math.log(2) * (length / 4 - 1)
        assert found == pytest.approx(start - (0.0 if ended else 0.7) - slope, abs=1e-6)
    assert answers.bad_parts.tolist() == [0.25] * sum(answers.lengths)
    assert trainer.scale.recent == 8.0  # only a batch that is learned from counts as lately


def _ones(groups):
    return torch.ones(sum(len(answer) for group in groups for answer in group.answers))


@pytest.mark.parametrize("ends", [True, False])
def test_answers_that_end_keep_their_score(make, monkeypatch, ends):
    trainer = make(length_penalty=0.0)
    trainer.scale = Scale(mean=0.0, std=1.0, length=4.0)
    monkeypatch.setattr(trainer.reward, "score_groups", lambda groups: torch.ones(2, 2))
    groups, _, _ = trainer._sample(trainer.prompts[:1], 2, 0)
    assert trainer._scores(groups, torch.tensor([ends, ends]), trainer._raw_scores(groups)[0]).tolist() == pytest.approx(
        [1.0 if ends else 0.3] * 2
    )


def test_the_first_answers_ever_scored_set_the_scale_and_what_is_usual(make):
    trainer = make()
    groups, ended, _ = trainer._sample(trainer.prompts, 2, 0)
    scores = trainer._scores(groups, ended, torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert trainer.scale.mean == 3.0
    assert trainer.scale.std == pytest.approx(math.sqrt(3.5))
    assert trainer.scale.reward == pytest.approx(float(scores.mean()))
    before = vars(trainer.scale).copy()
    trainer._scores(groups, ended, torch.tensor([9.0, 9.0, 9.0, 9.0]))
    assert vars(trainer.scale) == before


@pytest.mark.parametrize("baseline", ["value", "rloo", "grpo"])
def test_one_update_descends_the_loss_of_its_equation(make, monkeypatch, baseline):
    """Before any update the ratio is 1, so the policy's loss is minus the mean advantage and the value's half the squared error."""
    trainer = make(baseline=baseline)
    trainer.prepare(resumed=False)
    trainer.value_head.data.normal_(std=0.1, generator=torch.Generator().manual_seed(0))  # it foresees something
    seen = captured(trainer, monkeypatch)
    values = trainer.step(0)
    (answers,) = seen
    advantages, returns = (part.numpy() for part in answers.advantages(baseline, 0.1, trainer.settings.gae_lambda))
    assert values["loss/policy"] == pytest.approx(-advantages.mean(), abs=1e-5)
    assert values["policy/clipfrac"] == 0
    assert values["objective/kl_coef"] == 0.1
    assert values["objective/rlhf_reward"] == pytest.approx(float(answers.scores.mean()) - 0.1 * values["objective/kl"], abs=1e-6)
    normal = (answers.raw_scores.numpy() - trainer.scale.mean) / trainer.scale.std
    assert values["objective/scores"] == pytest.approx(normal.mean(), abs=1e-5)
    assert values["objective/bad_parts"] == pytest.approx(float(answers.bad_parts.sum()) / 4, abs=1e-6)
    if baseline == "value":
        foreseen = answers.values.numpy()
        assert values["loss/value"] == pytest.approx(((foreseen - returns) ** 2).mean() / 2, rel=1e-5)
        assert values["value/explained"] == pytest.approx(1 - np.var(returns - foreseen) / np.var(returns), abs=1e-5)
    else:
        assert not {"loss/value", "value/explained"} & values.keys()


@pytest.mark.parametrize("baseline", ["value", "rloo", "grpo"])
def test_an_update_makes_what_scored_well_likelier(make, monkeypatch, baseline):
    """All else equal: the first answer to each prompt scores high, the second low."""
    free = {"kl_coef": 0.0, "part_penalty": 0.0, "missing_end_penalty": 0.0, "length_penalty": 0.0, "reward_std_coef": 0.0}
    trainer = make(baseline=baseline, **free)
    monkeypatch.setattr(trainer.reward, "score_groups", lambda groups: torch.tensor([[1.0, -1.0] * len(groups)]))
    trainer.prepare(resumed=False)
    seen = captured(trainer, monkeypatch)
    trainer.step(0)
    (answers,) = seen
    trainer.host.activate(trainer.stack.policy)
    after = trainer._passes(answers.groups, answers.micro, trainer.stack.policy, entropy=False)[0]
    owner = torch.arange(4).repeat_interleave(torch.tensor(answers.lengths))
    gained = torch.zeros(4).index_add(0, owner, after - answers.logprobs)
    assert (gained[::2] > 0).all()
    assert (gained[1::2] < 0).all()


def test_the_values_start_at_the_usual_reward(make):
    trainer = make()
    trainer.prepare(resumed=False)
    trainer._practise(trainer.prompts, 2, 0)
    assert trainer.scale.reward != 0
    answers = trainer._practise(trainer.prompts, 2, 1)
    assert answers.values.tolist() == pytest.approx([trainer.scale.reward] * sum(answers.lengths), abs=1e-6)


def test_the_kl_is_priced_by_the_distance_from_the_reference(make, monkeypatch):
    """After updates the policy and the reference differ, and the answers' KL is the difference of their log-probabilities."""
    trainer = make(learning_rate=1e-2)
    trainer.prepare(resumed=False)
    trainer.step(0)
    answers = trainer._practise(trainer.prompts, 2, 5)
    policy = trainer._passes(answers.groups, answers.micro, trainer.stack.policy, entropy=False)[0]
    reference = trainer._passes(answers.groups, answers.micro, trainer.stack.reference, entropy=False)[0]
    torch.testing.assert_close(answers.gain, policy - reference)
    assert float(answers.gain.abs().max()) > 1e-3


# --- how a batch is gone through ----------------------------------------------------------------------------------------------


def test_each_pass_takes_every_answer_once_in_as_many_updates_as_asked_for_in_another_order(make, monkeypatch):
    trainer = make(batch_size=12, samples_per_prompt=2, ppo_epochs=3, minibatches=2, rows=practice_on(6))
    trainer.prepare(resumed=False)
    seen, update = [], trainer._minibatch
    monkeypatch.setattr(trainer, "_minibatch", lambda answers, micro, *more: seen.append(micro) or update(answers, micro, *more))
    trainer.step(0)
    assert len(seen) == 3 * 2
    passes = [[group for micro in seen[at : at + 2] for picks in micro for group in picks] for at in (0, 2, 4)]
    assert [sorted(one) for one in passes] == [list(range(6))] * 3
    assert len({tuple(map(tuple, (tuple(map(tuple, micro)) for micro in seen[at : at + 2]))) for at in (0, 2, 4)}) > 1
    sizes = [sum(map(len, micro)) for micro in seen]
    assert max(sizes) <= 4  # about half of the six each


def test_two_prompts_in_two_minibatches_are_two_updates(make, monkeypatch):
    trainer = make(minibatches=2)
    trainer.prepare(resumed=False)
    seen, update = [], trainer._minibatch
    monkeypatch.setattr(trainer, "_minibatch", lambda answers, micro, *more: seen.append(micro) or update(answers, micro, *more))
    trainer.step(0)
    assert sorted(seen) == [[[0]], [[1]]]


def test_what_is_known_of_the_answers_is_that_of_a_plain_pass(make):
    trainer = make(temperature=1.5)
    trainer.prepare(resumed=False)
    answers = trainer._practise(trainer.prompts, 2, 0)
    trainer.host.activate(trainer.stack.policy)
    logprobs, entropies = [], []
    for group in answers.groups:
        for answer in group.answers:
            with torch.no_grad():
                logits = trainer.host.model(input_ids=torch.tensor([group.prompt + answer])).logits[0, len(group.prompt) - 1 : -1]
            every = (logits.float() / 1.5).log_softmax(-1)
            logprobs += every.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()
            entropies += (-(every.exp() * every).sum(-1)).tolist()
    assert answers.logprobs.tolist() == pytest.approx(logprobs, abs=1e-4)
    assert answers.reference.tolist() == pytest.approx(logprobs, abs=1e-4)  # nothing was learned yet
    assert answers.entropy.tolist() == pytest.approx(entropies, abs=1e-3)
    assert 0 < answers.mismatch < 1e-3


def practice_on(count, split="train"):
    return [PracticePrompt(prompt=ask(f"Where is my lamp number {n}?"), split=split) for n in range(count)]


@pytest.mark.parametrize(("episodes", "batch_size", "k", "steps", "prompts"), [(16, 4, 2, 4, 2), (17, 4, 2, 5, 2), (3, 4, 4, 1, 1)])
def test_all_prompts_are_practised_alike_until_the_episodes_are_done(make, episodes, batch_size, k, steps, prompts):
    trainer = make(episodes=episodes, batch_size=batch_size, samples_per_prompt=k, rows=practice_on(3))
    assert trainer.total_steps == len(trainer.batches) == steps
    assert {len(batch) for batch in trainer.batches} == {prompts}
    flat = [i for batch in trainer.batches for i in batch]
    assert all(sorted(flat[at : at + 3]) == [0, 1, 2] for at in range(0, len(flat) - 2, 3))
    assert trainer.eval_every == math.ceil(steps / 4)


def test_the_value_head_learns_and_is_there_only_where_values_are(make):
    trainer = make()
    trainer.prepare(resumed=False)
    trainer.step(0)
    assert float(trainer.optimizer.masters["value_head"].abs().max()) > 0


def test_without_values_there_is_no_value_head(make):
    assert "value_head" not in make(baseline="rloo").optimizer.masters


def test_the_kl_price_is_steered_by_each_batch_and_what_was_practised_is_counted(make, monkeypatch):
    trainer = make(kl_target=2.0)
    trainer.prepare(resumed=False)
    seen = captured(trainer, monkeypatch)
    values = trainer.step(0)
    (answers,) = seen
    assert values["objective/kl_coef"] == trainer.kl_coef == pytest.approx(losses.steer_kl(0.1, answers.health.kl, 2.0))
    assert trainer.kl_coef < 0.1  # nothing has drifted yet
    assert trainer.counts.examples == 4
    assert trainer.counts.tokens == sum(len(g.prompt) + sum(map(len, g.answers)) for g in answers.groups)


def test_answers_are_drawn_by_their_seed_and_end_where_they_say(make):
    trainer = make()
    end_ids = set(trainer.host.base.end_ids)
    groups, ended, logprobs = trainer._sample(trainer.prompts, 2, 3)
    again, other = trainer._sample(trainer.prompts, 2, 3)[0], trainer._sample(trainer.prompts, 2, 4)[0]
    assert groups == again != other
    assert [group.prompt for group in groups] == trainer.prompts
    answers = [answer for group in groups for answer in group.answers]
    assert ended.tolist() == [answer[-1] in end_ids for answer in answers]
    assert len(logprobs) == sum(map(len, answers))


# --- what is refused, and the watchdog ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "refused"), [(["<think>a", "b"], False), (["<think>a", "\n<think>b", "c"], True), (["a", "b"], False)]
)
def test_a_model_that_thinks_before_most_answers_is_refused(make, texts, refused):
    trainer = make()
    ids = [trainer.host.base.tokenizer.encode(text, add_special_tokens=False) for text in texts]
    if not refused:
        trainer._refuse_thoughts([Group([1], ids)])
        return
    with pytest.raises(ModelTrouble, match="thinks before most answers") as caught:
        trainer._refuse_thoughts([Group([1], ids)])
    assert caught.value.hint.startswith("Teach by example first")


@pytest.mark.parametrize(
    ("action", "scale", "warns", "falls_back"),
    [("none", 1.0, False, False), ("warn", 1.0, True, False), ("slow", 0.5, True, False), ("stop", 1.0, False, True)],
)
def test_what_the_watchdog_says_is_done(make, monkeypatch, action, scale, warns, falls_back):
    trainer = make()
    trainer.prepare(resumed=False)
    trainer.watchdog.best = {name: tensor.clone() for name, tensor in trainer.optimizer.masters.items()}
    before = trainer._practise(trainer.prompts, 2, 9)
    trainer.step(0)
    monkeypatch.setattr(trainer.watchdog, "look", lambda health: Verdict(action, "short", "The answers shrank."))
    trainer._obey_watchdog(before.health)
    assert trainer.optimizer.scale == scale
    said = [event for event in events(trainer.run.folder, "warning") if event["code"].startswith("watchdog")]
    assert [(event["code"], event["message"]) for event in said] == [("watchdog/short", "The answers shrank.")] * warns
    after = trainer._passes(before.groups, before.micro, trainer.stack.policy, entropy=False)[0]
    assert torch.equal(after, before.logprobs) is falls_back


def test_held_out_prompts_are_answered_for_the_best_parameters(make, monkeypatch):
    trainer = make(rows=[*practice_on(3), PracticePrompt(prompt=ask("Held out?"), split="heldout")])
    trainer.prepare(resumed=False)
    seen, considered = captured(trainer, monkeypatch), []
    monkeypatch.setattr(trainer.watchdog, "consider", lambda *said: considered.append(said))
    trainer.step(0)
    values = trainer.evaluate(1)
    _, first, last = seen
    assert [len(batch.ids) for batch in seen] == [4, 1, 1]
    assert [group.prompt for group in first.groups] == [group.prompt for group in last.groups] == trainer.heldout
    assert values["eval/scores"] == pytest.approx(float(last.scores.mean()))
    named = {"eval/kl": "kl", "eval/length": "length", "eval/ended": "ended", "eval/distinct_2": "distinct_2"}
    assert {name: values[name] for name in named} == {name: getattr(last.health, field) for name, field in named.items()}
    assert [said[:2] for said in considered] == [(float(batch.scores.mean()), batch.health) for batch in (first, last)]


def test_without_held_out_prompts_the_practised_answers_say_which_parameters_are_best(make, monkeypatch):
    trainer = make()
    trainer.prepare(resumed=False)
    seen, considered = captured(trainer, monkeypatch), []
    monkeypatch.setattr(trainer.watchdog, "consider", lambda *said: considered.append(said[0]))
    assert trainer.evaluate(1) == {}
    trainer.step(0)
    trainer.step(1)
    assert considered == [float(seen[1].scores.mean())]  # the first is what it started from
