"""A model that also sees is trained on its language part, and what comes of it fits the whole in plain PEFT."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoModelForSequenceClassification

from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.reward_model import RewardModel
from rlhf_desktop.worker.train import main
from tests.tiny_families import make_family, make_whole
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


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["gemma3", "qwen3_moe"])
def test_a_reward_model_scores_as_in_peft_in_wholes_and_in_mixtures_with_a_dense_layer(tmp_path, kind):
    folder = tmp_path / "model"
    base = make_whole(folder, kind, text=WHOLES[kind]) if kind in WHOLES else make_family(folder, kind, mlp_only_layers=[0])
    run = make_run(tmp_path / "run", "reward", base, rankings(), epochs=1, batch_size=3, learning_rate=1e-2)
    finish(run)
    with torch.no_grad():
        model = RewardModel.load(AdapterHost(load_base(base, dtype="float32", device="cpu")), run / "adapter")
        wanted = model.raw_scores([Group(IDS[0, :4].tolist(), [IDS[0, 4:].tolist()])])[0, 0, 0]
        plain = AutoModelForSequenceClassification.from_pretrained(base.path, num_labels=1, dtype=torch.float32)
        found = PeftModel.from_pretrained(plain, run / "adapter").eval()(input_ids=IDS).logits[0, 0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def finish(folder):
    assert (main([str(folder)]), events(folder, "error")) == (0, [])
