"""llama.cpp answers as torch does, on the starter model: the same greedy tokens but for near ties, and the same likelihoods.

Twenty prompts, 32 tokens of llama.cpp's own greedy answer each, teacher-forced through torch in float32.
"""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub.library import STARTER_PACKAGE, Library
from rlhf_desktop.inference.engines import llama_binding
from rlhf_desktop.inference.engines.llamacpp import LlamaEngine
from rlhf_desktop.inference.engines.pytorch import TorchEngine
from rlhf_desktop.inference.gguf_export import export_gguf
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.template import prompt_ids
from tests.unit.inference.engine_cases import with_gguf

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec(STARTER_PACKAGE) is None, reason="the starter model's package is not installed"),
    pytest.mark.skipif(bool(llama_binding.trouble()), reason=f"llama.cpp: {llama_binding.trouble()}"),
]
PROMPTS, TOKENS, CLOSE = 20, 32, 0.1


@pytest.fixture(scope="module")
def base(starter):
    return Library(starter).ensure_starter()


@pytest.fixture(scope="module")
def reference(base):
    return TorchEngine(load_base(base, dtype="float32", device="cpu"), base.name)


@pytest.fixture(scope="module")
def prompts(reference):
    lines = (resources_dir() / "demo" / "prompts.jsonl").read_text("utf-8").splitlines()[:PROMPTS]
    found = [json.loads(line)["prompt"] for line in lines]
    talks = [p if isinstance(p, list) else [{"role": "user", "content": p}] for p in found]
    return [prompt_ids(reference.voice.tokenizer, talk) for talk in talks]


@pytest.mark.parametrize(("numbers", "nats"), [("F16", 0.01), ("Q8_0", 0.05)])
def test_greedy_answers_are_torchs_but_for_near_ties(base, reference, prompts, tmp_path, numbers, nats):
    export_gguf(Path(base.path), None, tmp_path / "starter.gguf", base.name, numbers)
    llama = LlamaEngine(with_gguf(base, tmp_path / "starter.gguf", numbers))
    sampling = Sampling(temperature=0, max_new_tokens=TOKENS)
    answers = llama.sample(prompts=prompts, k=1, sampling=sampling, end_ids=llama.voice.end_ids, seed=0)
    pairs = [(prompts[answer.prompt], answer.ids) for answer in answers]
    theirs, ours = llama.token_logprobs(pairs), reference.token_logprobs(pairs)
    assert (torch.cat(theirs) - torch.cat(ours)).abs().mean() < nats
    if numbers == "F16":
        assert max(float(lost(reference, *pair).max()) for pair in pairs) < CLOSE
    llama.close()


@torch.inference_mode()
def lost(reference, prompt, ids):
    """How much less likely than torch's likeliest each token is, in units of a logit."""
    logits = reference.host.model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].float()
    return logits.max(-1).values - logits.gather(1, torch.tensor(ids)[:, None])[:, 0]
