"""The maths of the trainers: pure functions of tensors, each with its equation and source.

Shapes: N tokens of a batch's answers laid end to end, C answers, `owner` (N,) the answer a token belongs to. There is no
padding in these tensors, so nothing can be averaged over it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def sum_by_owner(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """Sum of each answer's token values: (N,) → (count,)."""
    return torch.zeros(count, dtype=values.dtype, device=values.device).index_add(0, owner, values)


def davidson_loss(scores: Tensor, pairs: Tensor, tied: Tensor, tie_width: float, margins: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of paired comparisons with ties, a value a pair.

    Davidson (1970): with d = (s_w − s_l − m) / 2, P(win) = eᵈ / Z, P(tie) = ν / Z, Z = eᵈ + e⁻ᵈ + ν. At ν = 0 a win costs
    −log σ(s_w − s_l − m): Bradley–Terry, the loss of Ouyang et al. (2022); ties then cost nothing. The margin m (Touvron et al.,
    2023, eq. 2; TRL's `margin`) asks clear preferences for a wider lead.

    Args:
        scores: (C,) the model's scores.
        pairs: (P, 2) indices into scores: preferred, other (either order when tied).
        tied: (P,) true where the expert called a tie.
        tie_width: ν ≥ 0.
        margins: (P,) m, in units of the score; must be 0 for ties. None: 0 throughout.
    """
    d = (scores[pairs[:, 0]] - scores[pairs[:, 1]]).float() / 2  # (P,)
    if margins is not None:
        d = d - margins / 2
    if tie_width == 0:
        return torch.where(tied, torch.zeros_like(d), -F.logsigmoid(2 * d))
    log_nu = torch.full_like(d, tie_width).log()
    log_z = torch.logsumexp(torch.stack([d, -d, log_nu]), dim=0)
    return log_z - torch.where(tied, log_nu, d)


def centering_loss(scores: Tensor, pairs: Tensor) -> Tensor:
    """(s_a + s_b)², a value a pair: keeps scores around zero (Eisenstein et al., 2023, as in TRL)."""
    return (scores[pairs[:, 0]] + scores[pairs[:, 1]]).float().square()


def bad_parts_loss(logits: Tensor, penalties: Tensor) -> Tensor:
    """Cross-entropy of “this token is in a part marked as bad”, a value a token (after Wu et al., 2023, fine-grained feedback).

    Args:
        logits: (N,) of the tokens of marked answers.
        penalties: (N,) how bad the part is that a token is in, its weight in the loss; 0 for tokens that were let pass.
    """
    weights = torch.where(penalties > 0, penalties, torch.ones_like(penalties))
    return F.binary_cross_entropy_with_logits(logits, (penalties > 0).to(logits), reduction="none") * weights


def dpo_loss(
    policy: Tensor,
    reference: Tensor,
    pairs: Tensor,
    *,
    beta: float,
    kind: str,
    label_smoothing: float,
    margins: Tensor | None = None,
) -> Tensor:
    """Direct preference loss, a value a pair.

    With h = (log π − log π_ref)(chosen) − (log π − log π_ref)(rejected) − m/β:
    sigmoid −(1−ε) log σ(βh) − ε log σ(−βh) (Rafailov et al., 2023, eq. 7; the conservative ε of Mitchell, 2023);
    robust [−(1−ε) log σ(βh) + ε log σ(−βh)] / (1−2ε), unbiased when a share ε is flipped (Chowdhury et al., 2024, eq. 12);
    ipo (h − 1/(2β))² (Azar et al., 2023, eq. 17). IPO's normalisation is TRL's: each answer's log-probability is its mean over
    the answer's tokens, end-of-turn included (the caller divides), so that β means the same for short and long answers.

    Args:
        policy: (C,) log-probability of each answer under the policy.
        reference: (C,) the same under the reference.
        pairs: (P, 2) indices: chosen, rejected.
        beta: strength of the pull to the reference.
        kind: "sigmoid", "robust" or "ipo".
        label_smoothing: ε < ½, the share of comparisons assumed flipped (not for ipo).
        margins: (P,) m, the lead in implicit reward that a clear preference asks for (Amini et al., 2024). None: 0 throughout.
    """
    gain = policy - reference  # (C,)
    h = gain[pairs[:, 0]] - gain[pairs[:, 1]]
    if margins is not None:
        h = h - margins / beta
    if kind == "ipo":
        return (h - 1 / (2 * beta)).square()
    kept, flipped = (1 - label_smoothing) * F.logsigmoid(beta * h), label_smoothing * F.logsigmoid(-beta * h)
    return (flipped - kept) / (1 - 2 * label_smoothing) if kind == "robust" else -kept - flipped


def kto_loss(gain: Tensor, desirable: Tensor, drift: Tensor, beta: float) -> Tensor:
    """Loss of single answers called good or bad, a value an answer (Ethayarajh et al., 2024, eq. 7–8, without the weights λ).

    1 − σ(β(r − z)) for a good answer, 1 − σ(β(z − r)) for a bad one: what an answer gains counts against how far the policy has
    drifted in general, and ever less the further it is from there.

    Args:
        gain: (C,) r = log π − log π_ref of each answer.
        desirable: (C,) true for the good ones.
        drift: z ≥ 0, the estimate of KL(π ‖ π_ref); no gradient flows into it.
        beta: strength of the pull to the reference.
    """
    sign = torch.where(desirable, 1.0, -1.0).to(gain)
    return 1 - torch.sigmoid(beta * sign * (gain - drift.detach()))


def pessimistic_scores(members: Tensor, caution: float) -> tuple[Tensor, Tensor]:
    """What an ensemble of reward models says of each answer, less what its members disagree by.

    s = mean over members − caution · spread over members (after Coste et al., 2024, who take the variance for the spread): where
    the members disagree, the feedback has not spoken, and a high score is likely to be a mistake.

    Args:
        members: (M, E) score of each answer by each member.
        caution: ≥ 0; 0 takes the mean.

    Returns:
        Scores (E,) and the spread of each (E,): the standard deviation over the M members, 0 for one.
    """
    spread = members.std(0, unbiased=False)
    return members.mean(0) - caution * spread, spread


def penalised_scores(scores: Tensor, ended: Tensor, length_prices: Tensor, *, clip: float, missing_end: float) -> Tensor:
    """What each answer as a whole earns, (E,): clip(s, −clip, clip) − missing_end · [not ended] − price of its length.

    An answer that does not end pays the same whatever its score is, as the clip comes first (the “EOS trick” of Huang et al., 2024,
    as a price).

    Args:
        scores: (E,) in standard deviations from the reference's usual.
        ended: (E,) true for answers that came to their end by themselves.
        length_prices: (E,) what each answer pays for the drift of all in length (`scale.Scale.length_penalty`).
        clip: Scores further from the usual count no more.
        missing_end: ≥ 0.
    """
    return scores.clamp(-clip, clip) - missing_end * ~ended - length_prices


def token_rewards(gain: Tensor, bad_parts: Tensor, scores: Tensor, lengths: list[int], kl_coef: float) -> Tensor:
    """Reward of each token: the KL price and the price of bad parts where they arise, the answer's score on its last token.

    r_t = −c · gain_t − bad_t + [t = T] · s (Ziegler et al., 2019; Ouyang et al., 2022). gain = log π_old − log π_ref of the token
    that was sampled is the estimate k1 of the KL, and its own reward: a token the policy came to like more than the reference does
    pays for it.

    Args:
        gain: (N,) by token, answers end to end.
        bad_parts: (N,) ≥ 0.
        scores: (E,) by answer.
        lengths: Tokens of each answer, each at least 1, summing to N.
        kl_coef: c ≥ 0.
    """
    rewards = -kl_coef * gain - bad_parts
    rewards[torch.tensor(lengths).cumsum(0) - 1] += scores
    return rewards


def answer_rewards(scores: Tensor, kl: Tensor, badness: Tensor, kl_coef: float) -> Tensor:
    """Reward of each answer as one act, (E,): s − c · Σ_t gain_t − Σ_t bad_t, the sum of its `token_rewards`.

    For RLOO and GRPO, which compare whole answers. The KL is in the reward, as in Ahmadian et al. (2024); Shao et al. (2024) have
    it as a term of the loss instead.

    Args:
        scores: (E,) by answer.
        kl: (E,) the gains of its tokens, summed.
        badness: (E,) the prices of its bad parts, summed.
        kl_coef: c ≥ 0.
    """
    return scores - kl_coef * kl - badness


def gae(rewards: Tensor, values: Tensor, lengths: list[int], lam: float) -> Tensor:
    """Generalised advantage estimation at γ = 1 (Schulman et al., 2016, eq. 16), each answer by itself.

    A_t = Σ_{l≥0} λˡ δ_{t+l}, δ_t = r_t + V_{t+1} − V_t, and V = 0 after the last token.

    Args:
        rewards: (N,) by token, answers end to end.
        values: (N,) the value before each token.
        lengths: tokens of each answer, summing to N.
        lam: λ in [0, 1].

    Returns:
        Advantages (N,). Returns are advantages + values.
    """
    each_reward, each_value = rewards.tolist(), values.tolist()
    out = [0.0] * len(each_reward)
    end = len(out)
    for length in reversed(lengths):
        running, following = 0.0, 0.0
        for t in range(end - 1, end - length - 1, -1):
            running = each_reward[t] + following - each_value[t] + lam * running
            following = each_value[t]
            out[t] = running
        end -= length
    return torch.tensor(out, dtype=rewards.dtype, device=rewards.device)


def group_advantages(totals: Tensor, sizes: list[int], kind: str) -> Tensor:
    """How much better each answer did than the others to its prompt, (E,) → (E,).

    rloo: R_i − mean of the other answers' R (Kool et al., 2019; Ahmadian et al., 2024), divided by the batch's spread so that the
    learning rate means the same for any scale of reward. grpo: (R_i − mean) / (spread + 1e-4) within the group (Shao et al., 2024).

    Args:
        totals: Reward of each answer, its KL price included.
        sizes: Answers to each prompt, at least 2, summing to E.
        kind: "rloo" or "grpo".
    """
    parts = torch.split(totals, sizes)
    if kind == "grpo":
        return torch.cat([(part - part.mean()) / (part.std(unbiased=False) + 1e-4) for part in parts])
    gains = torch.cat([(part - part.mean()) * (len(part) / (len(part) - 1)) for part in parts])
    return gains / (gains.std(unbiased=False) + 1e-8)


def whiten(values: Tensor) -> Tensor:
    """Zero mean and unit variance over all real tokens; the values of one token alone become 0."""
    spread = values.std(unbiased=False)
    return (values - values.mean()) / (spread + 1e-8)


def ppo_policy_loss(logprobs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clipped surrogate (Schulman et al., 2017, eq. 7), a value a token: max(−A r, −A clip(r, 1−ε, 1+ε)).

    Returns:
        Loss (N,), ratio r (N,), and whether the clip was what counted (N,).
    """
    ratio = torch.exp(logprobs - old)
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(plain, clipped), ratio.detach(), (clipped > plain).detach()


def ppo_value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """½ max((V − R)², (clip(V, V_old ± ε) − R)²), a value a token; ε = 0 leaves the clip out."""
    plain = (values - returns).square()
    if clip == 0:
        return plain / 2
    clipped = old + (values - old).clamp(-clip, clip)
    return torch.maximum(plain, (clipped - returns).square()) / 2


def steer_kl(coefficient: float, kl: float, target: float) -> float:
    """Proportional control of the KL price, a step a batch (after Ziegler et al., 2019): at most 20% dearer, 5% cheaper.

    A run of tens of batches must react fast when the policy runs away; it has time to get cheaper.
    """
    if target == 0:
        return coefficient
    error = max(-0.25, min(1.0, kl / target - 1))
    return coefficient * (1 + 0.2 * error)


def explained(values: Tensor, returns: Tensor) -> float:
    """Share of the returns' variance that the values foresaw; 0 when they are constant."""
    spread = float(returns.var(unbiased=False))
    return 1 - float((returns - values).var(unbiased=False)) / spread if spread > 0 else 0.0
