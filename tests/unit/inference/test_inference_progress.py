"""Loading and converting tell how far they are: transformers still counts where we listen."""

from pathlib import Path

from rlhf_desktop.inference.convert import LOADED, READ, STARTED, UNPACKED, convert_gguf
from rlhf_desktop.inference.gguf_export import export_gguf
from rlhf_desktop.inference.model import load_base


def test_loading_tells_the_share_of_the_weights(tiny_model):
    told = []
    load_base(tiny_model, dtype="float32", device="cpu", on_share=told.append)
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == 1.0
    load_base(tiny_model, dtype="float32", device="cpu")
    assert told[-1] == 1.0  # nobody listens any more


def test_converting_tells_its_steps(tiny_model, tmp_path):
    export_gguf(Path(tiny_model.path), None, tmp_path / "a.gguf", "a")
    steps, target = [], tmp_path / "model"
    target.mkdir()
    convert_gguf(tmp_path / "a.gguf", target, steps.append)
    shares = [step.done for step in steps]
    assert shares == sorted(shares)
    assert [shares[0], shares[1], shares[-1]] == [STARTED, READ, LOADED]
    assert any(UNPACKED < share < LOADED for share in shares)
    assert steps[-1] == "writing it to the disk"
