import numpy as np
import pytest
import torch

from rlhf_desktop.training.answers import Answers
from rlhf_desktop.training.batch import Group

GROUPS = [Group([1], [[2, 3], [4]]), Group([5, 6], [[7]])]


def made():
    tokens = torch.tensor([1.0, 2.0, 4.0, 8.0])
    each = torch.zeros(3)
    return Answers(
        GROUPS, [[0, 1]], each.bool(), each, 0.0, each, bad_parts=tokens / 2, logprobs=tokens, reference=-tokens,
        values=tokens, entropy=tokens, mismatch=0.0,
    )  # fmt: skip


def test_tokens_that_lie_end_to_end_are_told_apart_by_group_and_by_answer():
    answers = made()
    assert (answers.ids, answers.lengths, answers.spans) == ([[2, 3], [4], [7]], [2, 1, 1], [range(3), range(3, 4)])
    assert answers.kl.tolist() == [6.0, 8.0, 16.0]
    assert answers.badness.tolist() == [1.5, 2.0, 4.0]


def test_the_watchdog_sees_means_over_answers_and_tokens():
    health = made().health
    assert (health.kl, health.entropy, health.length) == (10.0, 3.75, 4 / 3)


def judged(seed=0):
    """Three prompts with two or three answers each, of one to five tokens; everything about them drawn by chance."""
    chance = np.random.default_rng(seed)
    groups = [Group([1], [[0] * int(chance.integers(1, 6)) for _ in range(k)]) for k in (2, 3, 2)]
    count, tokens = 7, sum(len(answer) for group in groups for answer in group.answers)
    draw = lambda n: torch.tensor(chance.normal(size=n))  # noqa: E731
    return Answers(
        groups, [[0], [1, 2]], torch.ones(count).bool(), draw(count), 0.0, draw(count), bad_parts=draw(tokens).abs(),
        logprobs=draw(tokens), reference=draw(tokens), values=draw(tokens), entropy=draw(tokens), mismatch=0.0,
    )  # fmt: skip


def rewards_by_loop(answers, kl_coef):
    """For each answer its (reward, value) by token."""
    out, t = [], 0
    for length, score in zip(answers.lengths, answers.scores.tolist(), strict=True):
        rows = []
        for _ in range(length):
            drift = float(answers.logprobs[t]) - float(answers.reference[t])
            rows.append([-kl_coef * drift - float(answers.bad_parts[t]), float(answers.values[t])])
            t += 1
        rows[-1][0] += score
        out.append(rows)
    return out


def test_a_tokens_advantage_is_what_comes_after_it_beyond_what_was_foreseen():
    answers = judged()
    advantages, returns = answers.advantages("value", 0.3, 0.9)
    raw = []
    for rows in rewards_by_loop(answers, 0.3):
        errors = [r + (rows[t + 1][1] if t + 1 < len(rows) else 0.0) - v for t, (r, v) in enumerate(rows)]
        raw += [sum(0.9**k * errors[t + k] for k in range(len(rows) - t)) for t in range(len(rows))]
    assert returns.tolist() == pytest.approx((np.array(raw) + answers.values.numpy()).tolist())
    assert advantages.tolist() == pytest.approx(((raw - np.mean(raw)) / np.std(raw)).tolist(), abs=1e-6)


@pytest.mark.parametrize("baseline", ["rloo", "grpo"])
def test_without_values_an_answer_is_compared_by_all_it_earned_and_paid(baseline):
    answers = judged(1)
    advantages, returns = answers.advantages(baseline, 0.3, 0.9)
    totals = [sum(r for r, _ in rows) for rows in rewards_by_loop(answers, 0.3)]
    expected, at = [], 0
    for group in answers.groups:
        mine = totals[at : at + len(group.answers)]
        others = [np.mean(mine[:i] + mine[i + 1 :]) for i in range(len(mine))]
        means = [np.mean(mine)] * len(mine) if baseline == "grpo" else others
        scale = np.std(mine) + 1e-4 if baseline == "grpo" else 1.0
        expected += [(total - mean) / scale for total, mean in zip(mine, means, strict=True)]
        at += len(mine)
    if baseline == "rloo":
        expected = [gain / np.std(expected) for gain in expected]
    by_token = [gain for gain, length in zip(expected, answers.lengths, strict=True) for _ in range(length)]
    assert advantages.tolist() == pytest.approx(by_token, abs=1e-6)
    assert returns.tolist() == [0.0] * len(by_token)
