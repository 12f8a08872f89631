"""What is exported answers as it did here: plain PEFT, plain transformers, and GGUF through transformers' own reader."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.export import export_merged, export_peft
from rlhf_desktop.inference.gguf_export import export_gguf, export_gguf_adapter, pre_tokenizer_name
from rlhf_desktop.inference.model import load_base
from tests.hostile import make_adapter

YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 256}
IDS = torch.tensor([[1, 40, 77, 130, 9, 200, 301, 2, 5, 61]])


@pytest.fixture(scope="module")
def base(tiny_model):
    return Path(tiny_model.path)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """Random factors on every linear layer, ranks and scale other than one another's."""
    from safetensors.numpy import save_file

    folder = make_adapter(tmp_path_factory.mktemp("adapter"))
    chance = np.random.default_rng(3)
    shapes = {"self_attn.q_proj": (64, 64), "self_attn.k_proj": (32, 64), "mlp.down_proj": (64, 128), "mlp.gate_proj": (128, 64)}
    factors = {}
    for layer in range(2):
        for module, (out, into) in shapes.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            factors[f"{name}.lora_A.weight"] = chance.normal(0, 0.1, (4, into)).astype(np.float32)
            factors[f"{name}.lora_B.weight"] = chance.normal(0, 0.1, (out, 4)).astype(np.float32)
    save_file(factors, folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {
        "lora_alpha": 12,
        "target_modules": [name.split(".")[1] for name in shapes],
        "base_model_name_or_path": "/home/me/model",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def ours(base, adapter):
    """Logits (T, V) of the program's own model with the adapter, in float32, and of the base alone."""
    host = AdapterHost(load_base(ModelRef(name="t", path=str(base), hash="h"), dtype="float32", device="cpu"))
    plain = logits(host.model)
    host.load(adapter, "tuned")
    host.activate(["tuned"])
    tuned = logits(host.model)
    assert (tuned - plain).abs().max() > 0.1
    return tuned, plain


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS).logits[0].float()


def same(a, b, within=1e-4):
    return float((a - b).abs().max()) < within


def test_peft_reads_the_adapter(base, adapter, ours, tmp_path):
    from peft import PeftModel

    export_peft(adapter, "somebody/tiny", tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert same(logits(PeftModel.from_pretrained(plain, tmp_path)), ours[0])
    assert "/home/me" not in (tmp_path / "adapter_config.json").read_text()


def test_transformers_reads_the_merged_model(base, adapter, ours, tmp_path):
    export_merged(base, adapter, tmp_path, "Kinder")
    assert same(logits(AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)), ours[0])
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template
    assert "Kinder" in (tmp_path / "README.md").read_text()
    assert str(base) not in "".join(file.read_text() for file in tmp_path.glob("*.json"))


def test_a_base_in_sixteen_bits_and_several_files(base, adapter, tmp_path):
    folder = tmp_path / "half"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="100KB")
    for file in base.glob("token*"):
        shutil.copy(file, folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    target = tmp_path / "out"
    target.mkdir()
    export_merged(folder, adapter, target, "Kinder")
    host = AdapterHost(load_base(ModelRef(name="t", path=str(folder), hash="h"), dtype="float32", device="cpu"))
    host.load(adapter, "tuned")
    host.activate(["tuned"])
    assert same(logits(AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)), logits(host.model))


def test_a_quantised_base_is_not_merged_into(base, adapter, tmp_path):
    """Runs may hold their base in 4-bit numbers in memory; what is exported comes from the full weights (see the test above).

    A base that is stored quantised has none.
    """
    folder = shutil.copytree(base, tmp_path / "small")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq", "bits": 4}}))
    for export in (export_merged, export_gguf):
        with pytest.raises(ModelTrouble, match="quantised") as caught:
            export(folder, adapter, tmp_path / "out", "Kinder")
        assert "unquantised" in caught.value.message
    assert not (tmp_path / "out").exists()


def read_gguf(file):
    return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)


def test_gguf_reads_back_as_the_same_model(base, adapter, ours, tmp_path):
    file = tmp_path / "kinder-F16.gguf"
    export_gguf(base, adapter, file, "Kinder")
    back = logits(read_gguf(file))
    assert same(back, ours[0], 0.05)  # F16
    doubtful = ours[0].topk(2).values.diff().abs().squeeze() < 0.1
    assert bool((back.argmax(-1) == ours[0].argmax(-1))[~doubtful].all())
    assert not same(back, ours[1], 0.05)


def test_gguf_holds_the_same_tokenizer(base, tmp_path):
    file = tmp_path / "base.gguf"
    export_gguf(base, None, file, "Tiny")
    here, there = AutoTokenizer.from_pretrained(base), AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    for text in ("The printer is broken.", " 12 é😀 x", "<|im_start|>user\nHi<|im_end|>\n"):
        assert here.encode(text, add_special_tokens=False) == there.encode(text, add_special_tokens=False)
    fields = gguf.GGUFReader(file).fields
    assert fields["tokenizer.chat_template"].contents() == here.chat_template
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 2
    assert fields["tokenizer.ggml.padding_token_id"].contents() == 0
    assert fields["tokenizer.ggml.pre"].contents() == "gpt-2"


def test_the_gguf_adapter_adds_up_to_the_merged_file(base, adapter, tmp_path):
    export_gguf(base, None, tmp_path / "base.gguf", "b")
    export_gguf(base, adapter, tmp_path / "merged.gguf", "m")
    export_gguf_adapter(base, adapter, tmp_path / "lora.gguf", "l")
    whole = {t.name: np.array(t.data, np.float32) for t in gguf.GGUFReader(tmp_path / "merged.gguf").tensors}
    plain = {t.name: np.array(t.data, np.float32) for t in gguf.GGUFReader(tmp_path / "base.gguf").tensors}
    reader = gguf.GGUFReader(tmp_path / "lora.gguf")
    lora = {t.name: np.array(t.data, np.float32) for t in reader.tensors}
    assert reader.fields["general.type"].contents() == "adapter"
    assert reader.fields["adapter.type"].contents() == "lora"
    alpha = reader.fields["adapter.lora.alpha"].contents()
    changed = {name.removesuffix(".lora_a") for name in lora if name.endswith(".lora_a")}
    assert changed == {f"blk.{n}.{part}.weight" for n in range(2) for part in ("attn_q", "attn_k", "ffn_down", "ffn_gate")}
    for name in changed:
        a, b = lora[f"{name}.lora_a"], lora[f"{name}.lora_b"]  # (rank, in), (out, rank)
        assert np.abs(plain[name] + alpha / a.shape[0] * (b @ a) - whole[name]).max() < 2e-3


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "mistral", "llama"])
def test_the_kinds_of_model_that_can_be_written(base, kind, tmp_path):
    from transformers import AutoConfig

    more = {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}
    more |= {"qwen3": {"head_dim": 128}, "mistral": {"head_dim": 32}}.get(kind, {})  # 128 is what the reader takes for granted
    config = AutoConfig.for_model(
        kind, vocab_size=384, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=False, initializer_range=0.2, **more,
    )  # fmt: skip
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config)
    folder = tmp_path / kind
    model.save_pretrained(folder)
    for file in base.glob("token*"):
        shutil.copy(file, folder)
    for name, tensor in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            torch.nn.init.normal_(tensor, 1.0, 0.3)
    model.save_pretrained(folder)
    export_gguf(folder, None, tmp_path / "out.gguf", "A model")
    assert same(logits(read_gguf(tmp_path / "out.gguf")), logits(model.eval()), 0.05)


def edited(base, tmp_path, file, change):
    folder = shutil.copytree(base, tmp_path / "model")
    value = json.loads((folder / file).read_text())
    change(value)
    (folder / file).write_text(json.dumps(value))
    return folder


def test_other_kinds_get_one_clear_no(base, adapter, tmp_path):
    gemma = edited(base, tmp_path / "a", "config.json", lambda c: c.update(model_type="gemma2"))
    with pytest.raises(ModelTrouble, match="not for “gemma2”") as caught:
        export_gguf(gemma, adapter, tmp_path / "out.gguf", "x")
    assert "merged" in caught.value.hint
    yarn = edited(base, tmp_path / "b", "config.json", lambda c: c.update(rope_parameters=YARN))
    with pytest.raises(ModelTrouble, match="yarn"):
        export_gguf(yarn, None, tmp_path / "out.gguf", "x")
    words = edited(base, tmp_path / "c", "tokenizer.json", lambda t: t["pre_tokenizer"].update(type="Whitespace"))
    with pytest.raises(ModelTrouble, match="tokenizer is of a kind"):
        pre_tokenizer_name(words)


def test_an_adapter_of_other_shapes(base, tmp_path):
    folder = make_adapter(tmp_path / "adapter")
    config = edited(base, tmp_path / "d", "config.json", lambda c: None)
    from safetensors.numpy import load_file, save_file

    factors = load_file(folder / "adapter_model.safetensors")
    save_file({k.replace("q_proj", "v_proj"): v for k, v in factors.items()}, folder / "adapter_model.safetensors")
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(ModelTrouble, match="does not fit"):
        export_merged(config, folder, target, "x")
    save_file({k.replace("q_proj", "none"): v for k, v in factors.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelTrouble, match="does not store one by one"):
        export_merged(config, folder, target, "x")


def test_llama_3_frequencies():
    """The factors llama.cpp's converter computes for the published configuration."""
    from rlhf_desktop.inference.gguf_export import Shape, _rope_factors

    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192, "rope_theta": 500000.0}  # fmt: skip
    found = _rope_factors(Shape(None, 1, 32, 8, 64, {"rope_parameters": scaling}))
    assert found.shape == (32,)
    assert found[:8].tolist() == [1.0] * 8
    assert found[-8:].tolist() == [32.0] * 8
    assert list(found) == sorted(found)
    assert 1 < found[15] < 32
