import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.model import find_end_ids, find_pad_id, load_base
from tests.tiny import make_tiny_tokenizer


@pytest.fixture
def copy(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model.path, tmp_path / "model")
    return ModelRef(name="copy", path=str(folder), hash="h")


def test_a_base_is_frozen_and_its_padding_ends_no_turn(tiny_model):
    base = load_base(tiny_model, dtype="float32", device="cpu")
    assert not base.model.training
    assert not any(p.requires_grad for p in base.model.parameters())
    assert base.end_ids == (2,)
    assert base.pad_id == 0  # <|endoftext|>, although the files say <|im_end|>
    assert base.model.config.pad_token_id == base.pad_id
    assert base.model.get_input_embeddings().num_embeddings == len(base.tokenizer)  # not resized
    assert (base.dtype, base.hash) == (torch.float32, tiny_model.hash)


def test_padding_without_any_spare_special_token():
    tokenizer = SimpleNamespace(get_vocab=dict, pad_token_id=5, unk_token_id=None, all_special_ids=[5, 0])
    assert find_pad_id(tokenizer, (5, 0)) == 1


def test_the_end_of_turn_comes_before_the_end_of_text():
    tokenizer = make_tiny_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    assert find_end_ids(tokenizer, SimpleNamespace(eos_token_id=[0, 2])) == (2, 0)


def test_no_folder(tmp_path):
    with pytest.raises(ModelTrouble, match="is gone") as caught:
        load_base(ModelRef(name="m", path=str(tmp_path / "none"), hash="h"))
    assert caught.value.hint


def test_no_config(copy):
    (Path(copy.path) / "config.json").unlink()
    with pytest.raises(ModelTrouble, match=r"no config\.json"):
        load_base(copy)


def test_no_weights(copy):
    (Path(copy.path) / "model.safetensors").unlink()
    (Path(copy.path) / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(ModelTrouble, match="has no weights"):
        load_base(copy)


def test_weights_cut_short(copy):
    weights = Path(copy.path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelTrouble, match="damaged or cut short") as caught:
        load_base(copy)
    assert "Copy" in caught.value.hint


def test_weights_that_lack_what_the_config_names(copy):
    config = Path(copy.path) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 3}))
    with pytest.raises(ModelTrouble, match="do not belong") as caught:
        load_base(copy)
    assert "layers.2" in caught.value.detail


def test_unknown_architecture(copy):
    config = Path(copy.path) / "config.json"
    changes = {"model_type": "martian", "architectures": ["MartianForCausalLM"]}
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    with pytest.raises(ModelTrouble, match="not known"):
        load_base(copy)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ValueError("MptForCausalLM does not support attention through sdpa"), "code for its family stops with ValueError"),
        (KeyError("layers"), "code for its family stops with KeyError"),
        (SafetensorError("incomplete metadata"), "weights of “copy” cannot be read"),
        (OSError("no such file"), "weights of “copy” cannot be read"),
    ],
)
def test_sound_files_are_not_called_cut_short(copy, monkeypatch, problem, words):
    def stop(*args, **options):
        raise problem

    monkeypatch.setattr("rlhf_desktop.inference.model.AutoModelForCausalLM.from_pretrained", stop)
    with pytest.raises(ModelTrouble, match=words) as caught:
        load_base(copy)
    assert ("cut short" in caught.value.hint) == isinstance(problem, OSError | SafetensorError)


@pytest.mark.parametrize("family", ["mpt", "gptj", "mamba"])
def test_families_without_fused_attention_are_loaded_with_their_own(copy, family):
    from transformers import AutoConfig, AutoModelForCausalLM

    words = AutoConfig.from_pretrained(copy.path).vocab_size
    sizes = {
        "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 1},
        "gptj": {"n_embd": 32, "n_head": 4, "n_layer": 1, "rotary_dim": 4},
        "mamba": {"hidden_size": 32, "num_hidden_layers": 1},
    }
    config = AutoConfig.for_model(family, vocab_size=words, **sizes[family])
    AutoModelForCausalLM.from_config(config).save_pretrained(copy.path)
    assert load_base(copy, dtype="float32", device="cpu").model.config.model_type == family


def test_a_tokenizer_with_code_of_its_own_is_said_to_have_it(copy, monkeypatch):
    def stop(*args, **options):
        raise ValueError("Please pass the argument `trust_remote_code=True` to allow custom code to be run.")

    monkeypatch.setattr("rlhf_desktop.inference.model.AutoTokenizer.from_pretrained", stop)
    with pytest.raises(ModelTrouble, match="would run code of its own"):
        load_base(copy)


def test_damaged_tokenizer(copy):
    (Path(copy.path) / "tokenizer.json").write_text("{")
    with pytest.raises(ModelTrouble, match=r"tokenizer in .* is damaged"):
        load_base(copy)
