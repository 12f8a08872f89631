"""Models that also see, as models of text: the same numbers, adapters that PEFT loads on the whole, exports that are whole."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.adapters import AdapterFiles, AdapterHost, write_adapter
from rlhf_desktop.inference.export import export_merged
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.multimodal import language_part
from tests.tiny_families import make_family, make_whole

IDS = torch.tensor([[5, 9, 30, 41, 7, 200, 77, 12, 130]])
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
LAYERS = {"layer_types": ["linear_attention", "full_attention"]}
GEMMA_4 = {
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": 4,
    "global_head_dim": 16,
    "final_logit_softcapping": 3.0,
}
WHOLES = {
    "gemma3": {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4},
    "gemma4": GEMMA_4,
    "gemma4_unified": GEMMA_4,
    "mistral3": {},
    "qwen2_vl": MROPE,
    "qwen2_5_vl": MROPE,
    "qwen3_vl": MROPE,
    "qwen3_5": LAYERS,
    "qwen3_5_moe": LAYERS,
    "llava": {},
    "llava_next": {},
    "llava_onevision": {},
    "internvl": {},
    "lfm2_vl": {"layer_types": ["conv", "full_attention"]},
    "idefics3": {},
    "smolvlm": {},
    "llama4": {"interleave_moe_layer_step": 2},
}
TOWERS = {
    "gemma4": {"model_type": "gemma4_vision", "pooling_kernel_size": 1, "position_embedding_size": 16},
    "gemma4_unified": {"model_type": "gemma4_unified_vision", "mm_embed_dim": 16, "mm_posemb_size": 16, "output_proj_dims": 16},
}


USUAL = ("gemma3", "gemma4", "mistral3", "qwen2_5_vl", "qwen3_5", "llama4", "smolvlm")
EACH = [pytest.param(name, marks=() if name in USUAL else pytest.mark.slow) for name in WHOLES]


@pytest.fixture(scope="module", params=EACH)
def whole(request, tmp_path_factory):
    kind, folder = request.param, tmp_path_factory.mktemp("whole") / "model"
    return make_whole(folder, kind, text=WHOLES[kind], vision=TOWERS.get(kind, {}))


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits


def test_the_language_part_alone_says_what_the_whole_says(whole):
    theirs = AutoModelForImageTextToText.from_pretrained(whole.path).eval()
    ours = load_base(whole, dtype="float32", device="cpu").model
    assert torch.allclose(logits(ours), logits(theirs), atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) < sum(p.numel() for p in theirs.parameters())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_adapter_and_a_merged_export_fit_the_whole(whole, tmp_path):
    host = AdapterHost(load_base(whole, dtype="float32", device="cpu"))
    own = logits(host.model)
    host.add("new", rank=4, alpha=8, seed=0)
    for name, parameter in host.parameters("new").items():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))) * 0.3
    host.activate(["new"])
    wanted = logits(host.model)
    host.activate([])
    assert torch.equal(logits(host.model), own)
    for name in ("adapter", "merged"):
        (tmp_path / name).mkdir()
    write_adapter(tmp_path / "adapter", AdapterFiles(host.config("new"), dict(host.parameters("new")), {}))
    again = AdapterHost(load_base(whole, dtype="float32", device="cpu"))
    again.load(tmp_path / "adapter", "new")
    again.activate(["new"])
    assert torch.allclose(logits(again.model), wanted, atol=1e-5)

    theirs = AutoModelForImageTextToText.from_pretrained(whole.path).eval()
    peft = PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    assert torch.allclose(logits(peft), wanted, atol=1e-4)
    assert not [name for name, _ in peft.named_parameters() if "lora_" in name and ("vision" in name or "visual" in name)]

    export_merged(Path(whole.path), tmp_path / "adapter", tmp_path / "merged", "merged")
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").eval()
    assert torch.allclose(logits(merged), wanted, atol=1e-4)
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template == host.base.tokenizer.chat_template
    assert "vision_config" in json.loads((tmp_path / "merged" / "config.json").read_text())


def test_gemma_3n_needs_nothing_of_its_eyes(tmp_path):
    """Its eyes are of another library, which is not installed: the checkpoint is the language part's under the whole's names."""
    plain = make_family(tmp_path / "plain", "gemma3n_text", layer_types=["sliding_attention", "full_attention"], sliding_window=4)
    shutil.copytree(plain.path, tmp_path / "whole")
    weights = load_file(tmp_path / "plain" / "model.safetensors")
    whole = {name.replace("model.", "model.language_model.", 1): weight for name, weight in weights.items()}
    whole["model.vision_tower.timm_model.blocks.0.q_proj.weight"] = torch.zeros(3, 3)
    save_file(whole, tmp_path / "whole" / "model.safetensors", metadata={"format": "pt"})
    text = json.loads((tmp_path / "plain" / "config.json").read_text())
    config = AutoConfig.for_model("gemma3n", text_config=text)
    config.save_pretrained(tmp_path / "whole")
    host = AdapterHost(load_base(ModelRef(name="3n", path=str(tmp_path / "whole"), hash="h"), dtype="float32", device="cpu"))
    theirs = AutoModelForCausalLM.from_pretrained(plain.path).eval()
    assert torch.allclose(logits(host.model), logits(theirs), atol=1e-5)
    host.add("new", rank=4, alpha=8, seed=0)
    assert all(name.startswith("base_model.model.model.language_model.") for name in host.parameters("new"))


def test_a_checkpoint_written_the_newer_way_is_read_and_merged_too(tmp_path):
    base = make_whole(tmp_path / "model", "gemma3", text=WHOLES["gemma3"])
    wanted = logits(load_base(base, dtype="float32", device="cpu").model)
    file = tmp_path / "model" / "model.safetensors"
    weights = load_file(file)
    assert any(name.startswith("language_model.model.layers.") for name in weights)
    newer = {re.sub(r"^language_model\.model\.", "model.language_model.", name): weight for name, weight in weights.items()}
    save_file({re.sub(r"^(vision|multi)", r"model.\1", name): w for name, w in newer.items()}, file, metadata={"format": "pt"})
    host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
    assert torch.equal(logits(host.model), wanted)
    host.add("new", rank=4, alpha=8, seed=0)
    for name in ("adapter", "merged"):
        (tmp_path / name).mkdir()
    write_adapter(tmp_path / "adapter", AdapterFiles(host.config("new"), dict(host.parameters("new")), {}))
    export_merged(Path(base.path), tmp_path / "adapter", tmp_path / "merged", "merged")
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").eval()
    assert torch.allclose(logits(merged), wanted, atol=1e-5)


def test_a_configuration_with_the_language_part_laid_out_flat_is_read(tmp_path):
    """As Qwen2.5-VL's makers publish it, with positions in three directions under their old name."""
    base = make_whole(tmp_path / "model", "qwen2_5_vl", text=MROPE)
    wanted = logits(load_base(base, dtype="float32", device="cpu").model)
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    text = config.pop("text_config")
    text.pop("rope_parameters")
    flat = {**text, **config, "rope_theta": 10000.0, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}
    file.write_text(json.dumps(flat))
    assert torch.equal(logits(load_base(base, dtype="float32", device="cpu").model), wanted)
    assert torch.allclose(logits(AutoModelForImageTextToText.from_pretrained(base.path).eval()), wanted, atol=1e-5)


def test_an_adapter_that_also_tunes_what_sees_is_refused(tmp_path):
    base = make_whole(tmp_path / "model", "gemma3", text=WHOLES["gemma3"])
    whole = get_peft_model(AutoModelForImageTextToText.from_pretrained(base.path), LoraConfig(r=2, target_modules=["q_proj"]))
    for name, weight in whole.named_parameters():
        if "lora_B" in name and "vision" not in name:
            torch.nn.init.normal_(weight, std=0.1)
    whole.save_pretrained(tmp_path / "idle")
    for name, weight in whole.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    whole.save_pretrained(tmp_path / "tuned")
    host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
    host.load(tmp_path / "idle", "idle")  # PEFT has put factors on the tower; they were never trained and do nothing
    with pytest.raises(ModelTrouble, match=r"changes model\.vision_tower"):
        host.load(tmp_path / "tuned", "tuned")


def test_a_whole_that_drops_the_scale_of_its_part_is_not_taken_apart(tmp_path):
    base = make_whole(tmp_path / "model", "gemma3", text={**WHOLES["gemma3"], "final_logit_softcapping": 3.0})
    assert language_part(Path(base.path)) is None
