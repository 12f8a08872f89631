"""Which layers get LoRA: right and readable everywhere, in mixtures of experts and hybrids too."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.inference.adapters import AdapterFiles, AdapterHost, concatenate, read_adapter, write_adapter
from rlhf_desktop.inference.export import export_merged
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.operations.model_shape import model_shape
from rlhf_desktop.training.stack import lora_targets
from tests.tiny_families import make_family

IDS = torch.tensor([[5, 9, 30, 41, 7, 200, 77, 12, 130]])
MLA = {"num_key_value_heads": 4}
HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
FAMILIES = {
    "llama": {},
    "gpt2": {},
    "qwen2_moe": {"mlp_only_layers": [0]},
    "qwen3_moe": {"mlp_only_layers": [0]},
    "mixtral": {},
    "olmoe": {},
    "glm4_moe": {},
    "gpt_oss": {},
    "deepseek_v2": {**MLA, "head_dim": 4, "num_experts_per_tok": 2},
    "deepseek_v3": {**MLA, "head_dim": 4, "qk_head_dim": 12},
    "glm4_moe_lite": MLA,
    "granitemoe": {},
    "granitemoeshared": {},
    "llama4_text": {"interleave_moe_layer_step": 2},
    "qwen3_next": HYBRID,
    "qwen3_5_text": HYBRID,
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "falcon_h1": {},
    "nemotron_h": {"layers_block_type": ["mamba", "attention", "mlp", "moe"], "num_hidden_layers": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "phi3": {},
    "phimoe": {},
    "falcon": {"num_kv_heads": 2, "new_decoder_architecture": True},
    "ernie4_5_moe": {"moe_k": 2, "moe_num_shared_experts": 1},
    "gemma3n_text": {},
}


def random_stack(host: AdapterHost, name: str, seed: int) -> None:
    """Give an adapter upper factors, which start at zero."""
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in host.parameters(name).items():
        if ".lora_B." in key:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3


USUAL = ("llama", "gpt2", "qwen2_moe", "qwen3_moe", "mixtral", "gpt_oss", "deepseek_v3", "qwen3_5_text", "granitemoehybrid",
         "falcon_h1", "ernie4_5_moe")  # fmt: skip
EACH = [pytest.param(name, marks=() if name in USUAL else pytest.mark.slow) for name in FAMILIES]


@pytest.fixture(scope="module", params=EACH)
def family(request, tmp_path_factory):
    return make_family(tmp_path_factory.mktemp("family") / "model", request.param, **FAMILIES[request.param])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_adapter_is_the_same_here_in_peft_and_merged(family, tmp_path):
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(family.path, dtype=torch.float32).eval()
        base = plain(IDS, use_cache=False).logits
        host = AdapterHost(load_base(family, dtype="float32", device="cpu"))
        own = host.model(IDS, use_cache=False).logits
        host.add("first", rank=4, alpha=8, seed=0)
        host.add("second", rank=2, alpha=2, seed=1)
        random_stack(host, "first", 0)
        random_stack(host, "second", 1)
        host.activate(["first", "second"])
        wanted = host.model(IDS, use_cache=False).logits
        host.activate([])
        assert torch.equal(host.model(IDS, use_cache=False).logits, own)
        assert torch.allclose(own, base, atol=1e-4)
        assert (wanted - own).abs().max() > 1e-2

        (tmp_path / "adapter").mkdir()
        parts = [AdapterFiles(host.config(name), dict(host.parameters(name)), {}) for name in host.names]
        write_adapter(tmp_path / "adapter", concatenate(parts))
        again = AdapterHost(load_base(family, dtype="float32", device="cpu"))
        again.load(tmp_path / "adapter", "both")
        again.activate(["both"])
        assert torch.allclose(again.model(IDS, use_cache=False).logits, wanted, atol=1e-4)

        (tmp_path / "merged").mkdir()
        export_merged(Path(family.path), tmp_path / "adapter", tmp_path / "merged", "m")
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
        assert torch.allclose(merged(IDS, use_cache=False).logits, wanted, atol=1e-4)
        theirs = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
        assert torch.allclose(theirs(input_ids=IDS, use_cache=False).logits, wanted, atol=1e-4)


def test_the_estimate_counts_the_adapter_and_the_model_as_they_are(family):
    shape, host = model_shape(family), AdapterHost(load_base(family, dtype="float32", device="cpu"))
    assert shape.parameters == sum({weight.data_ptr(): weight.numel() for weight in host.model.state_dict().values()}.values())
    linear = [layer for layer in host.model.modules() if isinstance(layer, torch.nn.Linear | Conv1D)]
    assert shape.linear_parameters == pytest.approx(sum(layer.weight.numel() for layer in linear), rel=0.05)  # and routers
    host.add("new", rank=4, alpha=4, seed=0)
    assert shape.adapter_parameters(4) == sum(weight.numel() for weight in host.parameters("new").values())


def test_no_router_no_expert_and_no_head(family):
    model = load_base(family, dtype="float32", device="cpu").model
    paths = lora_targets(model)
    assert any("attn" in path or "attention" in path or "mixer" in path for path in paths)
    assert not [path for path in paths if {"gate", "router", "experts", "lm_head", "shared_expert_gate"} & set(path.split("."))]


def test_experts_on_request_are_refused_where_they_are_stacked(tmp_path):
    base = load_base(make_family(tmp_path / "model", "mixtral"), dtype="float32", device="cpu")
    with pytest.raises(ModelTrouble, match="experts of a mixtral model cannot be adapted"):
        lora_targets(base.model, experts=True)


def test_an_adapter_with_a_rank_of_its_own_in_some_layers_is_trained_on_from(tiny_model, tmp_path):
    """The stack of both, as one file with one rank, does what both did."""
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    host.add("theirs", rank=4, alpha=8, seed=0)
    random_stack(host, "theirs", 0)
    lora = {name: weight.detach().clone() for name, weight in host.parameters("theirs").items()}
    for name, weight in lora.items():
        if "v_proj" in name:
            lora[name] = weight[:2] if "lora_A" in name else weight[:, :2]
    config = host.config("theirs") | {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"v_proj": 6}}
    (tmp_path / "theirs").mkdir()
    write_adapter(tmp_path / "theirs", AdapterFiles(config, lora, {}))
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    start = host.load(tmp_path / "theirs", "start")
    host.add("policy", rank=3, alpha=3, seed=1)
    random_stack(host, "policy", 1)
    host.activate(["start", "policy"])
    wanted = host.model(IDS).logits
    (tmp_path / "both").mkdir()
    write_adapter(tmp_path / "both", concatenate([start, AdapterFiles(host.config("policy"), dict(host.parameters("policy")), {})]))
    assert read_adapter(tmp_path / "both").config["r"] == 7
    host.load(tmp_path / "both", "both")
    host.activate(["both"])
    assert torch.allclose(host.model(IDS).logits, wanted, atol=1e-4)
