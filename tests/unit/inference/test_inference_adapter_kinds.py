"""Adapters as PEFT makes them: each kind answers here as in PEFT, or is refused by the name of what is not applied."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from peft import (
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)  # fmt: skip
from peft.tuners.lora.config import KasaConfig
from transformers import AutoModelForCausalLM

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.export import export_merged
from rlhf_desktop.inference.model import load_base
from tests.tiny_families import make_family

IDS = torch.tensor([[5, 9, 30, 41, 7, 200, 77]])
ATTENTION = ["q_proj", "v_proj"]

RIGHT = {
    "plain": {"target_modules": ATTENTION},
    "all-linear": {"target_modules": "all-linear"},
    "rslora": {"target_modules": ATTENTION, "use_rslora": True},
    "rank-pattern": {"target_modules": ATTENTION, "rank_pattern": {"v_proj": 2}},
    "alpha-pattern": {"target_modules": ATTENTION, "alpha_pattern": {"q_proj": 32}},
    "some-layers": {"target_modules": ATTENTION, "layers_to_transform": [1]},
    "vocabulary-head": {"target_modules": [*ATTENTION, "lm_head"]},
    "excluded": {"target_modules": ["q_proj", "k_proj"], "exclude_modules": ["k_proj"]},
    "dropout": {"target_modules": ATTENTION, "lora_dropout": 0.3},
    "gaussian-start": {"target_modules": ATTENTION, "init_lora_weights": "gaussian"},
    "orthogonal-start": {"target_modules": ATTENTION, "init_lora_weights": "orthogonal"},
    "eva-start": {"target_modules": ATTENTION, "init_lora_weights": "eva"},
    "whole-paths": {"target_modules": ["model.layers.0.mlp.up_proj", "layers.1.self_attn.o_proj"]},
    "weights-of-layers": {"target_modules": ["k_proj"], "target_parameters": ["q_proj.weight"]},
    "pattern": {"target_modules": r".*?(?:self_attn|mlp).*?(?:q_proj|down_proj)"},
    "pattern-to-leave-out": {"target_modules": ATTENTION, "exclude_modules": r".*\.1\..*q_proj"},
    "turned-by-mistake": {"target_modules": ATTENTION, "fan_in_fan_out": True},
}
REFUSED = {
    "embeddings": ({"target_modules": ["q_proj", "embed_tokens"]}, "embed_tokens.lora_embedding_A"),
    "bias-all": ({"target_modules": ATTENTION, "bias": "all"}, "bias = all"),
    "bias-lora": ({"target_modules": ATTENTION, "bias": "lora_only"}, "bias = lora_only"),
    "lora-bias": ({"target_modules": ATTENTION, "lora_bias": True}, "lora_bias"),
    "activated": ({"target_modules": ATTENTION, "alora_invocation_tokens": [5, 9]}, "alora_invocation_tokens"),
    "dora": ({"target_modules": ATTENTION, "use_dora": True}, "use_dora"),
    "whole-layers": ({"target_modules": ATTENTION, "modules_to_save": ["norm"]}, "modules_to_save"),
    "pissa": ({"target_modules": ATTENTION, "init_lora_weights": "pissa"}, "pissa"),
    "olora": ({"target_modules": ATTENTION, "init_lora_weights": "olora"}, "olora"),
    "single-tokens": ({"target_modules": ATTENTION, "trainable_token_indices": [3]}, "trainable_token_indices"),
    "kasa": ({"target_modules": ATTENTION, "kasa_config": KasaConfig()}, "kasa_config"),
    "tied": ({"target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True}, "ensure_weight_tying"),
}
OTHER_METHODS = {
    "loha": LoHaConfig(target_modules=ATTENTION),
    "lokr": LoKrConfig(target_modules=ATTENTION),
    "ia3": IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "vera": VeraConfig(target_modules=["q_proj"]),
    "oft": OFTConfig(target_modules=["q_proj"], oft_block_size=8),
    "prompt-tuning": PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
}


def make(base: ModelRef, folder: Path, settings: dict | PeftConfig) -> None:
    """An adapter of that kind with random weights, saved by PEFT."""
    config = LoraConfig(r=4, lora_alpha=8, **settings) if isinstance(settings, dict) else settings
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    model.save_pretrained(folder, save_embedding_layers=False)


def check_right(base: ModelRef, folder: Path) -> None:
    """Chat, base and merged export of the adapter in this folder are those of PEFT."""
    plain = AutoModelForCausalLM.from_pretrained(base.path).eval()
    with torch.no_grad():
        alone = plain(IDS).logits
        wanted = PeftModel.from_pretrained(plain, folder / "adapter").eval()(IDS).logits
        host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
        own = host.model(IDS).logits
        host.load(folder / "adapter", "theirs")
        host.activate(["theirs"])
        got = host.model(IDS).logits
        host.activate([])
        assert torch.equal(host.model(IDS).logits, own)
        (folder / "merged").mkdir()
        export_merged(Path(base.path), folder / "adapter", folder / "merged", "merged")
        merged = AutoModelForCausalLM.from_pretrained(folder / "merged").eval()(IDS).logits
    torch.testing.assert_close(own, alone, atol=1e-5, rtol=0)
    assert (wanted - alone).abs().max() > 1e-2
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(merged, wanted, atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT's about tied heads
@pytest.mark.parametrize("kind", RIGHT)
def test_answers_as_in_peft(tiny_model, tmp_path, kind):
    make(tiny_model, tmp_path / "adapter", RIGHT[kind])
    check_right(tiny_model, tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_is_refused_by_name(tiny_model, tmp_path, kind):
    settings, name = REFUSED[kind]
    make(tiny_model, tmp_path / "adapter", settings)
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    with pytest.raises(ModelTrouble, match="refused") as trouble:
        host.load(tmp_path / "adapter", "theirs")
    assert name in trouble.value.message
    assert host.names == []


@pytest.mark.parametrize("start", ["loftq", "corda", "lora_ga", "mica", "pissa_niter_4"])
def test_a_start_that_may_change_the_base_is_refused_by_name(tiny_model, tmp_path, start):
    make(tiny_model, tmp_path / "adapter", RIGHT["plain"])
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "init_lora_weights": start}))
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    with pytest.raises(ModelTrouble, match=f"started with “{start}”"):
        host.load(tmp_path / "adapter", "theirs")


@pytest.mark.parametrize("told", [True, False], ids=["told", "found out by PEFT"])
def test_gpt_2_keeps_its_layers_the_other_way_round(tmp_path, told):
    """Its c_proj is square: nothing but the base's kind says which way round a product belongs."""
    base = make_family(tmp_path / "model", "gpt2")
    with nullcontext() if told else pytest.warns(UserWarning, match="fan_in_fan_out is set to False"):
        make(base, tmp_path / "adapter", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": told})
    check_right(base, tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", OTHER_METHODS)
def test_another_method_is_refused_by_name(tiny_model, tmp_path, kind):
    make(tiny_model, tmp_path / "adapter", OTHER_METHODS[kind])
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    with pytest.raises(ModelTrouble, match=OTHER_METHODS[kind].peft_type.value):
        host.load(tmp_path / "adapter", "theirs")


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore:The following rank_pattern:RuntimeWarning", "ignore:The following alpha_pattern:RuntimeWarning"
)
def test_experts_and_routers_are_refused_by_name(tmp_path):
    base = make_family(tmp_path / "model", "qwen3_moe")
    make(base, tmp_path / "experts", {"target_modules": "all-linear"})
    make(base, tmp_path / "router", {"target_modules": ["q_proj"], "target_parameters": ["mlp.gate.weight"]})
    host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
    for name, reason in (("experts", "target_parameters"), ("router", "mlp.gate")):
        with pytest.raises(ModelTrouble) as trouble:
            host.load(tmp_path / name, name)
        assert reason in str(trouble.value.message)
    assert host.names == []


def test_a_setting_nobody_knows_yet_is_refused_by_name(tiny_model, tmp_path):
    make(tiny_model, tmp_path / "adapter", RIGHT["plain"])
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(file.read_text().replace('"bias": "none"', '"bias": "none", "twisted_lora": true'))
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    with pytest.raises(ModelTrouble, match="twisted_lora"):
        host.load(tmp_path / "adapter", "theirs")
