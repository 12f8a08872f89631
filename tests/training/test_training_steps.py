"""The loss that a step of SFT, DPO, KTO and the reward trainer descends, beside loops over one answer at a time.

The log-probabilities are those of a plain pass; a step has been taken before, so that the policy is no longer the reference.
"""

import math

import numpy as np
import pytest
import torch

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.snapshot import RankedAnswers, RankedText, ThumbedAnswer
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.worker.train import TRAINERS
from tests.training.folders import ask, demonstrations, events, make_run, marked, ratings, thumbs

SHARED = {"batch_size": 4, "epochs": 2, "learning_rate": 5e-3, "warmup": 0.0}


def begun(folder, algorithm, base, rows, **settings):
    """A trainer after its first step."""
    watched = {} if algorithm == "reward" else {"watched_prompts": 0}
    trainer = TRAINERS[algorithm](RunFiles(make_run(folder, algorithm, base, rows, **{**SHARED, **watched, **settings})))
    trainer.prepare(resumed=False)
    trainer.step(0)
    return trainer


@torch.no_grad()
def plain(trainer, adapters, prompt, answer):
    """Log-probability and entropy of each of an answer's tokens."""
    trainer.host.activate(adapters)
    logits = trainer.host.model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].float()
    every = logits.log_softmax(-1)
    logprobs = every.gather(1, torch.tensor(answer)[:, None])[:, 0].double().numpy()
    return logprobs, -(every.exp() * every).sum(-1).double().numpy()


def gains(trainer, group):
    """log π − log π_ref of each of a group's answers, and their lengths."""
    found = []
    for answer in group.answers:
        policy, reference = (
            plain(trainer, part, group.prompt, answer)[0] for part in (trainer.stack.policy, trainer.stack.reference)
        )
        found.append(policy.sum() - reference.sum())
    trainer.host.activate(trainer.stack.policy)
    return np.array(found), np.array([len(answer) for answer in group.answers])


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# --- SFT ----------------------------------------------------------------------------------------------------------------------


def test_sft_descends_the_mean_over_the_tokens_of_the_answers(tiny_model, tmp_path):
    made = begun(tmp_path / "run", "sft", tiny_model, demonstrations())
    items = [made.items[i] for i in made.batches[1]]
    passes = [plain(made, made.stack.policy, item.prompt, item.answers[0]) for item in items]
    counted, tokens = made.counts.examples, made.counts.tokens
    heldout = plain(made, made.stack.policy, made.heldout[0].prompt, made.heldout[0].answers[0])[0]
    assert made.evaluate(1)["eval/loss"] == pytest.approx(-heldout.mean(), rel=1e-4)
    found = made.step(1)
    assert found["loss"] == pytest.approx(-np.concatenate([logprobs for logprobs, _ in passes]).mean(), rel=1e-4)
    assert found["policy/entropy"] == pytest.approx(np.concatenate([entropy for _, entropy in passes]).mean(), rel=1e-4)
    assert made.counts.examples == counted + len(items)
    assert made.counts.tokens == tokens + sum(len(item.prompt) + len(item.answers[0]) for item in items)
    assert made.evaluate(2)["eval/loss"] < -heldout.mean()


# --- DPO ----------------------------------------------------------------------------------------------------------------------


def sure(prompt, margin, split="train"):
    texts = ("I am very sorry to hear that.", "No.", "Thank you. We will send a new one.", "Fine")
    completions = [RankedText(text=text, rank=rank) for text, rank in zip(texts, (1, 3, 1, 2), strict=True)]
    return RankedAnswers(prompt=ask(prompt), completions=completions, margin=margin, split=split)


SURE = [
    sure("Help me", 1.0),
    sure("The kettle leaks!", -0.5),
    sure("Where is it?", 0.25),
    sure("My phone is dead.", 0.5, "heldout"),
]


def dpo_losses(trainer, item, kind, smoothing):
    """By pair (loss, lead), written out."""
    s = trainer.settings
    gain, lengths = gains(trainer, item.group)
    gain = gain / lengths if kind == "ipo" else gain
    out = []
    for i, j in item.wins:
        h = gain[i] - gain[j] - s.margin * item.margin / s.beta
        plain_loss = -(1 - smoothing) * log_sigmoid(s.beta * h)
        losses = {
            "ipo": (h - 1 / (2 * s.beta)) ** 2,
            "sigmoid": plain_loss - smoothing * log_sigmoid(-s.beta * h),
            "robust": (plain_loss + smoothing * log_sigmoid(-s.beta * h)) / (1 - 2 * smoothing),
        }
        out.append((losses[kind], s.beta * (gain[i] - gain[j])))
    return out


@pytest.mark.parametrize(("kind", "smoothing"), [("sigmoid", 0.1), ("robust", 0.2), ("ipo", 0.0)])
def test_dpo_descends_the_mean_over_the_pairs(tiny_model, tmp_path, kind, smoothing):
    options = {"beta": 0.3, "margin": 0.4, "loss": kind, "label_smoothing": smoothing, "batch_size": 2}
    made = begun(tmp_path / "run", "dpo", tiny_model, SURE, **options)
    items = [made.items[i] for i in made.batches[1]]
    expected = [pair for item in items for pair in dpo_losses(made, item, kind, smoothing)]
    assert len(expected) == 5 * len(items)  # of six pairs of four answers one is a tie
    counted, tokens = made.counts.examples, made.counts.tokens
    unseen = np.mean(dpo_losses(made, made.heldout[0], kind, smoothing), axis=0)
    heldout = made.evaluate(1)
    assert [heldout["eval/loss"], heldout["eval/rewards/margins"]] == pytest.approx(unseen.tolist(), rel=1e-3)
    found = made.step(1)
    assert [found["loss"], found["rewards/margins"]] == pytest.approx(np.mean(expected, axis=0).tolist(), rel=1e-3)
    assert found["rewards/accuracies"] == pytest.approx(np.mean([lead > 0 for _, lead in expected]))
    assert made.counts.examples == counted + len(expected)
    assert made.counts.tokens == tokens + sum(len(i.group.prompt) + sum(map(len, i.group.answers)) for i in items)


# --- KTO ----------------------------------------------------------------------------------------------------------------------


def test_kto_descends_the_weighted_mean_around_the_drift(tiny_model, tmp_path):
    said = [("Help me", "I am sorry.", True, 1.0), ("The kettle leaks!", "No.", False, 0.5), ("Where is it?", "Here.", True, 0.25)]
    rows = [ThumbedAnswer(prompt=ask(p), text=t, desirable=good, weight=w) for p, t, good, w in said]
    made = begun(tmp_path / "run", "kto", tiny_model, rows, batch_size=2, beta=0.2, desirable_weight=3.0)
    for group, logprob in list(made.reference.items()):
        made.reference[group] = logprob - 0.5  # so that there is a drift
    items = [made.items[i] for i in made.batches[1]]
    drift = max(0.0, np.mean([gains(made, item.foreign)[0][0] + 0.5 for item in items]))
    good, bad = 3.0 * (1.25 + 0.5) / (2 * 1.25), (1.25 + 0.5) / (2 * 0.5)
    losses, rewards = [], []
    for item in items:
        gain = gains(made, item.own)[0][0] + 0.5
        side = 1 if item.desirable else -1
        losses.append(item.weight * (good if item.desirable else bad) * (1 - sigmoid(0.2 * side * (gain - drift))))
        rewards.append((item.desirable, 0.2 * gain, (gain > drift) == item.desirable))
    counted, tokens = made.counts.examples, made.counts.tokens
    found = made.step(1)
    assert made.counts.examples == counted + len(items)
    assert made.counts.tokens == tokens + sum(len(g.prompt) + len(g.answers[0]) for i in items for g in (i.own, i.foreign))
    assert drift > 0
    assert found["objective/kl"] == pytest.approx(drift, rel=1e-3)
    assert found["loss"] == pytest.approx(sum(losses) / sum(item.weight for item in items), rel=1e-3)
    assert found["rewards/accuracies"] == np.mean([right for *_, right in rewards])
    for name, wanted in (("rewards/chosen", True), ("rewards/rejected", False)):
        mine = [reward for desirable, reward, _ in rewards if desirable == wanted]
        assert found.get(name) == (pytest.approx(np.mean(mine), rel=1e-3) if mine else None)


# --- the reward model ---------------------------------------------------------------------------------------------------------


def davidson(scores, pairs, margin, tie_width, centering):
    """Sum over (better, other, tied)."""
    total = 0.0
    for i, j, tied in pairs:
        d = (scores[i] - scores[j] - (0.0 if tied else margin)) / 2
        z = math.exp(d) + math.exp(-d) + tie_width
        total += -math.log((tie_width if tied else math.exp(d)) / z) + centering * (scores[i] + scores[j]) ** 2
    return total


def test_the_reward_model_descends_pairs_marks_and_marked_parts_each_by_their_own_mean(tiny_model, tmp_path):
    rows = [*SURE[:2], *ratings()[:2], *marked()[:2]]
    weights = {"margin": 0.6, "tie_width": 0.7, "centering": 0.05, "attribute_weight": 0.4, "part_weight": 0.3}
    made = begun(tmp_path / "run", "reward", tiny_model, rows, batch_size=6, **weights)
    items = [made.items[i] for i in made.batches[0][1]]
    overall, by_mark, parts, leads, counts = 0.0, 0.0, [], [], [0, 0]
    for item in items:
        scores = made.model.raw_scores([item.group])[0].double().numpy()  # (C, H)
        judged = [(i, j, False) for i, j in item.wins] + [(i, j, True) for i, j in item.ties]
        overall += davidson(scores[:, 0], judged, 0.6 * item.margin, 0.7, 0.05)
        leads += [scores[i, 0] - scores[j, 0] for i, j in item.wins]
        counts[0] += len(judged)
        for head, name in enumerate(made.attributes, start=1):
            if name in item.marks:
                pairs = [(i, j, False) for i, j in item.marks[name].wins] + [(i, j, True) for i, j in item.marks[name].ties]
                by_mark += davidson(scores[:, head], pairs, 0.0, 0.7, 0.05)
                counts[1] += len(pairs)
        if item.penalties:
            odds = 1 / (1 + np.exp(-_part_logits(made, item)))
            parts += [-p * math.log(q) if p else -math.log(1 - q) for p, q in zip(item.penalties, odds, strict=True)]
    assert min(*counts, len(parts)) > 0
    found = made.step(1)
    expected = overall / counts[0] + 0.4 * by_mark / counts[1] + 0.3 * np.mean(parts)
    assert found["loss"] == pytest.approx(expected, rel=1e-3)
    assert found["rewards/margins"] == pytest.approx(np.mean(leads), rel=1e-3)


@torch.no_grad()
def _part_logits(trainer, item):
    """What the head of bad parts says of each token of an answer, from the states of a plain pass."""
    (member,) = trainer.model.members
    trainer.host.activate([member.name])
    (answer,) = item.group.answers
    ids = torch.tensor([item.group.prompt + answer])
    states = trainer.host.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0, len(item.group.prompt) :]
    return (states.float() @ member.head[-1]).double().numpy()


# --- what all of them do ------------------------------------------------------------------------------------------------------

SHARED_BY = {"sft": demonstrations, "dpo": lambda: SURE, "kto": thumbs}


@pytest.mark.parametrize("algorithm", SHARED_BY)
@pytest.mark.parametrize("resumed", [False, True])
def test_watched_prompts_are_answered_before_and_at_every_look_the_last_one_in_any_case(
    tiny_model, tmp_path, monkeypatch, algorithm, resumed
):
    folder = make_run(tmp_path / "run", algorithm, tiny_model, SHARED_BY[algorithm](), **SHARED, watched_prompts=0)
    made = TRAINERS[algorithm](RunFiles(folder))
    looks = []
    monkeypatch.setattr(made.watch, "before", lambda resumed: looks.append(resumed))
    monkeypatch.setattr(made.watch, "now", lambda step, last: looks.append((step, last)))
    made.prepare(resumed)
    made.evaluate(1)
    made.evaluate(made.total_steps)
    assert looks == [resumed, (1, False), (made.total_steps, True)]


@pytest.mark.parametrize("algorithm", SHARED_BY)
def test_what_is_held_out_is_not_learned_from(tiny_model, tmp_path, algorithm):
    rows = SHARED_BY[algorithm]()
    made = TRAINERS[algorithm](RunFiles(make_run(tmp_path / "run", algorithm, tiny_model, rows, **SHARED)))
    held = [row for row in rows if row.split == "heldout"]
    assert (len(made.items), len(made.heldout)) == (len(rows) - len(held), len(held))
    prompts = [[getattr(item, "group", getattr(item, "own", item)).prompt for item in part] for part in (made.items, made.heldout)]
    assert not any(prompt in prompts[0] for prompt in prompts[1])


def test_sft_says_how_well_it_did_before_the_first_step_of_a_run_that_begins(tiny_model, tmp_path):
    for resumed, said in ((False, 1), (True, 0)):
        folder = make_run(tmp_path / str(resumed), "sft", tiny_model, demonstrations(), **SHARED, watched_prompts=0)
        made = TRAINERS["sft"](RunFiles(folder))
        made.prepare(resumed)
        found = events(folder, "metrics")
        assert len(found) == said
        assert all((event["step"], event["values"]) == (0, made.evaluate(1)) for event in found)


@pytest.mark.parametrize("algorithm", ["dpo", "kto"])
def test_a_run_that_goes_on_is_still_compared_with_where_it_began(tiny_model, tmp_path, algorithm):
    made = begun(tmp_path / "run", algorithm, tiny_model, SHARED_BY[algorithm]())
    first = {key: value.clone() for key, value in made.reference.items()}
    made.prepare(resumed=True)
    assert made.reference.keys() == first.keys()
    for key, value in first.items():
        torch.testing.assert_close(made.reference[key], value)
    made.step(1)  # of the policy: the reference has nothing to train


@pytest.mark.parametrize(
    ("algorithm", "said", "hint"),
    [
        ("sft", "There are no examples", "Write an answer yourself"),
        ("dpo", "There are no comparisons", "Rank some answers"),
        ("kto", "There are no answers called good or bad", "Give answers a thumb"),
        ("reward", "There are no comparisons", "Rank some answers"),
        ("ppo", "PPO needs a reward model.", "Train one first"),
    ],
)
def test_a_run_without_anything_to_learn_from_says_what_is_missing(tiny_model, tmp_path, algorithm, said, hint):
    tied = RankedAnswers(prompt=ask("Help me"), completions=[RankedText(text=text, rank=1) for text in ("Gladly.", "No.")])
    folder = make_run(tmp_path / "run", algorithm, tiny_model, [tied])
    with pytest.raises(AppError) as caught:
        TRAINERS[algorithm](RunFiles(folder))
    assert caught.value.message.startswith(said)
    assert caught.value.hint.startswith(hint)
