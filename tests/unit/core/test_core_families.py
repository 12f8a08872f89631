"""What config.json alone tells of a family."""

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from rlhf_desktop.core.families import CHATS, LANGUAGE_PARTS, NATIVE, REFUSED, TRAINS, is_native, language_part, verdict


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "trains", ""),
        ({"model_type": "martian"}, "tried", ""),
        ({}, "tried", ""),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "refused", "encoder"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "refused", "two halves"),
        ({"model_type": "martian", "is_encoder_decoder": True}, "refused", "two halves"),
        ({"model_type": "whisper"}, "refused", "speech"),
        ({"model_type": "llada", "auto_map": {"AutoModel": "m.M"}}, "refused", "diffusion"),
        ({"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30"}, "refused", "diffusers"),
        ({"model_type": "mistral", "architectures": ["MistralModel"]}, "refused", "no head that writes words (MistralModel)"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "refused", "no head"),
        ({"model_type": "martian", "architectures": ["MartianForMaskedLM"]}, "refused", "no head"),
        ({"model_type": "chatglm", "auto_map": {"AutoModel": "m.M"}}, "refused", "code of its own"),
        ({"model_type": "llama", "quantization_config": {"quant_method": "fp8"}}, "refused", "quantised"),
        ({"model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "auto_map": {"AutoModelForCausalLM": "m.M"}}, "trains", ""),
        (
            {"model_type": "llama", "architectures": ["MyForCausalLM"], "auto_map": {"AutoModelForCausalLM": "m.M"}},
            "refused",
            "code",
        ),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "trains", ""),
        ({"model_type": "siglip2", "text_config": {"model_type": "siglip2_text_model"}}, "refused", "pictures"),
        ({"model_type": "llava", "text_config": {"model_type": "bert"}}, "refused", "encoder"),
    ],
)
def test_a_verdict_and_its_reason(config, kind, words):
    found = verdict(config)
    assert found.kind == kind
    assert words in found.reason
    assert bool(found.reason) == (kind in ("refused", "chats"))


def test_a_model_that_sees_as_well_is_judged_by_its_language_part(monkeypatch):
    whole = {"model_type": "gemma3", "text_config": {"hidden_size": 2560}, "vision_config": {"model_type": "siglip_vision_model"}}
    assert language_part(whole) == {"model_type": "gemma3_text", "hidden_size": 2560}
    assert language_part({"model_type": "qwen2_5_vl", "hidden_size": 8}) == {"model_type": "qwen2_5_vl_text", "hidden_size": 8}
    assert language_part({"model_type": "llava", "text_config": {"model_type": "llama"}})["model_type"] == "llama"
    assert verdict({"model_type": "aya_vision", "text_config": {"model_type": "llama"}}).kind == "tried"
    assert verdict({"model_type": "qwen2_5_vl", "hidden_size": 8}).kind == "trains"
    assert verdict({"model_type": "qwen2_5_vl", "text_config": {"model_type": "qwen2_5_vl_text"}}).kind == "trains"
    monkeypatch.setattr("rlhf_desktop.core.families.CHATS", {"gemma3_text": "It only talks."})
    assert verdict(whole).reason == "It only talks."


def test_the_table_knows_what_the_installed_transformers_knows():
    """A family that is new there is put into one of the table's places on purpose."""
    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) <= NATIVE
    assert set(CONFIG_MAPPING_NAMES) >= NATIVE - set(REFUSED)
    assert set(CONFIG_MAPPING_NAMES) >= set(LANGUAGE_PARTS)


def test_no_family_has_two_verdicts():
    assert not TRAINS & set(CHATS)
    assert not TRAINS & set(REFUSED)
    assert not set(CHATS) & set(REFUSED)
    assert all(reason.endswith(".") for reason in (*CHATS.values(), *REFUSED.values()))


@pytest.mark.parametrize(
    ("family", "architecture"),
    [
        ("qwen2_moe", "Qwen2MoeForCausalLM"), ("gemma3_text", "Gemma3ForCausalLM"),
        ("hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM"),
        ("ernie4_5", "Ernie4_5ForCausalLM"), ("internlm3", "InternLM3ForCausalLM"), ("gpt2", "GPT2LMHeadModel"),
    ],
)  # fmt: skip
def test_transformers_own_classes_are_known_by_their_names(family, architecture):
    assert is_native({"model_type": family, "architectures": [architecture]})
    assert not is_native({"model_type": family, "architectures": [f"My{architecture}"]})
