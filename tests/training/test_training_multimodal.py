"""A model that also sees is trained on its language part, and what comes of it fits the whole in plain PEFT."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.worker.train import main
from tests.tiny_families import make_whole
from tests.training.folders import adapter_of, demonstrations, events, make_run, rankings

IDS = torch.tensor([[5, 9, 30, 41, 7, 200, 77, 12, 130]])
QUICK = {"epochs": 1, "batch_size": 3, "watched_prompts": 1, "learning_rate": 1e-2}
WHOLES = {
    "gemma3": {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
    "qwen3_5": {"layer_types": ["linear_attention", "full_attention"]},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", WHOLES)
def test_examples_and_preferences_are_learned_and_read_by_peft_on_the_whole(tmp_path, kind):
    base = make_whole(tmp_path / "model", kind, text=WHOLES[kind])
    sft = make_run(tmp_path / "sft", "sft", base, demonstrations(), **QUICK)
    finish(sft)
    dpo = make_run(tmp_path / "dpo", "dpo", base, rankings(), start=adapter_of(sft, base), **QUICK)
    finish(dpo)
    with torch.no_grad():
        host = AdapterHost(load_base(base, dtype="float32", device="cpu"))
        host.load(dpo / "adapter", "dpo")
        plain = host.model(input_ids=IDS, use_cache=False).logits
        host.activate(["dpo"])
        wanted = host.model(input_ids=IDS, use_cache=False).logits
        whole = AutoModelForImageTextToText.from_pretrained(base.path).eval()
        found = PeftModel.from_pretrained(whole, dpo / "adapter").eval()(input_ids=IDS, use_cache=False).logits
    assert (wanted - plain).abs().max() > 1e-2
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def finish(folder):
    assert (main([str(folder)]), events(folder, "error")) == (0, [])
