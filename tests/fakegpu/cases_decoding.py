"""A decoding step on a card: answers as on the CPU, few kernels, and one wait."""

from tests.fakegpu.fakegpu import FakeGpu  # isort: skip  # before torch

from dataclasses import dataclass

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.sampler import sample
from tests.fakegpu.tally import TALLY

EQUAL = [[5] * 20] * 8
MIXED = [[5 + i] * (12 + i) for i in range(8)]
CPU, CARD = torch.device("cpu"), torch.device("cuda")
SIZES = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}  # fmt: skip


def make_host(config, device) -> AdapterHost:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
        if device != CPU:
            model = model.to(device)
        use_rows(model)
        host = AdapterHost(BaseModel(model, None, device, torch.float32, 0, (1,), ""))
        for name, parameter in _adapter(host).items():
            if "lora_B" in name:
                parameter.data.copy_(torch.randn(parameter.shape).to(device) * 0.2)
    return host


def _adapter(host):
    host.add("policy", rank=4, alpha=8, seed=0)
    return host.parameters("policy")


def draw(host, prompts, new_tokens, *, lora=True, top_p=1.0, with_logprobs=True, k=1, temperature=1.0, end_ids=()):
    with host.fused(["policy"] if lora else []):
        return sample(
            host.model,
            prompts=prompts,
            k=k,
            sampling=Sampling(temperature=temperature, top_p=top_p, max_new_tokens=new_tokens),
            end_ids=end_ids,
            pad_id=0,
            generator=torch.Generator().manual_seed(0),
            with_logprobs=with_logprobs,
        )


@dataclass(frozen=True)
class Cost:
    """Of one decoding step."""

    launches: float
    waits: float


def cost_of_a_step(config, prompts, **options) -> Cost:
    """What three more steps take; nothing ends and no cache grows in them."""
    host = make_host(config, CARD)
    seen = []
    for new_tokens in (3, 6):
        TALLY.clear()
        draw(host, prompts, new_tokens, **options)
        seen.append((TALLY.launches, TALLY.stalls))
    (few, early), (many, late) = seen
    return Cost((many - few) / 3, (late - early) / 3)


@pytest.mark.parametrize(
    ("config", "prompts", "options", "before"),
    [
        (Qwen2Config(**SIZES, num_hidden_layers=28), MIXED, {}, 1442),
        (Qwen2Config(**SIZES, num_hidden_layers=4), EQUAL, {}, 254),
        (Qwen2Config(**SIZES, num_hidden_layers=4), MIXED, {"top_p": 0.9, "with_logprobs": False}, 262),
        (Qwen2Config(**SIZES, num_hidden_layers=4), EQUAL, {"lora": False, "with_logprobs": False}, 194),
        (Qwen3Config(**SIZES, num_hidden_layers=4, head_dim=16), MIXED, {}, 290),
        (LlamaConfig(**SIZES, num_hidden_layers=4), MIXED, {}, 242),
    ],
    ids=["28 layers", "equal lengths", "top_p", "no adapters", "qwen3", "llama"],
)
def test_a_step_is_few_kernels_and_one_wait(card, config, prompts, options, before):
    """`before` is what it took with transformers' step, counted here (commit 36111d7)."""
    cost = cost_of_a_step(config, prompts, **options)
    assert cost.waits <= 1, "\n".join(TALLY.lines())
    assert cost.launches <= 0.6 * before, TALLY.kernels.most_common()


@pytest.mark.parametrize("prompts", [EQUAL, MIXED], ids=["equal lengths", "mixed"])
def test_reading_the_prompts_and_dropping_ended_rows_wait_for_nothing(card, prompts):
    """So an answer waits once a token and no more, whatever else the batch does."""
    host = make_host(Qwen2Config(**SIZES, num_hidden_layers=2), CARD)
    TALLY.clear()
    answers = draw(host, prompts, 12, k=2, end_ids=range(200, 512))
    steps = max(len(answer.ids) for answer in answers)
    assert len({len(answer.ids) for answer in answers}) > 2
    assert TALLY.stalls <= steps, "\n".join(TALLY.lines())


GEMMA3 = Gemma3TextConfig(**SIZES, num_hidden_layers=2, head_dim=8, sliding_window=8)


@pytest.mark.parametrize("options", [{}, {"top_p": 0.9}], ids=["all", "top_p"])
def test_models_with_their_own_step_wait_once_too(card, options):
    assert cost_of_a_step(GEMMA3, MIXED, **options).waits <= 1, "\n".join(TALLY.lines())


QWEN2 = Qwen2Config(**SIZES, num_hidden_layers=2)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (QWEN2, {}),
        (QWEN2, {"top_p": 0.9}),
        (QWEN2, {"temperature": 0.0}),
        (QWEN2, {"lora": False}),
        (Qwen3Config(**SIZES, num_hidden_layers=2, head_dim=16), {}),
        (LlamaConfig(**SIZES, num_hidden_layers=2, attention_bias=True, mlp_bias=True), {}),
        (GEMMA3, {"top_p": 0.9}),
    ],
    ids=["qwen2", "top_p", "greedy", "no adapters", "qwen3", "llama", "another kind"],
)
def test_answers_are_those_of_the_cpu(config, options):
    """Rows end on the way and leave; the cache grows."""
    asked = {"k": 2, "end_ids": range(400, 512), **options}
    here = draw(make_host(config, CPU), MIXED[:4], 24, **asked)
    with FakeGpu():
        there = draw(make_host(config, CARD), MIXED[:4], 24, **asked)
    assert [(a.ids, a.finish) for a in here] == [(a.ids, a.finish) for a in there]
    for answer, other in zip(here, there, strict=True):
        assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-4)
