"""Log-probabilities of answers under the model with its active adapters: the one code path of every ratio, KL and loss.

Only answer positions go through the vocabulary head, a chunk at a time, and no logits are kept: the gradient of a log-
probability with respect to the hidden state, (W[target] − Σᵥ pᵥ W[v]) / temperature, needs only the head's weights, so it is
computed with the value.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.passes import head_chunk_tokens
from rlhf_desktop.inference.device import is_dead, is_out_of_memory
from rlhf_desktop.training.batch import Group, TreeBatch, collate


@dataclass(frozen=True)
class AnswerPass:
    """What a forward pass gives for a batch's N answer tokens."""

    before: Tensor  # (N, H) the state before each answer token
    logprobs: Tensor  # (N,)
    entropy: Tensor  # (N,) no gradient


def hidden_states(model: Any, batch: TreeBatch) -> Tensor:
    """The trunk's final states, (T, H)."""
    out = model.base_model(
        input_ids=batch.input_ids,
        attention_mask=batch.input_ids.new_empty(0, 0, 0, 0),  # four dimensions: transformers makes none; attention has the layout
        position_ids=batch.position_ids,
        layout=batch.layout,
        use_cache=False,
    ).last_hidden_state
    return out.reshape(-1, out.shape[-1])  # type: ignore[no-any-return]


def answer_pass(model: Any, batch: TreeBatch, temperature: float = 1.0, *, entropy: bool = True) -> AnswerPass:
    """One forward pass; gradients flow to whatever is trainable among the active adapters. Entropies not asked for are 0."""
    before = hidden_states(model, batch)[batch.before]
    head = model.get_output_embeddings()
    apply: Any = _HeadLogprobs.apply
    logprobs, entropies = apply(before, head, batch.targets, temperature, entropy)
    return AnswerPass(before, logprobs, entropies)


class _HeadLogprobs(torch.autograd.Function):
    """log softmax(W h / temperature)[target] and the entropy, from (N, H) states; the head's weights are frozen.

    With z the logits and p their softmax, the gradient needs Σᵥ pᵥ W[v], and so does the entropy: it is logsumexp z − Σᵥ pᵥ zᵥ, and
    Σᵥ pᵥ zᵥ = h · Σᵥ pᵥ W[v] / temperature (+ Σᵥ pᵥ bᵥ). p itself is made only where one of the two is wanted.
    """

    @staticmethod
    def forward(
        ctx: Any, before: Tensor, head: Any, targets: Tensor, temperature: float, with_entropy: bool
    ) -> tuple[Tensor, Tensor]:
        need_grad = ctx.needs_input_grad[0]
        weight, bias = head.weight, head.bias
        logprobs, entropy = (torch.zeros(before.shape[0], device=before.device) for _ in range(2))
        slope = torch.empty_like(before) if need_grad else None
        chunk = head_chunk_tokens(before.device.type, weight.shape[0])
        for at in range(0, before.shape[0], chunk):
            rows = slice(at, at + chunk)
            h, target = before[rows], targets[rows].unsqueeze(-1)
            scaled = head(h).float() if temperature == 1.0 else head(h).float() / temperature  # (n, V)
            log_p = torch.log_softmax(scaled, dim=-1)
            logprobs[rows] = log_p.gather(-1, target).squeeze(-1)
            if slope is None and not with_entropy:
                continue
            whole = (scaled.gather(-1, target) - log_p.gather(-1, target)).squeeze(-1)  # (n,) logsumexp z
            p = log_p.exp_().to(weight.dtype)
            mean = p @ weight  # (n, H) Σᵥ pᵥ W[v]
            if with_entropy:
                expected = (h.float() * mean.float()).sum(-1) + (0.0 if bias is None else (p @ bias).float())
                entropy[rows] = whole - expected / temperature
            if slope is not None:
                slope[rows] = (weight[targets[rows]] - mean) / temperature
        ctx.slope = slope
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, grad_logprobs: Tensor, grad_entropy: Tensor) -> tuple[Tensor, None, None, None, None]:  # noqa: ARG004
        return (grad_logprobs.unsqueeze(-1) * ctx.slope).to(ctx.slope.dtype), None, None, None, None


@torch.no_grad()
def check_supported(model: Any, token: int) -> None:
    """Refuse a model that our pass does not serve: two rows end to end must give what each gives alone through transformers.

    Fails for logits that are not simply the head on the trunk's last states (a soft cap or a scale in between), and for attention
    that is not handed the layout.

    Raises:
        ModelTrouble: with the family's name.
    """
    groups = [Group([token], [[token, token]]), Group([token, token], [[token]])]
    ids = torch.tensor([[token, token, token]], device=model.device)
    alone = torch.log_softmax(model(input_ids=ids, use_cache=False).logits.float(), dim=-1)[0, :2, token]
    try:
        ours = answer_pass(model, collate(groups, model.device), entropy=False).logprobs
        fits = torch.allclose(ours, torch.cat([alone, alone[1:]]), rtol=1e-2, atol=5e-2)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as problem:  # whatever attention does without a mask
        if is_out_of_memory(problem) or is_dead(problem):
            raise
        fits = False
    if not fits:
        family = model.config.model_type
        raise ModelTrouble(
            f"Models of the {family} family cannot be trained here yet.", "Choose a Llama, Qwen, Mistral or SmolLM model."
        )
