"""Several answers of every kind of family: the likeliest words are those of transformers' `generate`, alone and beside others."""

import pytest
import torch
from transformers import GenerationConfig

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.reach import begin_rows
from rlhf_desktop.inference.reading import manner
from rlhf_desktop.inference.sampler import sample
from tests.training.test_training_families import LONG, random_model, words

NEW = 14
PROMPTS = [words(5, 1), words(12, 2), words(9, 3), words(5, 4)]  # shorter and longer than a window of 8
KINDS = {
    "llama": "mixed", "gemma3_text": "mixed", "gpt_oss": "mixed", "deepseek_v3": "mixed", "llama4_text": "mixed", "bloom": "mixed",
    "stablelm": "mixed", "lfm2": "mixed", "qwen3_5_text": "mixed", "falcon_h1": "mixed", "granitemoehybrid": "mixed",
    "nemotron_h": "mixed", "olmo_hybrid": "mixed", "jamba": "mixed", "mamba": "own", "minimax": "own", "recurrent_gemma": "own",
}  # fmt: skip


def theirs(model, prompt):
    begin_rows(model)
    ids, usual = torch.tensor([prompt]), model.generation_config
    model.generation_config = plain = GenerationConfig(max_new_tokens=NEW, do_sample=False, use_cache=True, pad_token_id=0)
    found = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=plain)
    model.generation_config = usual
    return found[0, len(prompt) :].tolist()


def ours(model, prompts, k):
    found = sample(
        model,
        prompts=prompts,
        k=k,
        sampling=Sampling(temperature=0, top_p=1, max_new_tokens=NEW),
        end_ids=[],
        pad_id=0,
        generator=torch.Generator().manual_seed(0),
    )
    return [answer.ids for answer in found]


def same_everywhere(model):
    expected = [theirs(model, prompt) for prompt in PROMPTS]
    use_rows(model)
    for prompt, answer in zip(PROMPTS, expected, strict=True):
        assert ours(model, [prompt], 1) == [answer]
    assert ours(model, PROMPTS, 3) == [answer for answer in expected for _ in range(3)]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("family", KINDS)
def test_the_likeliest_words_are_those_of_generate_alone_and_beside_others(family):
    model = random_model(family)
    same_everywhere(model)
    assert manner(model) == KINDS[family]


@pytest.mark.parametrize("family", LONG)
def test_no_neighbour_changes_an_answer_that_goes_beyond_the_reach_of_its_positions(family):
    """A short prompt whose answer stays within, one that goes over while it is answered, and one that is beyond it."""
    model = random_model(family, **LONG[family])
    places = [words(5, 1), words(25, 2), words(40, 3)]
    expected = [theirs(model, prompt) for prompt in places]
    use_rows(model)
    assert ours(model, places, 2) == [answer for answer in expected for _ in range(2)]
    assert ours(model, places[:1], 1) == expected[:1]  # and none that came before


def test_prompts_of_one_length_go_together_where_padding_is_seen():
    model = random_model("llama")
    model.__class__ = type("Blind", (type(model),), {"forward": _blind})
    assert manner(model) == "alike"
    same_everywhere(model)


def _blind(self, attention_mask=None, **options):
    return super(type(self), self).forward(**options)
