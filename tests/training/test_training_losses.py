import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from rlhf_desktop.training import losses


def test_davidson_without_ties_is_bradley_terry():
    scores = torch.tensor([1.2, -0.3, 0.4])
    pairs = torch.tensor([[0, 1], [2, 0]])
    loss = losses.davidson_loss(scores, pairs, torch.tensor([False, False]), 0.0)
    torch.testing.assert_close(loss, -F.logsigmoid(torch.tensor([1.5, -0.8])))


@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(0.01, 3))
@settings(deadline=None)
def test_davidson_probabilities_sum_to_one(a, b, nu):
    scores = torch.tensor([a, b], dtype=torch.float64)
    one, other = torch.tensor([[0, 1]]), torch.tensor([[1, 0]])
    no, yes = torch.tensor([False]), torch.tensor([True])
    outcomes = [(one, no), (other, no), (one, yes)]
    total = sum(math.exp(-float(losses.davidson_loss(scores, pairs, tied, nu))) for pairs, tied in outcomes)
    assert total == pytest.approx(1, abs=1e-5)


def test_a_tie_pulls_scores_together():
    scores = torch.tensor([2.0, -1.0], requires_grad=True)
    losses.davidson_loss(scores, torch.tensor([[0, 1]]), torch.tensor([True]), 0.5).sum().backward()
    assert scores.grad[0] > 0 > scores.grad[1]


def test_centering_is_the_squared_sum():
    out = losses.centering_loss(torch.tensor([1.0, 2.0, -3.0]), torch.tensor([[0, 1], [1, 2]]))
    torch.testing.assert_close(out, torch.tensor([9.0, 1.0]))


def test_dpo_by_literal_numbers():
    policy, reference = torch.tensor([-10.0, -12.0]), torch.tensor([-11.0, -11.5])
    pairs = torch.tensor([[0, 1]])  # h = 1 + 0.5
    plain = losses.dpo_loss(policy, reference, pairs, beta=0.2, kind="sigmoid", label_smoothing=0.0)
    assert float(plain) == pytest.approx(-math.log(1 / (1 + math.exp(-0.3))), rel=1e-6)
    robust = losses.dpo_loss(policy, reference, pairs, beta=0.2, kind="sigmoid", label_smoothing=0.1)
    assert float(robust) == pytest.approx(0.9 * float(plain) + 0.1 * (float(plain) + 0.3), rel=1e-6)
    ipo = losses.dpo_loss(policy, reference, pairs, beta=0.2, kind="ipo", label_smoothing=0.0)
    assert float(ipo) == pytest.approx((1.5 - 2.5) ** 2, rel=1e-6)


def test_bad_parts_by_literal_numbers():
    loss = losses.bad_parts_loss(torch.tensor([0.0, 2.0, 2.0]), torch.tensor([0.0, 0.0, 3.0]))
    expected = [math.log(2), math.log1p(math.exp(2)), 3 * math.log1p(math.exp(-2))]
    assert loss.tolist() == pytest.approx(expected, rel=1e-6)


def test_robust_dpo_is_unbiased_when_a_share_of_the_pairs_is_flipped():
    policy, reference = torch.tensor([-10.0, -12.0]), torch.tensor([-11.0, -11.5])
    kept, flipped = torch.tensor([[0, 1]]), torch.tensor([[1, 0]])

    def loss(pairs, kind, smoothing):
        return float(losses.dpo_loss(policy, reference, pairs, beta=0.2, kind=kind, label_smoothing=smoothing))

    expected = 0.8 * loss(kept, "robust", 0.2) + 0.2 * loss(flipped, "robust", 0.2)
    assert expected == pytest.approx(loss(kept, "sigmoid", 0.0), rel=1e-6)
    assert loss(kept, "robust", 0.0) == loss(kept, "sigmoid", 0.0)


def test_dpo_with_a_margin_asks_for_a_wider_lead():
    policy, reference, pairs = torch.tensor([-10.0, -12.0]), torch.tensor([-11.0, -11.5]), torch.tensor([[0, 1]])  # h = 1.5
    options = {"beta": 0.2, "label_smoothing": 0.0, "margins": torch.tensor([0.1])}
    sigmoid = losses.dpo_loss(policy, reference, pairs, kind="sigmoid", **options)
    assert float(sigmoid) == pytest.approx(math.log1p(math.exp(-(0.3 - 0.1))), rel=1e-6)
    ipo = losses.dpo_loss(policy, reference, pairs, kind="ipo", **options)
    assert float(ipo) == pytest.approx((1.5 - 0.5 - 2.5) ** 2, rel=1e-6)


def test_kto_by_literal_numbers():
    gain, drift = torch.tensor([2.0, 2.0, -1.0]), torch.tensor(0.5)
    loss = losses.kto_loss(gain, torch.tensor([True, False, False]), drift, beta=0.4)
    expected = [1 - 1 / (1 + math.exp(-x)) for x in (0.6, -0.6, 0.6)]
    assert loss.tolist() == pytest.approx(expected, rel=1e-6)


def test_kto_pulls_good_answers_up_and_bad_ones_down_and_leaves_the_drift_alone():
    gain = torch.tensor([0.0, 0.0], requires_grad=True)
    drift = torch.tensor(0.3, requires_grad=True)
    losses.kto_loss(gain, torch.tensor([True, False]), drift, beta=0.1).sum().backward()
    assert gain.grad[0] < 0 < gain.grad[1]
    assert drift.grad is None


def test_a_margin_asks_for_a_wider_lead():
    scores, pairs, won = torch.tensor([1.0, 0.0]), torch.tensor([[0, 1]]), torch.tensor([False])
    plain = losses.davidson_loss(scores, pairs, won, 0.0, torch.tensor([0.75]))
    torch.testing.assert_close(plain, -F.logsigmoid(torch.tensor([0.25])))
    with_ties = [float(losses.davidson_loss(scores, pairs, won, 0.5, torch.tensor([m]))) for m in (-0.5, 0.0, 0.5)]
    assert with_ties[0] < with_ties[1] < with_ties[2]


def test_davidson_by_literal_numbers():
    scores, pairs = torch.tensor([1.0, -1.0]), torch.tensor([[0, 1], [0, 1]])
    won, tie = losses.davidson_loss(scores, pairs, torch.tensor([False, True]), 0.5).tolist()
    z = math.e + 1 / math.e + 0.5
    assert math.exp(-won) == pytest.approx(math.e / z, rel=1e-6)
    assert math.exp(-tie) == pytest.approx(0.5 / z, rel=1e-6)


def _gae_by_definition(rewards, values, lam):
    """A_t = Σ_l λ^l δ_{t+l}, written as the double sum it is."""
    following = [*values[1:], 0.0]
    deltas = [r + n - v for r, n, v in zip(rewards, following, values, strict=True)]
    return [sum(lam**l * deltas[t + l] for l in range(len(deltas) - t)) for t in range(len(deltas))]  # noqa: E741


@given(
    st.lists(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=6), min_size=1, max_size=4),
    st.floats(0, 1),
)
@settings(deadline=None)
def test_gae_is_its_definition_in_each_answer_alone(answers, lam):
    rewards = torch.tensor([r for answer in answers for r, _ in answer], dtype=torch.float64)
    values = torch.tensor([v for answer in answers for _, v in answer], dtype=torch.float64)
    got = losses.gae(rewards, values, [len(answer) for answer in answers], lam).tolist()
    expected = [a for answer in answers for a in _gae_by_definition([r for r, _ in answer], [v for _, v in answer], lam)]
    assert got == pytest.approx(expected, abs=1e-9)


def test_gae_closed_forms():
    rewards, values = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.2, 0.5, 0.1])
    torch.testing.assert_close(losses.gae(rewards, values, [3], 1.0), 1.0 - values)  # λ = 1: the return minus the value
    torch.testing.assert_close(losses.gae(rewards, values, [3], 0.0), torch.tensor([0.3, -0.4, 0.9]))  # λ = 0: one-step errors


def test_whitened_values_have_mean_zero_and_variance_one():
    out = losses.whiten(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert float(out.mean()) == pytest.approx(0, abs=1e-6)
    assert float(out.var(unbiased=False)) == pytest.approx(1, rel=1e-5)
    assert losses.whiten(torch.tensor([4.0])).tolist() == [0.0]


def test_ppo_policy_loss_by_literal_numbers():
    old = torch.zeros(4)
    new = torch.log(torch.tensor([1.5, 1.5, 0.5, 1.0]))
    advantages = torch.tensor([1.0, -1.0, -1.0, 2.0])
    loss, ratio, clipped = losses.ppo_policy_loss(new, old, advantages, 0.2)
    torch.testing.assert_close(loss, torch.tensor([-1.2, 1.5, 0.8, -2.0]))
    torch.testing.assert_close(ratio, torch.tensor([1.5, 1.5, 0.5, 1.0]))
    assert clipped.tolist() == [True, False, True, False]


def test_ppo_value_loss_takes_the_worse_of_clipped_and_plain():
    loss = losses.ppo_value_loss(torch.tensor([1.0, 0.1]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]), 0.2)
    torch.testing.assert_close(loss, torch.tensor([0.8**2 / 2, 0.9**2 / 2]))
    far = losses.ppo_value_loss(torch.tensor([0.5, 2.0, 3.0]), torch.tensor([1.0, 1.5, 1.0]), torch.tensor([0.0, 0.0, 2.0]), 0.2)
    torch.testing.assert_close(far, torch.tensor([0.8**2 / 2, 2.0**2 / 2, 1.0**2 / 2]))  # clipped to 0.8, 1.7 and 1.2
    unclipped = losses.ppo_value_loss(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([3.0]), 0)
    torch.testing.assert_close(unclipped, torch.tensor([2.0]))


def test_the_kl_price_rises_fast_and_falls_slowly():
    assert losses.steer_kl(0.1, 20.0, 5.0) == pytest.approx(0.12)
    assert losses.steer_kl(0.1, 0.0, 5.0) == pytest.approx(0.095)
    assert losses.steer_kl(0.1, 5.0, 5.0) == pytest.approx(0.1)
    assert losses.steer_kl(0.1, 99.0, 0.0) == 0.1


def test_rloo_compares_with_the_mean_of_the_others():
    totals = torch.tensor([1.0, 0.0, 2.0, 5.0, 3.0])
    out = losses.group_advantages(totals, [3, 2], "rloo")
    gains = torch.tensor([1.0 - 1.0, 0.0 - 1.5, 2.0 - 0.5, 5.0 - 3.0, 3.0 - 5.0])
    torch.testing.assert_close(out, gains / gains.std(unbiased=False))


def test_grpo_whitens_within_the_group_and_equal_answers_teach_nothing():
    out = losses.group_advantages(torch.tensor([1.0, 9.0, 7.0, 7.0]), [2, 2], "grpo")
    torch.testing.assert_close(out, torch.tensor([-4 / 4.0001, 4 / 4.0001, 0.0, 0.0]), atol=1e-6, rtol=0)


def test_what_the_values_foresaw_by_literal_numbers():
    returns = torch.tensor([1.0, 3.0])
    assert losses.explained(torch.tensor([1.0, 3.0]), returns) == 1.0
    assert losses.explained(torch.tensor([2.0, 3.0]), returns) == 0.75
    assert losses.explained(torch.tensor([0.0, 9.0]), torch.tensor([2.0, 2.0])) == 0.0


# --- what PPO optimises -------------------------------------------------------------------------------------------------------


def test_a_cautious_score_is_the_mean_less_the_disagreement():
    members = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, -4.0]])
    scores, spread = losses.pessimistic_scores(members, 0.5)
    assert scores.tolist() == [1.5, 2.0, -3.0]  # means 2, 2, −2; half of 1, 0, 2 taken off
    assert spread.tolist() == [1.0, 0.0, 2.0]
    alone, none = losses.pessimistic_scores(members[:1], 9.0)
    assert (alone.tolist(), none.tolist()) == ([1.0, 2.0, 0.0], [0.0, 0.0, 0.0])


@given(st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0, 3))
def test_a_cautious_score_is_what_numpy_finds_and_never_above_the_mean(members, caution):
    scores, spread = losses.pessimistic_scores(torch.tensor(members, dtype=torch.float64), caution)
    assert spread.tolist() == pytest.approx(np.std(members, axis=0).tolist(), abs=1e-6)
    assert scores.tolist() == pytest.approx((np.mean(members, axis=0) - caution * np.std(members, axis=0)).tolist(), abs=1e-6)
    assert (scores.numpy() <= np.mean(members, axis=0) + 1e-9).all()


def test_only_answers_that_do_not_end_pay_for_it_and_prices_come_after_the_clip():
    scores, ended = torch.tensor([5.0, -5.0, 1.0, 1.0]), torch.tensor([True, False, True, False])
    out = losses.penalised_scores(scores, ended, torch.tensor([0.0, 0.25, -0.5, 0.5]), clip=3.0, missing_end=1.5)
    assert out.tolist() == [3.0, -4.75, 1.5, -1.0]


def test_each_token_pays_its_kl_and_the_last_one_gets_the_score():
    gain, bad = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0]), torch.tensor([0.0, 0.25, 0.0, 0.0, 0.5])
    out = losses.token_rewards(gain, bad, torch.tensor([10.0, -20.0, 30.0]), [2, 1, 2], 0.5)
    assert out.tolist() == [-0.5, 10.75, -20.25, -1.5, 29.5]


@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 2)), min_size=1, max_size=5)),
        min_size=1,
        max_size=4,
    ),
    st.floats(0, 2),
)
def test_the_rewards_of_the_tokens_add_up_to_those_of_the_answer(answers, kl_coef):
    """By token and by answer, beside a loop that goes from token to token."""
    scores = torch.tensor([score for score, _ in answers], dtype=torch.float64)
    gain, bad = torch.tensor([token for _, tokens in answers for token in tokens], dtype=torch.float64).T
    lengths = [len(tokens) for _, tokens in answers]
    expected = []
    for score, tokens in answers:
        expected += [-kl_coef * g - b for g, b in tokens]
        expected[-1] += score
    found = losses.token_rewards(gain, bad, scores, lengths, kl_coef)
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    owner = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    kl, badness, totals = (losses.sum_by_owner(values, owner, len(lengths)) for values in (gain, bad, found))
    torch.testing.assert_close(losses.answer_rewards(scores, kl, badness, kl_coef), totals)


def test_an_answer_as_a_whole_pays_for_its_kl_and_its_bad_parts():
    out = losses.answer_rewards(torch.tensor([1.0, 2.0]), torch.tensor([4.0, -4.0]), torch.tensor([0.0, 0.5]), 0.25)
    assert out.tolist() == [0.0, 2.5]
