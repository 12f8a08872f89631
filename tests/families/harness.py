"""Tiny models of every family as folders, what transformers makes of them, and what the program does."""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.export import export_merged
from rlhf_desktop.inference.model import load_base, quiet_transformers
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.training.batch import Group, collate
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.worker.train import main
from tests.families.table import EYES, FAMILIES, SIZES, WHOLES
from tests.tiny import make_tiny_tokenizer
from tests.tiny_families import make_whole
from tests.training.folders import adapter_of, demonstrations, events, make_run, practice, rankings

TOLERANCE = 1e-3  # nats, and units of a logit
SETTINGS = {"epochs": 1, "batch_size": 3, "learning_rate": 1e-2}
PPO = {
    "episodes": 8, "batch_size": 4, "minibatches": 1, "ppo_epochs": 1, "max_new_tokens": 6, "watched_prompts": 0,
    "learning_rate": 1e-2,
}  # fmt: skip


def make_folder(family: str, folder: Path) -> ModelRef:
    """Random weights beside the tiny tokenizer. Every norm, bias and sink is moved off its start, which for many is 0 or 1."""
    if family in WHOLES:
        with quiet_transformers():
            return make_whole(folder, family, text=WHOLES[family], vision=EYES.get(family, {}))
    tokenizer = make_tiny_tokenizer()
    words = {"vocab_size": len(tokenizer), "vocab_size_per_layer_input": len(tokenizer)}
    config = AutoConfig.for_model(family, **{**SIZES, **words, **FAMILIES[family]})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    generator = torch.Generator().manual_seed(0)
    learned = [*model.parameters(), *(b for name, b in model.named_buffers() if "bias" in name and b.is_floating_point())]
    with torch.no_grad():
        for values in learned:
            values += torch.randn(values.shape, generator=generator) * 0.15
    with quiet_transformers():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelRef(name=family, path=str(folder), hash=family)


def plain(folder: Path | str):
    """The model as transformers loads it, with its own eager attention."""
    kind = AutoConfig.from_pretrained(folder).model_type
    auto = AutoModelForImageTextToText if kind in WHOLES else AutoModelForCausalLM
    with quiet_transformers():
        return auto.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def ours(ref: ModelRef):
    return load_base(ref, dtype="float32", device="cpu")


def words(count: int, seed: int) -> list[int]:
    return torch.randint(3, 200, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


PROMPTS = [words(3, 1), words(20, 2), words(11, 3)]
GROUPS = [
    Group(words(3, 4), [words(2, 5), words(3, 6)]),
    Group(words(20, 7), [words(15, 8), words(9, 9), words(30, 10)]),
    Group(words(5, 11), [words(40, 12)]),
]
IDS = torch.tensor([words(40, 13)])


# --- chat


@torch.no_grad()
def greedy(model, prompt: list[int], end_ids: tuple[int, ...]) -> list[int]:
    """What `generate` answers to one prompt alone, its end with it."""
    ids = torch.tensor([prompt])
    options = {"do_sample": False, "max_new_tokens": 12, "eos_token_id": list(end_ids), "pad_token_id": 0}
    return model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist()


def answers(base, prompts: list[list[int]], k: int) -> list[list[int]]:
    found = sample(
        base.model, prompts=prompts, k=k, sampling=Sampling(temperature=0, max_new_tokens=12), end_ids=base.end_ids,
        pad_id=base.pad_id, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return [answer.ids for answer in found]


# --- numbers


@torch.no_grad()
def logprobs_of_transformers(model) -> torch.Tensor:
    """(N,) log-probabilities of each answer alone after its prompt."""
    found = []
    for group in GROUPS:
        for answer in group.answers:
            ids = torch.tensor([group.prompt + answer])
            logits = model(input_ids=ids, use_cache=False).logits[0, len(group.prompt) - 1 : -1]
            found.append(torch.log_softmax(logits.float(), -1)[torch.arange(len(answer)), torch.tensor(answer)])
    return torch.cat(found)


@torch.no_grad()
def logprobs(model) -> torch.Tensor:
    return answer_pass(model, collate(GROUPS), entropy=False).logprobs


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits


# --- training


def train(root: Path, ref: ModelRef) -> dict[str, Path]:
    """Two steps of each kind, and PPO with the reward model of this very family. Returns the runs' folders."""
    rows = {"sft": demonstrations(), "reward": rankings(), "dpo": rankings()}
    watched = {"reward": {}, "sft": {"watched_prompts": 0}, "dpo": {"watched_prompts": 0}}  # nobody looks on
    runs = {kind: make_run(root / kind, kind, ref, data, **SETTINGS, **watched[kind]) for kind, data in rows.items()}
    for folder in runs.values():
        finish(folder)
    reward = adapter_of(runs["reward"], ref)
    runs["ppo"] = make_run(root / "ppo", "ppo", ref, practice(), reward=reward, **PPO)
    finish(runs["ppo"])
    return runs


def finish(folder: Path) -> None:
    code = main([str(folder)])
    troubles = events(folder, "error")
    assert (code, troubles) == (0, []), troubles


def values(folder: Path) -> list[dict[str, float]]:
    return [event["values"] for event in events(folder, "metrics")]


def hosted(ref: ModelRef, adapter: Path) -> AdapterHost:
    host = AdapterHost(ours(ref))
    host.load(adapter, "it")
    return host


def reloaded(ref: ModelRef, adapter: Path, target: Path) -> dict[str, torch.Tensor]:
    """Logits of the adapter in plain PEFT, and of base and adapter merged in plain transformers."""
    target.mkdir()
    export_merged(Path(ref.path), adapter, target, "it")
    return {"peft": logits(PeftModel.from_pretrained(plain(ref.path), adapter).eval()), "merged": logits(plain(target))}
