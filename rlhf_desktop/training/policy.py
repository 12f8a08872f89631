"""Log-probabilities of answers under the model with its active adapters: the one code path of every ratio, KL and loss.

Only answer positions go through the vocabulary head, a chunk at a time, and no logits are kept: the gradient of a log-
probability with respect to the hidden state, (W[target] − Σᵥ pᵥ W[v]) / temperature, needs only the head's weights, so it is
computed with the value.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.passes import head_chunk_tokens
from rlhf_desktop.inference.adapters import active_stack
from rlhf_desktop.inference.attention import names_its_windows
from rlhf_desktop.inference.device import is_dead, is_out_of_memory
from rlhf_desktop.training.batch import Group, TreeBatch, collate


@dataclass(frozen=True)
class AnswerPass:
    """What a forward pass gives for a batch's N answer tokens."""

    before: Tensor  # (N, H) the state before each answer token
    logprobs: Tensor  # (N,)
    entropy: Tensor  # (N,) no gradient


_NO_MASK = torch.empty(0, 0, 0, 0, dtype=torch.bool)  # four dimensions: transformers makes none; our attention has the layout


def hidden_states(model: Any, batch: TreeBatch) -> Tensor:
    """The trunk's final states, (T, H)."""
    out = model.base_model(
        input_ids=batch.input_ids,
        attention_mask=_NO_MASK.to(batch.input_ids.device),
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
    logprobs, entropies = apply(before, head, batch.targets, logit_shape(model.config), temperature, entropy)
    return AnswerPass(before, logprobs, entropies)


@dataclass(frozen=True)
class LogitShape:
    """What makes logits of the head's products x: scale·x, softly capped as cap·tanh(scale·x / cap) where there is a cap."""

    scale: float = 1.0
    cap: float | None = None


def logit_shape(config: Any) -> LogitShape:
    """As families say it: Gemma and NanoChat cap, Granite divides, Cohere, Falcon-H1 and HyperCLOVA X multiply."""
    text = config.get_text_config()
    times, multiplier, over = (getattr(text, name, None) or 1.0 for name in ("logit_scale", "lm_head_multiplier", "logits_scaling"))
    over = 1.0 / over if text.model_type.startswith("hyperclovax") else over
    return LogitShape(times * multiplier / over, getattr(text, "final_logit_softcapping", None))


class _HeadLogprobs(torch.autograd.Function):
    """log softmax(z / temperature)[target] and the entropy, from (N, H) states; the head's weights W are frozen.

    With z = W h·scale, a = scale / temperature and p the softmax, the gradient a·(W[target] − Σᵥ pᵥ W[v]) needs Σᵥ pᵥ W[v], and so
    does the entropy: it is logsumexp(z / temperature) − Σᵥ pᵥ zᵥ / temperature, and Σᵥ pᵥ zᵥ / scale = h · Σᵥ pᵥ W[v] (+ Σᵥ pᵥ bᵥ).
    p itself is made only where one of the two is wanted. Under a soft cap zᵥ has a slope of its own, 1 − (zᵥ / cap)²: the gradient
    is a·(slope·W[target] − Σᵥ pᵥ slopeᵥ W[v]), and the entropy's sum is taken word by word.
    """

    @staticmethod
    def forward(
        ctx: Any, before: Tensor, head: Any, targets: Tensor, shape: LogitShape, temperature: float, with_entropy: bool
    ) -> tuple[Tensor, Tensor]:
        need_grad = ctx.needs_input_grad[0]
        weight, bias = _weight_and_bias(head)
        logprobs, entropy = (torch.zeros(before.shape[0], device=before.device) for _ in range(2))
        slope = torch.empty_like(before) if need_grad else None
        chunk = head_chunk_tokens(before.device.type, weight.shape[0])
        for at in range(0, before.shape[0], chunk):
            rows = slice(at, at + chunk)
            h, target = before[rows], targets[rows].unsqueeze(-1)
            scaled, bent = _logits(head(h).float(), shape, temperature)  # (n, V)
            log_p = torch.log_softmax(scaled, dim=-1)
            logprobs[rows] = log_p.gather(-1, target).squeeze(-1)
            if slope is None and not with_entropy:
                continue
            whole = (scaled.gather(-1, target) - log_p.gather(-1, target)).squeeze(-1)  # (n,) logsumexp z
            finish = _plain if bent is None else partial(_capped, scaled=scaled, bent=bent)
            sums, slopes = finish(log_p.exp_(), h, target, weight=weight, bias=bias, rate=shape.scale / temperature)
            if with_entropy:
                entropy[rows] = whole - sums
            if slope is not None:
                slope[rows] = slopes
        ctx.slope = slope
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, grad_logprobs: Tensor, grad_entropy: Tensor) -> tuple[Tensor, None, None, None, None, None]:  # noqa: ARG004
        return (grad_logprobs.unsqueeze(-1) * ctx.slope).to(ctx.slope.dtype), None, None, None, None, None


def _logits(products: Tensor, shape: LogitShape, temperature: float) -> tuple[Tensor, Tensor | None]:
    """Logits z over the temperature from the head's products, and z / cap where there is a cap. The products are used up."""
    if shape.cap is not None:
        bent = products.mul_(shape.scale / shape.cap).tanh_()
        return bent * (shape.cap / temperature), bent
    divisor = temperature / shape.scale
    return (products if divisor == 1.0 else products / divisor), None


def _weight_and_bias(head: Any) -> tuple[Tensor, Tensor | None]:
    """(V, H) and (V,): the head's weight with the adapters that take part in it, and its bias."""
    layer, stack = active_stack(head)
    base: Any = layer
    weight: Tensor = base.weight
    for a, b, scaling in stack:
        weight = weight + scaling * (b @ a)
    return weight, base.bias


def _plain(p: Tensor, h: Tensor, target: Tensor, *, weight: Tensor, bias: Tensor | None, rate: float) -> tuple[Tensor, Tensor]:
    """Σᵥ pᵥ zᵥ / temperature, (n,), and the gradient of a log-probability with respect to the state, (n, H)."""
    p = p.to(weight.dtype)
    mean = p @ weight  # (n, H) Σᵥ pᵥ W[v]
    expected = (h.float() * mean.float()).sum(-1) + (0.0 if bias is None else (p @ bias).float())
    return expected * rate, (weight[target.squeeze(-1)] - mean) * rate


def _capped(
    p: Tensor,
    h: Tensor,  # noqa: ARG001 - as `_plain`
    target: Tensor,
    *,
    weight: Tensor,
    bias: Tensor | None,  # noqa: ARG001 - as `_plain`
    rate: float,
    scaled: Tensor,
    bent: Tensor,
) -> tuple[Tensor, Tensor]:
    expected = (p * scaled).sum(-1)
    slope = bent.square_().neg_().add_(1.0)  # (n, V) of z against scale·x
    own = slope.gather(-1, target).to(weight.dtype) * weight[target.squeeze(-1)]
    return expected, (own - p.mul_(slope).to(weight.dtype) @ weight) * rate


@torch.no_grad()
def check_supported(model: Any) -> None:
    """Refuse a model that our pass does not serve: rows end to end must give what each answer gives alone through transformers.

    Random tokens, several answers to a prompt: what a family does with places, neighbours or logits that we do not know shows in
    the numbers, and an error, whatever it is, is a refusal too.

    Raises:
        ModelTrouble: with the family's name, and by how much it is off.
    """
    groups = _random_groups(model.get_input_embeddings().num_embeddings)
    pairs = [(group.prompt, answer) for group in groups for answer in group.answers]
    try:
        theirs = torch.cat([_alone(model, prompt, answer) for prompt, answer in pairs])
        together = answer_pass(model, collate(groups, model.device), entropy=False).logprobs
        alone = torch.cat([answer_pass(model, collate([Group(p, [a])], model.device), entropy=False).logprobs for p, a in pairs])
        windows_are_known = names_its_windows(model, lambda: hidden_states(model, collate(groups, model.device)))
    except Exception as problem:  # many kinds: what attention or a layer does without its mask
        if is_out_of_memory(problem) or is_dead(problem):
            raise
        raise _unsupported(model, str(problem)) from problem
    off, leaked = (together - theirs).abs(), (together - alone).abs()
    if model.get_input_embeddings().weight.dtype == torch.float32:
        fits = off.max() < 1e-3 * (1 + theirs.abs().max())
    else:  # two kernels round differently, a mixture's router with them, so there only most tokens can be compared with theirs
        fits = off.median() < 0.25 and leaked.max() < 0.25
    if not windows_are_known:
        raise _unsupported(model, "its attention has a window that it does not name")
    if not fits:
        raise _unsupported(model, f"off by {float(off.max()):.2g} nats a token, by neighbours {float(leaked.max()):.2g}")


def _random_groups(words: int) -> list[Group]:
    generator = torch.Generator().manual_seed(0)

    def some(count: int) -> list[int]:
        return torch.randint(words, (count,), generator=generator).tolist()

    return [Group(some(9), [some(5), some(3), some(6)]), Group(some(4), [some(12)])]


def _alone(model: Any, prompt: list[int], answer: list[int]) -> Tensor:
    """(N,) log-probabilities of an answer by transformers' own pass."""
    ids = torch.tensor([prompt + answer], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.float(), dim=-1).gather(1, ids[0, len(prompt) :, None])[:, 0]


def _unsupported(model: Any, detail: str) -> ModelTrouble:
    family = model.config.model_type
    hint = "Choose a Llama, Qwen, Mistral, Gemma, Phi, OLMo, Granite or SmolLM model."
    return ModelTrouble(f"Models of the {family} family cannot be trained here yet; chatting with them works.", hint, detail)
