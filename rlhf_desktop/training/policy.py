"""Log-probabilities of answers under the model with its active adapters: the one code path of every ratio, KL and loss.

Only answer positions go through the vocabulary head, a chunk at a time, and no logits are kept: the gradient of a log-
probability with respect to the hidden state, (W[target] − Σᵥ pᵥ W[v]) / temperature, needs only the head's weights, so it is
computed with the value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.families import TEACHABLE
from rlhf_desktop.core.measures import Road
from rlhf_desktop.core.passes import head_chunk_tokens
from rlhf_desktop.inference.adapters import active_stack
from rlhf_desktop.inference.attention import eager, names_its_windows
from rlhf_desktop.inference.device import raise_if_of_device
from rlhf_desktop.inference.own_head import own_logprobs
from rlhf_desktop.inference.reach import begin_rows
from rlhf_desktop.training.batch import Group, TreeBatch, apart, collate
from rlhf_desktop.training.roads import States, goes_beyond, states_by


@dataclass(frozen=True)
class AnswerPass:
    """What a forward pass gives for a batch's N answer tokens."""

    before: Tensor  # (N, H) the state before each answer token
    logprobs: Tensor  # (N,)
    entropy: Tensor  # (N,) no gradient


def hidden_states(model: Any, batch: TreeBatch) -> States:
    """The trunk's final states by the road this model takes."""
    return states_by(_way(model).road, model, batch)


def answer_pass(model: Any, batch: TreeBatch, temperature: float = 1.0, *, entropy: bool = True) -> AnswerPass:
    """One forward pass; gradients flow to whatever is trainable among the active adapters. Entropies not asked for are 0."""
    return _pass_by(_way(model), model, batch, temperature, entropy=entropy)


@dataclass(frozen=True)
class _Way:
    """How a model's log-probabilities are had."""

    road: Road
    own_head: bool  # the model makes logits of states itself: what it does to them is not known here


def _pass_by(way: _Way, model: Any, batch: TreeBatch, temperature: float = 1.0, *, entropy: bool = False) -> AnswerPass:
    before = states_by(way.road, model, batch).before
    if way.own_head:
        return AnswerPass(before, *own_logprobs(model, before, batch.targets, temperature))
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
    return LogitShape(
        times * multiplier / over, getattr(text, "final_logit_softcapping", None) or getattr(text, "logits_soft_cap", None)
    )


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


WAYS = (_Way("fast", own_head=False), _Way("general", own_head=False), _Way("fast", own_head=True), _Way("general", own_head=True))


def choose_road(model: Any) -> Road:
    """Which road gives exactly what each answer gives alone through transformers: the fast one if it does. Found once.

    Random tokens, several answers to a prompt: what a family does with places, neighbours or logits that we do not know shows in
    the numbers, and an error, whatever it is, says that a road is none for it.

    Raises:
        ModelTrouble: neither is exact, with the family's name, and by how much it is off.
    """
    return _way(model).road


def road_for(model: Any, groups: Sequence[Group]) -> Road:
    """What some rows are counted with: the model's road, or the general one where one is beyond its reach."""
    return "general" if goes_beyond(model, groups) else choose_road(model)


def _way(model: Any) -> _Way:
    if not hasattr(model, "known_way"):
        model.known_way = _find_way(model)
    return model.known_way  # type: ignore[no-any-return]


@torch.no_grad()
def _find_way(model: Any) -> _Way:
    groups = _random_groups(model.get_input_embeddings().num_embeddings)
    troubles: dict[str, None] = {}  # in their order, each once
    try:
        with eager(model):
            theirs = plain_logprobs(model, groups)
    except Exception as problem:  # many kinds
        raise_if_of_device(problem)
        raise _unsupported(model, str(problem)) from problem
    for way in WAYS:
        try:
            trouble = _misfit(model, way, groups, theirs)
        except Exception as problem:  # many kinds: what attention or a layer does without its mask
            raise_if_of_device(problem)
            trouble = str(problem) or type(problem).__name__
        if not trouble:
            return way
        troubles[trouble] = None
    raise _unsupported(model, "; ".join(troubles))


def _misfit(model: Any, way: _Way, groups: list[Group], theirs: Tensor) -> str:
    """In what a way is not what each answer gives alone through transformers; empty where it is."""
    if way.road == "fast" and not _joins_by_attention_alone(model.config.get_text_config()):
        return "its layers are not all attention to everything or to a window"
    together = _pass_by(way, model, collate(groups, model.device)).logprobs
    alone = torch.cat([_pass_by(way, model, collate([pair], model.device)).logprobs for pair in apart(groups)])
    if way.road == "fast" and not names_its_windows(model, lambda: states_by("fast", model, collate(groups, model.device))):
        return "its attention has a window that it does not name"
    off, leaked = (together - theirs).abs(), (together - alone).abs()
    if model.get_input_embeddings().weight.dtype == torch.float32:
        fits = off.max() < 1e-3 * (1 + theirs.abs().max())
    else:  # two kernels round differently, a mixture's router with them, so there only most tokens can be compared with theirs
        leak = leaked.max() if way.road == "fast" else leaked.median()  # rows of their own are only filled up: other kernels again
        fits = off.median() < 0.25 and leak < 0.25
    return "" if fits else f"off by {float(off.max()):.2g} nats a token, by neighbours {float(leaked.max()):.2g}"


def _joins_by_attention_alone(config: Any) -> bool:
    """Whether a token sees others through attention to all or to a window, as far as the configuration says so."""
    kinds = set(getattr(config, "layer_types", None) or ())
    return kinds <= {"full_attention", "sliding_attention"} and not getattr(config, "attention_chunk_size", None)


def _random_groups(words: int) -> list[Group]:
    generator = torch.Generator().manual_seed(0)

    def some(count: int) -> list[int]:
        return torch.randint(words, (count,), generator=generator).tolist()

    return [Group(some(9), [some(5), some(3), some(6)]), Group(some(4), [some(12)])]


def plain_logprobs(model: Any, groups: Sequence[Group]) -> Tensor:
    """(N,) log-probabilities of each answer alone after its prompt, by the pass that transformers itself would make."""
    found = []
    for pair in apart(groups):
        begin_rows(model)
        ids, start = torch.tensor([pair.prompt + pair.answers[0]], device=model.device), len(pair.prompt)
        logits = model(input_ids=ids, use_cache=False).logits[0, start - 1 : -1]
        found.append(torch.log_softmax(logits.float(), dim=-1).gather(1, ids[0, start:, None])[:, 0])
    return torch.cat(found)


def _unsupported(model: Any, detail: str) -> ModelTrouble:
    family = model.config.model_type
    return ModelTrouble(f"Models of the {family} family cannot be trained here yet; chatting with them works.", TEACHABLE, detail)
