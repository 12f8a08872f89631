"""GGUF files whose tokenizer is SentencePiece's: their words are read as they are; files without words get a clear no."""

import shutil

import gguf
import numpy as np
import pytest
from transformers import AutoTokenizer

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.hub.library import Library
from rlhf_desktop.inference.convert import convert_gguf
from rlhf_desktop.inference.gguf_export import export_gguf
from rlhf_desktop.inference.model import load_base

WIDTH, KV, INNER, LAYERS = 64, 32, 96, 2
# Best first, as SentencePiece's scores rank them; a word is put together from two that are there.
WORDS = ("▁", *"helowrd", "he", "ll", "hell", "hello", "▁hello", "▁w", "or", "ld", "▁wor", "▁world")
CONTROL, UNKNOWN, BYTE, NORMAL = 3, 2, 6, 1


def write(file, kind="llama", words=WORDS):
    """A tiny Llama with random weights; `kind` is llama.cpp's name of the tokenizer."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *words]
    writer, chance = gguf.GGUFWriter(file, "llama"), np.random.default_rng(0)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_rope_dimension_count(16)
    writer.add_tokenizer_model(kind)
    if words:
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * 259 + [-float(n) for n in range(len(words))])
        writer.add_token_types([UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(words))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}")

    def add(name, *shape):
        writer.add_tensor(name, chance.normal(0, 0.05, shape).astype(np.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    add("output.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH)
    layer = {"attn_q": (WIDTH, WIDTH), "attn_k": (KV, WIDTH), "attn_v": (KV, WIDTH), "attn_output": (WIDTH, WIDTH),
             "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER),
             "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}  # fmt: skip
    for number in range(LAYERS):
        for name, shape in layer.items():
            add(f"blk.{number}.{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentencepiece")
    target = folder / "model"
    target.mkdir()
    convert_gguf(write(folder / "a.gguf"), target)
    return target


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("hello world", ["▁hello", "▁world"]),
        ("hello\nworld", ["▁hello", "<0x0A>", "w", "or", "ld"]),
        ("hello é", ["▁hello", "▁", "<0xC3>", "<0xA9>"]),
        ("hello  world", ["▁hello", "▁", "▁world"]),
    ],
)
def test_sentencepiece_words_are_read_from_the_file(converted, text, tokens):
    """The tokens are those llama.cpp gives for this file."""
    tokenizer = AutoTokenizer.from_pretrained(converted)
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
    assert tokenizer.decode(ids) == text


def test_it_can_be_loaded_and_added(converted, tmp_path):
    ref = Library(Workspace(tmp_path / "ws").ensure()).add(converted, "spm")
    base = load_base(ref, dtype="float32", device="cpu")
    assert base.tokenizer.convert_ids_to_tokens(list(base.end_ids)) == ["</s>"]
    assert base.pad_id not in base.end_ids


def test_writing_it_as_gguf_again_gets_a_clear_no(converted, tmp_path):
    with pytest.raises(ModelTrouble, match="tokenizer is of a kind") as caught:
        export_gguf(converted, None, tmp_path / "out.gguf", "Spm")
    assert "convert_hf_to_gguf.py" in caught.value.hint


@pytest.mark.parametrize(("kind", "words"), [("no_vocab", ()), ("rwkv", WORDS), ("llama", ())])
def test_a_file_without_words_one_can_read_gets_a_clear_no(tmp_path, kind, words):
    file = write(tmp_path / "a.gguf", kind, words)
    target = tmp_path / "model"
    target.mkdir()
    with pytest.raises(ModelTrouble, match=r"a\.gguf") as caught:
        convert_gguf(file, target)
    assert caught.value.hint


def test_a_folder_with_sentencepieces_own_file_only_gets_a_clear_no(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model.path, tmp_path / "model")
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    with pytest.raises(ModelTrouble, match="SentencePiece") as caught:
        Library(Workspace(tmp_path / "ws").ensure()).add(folder)
    assert "tokenizer.json" in caught.value.hint
