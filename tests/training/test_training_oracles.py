"""Our losses against TRL's own code and against the formulas written out, to 1e-5; log-probabilities against plain transformers.

Left out: TRL has no counterpart of our ties (Davidson) and of the conservative label smoothing; literal numbers check those.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.score import token_logprobs
from rlhf_desktop.training import losses
from rlhf_desktop.training.batch import Group, collate
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from tests.training.trl_oracle import stand_in, trl_trainer

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
P, T = 5, 9  # pairs, tokens


def numbers(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


# --- reward -------------------------------------------------------------------------------------------------------------------


def trl_reward_loss(model, centering, **inputs):
    trainer = stand_in(args=SimpleNamespace(center_rewards_coefficient=centering))
    return trl_trainer("RewardTrainer").compute_loss(trainer, model, inputs)


def our_reward_loss(scores, centering, margins=None):
    """Scores (2P,): all preferred, then all others, as TRL lays them out."""
    half = len(scores) // 2
    pairs = torch.stack([torch.arange(half), torch.arange(half) + half], dim=1)
    loss = losses.davidson_loss(scores, pairs, torch.zeros(half, dtype=torch.bool), 0.0, margins)
    return (loss + centering * losses.centering_loss(scores, pairs)).mean()


@pytest.mark.parametrize("centering", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("with_margin", [False, True])
def test_the_reward_loss_and_its_gradient_are_trls(centering, with_margin):
    scores = numbers(2 * P, scale=3)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    margins = numbers(P, seed=1).abs() if with_margin else None
    extra = {"margin": margins} if with_margin else {}

    def model(**inputs):
        return SimpleNamespace(logits=theirs.unsqueeze(-1))

    expected = trl_reward_loss(model, centering or None, attention_mask=torch.ones(2 * P, T), **extra)
    loss = our_reward_loss(ours, centering, margins)
    torch.testing.assert_close(loss, expected, **CLOSE)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)


def test_the_reward_loss_is_the_formula_written_out():
    scores, margins = numbers(2 * P, scale=3), numbers(P, seed=1).abs()
    rows = zip(scores[:P].tolist(), scores[P:].tolist(), margins.tolist(), strict=True)
    written = [math.log1p(math.exp(-(w - l - m))) + 0.3 * (w + l) ** 2 for w, l, m in rows]  # noqa: E741
    assert float(our_reward_loss(scores, 0.3, margins)) == pytest.approx(sum(written) / P, rel=1e-5)


def test_our_scores_under_trls_loss_on_a_padded_batch_are_plain_transformers(tiny_model, tmp_path):
    """The whole way: our tree batch and head here; there a saved adapter, a padded batch and TRL's loss."""
    host = AdapterHost(load_base(tiny_model, dtype="float32"))
    model = RewardModel.create(host, count=1, rank=4, alpha=8, seed=0)
    for seed, parameter in enumerate(host.parameters("reward-0").values()):
        parameter.data.copy_(numbers(*parameter.shape, seed=seed, scale=0.2))
    groups = [Group([5, 6, 7], [[8, 9, 10, 2], [11, 2]]), Group([12, 13], [[14, 2], [15, 16, 17, 18, 2]])]
    with torch.no_grad():
        scores = model.raw(model.members[0], collate(groups)).reshape(-1)
    ours = our_reward_loss(scores[torch.tensor([0, 2, 1, 3])], 0.05)
    masters = {f"reward-0/{name}": p for name, p in host.parameters("reward-0").items()} | {
        f"reward-0/{HEAD}": model.members[0].head
    }
    model.save(tmp_path, masters, {})

    rows = [g.prompt + g.answers[k] for k in (0, 1) for g in groups]
    width = max(map(len, rows))
    plain = AutoModelForSequenceClassification.from_pretrained(tiny_model.path, num_labels=1, dtype=torch.float32)
    plain = PeftModel.from_pretrained(plain, tmp_path).eval()
    plain.config.pad_token_id = plain.base_model.model.config.pad_token_id = 0
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    with torch.no_grad():
        theirs = trl_reward_loss(plain, 0.05, input_ids=ids, attention_mask=mask)
    torch.testing.assert_close(ours, theirs, **CLOSE)


# --- DPO ----------------------------------------------------------------------------------------------------------------------


def answers_and_mask():
    """Token log-probabilities (2P, T − 1), zero outside the answers as TRL's model gives them, and the completion mask (2P, T)."""
    mask = torch.zeros(2 * P, T, dtype=torch.long)
    for row in range(2 * P):
        mask[row, 2 : 4 + row % 5] = 1  # answers of 2 to 6 tokens, then padding
    return -numbers(2 * P, T - 1, seed=2).abs() * mask[:, 1:], mask


def trl_outputs(logprobs):
    flat = torch.zeros_like(logprobs)
    return SimpleNamespace(log_probs=logprobs, entropy=flat, mean_logits=flat, is_top1=flat.bool())


@pytest.mark.parametrize(("kind", "smoothing"), [("sigmoid", 0.0), ("ipo", 0.0), ("robust", 0.0), ("robust", 0.2)])
def test_the_dpo_losses_and_their_gradients_are_trls(kind, smoothing):
    logprobs, mask = answers_and_mask()
    reference = -numbers(2 * P, seed=3).abs() * 4
    ours, theirs = logprobs.clone().requires_grad_(), logprobs.clone().requires_grad_()
    trainer = stand_in(
        ld_alpha=None, precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[kind], loss_weights=[1.0],
        beta=0.3, label_smoothing=smoothing, use_weighting=False,
    )  # fmt: skip
    inputs = {"input_ids": torch.ones_like(mask), "attention_mask": mask, "completion_mask": mask}
    inputs |= {"ref_chosen_logps": reference[:P], "ref_rejected_logps": reference[P:]}
    expected = trl_trainer("DPOTrainer")._compute_loss(trainer, lambda **_: trl_outputs(theirs), inputs, False)

    lengths = mask[:, 1:].sum(1)
    sums, ref = ours.sum(1), reference
    if kind == "ipo":
        sums, ref = sums / lengths, ref / lengths
    pairs = torch.stack([torch.arange(P), torch.arange(P) + P], dim=1)
    loss = losses.dpo_loss(sums, ref, pairs, beta=0.3, kind=kind, label_smoothing=smoothing).mean()
    torch.testing.assert_close(loss, expected, **CLOSE)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)


# --- KTO ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drifted", [2.0, -2.0])
def test_the_kto_loss_and_its_gradient_are_trls(drifted):
    logprobs, mask = answers_and_mask()
    reference = -numbers(2 * P, seed=3).abs() * 4
    good = torch.arange(2 * P) % 3 == 0
    ours, theirs = logprobs.clone().requires_grad_(), logprobs.clone().requires_grad_()
    foreign = logprobs.flip(0)
    ref_foreign = foreign.sum(1) - drifted + numbers(2 * P, seed=4)
    cls = trl_trainer("KTOTrainer")
    trainer = stand_in(
        calculate_KL=True, precompute_ref_logps=True, loss_type="kto", beta=0.3, desirable_weight=1.0, undesirable_weight=1.0
    )
    trainer._compute_kl_logps = lambda model, batch: cls._compute_kl_logps(trainer, model, batch)
    inputs = {"input_ids": torch.ones_like(mask), "attention_mask": mask, "completion_mask": mask, "label": good}
    inputs |= {"KL_input_ids": torch.zeros_like(mask), "KL_attention_mask": mask, "KL_completion_mask": mask.flip(0)}
    inputs |= {"ref_logps": reference, "ref_KL_logps": ref_foreign}

    def model(input_ids, **_):
        return trl_outputs(theirs if int(input_ids[0, 0]) == 1 else foreign)

    expected = cls._compute_loss(trainer, model, inputs, False)
    drift = (foreign.sum(1) - ref_foreign).mean().clamp(min=0)
    loss = losses.kto_loss(ours.sum(1) - reference, good, drift, beta=0.3).mean()
    torch.testing.assert_close(loss, expected, **CLOSE)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)


# --- log-probabilities --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_left_right_and_no_padding_give_the_same_logprobs(tiny_model):
    """Scoring pads prompts on the left and answers on the right, training pads on the right; alone, nothing is padded."""
    base = load_base(tiny_model, dtype="float32")
    pairs = [([5, 6, 7, 8, 9], [10, 2]), ([11], [12, 13, 14, 15, 2]), ([16, 17, 18], [19, 20, 2])]
    tree = answer_pass(base.model, collate([Group(p, [a]) for p, a in pairs])).logprobs
    padded_left = torch.cat(token_logprobs(base.model, pairs, pad_id=base.pad_id))
    ids = [torch.tensor([p + a]) for p, a in pairs]
    alone = [F.log_softmax(base.model(input_ids=x).logits[0, :-1], -1).gather(1, x[0, 1:, None])[:, 0] for x in ids]
    plain = torch.cat([row[-len(a) :] for row, (_, a) in zip(alone, pairs, strict=True)])
    torch.testing.assert_close(tree, plain, **CLOSE)
    torch.testing.assert_close(padded_left, plain, **CLOSE)
