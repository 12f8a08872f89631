"""The check of a family: it lets in what is right, and whatever goes wrong inside it is a sentence."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.training import soundness
from rlhf_desktop.training.small_copy import WINDOW, WORDS, small_copy
from rlhf_desktop.training.soundness import check_family
from rlhf_desktop.worker import trial
from tests.tiny import make_tiny_model

LARGE = {
    "vocab_size": 50_000, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "intermediate_size": 14_336,
}  # fmt: skip
LLAMA = AutoConfig.for_model("llama", **LARGE)


@pytest.mark.filterwarnings("ignore:The following .*_pattern keys")  # PEFT's conversion of mixtures; tested with the adapters
@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("llama", {}),
        ("mistral", {"sliding_window": 4096}),
        (
            "gemma3_text",
            {"head_dim": 128, "sliding_window": 512, "layer_types": ["sliding_attention"] * 5 + ["full_attention"] * 27},
        ),
        ("qwen3_moe", {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "head_dim": 128}),
        ("deepseek_v3", {"num_key_value_heads": 32, "first_k_dense_replace": 3}),
        ("granitemoehybrid", {"layer_types": ["mamba"] * 5 + ["attention"] + ["mamba"] * 26, "mamba_n_heads": 128}),
    ],
)
def test_a_copy_is_small_and_has_every_kind_of_layer(family, more):
    config = AutoConfig.for_model(family, **{**LARGE, **more})
    copy = small_copy(config)
    assert copy.num_parameters() < 100_000_000
    assert copy.config.vocab_size == WORDS
    assert getattr(copy.config, "sliding_window", None) in (None, WINDOW)
    kinds = getattr(config, "layer_types", None) or []
    assert set(getattr(copy.config, "layer_types", None) or []) == set(kinds)
    norms = [p for name, p in copy.named_parameters() if "norm" in name]
    assert all(len(values.unique()) > 1 for values in norms)


@pytest.mark.parametrize("family", ["gemma3n_text", "gemma4_text", "gpt2", "llama4_text", "mamba", "qwen3_next"])
def test_families_with_layers_of_their_own_kind_are_copied_from_what_is_usual_for_them(family):
    copy = small_copy(AutoConfig.for_model(family))
    assert copy.num_parameters() < 20_000_000
    assert copy.config.num_hidden_layers >= 2


def test_the_same_copy_every_time():
    first, second = small_copy(LLAMA), small_copy(LLAMA)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float16"])  # what its files hold: nothing of the check is computed in it
def test_what_is_right_trains(dtype):
    rope = {"rope_theta": 100_000.0, "rope_type": "default"}
    config = AutoConfig.for_model("llama", **{**LARGE, "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3},
                                  dtype=dtype, rope_parameters=rope)  # fmt: skip
    assert check_family(config).kind == "trains"


def test_layers_with_settings_of_their_own_keep_them():
    """Gemma 4's full attention has wider heads."""
    copy = small_copy(AutoConfig.for_model("gemma4_text"))
    sizes = {layer.self_attn.head_dim for layer in copy.model.layers}
    assert sizes == {256, 512}
    assert check_family(AutoConfig.for_model("gemma4_text")).kind == "trains"


def _off(work):
    def other(*args, **options):
        found = work(*args, **options)
        return type(found)(found.before, found.logprobs + 0.01, found.entropy)

    return other


def _kept_on(work):
    return lambda host, names: work(host, names) if names else None


def _half(work):
    return lambda folder, files: work(folder, type(files)(files.config, dict(list(files.lora.items())[:2]), files.other))


def _doubled(work):
    lora = lambda files: {name: 2 * factor for name, factor in files.lora.items()}  # noqa: E731
    return lambda folder, files: work(folder, type(files)(files.config, lora(files), files.other))


def _stops(work):
    def other(*args, **options):
        raise KeyError("layers")

    return other


@pytest.mark.parametrize(
    ("place", "name", "change", "kind", "words"),
    [
        (soundness, "_sampled", lambda work: lambda *args: [[4]] * 3, "refused", "differ from those of transformers"),
        (soundness, "small_copy", _stops, "refused", "their code stops with KeyError"),
        (soundness, "answer_pass", _off, "chats", "off by 0.01 nats"),
        (soundness, "answer_pass", _stops, "chats", "their code stops with KeyError"),
        (soundness, "_learn_a_step", lambda work: lambda *args: None, "chats", "a step of training changes nothing"),
        (AdapterHost, "activate", _kept_on, "chats", "cannot be switched off"),
        (soundness, "write_adapter", _half, "chats", "is not all read again"),
        (soundness, "write_adapter", _doubled, "chats", "answers differently in PEFT"),
        (soundness, "read_adapter", _stops, "chats", "their code stops with KeyError"),
    ],
)
def test_whatever_goes_wrong_is_a_sentence(monkeypatch, place, name, change, kind, words):
    monkeypatch.setattr(place, name, change(getattr(place, name)))
    found = check_family(LLAMA)
    assert (found.kind, words in found.sentence) == (kind, True), found
    assert found.sentence.startswith("Models of the llama family")
    assert found.sentence.endswith(".")


def test_the_worker_tries_a_model_and_asks_its_own_weights_too(tiny_model, monkeypatch):
    assert ask(tiny_model, monkeypatch)["kind"] == "trains"


def test_the_worker_says_what_is_wrong_with_the_weights(tiny_model, monkeypatch):
    load = trial.load_base

    def damaged(ref):
        base = load(ref)
        base.model.get_input_embeddings().weight[:] = float("nan")
        return base

    monkeypatch.setattr(trial, "load_base", damaged)
    assert "what are no numbers" in ask(tiny_model, monkeypatch)["error"]["message"]


def test_weights_that_there_is_no_room_for_are_left_alone(tiny_model, monkeypatch):
    monkeypatch.setattr(trial, "_ROOM", 1e9)
    monkeypatch.setattr(trial, "load_base", _stops(None))
    assert ask(tiny_model, monkeypatch)["kind"] == "trains"


def test_an_architecture_that_is_not_known_is_said_to_be(tiny_model, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "martian"}')
    with pytest.raises(ModelTrouble, match="not known to this program"):
        trial.trial(tiny_model.model_copy(update={"path": str(tmp_path)}))


def ask(base, monkeypatch):
    request = io.TextIOWrapper(io.BytesIO(json.dumps({"base": base.model_dump(mode="json")}).encode()))
    monkeypatch.setattr(sys, "stdin", request)
    out = io.BytesIO()
    trial.main([], out)
    return json.loads(out.getvalue())


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{ messages | length }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}", "differently once it is answered"),
     ("{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:\n{% endif %}",
      "its template does not write it")],
)  # fmt: skip
def test_a_template_that_nothing_can_be_learned_with_is_said_when_the_model_is_added(tmp_path, template, said):
    model = make_tiny_model(tmp_path / "model")
    (Path(model.path) / "chat_template.jinja").write_text(template)
    found = trial.trial(model)
    assert found.kind == "chats"
    assert said in found.sentence


def test_a_template_that_refuses_a_plain_question_is_refused_when_the_model_is_added(tmp_path):
    model = make_tiny_model(tmp_path / "model")
    (Path(model.path) / "chat_template.jinja").write_text("{{ raise_exception('no talk') }}")
    with pytest.raises(ModelTrouble, match="no talk"):
        trial.trial(model)
