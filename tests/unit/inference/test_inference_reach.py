"""Positions that look at the longest row: which rows may share a pass, and that neighbours change no score."""

import pytest
import torch

from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.reach import Reach, alike, begin_rows, reach
from rlhf_desktop.inference.score import token_logprobs
from tests.training.test_training_families import LONG, random_model, words

PAIRS = [(words(3, 1), words(4, 2)), (words(20, 3), words(40, 4)), (words(30, 5), words(2, 6)), (words(30, 7), words(3, 8))]


def test_the_reach_is_what_the_configuration_says():
    assert reach(random_model("phi3", **LONG["phi3"])) == Reach(32, stretches=False)
    assert reach(random_model("llama", **LONG["llama"])) == Reach(31, stretches=True)
    assert reach(random_model("qwen3")) is None


def test_rows_share_a_pass_with_their_like():
    lengths = [7, 60, 32, 33, 60]
    assert alike(random_model("qwen3"), lengths) == [[0, 1, 2, 3, 4]]
    assert alike(random_model("phi3", **LONG["phi3"]), lengths) == [[0, 2], [1, 3, 4]]
    assert alike(random_model("llama", **LONG["llama"]), lengths) == [[0], [2], [3], [1, 4]]


@torch.no_grad()
def test_a_pass_begins_as_if_no_longer_row_had_been():
    model, ids = random_model("llama", **LONG["llama"]), torch.tensor([words(50, 1)])
    first = model(ids[:, :40]).logits
    model(ids)
    assert (model(ids[:, :40]).logits - first).abs().max() > 0.01  # transformers keeps what it was stretched to
    begin_rows(model)
    torch.testing.assert_close(model(ids[:, :40]).logits, first)


@torch.no_grad()
@pytest.mark.parametrize("max_tokens", [1, 200, 4096])
@pytest.mark.parametrize("family", [*LONG, "qwen3", "lfm2"])
def test_a_long_neighbour_changes_no_score(family, max_tokens):
    model = random_model(family, **LONG.get(family, {}))
    use_rows(model)
    found = token_logprobs(model, PAIRS, pad_id=0, max_tokens=max_tokens)
    for (prompt, answer), values in zip(PAIRS, found, strict=True):
        begin_rows(model)
        logits = model(torch.tensor([prompt + answer]), use_cache=False).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)]
        torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-5)
