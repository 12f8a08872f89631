"""Adapters as PEFT makes them: each kind answers here as in PEFT, or is refused by the name of what is not applied."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base

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
    "single-parameters": ({"target_modules": [], "target_parameters": ["q_proj.weight"]}, "target_parameters"),
}


def make(base: ModelRef, folder: Path, settings: dict) -> None:
    """An adapter of that kind with random factors, saved by PEFT."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), LoraConfig(r=4, lora_alpha=8, **settings))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    model.save_pretrained(folder, save_embedding_layers=False)


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT's about tied heads
@pytest.mark.parametrize("kind", RIGHT)
def test_answers_as_in_peft(tiny_model, tmp_path, kind):
    make(tiny_model, tmp_path / "adapter", RIGHT[kind])
    plain = AutoModelForCausalLM.from_pretrained(tiny_model.path).eval()
    with torch.no_grad():
        base = plain(IDS).logits
        wanted = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()(IDS).logits
        host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
        host.load(tmp_path / "adapter", "theirs")
        host.activate(["theirs"])
        got = host.model(IDS).logits
        host.activate([])
        assert torch.equal(host.model(IDS).logits, base)
    assert (wanted - base).abs().max() > 1e-2
    assert torch.allclose(got, wanted, atol=1e-4)


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


def test_a_setting_nobody_knows_yet_is_refused_by_name(tiny_model, tmp_path):
    make(tiny_model, tmp_path / "adapter", RIGHT["plain"])
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(file.read_text().replace('"bias": "none"', '"bias": "none", "twisted_lora": true'))
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    with pytest.raises(ModelTrouble, match="twisted_lora"):
        host.load(tmp_path / "adapter", "theirs")
