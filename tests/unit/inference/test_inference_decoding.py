"""The written-out step gives what transformers' own gives. It runs on the CPU here, as if that were a card."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference import decoding
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.decoding import Decoder, RoomyLayer, find_decoder
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.sampler import sample

SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SIZES),
    "llama with biases": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, rope_parameters=LLAMA3_ROPE),
    "mistral": MistralConfig(**SIZES, head_dim=16, sliding_window=None),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
}
PROMPTS = [list(range(5, 5 + length)) for length in (3, 14, 9, 16)]
CPU = torch.device("cpu")


def make_host(config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
        for parameter in model.parameters():  # no part may be without effect: norms of 1 and biases of 0 would be
            parameter.copy_(parameter + torch.randn_like(parameter) * 0.2)
        use_rows(model)
        host = AdapterHost(BaseModel(model, None, CPU, torch.float32, 0, (1,), ""))
        for name, rank in (("first", 4), ("second", 3)):
            host.add(name, rank=rank, alpha=8, seed=0)
            for parameter in host.parameters(name).values():
                parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return host


def draw(host, prompts=PROMPTS, **options):
    return sample(
        host.model,
        prompts=prompts,
        k=2,
        sampling=Sampling(temperature=1.0, top_p=1.0, max_new_tokens=40),
        end_ids=range(284, 300),  # some rows end soon and leave
        pad_id=0,
        generator=torch.Generator().manual_seed(0),
        with_logprobs=True,
        **options,
    )


def same(answers, others):
    assert [(a.ids, a.finish) for a in answers] == [(a.ids, a.finish) for a in others]
    for answer, other in zip(answers, others, strict=True):
        assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.fixture
def card(monkeypatch):
    """The CPU counts as a card from where this is called."""
    return lambda: monkeypatch.setattr(decoding, "on_card", lambda device: True)


@pytest.fixture
def steps(monkeypatch):
    """Counts the written-out steps."""
    taken = []
    step = Decoder.__call__

    def counted(self, tokens, *rest):
        taken.append(len(tokens))
        return step(self, tokens, *rest)

    monkeypatch.setattr(Decoder, "__call__", counted)
    return taken


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("names", [[], ["first"], ["first", "second"]], ids=["plain", "one", "two"])
def test_a_written_out_step_gives_what_the_models_own_gives(config, names, card, steps):
    host = make_host(config)
    host.activate(names)
    plain = draw(host)
    assert not steps
    card()
    same(draw(host), plain)
    assert steps[-1] < steps[0] == 8  # the batch was made smaller on the way
    with host.fused(names):
        same(draw(host), plain)
    same(draw(host, max_rows=3), plain)


def test_prompts_of_one_length_need_no_mask(card, steps):
    host = make_host(CONFIGS["qwen2"])
    host.activate(["first"])
    equal = [list(range(start, start + 12)) for start in (5, 40, 80)]
    plain = draw(host, equal)
    card()
    same(draw(host, equal), plain)
    assert steps


def test_an_adapter_may_leave_layers_alone(card):
    host = make_host(CONFIGS["llama"])
    host.activate(["first"])
    for number, layer in enumerate(host.model.model.layers):
        layer.self_attn.k_proj.stack = ()
        layer.mlp.gate_proj.stack = ()
        if number:
            layer.mlp.up_proj.stack = layer.mlp.down_proj.stack = ()
    plain = draw(host)
    card()
    same(draw(host), plain)


def test_training_goes_on_with_the_weights_as_they_were(card):
    host = make_host(CONFIGS["qwen3"])
    host.activate(["first"])
    before = {name: tensor.clone() for name, tensor in host.model.state_dict().items()}
    size = sum(tensor.untyped_storage().nbytes() for tensor in _weights(host).values())
    card()
    draw(host)
    assert host.model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in host.model.state_dict().items())
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _weights(host).values()}
    assert sum(storages.values()) == size  # no second copy
    host.model(input_ids=torch.tensor([PROMPTS[1]])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in host.parameters("first").values())


def _weights(host):
    return {name: module.weight for name, module in host.model.named_modules() if type(module) is torch.nn.Linear}


@pytest.mark.parametrize(
    "config",
    [
        Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=8),  # another kind; every other layer looks back 8 tokens only
        MistralConfig(**SIZES, sliding_window=8),
        LlamaConfig(**SIZES, rope_parameters={"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}),
    ],
    ids=["another kind", "a window", "positions that have to be looked at"],
)
def test_other_models_keep_their_own_step(config, card, steps):
    host = make_host(config)
    host.activate(["first"])
    plain = draw(host)
    card()
    same(draw(host), plain)
    assert not steps


def test_4_bit_models_keep_their_own_step(card):
    host = make_host(CONFIGS["llama"])
    card()
    assert find_decoder(host.model, CPU) is not None
    host.model.model.layers[1].mlp.up_proj.base_layer.__class__ = type("Linear4bit", (torch.nn.Linear,), {})
    assert find_decoder(host.model, CPU) is None


def test_without_memory_to_lay_the_weights_anew_a_model_keeps_its_own_step(card, steps, monkeypatch):
    host = make_host(CONFIGS["llama"])
    host.activate(["first"])
    plain = draw(host)
    card()
    laid = []

    def full(*parts, **options):
        if laid:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        laid.append(parts)
        return weight(*parts, **options)

    weight = decoding._weight
    monkeypatch.setattr(decoding, "_weight", full)
    same(draw(host), plain)
    assert laid
    assert not steps


def test_a_cache_with_room_holds_what_was_written():
    layer, parts = RoomyLayer(), [torch.randn(2, 3, length, 4) for length in (5, 1, 1, 130, 1)]
    for part in parts:
        keys, values = layer.update(part, part + 1)
    assert torch.equal(keys, torch.cat(parts, dim=2))
    assert torch.equal(values, keys + 1)
    assert layer.get_seq_length() == 138
    assert layer.get_mask_sizes(1) == (139, 0)
    wide, _ = layer.shown(144)
    assert wide[:, :, 138:].eq(0).all()
    assert wide.shape[2] == 144
    layer.batch_select_indices(torch.tensor([1]))
    assert torch.equal(layer.shown(138)[0], keys[1:])
