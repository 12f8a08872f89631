"""GGUF files whose positions are scaled are refused in a sentence: the reader would lose that without a word."""

import struct

import pytest

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.gguf_header import check_gguf
from tests.hostile import LLAMA, gguf, text_key


@pytest.mark.parametrize("kind", ["yarn", "linear", "longrope"])
def test_stretched_positions_get_a_clear_no(tmp_path, kind):
    file = gguf(tmp_path / "long.gguf", keys=LLAMA + text_key("llama.rope.scaling.type", kind))
    with pytest.raises(ModelTrouble, match=f"counts positions.*{kind}") as caught:
        check_gguf(file)
    assert "safetensors" in caught.value.hint


def test_factors_for_single_frequencies_too(tmp_path):
    name = b"rope_freqs.weight"
    tensor = struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 4, 0, 0)
    file = gguf(tmp_path / "l3.gguf", keys=LLAMA, tensor_count=1, more=tensor + bytes(64))
    with pytest.raises(ModelTrouble, match="rope_freqs"):
        check_gguf(file)


@pytest.mark.parametrize("said", [b"", text_key("llama.rope.scaling.type", "none")])
def test_plain_positions_are_fine(tmp_path, said):
    assert check_gguf(gguf(tmp_path / "plain.gguf", keys=LLAMA + said)).stretched == ""
