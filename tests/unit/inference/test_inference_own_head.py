"""Whatever a model does to its trunk's states, it does to those it is given."""

import pytest
import torch

from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.own_head import own_logits, own_logprobs, trunk_of
from tests.training.test_training_families import random_model, words


@pytest.mark.parametrize("family", ["llama", "gemma4_text", "recurrent_gemma", "mamba", "granite", "llama4_text", "qwen2_moe"])
def test_log_probabilities_entropies_and_gradients_are_those_of_the_whole_model(family):
    model = random_model(family)
    use_rows(model)
    ids, targets = torch.tensor([words(9, 1)]), torch.tensor(words(9, 2))
    with torch.no_grad():
        states = trunk_of(model)(input_ids=ids, use_cache=False).last_hidden_state[0]
        torch.testing.assert_close(own_logits(model, states), model(input_ids=ids, use_cache=False).logits[0], atol=1e-5, rtol=1e-5)
    mine, theirs = (states.clone().requires_grad_() for _ in range(2))
    logprobs, entropies = own_logprobs(model, mine, targets, 0.7)
    plain = (own_logits(model, theirs).float() / 0.7).log_softmax(-1)
    chosen = plain.gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(logprobs, chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropies, -(plain.exp() * plain).sum(-1), atol=1e-5, rtol=1e-5)
    weights = torch.linspace(-1, 1, 9)
    (slope,) = torch.autograd.grad((logprobs * weights).sum(), mine)
    torch.testing.assert_close(slope, torch.autograd.grad((chosen * weights).sum(), theirs)[0], atol=1e-5, rtol=1e-4)


def test_the_trunk_is_itself_again_afterwards():
    model = random_model("llama")
    ids = torch.tensor([words(5, 1)])
    before = model(input_ids=ids).logits
    with torch.no_grad(), pytest.raises(RuntimeError):
        own_logits(model, torch.zeros(3, 7))  # of another width
    torch.testing.assert_close(model(input_ids=ids).logits, before)


def test_words_that_a_model_never_says_add_nothing_to_the_entropy():
    model = random_model("llama")
    model.lm_head.register_forward_hook(lambda _module, _args, out: out.index_fill(-1, torch.arange(4), float("-inf")))
    _, entropies = own_logprobs(model, torch.randn(3, model.config.hidden_size), torch.tensor([5, 6, 7]), 0.7)
    assert entropies.isfinite().all()
    assert entropies.max() > 1
