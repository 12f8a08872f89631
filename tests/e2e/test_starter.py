"""The real starter model: converted from its package, loaded, and asked."""

import math

import pytest
import torch

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub.library import Library
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.inference.score import token_logprobs
from rlhf_desktop.inference.streaming import TextStream
from rlhf_desktop.inference.template import encode_pair, is_prefix_stable, prompt_ids

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


@pytest.fixture(scope="module")
def library(starter):
    return Library(starter)


@pytest.fixture(scope="module")
def base(library):
    return load_base(library.ensure_starter(), dtype="float32", device="cpu")


def test_waiting_until_it_is_prepared_counts_against_no_test(request, starter):
    marker = request.node.get_closest_marker("timeout")
    assert marker.kwargs == {"func_only": True}
    assert marker.args == (float(request.config.getini("timeout")),)


def test_another_workspace_has_it_without_preparing_it(lend_starter, tmp_path):
    lent = Library(lend_starter(Workspace(tmp_path)), convert_command=["false"])
    assert lent.ensure_starter().hash


def test_it_takes_little_room_and_says_where_it_comes_from(library, base):
    (entry,) = library.list()
    assert entry.parameters == 134_515_008
    assert entry.size_bytes <= 540 * 10**6
    assert entry.licence == "Apache-2.0"
    assert entry.hash == base.hash


def test_its_turns_end_and_its_padding_is_something_else(base):
    def named(token):
        return base.tokenizer.convert_ids_to_tokens(token)

    assert [named(token) for token in base.end_ids] == ["<|im_end|>"]
    assert named(base.pad_id) == base.tokenizer.pad_token == "<|endoftext|>"
    assert base.model.get_input_embeddings().num_embeddings == len(base.tokenizer) == 49152


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be kind."}]])
def test_its_template_reads_a_prompt_the_same_once_it_is_answered(base, system):
    messages = [*system, *QUESTION]
    assert is_prefix_stable(base.tokenizer, messages, " Paris. ")
    text = base.tokenizer.decode(prompt_ids(base.tokenizer, messages))
    assert text.startswith(f"<|im_start|>system\n{'Be kind.' if system else SYSTEM}<|im_end|>\n<|im_start|>user\n")


def test_its_tokenizer_splits_numbers_into_digits(base):
    ids = base.tokenizer.encode("In  2026", add_special_tokens=False)
    assert base.tokenizer.convert_ids_to_tokens(ids) == ["In", "ĠĠ", "2", "0", "2", "6"]


def test_it_knows_the_capital_of_france_and_stops(base):
    (answer,) = sample(
        base.model,
        prompts=[prompt_ids(base.tokenizer, QUESTION)],
        k=1,
        sampling=Sampling(temperature=0, max_new_tokens=40),
        end_ids=base.end_ids,
        pad_id=base.pad_id,
        generator=torch.Generator(),
    )
    stream = TextStream(base.tokenizer)
    text = "".join(stream.push(token) for token in answer.ids) + stream.finish()
    assert "Paris" in text
    assert answer.finish == "end"


def test_sense_is_likelier_than_nonsense(base):
    texts = ["The capital of France is Paris.", "Paris capital the France of is."]
    pairs = [encode_pair(base.tokenizer, QUESTION, text, 200, end_id=base.end_ids[0]) for text in texts]
    sense, nonsense = (float(values.mean()) for values in token_logprobs(base.model, pairs, pad_id=base.pad_id))
    assert sense > nonsense + 1
    assert math.exp(-sense) < 5  # perplexity
