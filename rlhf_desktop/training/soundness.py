"""Whether a model can be chatted with and taught, found out once when it is added, and in float32.

Everything a run rests on is done with a small copy of it (`small_copy`) and compared with plain transformers and plain PEFT:

* three answers to a prompt, alone and beside other prompts in a padded batch, are those of `generate`;
* the log-probabilities of answers, rows longer than any window among them, packed together and alone, are those of its own
  eager attention, to 1e-3;
* an adapter that was trained a step and switched off leaves the very same numbers;
* what is written of it is read by our reader, and by plain PEFT to the same logits.

Whatever is raised on the way is a sentence. The weights themselves are only asked for a first answer, in the format they are used
in.
"""

import copy
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.measures import FamilyCheck
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.adapters import AdapterFiles, AdapterHost, read_adapter, write_adapter
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.device import raise_if_of_device
from rlhf_desktop.inference.model import BaseModel, attention_of, quiet_transformers
from rlhf_desktop.inference.reach import begin_rows
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.training.batch import Group, apart, collate
from rlhf_desktop.training.policy import answer_pass, choose_road, plain_logprobs
from rlhf_desktop.training.small_copy import WINDOW, WORDS, small_copy

TOLERANCE = 1e-3
_NEW = 8  # tokens of an answer
_NAME = "checked"


class Unsound(Exception):
    """A number is not what it should be. The reason is the end of a sentence."""


def check_family(config: Any) -> FamilyCheck:
    """Chat, learn, switch off and write with a small copy of a model of this configuration."""
    family = config.get_text_config().model_type
    try:
        with quiet_transformers():
            theirs = small_copy(config)
            model = _twin(theirs)
            _check_chat(model, theirs)
    except Exception as problem:  # many kinds, in the code of any family
        return _found("refused", f"Models of the {family} family do not answer rightly here", problem)
    try:
        with quiet_transformers():
            road = choose_road(model)
            _check_numbers(model, theirs)
            _check_adapter(model, theirs)
    except Exception as problem:  # as above
        return _found("chats", f"Models of the {family} family can chat here, but not be taught", problem)
    return FamilyCheck(kind="trains", road=road)


def _found(kind: Literal["chats", "refused"], sentence: str, problem: Exception) -> FamilyCheck:
    """What went wrong as a sentence, whatever it was."""
    raise_if_of_device(problem)
    if isinstance(problem, ModelTrouble):
        return FamilyCheck(kind=kind, sentence=problem.message, detail=problem.detail)
    reason = str(problem) if isinstance(problem, Unsound) else f"their code stops with {type(problem).__name__}"
    return FamilyCheck(kind=kind, sentence=f"{sentence}: {reason}.", detail=str(problem)[:2000])


def _twin(theirs: Any) -> Any:
    """The same model as this program uses it: its attention ours, its weights frozen."""
    with torch.random.fork_rng(devices=[]):
        config, attention = copy.deepcopy(theirs.config), attention_of(type(theirs))
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)
    model.load_state_dict(theirs.state_dict())
    model = model.float().eval().requires_grad_(False)
    use_rows(model)
    return model


def _words(count: int, seed: int) -> list[int]:
    return torch.randint(4, WORDS, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def _groups() -> list[Group]:
    """Rows shorter and much longer than a window, of one answer and of several."""
    many = [_words(5, 2), _words(2 * WINDOW, 3), _words(3, 4)]
    return [
        Group(_words(3, 1), many),
        Group(_words(3 * WINDOW, 5), [_words(9, 6), _words(6, 7)]),
        Group(_words(5, 8), [_words(40, 9)]),
    ]


# --- chat


@torch.no_grad()
def _check_chat(model: Any, theirs: Any) -> None:
    prompts = [_words(3, 1), _words(3 * WINDOW, 2), _words(WINDOW + 3, 3)]
    expected = [_greedy(theirs, prompt) for prompt in prompts]
    for prompt, answer in zip(prompts, expected, strict=True):
        if _sampled(model, [prompt], 3) != [answer] * 3:
            raise Unsound("their answers differ from those of transformers")
    if _sampled(model, prompts, 2) != [answer for answer in expected for _ in range(2)]:
        raise Unsound("their answers change with what is answered beside them")


def _greedy(theirs: Any, prompt: list[int]) -> list[int]:
    begin_rows(theirs)
    ids = torch.tensor([prompt])
    options = {"do_sample": False, "max_new_tokens": _NEW, "eos_token_id": 2, "pad_token_id": 0}
    found = theirs.generate(ids, attention_mask=torch.ones_like(ids), **options)
    return found[0, len(prompt) :].tolist()  # type: ignore[no-any-return]


def _sampled(model: Any, prompts: list[list[int]], k: int) -> list[list[int]]:
    sampling = Sampling(temperature=0, max_new_tokens=_NEW)
    generator = torch.Generator().manual_seed(0)
    found = sample(model, prompts=prompts, k=k, sampling=sampling, end_ids=[2], pad_id=0, generator=generator)
    return [answer.ids for answer in found]


# --- learning


@torch.no_grad()
def _check_numbers(model: Any, theirs: Any) -> None:
    groups = _groups()
    expected = plain_logprobs(theirs, groups)
    together = answer_pass(model, collate(groups), entropy=False).logprobs
    alone = torch.cat([answer_pass(model, collate([pair]), entropy=False).logprobs for pair in apart(groups)])
    for found, how in ((together, "beside others"), (alone, "alone")):
        off = float((found - expected).abs().max())
        if not off <= TOLERANCE:  # nor is it when it is no number
            raise Unsound(f"the likelihood of an answer {how} is off by {off:.2g} nats a token")


def _check_adapter(model: Any, theirs: Any) -> None:
    """Learn a step, switch off, write, and read again in two ways."""
    before = _logits(model)
    host = AdapterHost(BaseModel(model, None, torch.device("cpu"), torch.float32, 0, (2,), ""))
    host.add(_NAME, rank=4, alpha=8, seed=0)
    host.activate([_NAME])
    _learn_a_step(model, host.parameters(_NAME))
    taught = _logits(model)
    host.activate([])
    if torch.equal(taught, before) or not taught.isfinite().all():
        raise Unsound("a step of training changes nothing, or breaks them")
    if not torch.equal(_logits(model), before):
        raise Unsound("what was learned cannot be switched off")
    files = AdapterFiles(host.config(_NAME), {name: factor.detach() for name, factor in host.parameters(_NAME).items()}, {})
    with tempfile.TemporaryDirectory() as place:
        write_adapter(Path(place), files)
        if read_adapter(Path(place)).lora.keys() != files.lora.keys():
            raise Unsound("what was learned is not all read again")
        elsewhere = _logits(PeftModel.from_pretrained(copy.deepcopy(theirs), place).eval())
    off = float((elsewhere - taught).abs().max())
    if not off <= TOLERANCE:
        raise Unsound(f"what was learned answers differently in PEFT, by {off:.2g}")


def _learn_a_step(model: Any, parameters: Mapping[str, torch.nn.Parameter]) -> None:
    loss = -answer_pass(model, collate(_groups()), entropy=False).logprobs.mean()
    slopes = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    with torch.no_grad():
        for parameter, slope in zip(parameters.values(), slopes, strict=True):
            if slope is not None:
                parameter.sub_(0.05 * slope / slope.norm().clamp(min=1e-12))


@torch.no_grad()
def _logits(model: Any) -> Tensor:
    return model(input_ids=torch.tensor([_words(5 * WINDOW, 10)]), use_cache=False).logits  # type: ignore[no-any-return]
