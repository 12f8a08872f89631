"""Log-probabilities by whatever a model itself does to its trunk's states: for families whose logits we do not know the shape of.

A chunk of states at a time is handed to the model's own forward in place of its trunk, so all that comes after is its own, and no
logits are kept: the gradient of a log-probability with respect to its state is taken with the value, as by the known head.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPast

from rlhf_desktop.core.passes import head_chunk_tokens


def own_logprobs(model: Any, before: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log softmax(z / temperature)[target] and the entropy, both (N,), of states (N, H) before the targets (N,).

    What comes after the trunk is frozen: gradients flow to the states.
    """
    logprobs, entropies = _OwnLogprobs.apply(before, model, targets, temperature)  # type: ignore[no-untyped-call]
    return logprobs, entropies


class _OwnLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, before: Tensor, model: Any, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        need_grad = ctx.needs_input_grad[0]
        logprobs, entropy = (torch.zeros(before.shape[0], device=before.device) for _ in range(2))
        slope = torch.empty_like(before) if need_grad else None
        chunk = head_chunk_tokens(before.device.type, model.get_output_embeddings().weight.shape[0])
        for at in range(0, before.shape[0], chunk):
            rows = slice(at, at + chunk)
            h = before[rows].detach().requires_grad_(need_grad)
            with torch.set_grad_enabled(need_grad):
                log_p = torch.log_softmax(own_logits(model, h).float() / temperature, dim=-1)  # (n, V)
                found = log_p.gather(-1, targets[rows].unsqueeze(-1)).squeeze(-1)
                if slope is not None:
                    (slope[rows],) = torch.autograd.grad(found.sum(), h)
            logprobs[rows] = found.detach()
            entropy[rows] = torch.special.entr(log_p.detach().exp()).sum(-1)  # 0 for a word that is never said
        ctx.slope = slope
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, grad_logprobs: Tensor, grad_entropy: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ARG004
        return (grad_logprobs.unsqueeze(-1) * ctx.slope).to(ctx.slope.dtype), None, None, None


def trunk_of(model: Any) -> Any:
    """The part of a causal language model that makes states of tokens: all but its vocabulary head."""
    return model.base_model if model.base_model is not model else model.model  # Llama 4 names another part as its base


def own_logits(model: Any, states: Tensor) -> Tensor:
    """(n, V) logits that the model makes of its trunk's final states (n, H)."""
    trunk = trunk_of(model)
    trunk.forward = lambda *_args, **_options: _Given(last_hidden_state=states[None])
    nothing = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
    try:
        logits: Tensor = model(input_ids=nothing, use_cache=False).logits[0]
    finally:
        del trunk.forward
    return logits


class _Given(BaseModelOutputWithPast):  # type: ignore[misc]
    """A trunk's output of which only the final states are there."""

    def __getattr__(self, name: str) -> None:
        """Whatever else a family asks for: it has none."""
