"""What every engine must do alike: the same answers, the same likelihoods, adapters with a strength."""

import pytest
import torch

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.engines.base import Applied
from rlhf_desktop.inference.engines.pytorch import KEPT_ADAPTERS, TorchEngine
from rlhf_desktop.inference.model import load_base
from tests.unit.inference.engine_cases import PROMPTS, random_adapter

PAIRS = [(PROMPTS[0], [2, 5, 61, 90]), (PROMPTS[1], [44, 45])]


@pytest.fixture(scope="module")
def reference(tiny_model):
    """Torch's engine on the tiny model, in float32."""
    return TorchEngine(load_base(tiny_model, dtype="float32", device="cpu"), tiny_model.name)


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return random_adapter(tmp_path_factory.mktemp("adapter"), tiny_model)


@pytest.fixture(scope="module")
def half(tiny_model, tmp_path_factory):
    """The same factors with half of alpha."""
    return random_adapter(tmp_path_factory.mktemp("half"), tiny_model, alpha=6)


def logprobs(engine, applied=None):
    return torch.cat(engine.token_logprobs(PAIRS, applied=applied))


def answers(engine, k=2, seed=0, **asked):
    sampling = Sampling(temperature=1.0, max_new_tokens=8)
    found = engine.sample(prompts=PROMPTS, k=k, sampling=sampling, end_ids=engine.voice.end_ids, seed=seed, **asked)
    return [answer.ids for answer in found]


def test_an_adapter_counts_as_strongly_as_is_asked(reference, adapter, half):
    base, whole = logprobs(reference), logprobs(reference, Applied(adapter))
    assert (whole - base).abs().max() > 0.1
    torch.testing.assert_close(logprobs(reference, Applied(adapter, 0.0)), base)
    torch.testing.assert_close(logprobs(reference, Applied(adapter, 0.5)), logprobs(reference, Applied(half)))
    torch.testing.assert_close(logprobs(reference), base)
    assert answers(reference, applied=Applied(adapter, 0.0)) == answers(reference) != answers(reference, applied=Applied(adapter))


def test_draws_are_fixed_by_the_seed(reference):
    assert answers(reference, seed=3) == answers(reference, seed=3) != answers(reference, seed=4)


def test_an_adapter_of_another_base_is_refused(reference, adapter):
    other = adapter.model_copy(update={"base_hash": "another", "hash": "another"})
    with pytest.raises(ModelTrouble, match="trained on another base model than tiny-0"):
        answers(reference, applied=Applied(other))


def test_only_so_many_adapters_are_kept_in_memory(tiny_model, adapter):
    engine = TorchEngine(load_base(tiny_model, dtype="float32", device="cpu"), tiny_model.name)
    plain = engine.memory_bytes()
    sizes = []
    for number in range(2 * KEPT_ADAPTERS):
        answers(engine, k=1, applied=Applied(adapter.model_copy(update={"hash": f"copy-{number}"})))
        sizes.append(engine.memory_bytes())
    assert sizes[0] > plain
    assert sizes[KEPT_ADAPTERS - 1] == max(sizes) == sizes[-1]
