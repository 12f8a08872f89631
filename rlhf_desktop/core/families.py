"""Which families of models can be taught here, told from config.json alone: before anything is downloaded, without torch.

The families that train are those of `tests/families`, where a tiny model of each goes through chat, every trainer and an export,
and is compared with transformers at each step; a test there keeps this table and those results equal. What no line here knows is
*tried*: the check that follows when a model is added decides (`training/soundness.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["trains", "chats", "refused", "tried"]


@dataclass(frozen=True)
class Verdict:
    """What can be done with a model. `reason` is one sentence, empty for what trains and for what has to be tried."""

    kind: Kind
    reason: str = ""

    @property
    def words(self) -> str:
        """A word or two for a list."""
        return {"trains": "can be taught", "chats": "chats only", "refused": "cannot be used", "tried": "not known yet"}[self.kind]


def _named(families: str) -> frozenset[str]:
    return frozenset(families.split())


TRAINS = _named(
    """
    afmoe apertus arcee bamba biogpt bloom codegen cohere cohere2 deepseek_v2 deepseek_v3 diffllama dots1 ernie4_5
    ernie4_5_moe exaone4 falcon falcon_h1 falcon_mamba gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text gemma4
    gemma4_text glm glm4 glm4_moe glm4_moe_lite gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granite_swa
    granitemoe granitemoehybrid granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe idefics3 internlm3 internvl jamba
    lfm2 lfm2_moe lfm2_vl llama llama4 llama4_text llava llava_next llava_onevision mamba mamba2 mimo_v2_flash minicpm3
    minimax minimax_m2 ministral ministral3 mistral mistral3 mixtral mpt nanochat nemotron nemotron_h olmo olmo2 olmo3
    olmo_hybrid olmoe opt persimmon phi phi3 phimoe qwen2 qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_5 qwen3_5_moe
    qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen3_vl recurrent_gemma seed_oss smollm3 smolvlm stablelm starcoder2
    vaultgemma xglm zamba2
    """
)
"""Shown right in `tests/families`, from chat to export."""

GGUF_FAMILIES = _named("llama mistral qwen2 qwen3")
"""Which models and adapters can be written as GGUF files here (`inference/gguf_export.py`)."""

TEACHABLE = "Choose a Llama, Qwen, Mistral, Gemma, Phi, OLMo, Granite or SmolLM model."
"""What to do instead, where a model cannot be taught."""

CHATS: dict[str, str] = {}
"""Families that answer as they should and cannot be taught, each with the reason as a sentence."""

LANGUAGE_PARTS = {
    "gemma3": "gemma3_text", "gemma3n": "gemma3n_text", "gemma4": "gemma4_text", "gemma4_unified": "gemma4_unified_text",
    "llama4": "llama4_text", "mistral3": "mistral", "qwen2_vl": "qwen2_vl_text", "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text", "qwen3_vl_moe": "qwen3_vl_moe_text", "qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text",
}  # fmt: skip
"""Models that see or hear as well, and the family of their language part where their files leave it unsaid."""

_SPOKEN = {"qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3_vl_text": "qwen3"}
"""Language parts that are those of another family but for where pictures stand."""

_NESTED = ("text_config", "language_config", "llm_config")

_REASONS = {
    "It reads texts and writes none (an encoder, made for searching and sorting), so it can neither chat nor be taught.": """
        albert bert big_bird bros camembert canine convbert data2vec-text deberta deberta-v2 distilbert electra
        embedding_gemma2 ernie esm esmc eurobert flaubert fnet funnel gte ibert jina_embeddings_v3 layoutlm layoutlmv2
        layoutlmv3 lilt longformer luke markuplm megatron-bert mobilebert modernbert modernvbert mpnet mra neomme
        nomic_bert nystromformer openai_privacy_filter perceiver rembert roberta roberta-prelayernorm roc_bert roformer
        splinter squeezebert tapas ultrabert ultravbert xlm xlm-roberta xlm-roberta-xl xmod yoso colmodernvbert colpali
        colqwen2 dpr bert-generation
        """,
    "It turns one text into another in two halves (an encoder and a decoder), which cannot chat or be taught here.": """
        bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder florence2 fsmt led longt5 m2m_100 marian mbart
        mt5 mvp nllb-moe nougat pegasus pegasus_x pix2struct plbart prophetnet rag switch_transformers t5 t5gemma
        t5gemma2 trocr udop umt5 vision-encoder-decoder
        """,
    "It is made for speech or sound, not for conversations in writing.": """
        audioflamingo3 bark canary clvp cohere_asr csm dia encodec fun_asr_nano glmasr gradium_phonon_tts granite_speech
        granite_speech_plus higgs_audio_v2 hubert kyutai_speech_to_text mimi moonshine moonshine_streaming moshi
        moss_transcribe_diarize musicflamingo musicgen musicgen_melody nemo_speechlm parakeet_ctc parakeet_rnnt
        pocket_tts pop2piano qwen2_audio qwen3_asr seamless_m4t seamless_m4t_v2 sew sew-d speech-encoder-decoder
        speech_to_text speecht5 unispeech unispeech-sat vibevoice vibevoice_asr vits voxtral voxtral_realtime wav2vec2
        wav2vec2-bert wav2vec2-conformer wavlm whisper
        """,
    "It is made for pictures, not for conversations in writing.": """
        align altclip beit blip blip-2 chinese_clip clip clipseg convnext convnextv2 depth_anything detr dinov2
        dinov3_vit efficientnet git glm_image grounding-dino imagegpt instructblip instructblipvideo kosmos-2 kosmos-2.5
        mllama_vision_model owlvit pi0 resnet sam sam2 sam3 segformer siglip siglip2 swin swinv2 videomae vilt vit
        vit_mae yolos
        """,
    "It writes a whole text at once out of noise (diffusion), not word by word, so it cannot be taught here.": """
        diffusion_gemma diffusion_gemma_text dream llada llada_moe sdar
        """,
    "It keeps what it has read in a way of its own, in which several answers cannot be written side by side.": "rwkv",
    "It only guesses ahead for a larger model and is none by itself.": """
        gemma4_assistant gemma4_unified_assistant muse_glimmer_assistant
        """,
}
REFUSED = {family: reason for reason, families in _REASONS.items() for family in _named(families)}
"""Families that cannot be used at all, each with the reason as a sentence."""

_OTHERS = _named(
    """
    aria aria_text axk1 axk2 aya_vision bailing_hybrid beam bitnet blt chameleon cohere2_moe cohere2_vision
    cohere_compass_text cpmant ctrl cwm dbrx deepseek_v32 deepseek_v4 deepseek_vl deepseek_vl_hybrid doge dots3_note
    dots3_note_text emu3 ernie4_5_vl_moe exaone4_5 exaone_moe fast_vlm flex_olmo flint fuyu gemma4_unified glm46v glm4v
    glm4v_moe glm_moe_dsa got_ocr2 gpt-sw3 gpt_neox_japanese granite4_vision granitemoe_swa hrm_text hy_v3 hy_v4 hyperclovax
    hyperclovax_vision_v2 idefics idefics2 inkling2_text inkling_text iquestcoder jais2 janus jetmoe kimi_k25 kimi_linear
    kolibri1 laguna lfm3 lfm3_vl llava_next_video longcat_flash mellum minimax_m3_vl minimax_m3_vl_text mistral4 mllama
    modernbert-decoder molmo2 openai-gpt ovis2 paligemma perception_lm phi4_multimodal qwen2_5_omni qwen3_omni_moe qwen4_exp
    qwen4_exp_text reformer solar_open video_llava vipllava xlnet xlstm youtu zamba zaya
    """
)

NATIVE = TRAINS | set(CHATS) | set(REFUSED) | set(LANGUAGE_PARTS) | set(LANGUAGE_PARTS.values()) | _OTHERS
"""Families that transformers has code for: what `auto_map` offers beside it is left alone and never run."""

_HEADLESS = "It has no head that writes words ({}): such models sort, score or search texts, and can neither chat nor be taught."
_OWN_CODE = "It needs code of its own, which this program never runs."
_QUANTIZED = "Its weights are quantised in a form that cannot be taught here: take its unquantised files, or a GGUF file."
_DIFFUSERS = "It makes pictures or sound (diffusers), and writes no text."


TRIED = Verdict("tried")


def verdict(config: Mapping[str, Any]) -> Verdict:
    """What can be done with the model of a config.json, or of the part of one that the Hub tells."""
    family, inner = family_of(config), family_of(language_part(config))
    for name in (family, inner):
        if name in REFUSED:
            return Verdict("refused", REFUSED[name])
    if reason := _unusable(config):
        return Verdict("refused", reason)
    if inner in CHATS:
        return Verdict("chats", CHATS[inner])
    return Verdict("trains" if {family, _SPOKEN.get(inner, inner)} <= TRAINS else "tried")


def family_of(config: Mapping[str, Any]) -> str:
    """What it calls its kind ("gemma3_text"); "" when it does not say."""
    return str(config.get("model_type") or "")


def language_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that is about language: all of it, unless the model sees or hears as well."""
    for name in _NESTED:
        if isinstance(part := config.get(name), Mapping):
            usual = LANGUAGE_PARTS.get(family_of(config), "")
            return language_part({"model_type": usual, **part} if usual else part)
    family = family_of(config)
    return {**config, "model_type": LANGUAGE_PARTS.get(family, family)}


def is_native(config: Mapping[str, Any]) -> bool:
    """Whether transformers has code of its own for the very classes that are named, so that code beside them is never run."""
    family = _plain(family_of(config).removesuffix("_text"))
    own = {"hunyuanv1dense": "hunyuandensev1", "hunyuanv1moe": "hunyuanmoev1"}.get(family, family)
    return family_of(config) in NATIVE and all(_plain(name).startswith(own) for name in _architectures(config))


def _unusable(config: Mapping[str, Any]) -> str:
    """Why a model of any family would be refused; "" when it would not."""
    if "_diffusers_version" in config:
        return _DIFFUSERS
    if config.get("is_encoder_decoder"):
        return next(reason for reason in _REASONS if "two halves" in reason)
    if config.get("auto_map") and not is_native(config):
        return _OWN_CODE
    if config.get("quantization_config"):
        return _QUANTIZED
    names = _architectures(config)
    if names and not any("LM" in name.replace("MaskedLM", "") or "ConditionalGeneration" in name for name in names):
        return _HEADLESS.format(names[0][:60])
    return ""


def _architectures(config: Mapping[str, Any]) -> list[str]:
    names = config.get("architectures")
    return [str(name) for name in names] if isinstance(names, list) else []


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
