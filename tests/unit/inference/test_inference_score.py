import pytest
import torch

from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.score import token_logprobs


@pytest.fixture(scope="module")
def base(tiny_model):
    return load_base(tiny_model, dtype="float32", device="cpu")


@pytest.mark.parametrize("max_tokens", [1, 60, 4096])
def test_padded_batches_equal_one_plain_pass_each(base, max_tokens):
    generator = torch.Generator().manual_seed(0)
    sizes = [(3, 9), (20, 1), (7, 7), (1, 30), (12, 4)]
    pairs = [tuple(torch.randint(3, 300, (n,), generator=generator).tolist() for n in size) for size in sizes]
    found = token_logprobs(base.model, pairs, pad_id=base.pad_id, max_tokens=max_tokens, temperature=0.7)
    for (prompt, answer), values in zip(pairs, found, strict=True):
        with torch.inference_mode():
            logits = base.model(torch.tensor([prompt + answer])).logits[0] / 0.7
        expected = [float(logits[len(prompt) - 1 + i].log_softmax(-1)[token]) for i, token in enumerate(answer)]
        assert values.tolist() == pytest.approx(expected, abs=1e-4)


def test_nothing_to_score(base):
    assert token_logprobs(base.model, [], pad_id=0) == []
