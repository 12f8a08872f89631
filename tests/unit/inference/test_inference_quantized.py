"""A base in 4-bit numbers, by bitsandbytes itself: here on the processor, where it is slow but the same mathematics."""

import sys
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.export import export_merged
from rlhf_desktop.inference.model import load_base
from tests.hostile import make_adapter

IDS = torch.arange(5, 25)[None]


@pytest.fixture(scope="module")
def quantized(tiny_model):
    return load_base(tiny_model, dtype="float32", device="cpu", quantization="4bit")


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_the_linear_layers_are_small_and_the_rest_is_whole(quantized):
    layers = [m for m in quantized.model.modules() if isinstance(m, Linear4bit)]
    assert len(layers) == 7 * quantized.model.config.num_hidden_layers
    assert all(layer.weight.nbytes == layer.in_features * layer.out_features // 2 for layer in layers)
    assert quantized.model.get_output_embeddings().weight.dtype == torch.float32
    assert not any(p.requires_grad for p in quantized.model.parameters())


def test_it_says_nearly_what_the_full_model_says(quantized, tiny_model):
    """NF4 keeps normally distributed weights to about 9% of their size; the logits drift accordingly."""
    full = load_base(tiny_model, dtype="float32", device="cpu")
    for name, layer in quantized.model.named_modules():
        if isinstance(layer, Linear4bit):
            exact = full.model.get_submodule(name).weight
            kept = dequantize_4bit(layer.weight.data, layer.weight.quant_state).view_as(exact)
            assert 0.05 < (kept - exact).norm() / exact.norm() < 0.13
    likeness = torch.cosine_similarity(logits(quantized.model), logits(full.model), dim=-1)
    assert 0.85 < likeness.mean() < 0.9999


def test_an_adapter_on_it_learns_and_leaves_it_alone(tiny_model):
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu", quantization="4bit"))
    before = logits(host.model)
    host.add("new", rank=4, alpha=8, seed=0)
    host.activate(["new"])
    assert torch.equal(logits(host.model), before)  # B is zero
    parameters = host.parameters("new")
    assert {p.dtype for p in parameters.values()} == {torch.float32}
    optimizer = torch.optim.SGD(parameters.values(), lr=1.0)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(host.model(input_ids=IDS).logits[0, :-1], IDS[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    host.activate([])
    assert torch.equal(logits(host.model), before)


def test_what_it_has_learned_is_merged_into_the_full_weights(tiny_model, tmp_path):
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu", quantization="4bit"))
    host.load(make_adapter(tmp_path / "adapter"), "tuned")
    export_merged(Path(tiny_model.path), tmp_path / "adapter", tmp_path, "Kinder")
    full, merged = (load_file(folder / "model.safetensors") for folder in (Path(tiny_model.path), tmp_path))
    name = "model.layers.0.self_attn.q_proj.weight"
    assert {key for key in full if not torch.equal(full[key].float(), merged[key])} == {name, name.replace("0", "1")}
    delta = host.model.get_submodule(name.removesuffix(".weight")).weight
    assert delta.dtype == torch.uint8  # what the run held in memory is not what was merged into
    assert torch.allclose(merged[name] - full[name].float(), torch.full((64, 64), 4 * 0.01 * 0.01), atol=1e-6)


def test_without_the_package_it_says_what_to_install(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("rlhf_desktop.core.recipes.find_spec", lambda name: None)
    with pytest.raises(ModelTrouble, match="not installed") as trouble:
        load_base(tiny_model, quantization="4bit")
    assert "pip install bitsandbytes" in trouble.value.hint
