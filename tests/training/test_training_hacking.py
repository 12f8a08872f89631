"""Reward hacking, made on purpose: a reward model that only likes short answers, and what becomes of the policy."""

import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.snapshot import PracticePrompt, RankedAnswers, RankedText
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.inference.template import prompt_ids
from rlhf_desktop.worker.train import main
from tests.tiny import make_tiny_model
from tests.training.folders import adapter_of, ask, events, make_run

WORDS = ["sorry", "to", "hear", "that", "the", "printer", "is", "broken", "we", "will", "send", "a", "new", "one", "today"]
PROMPTS = [f"My {thing} {trouble}." for thing in ("printer", "kettle", "lamp", "phone") for trouble in ("is broken", "never came")]


def sentence(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize() + "."


def shorter_is_better(rng, prompt):
    lengths = sorted(rng.sample(range(1, 14), 4))
    answers = [RankedText(text=sentence(rng, n), rank=rank) for rank, n in enumerate(lengths, start=1)]
    return RankedAnswers(prompt=ask(prompt), completions=rng.sample(answers, 4), split="train")


def teach(ref, rng):
    """All weights of a tiny model on answers of 5 to 14 words, so that it writes words and ends."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(ref.path), AutoTokenizer.from_pretrained(ref.path)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        pairs = [(rng.choice(PROMPTS), sentence(rng, rng.randint(5, 14))) for _ in range(16)]
        prompts = [prompt_ids(tokenizer, ask(prompt)) for prompt, _ in pairs]
        answers = [[*tokenizer(text, add_special_tokens=False).input_ids, 2] for _, text in pairs]
        width = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
        ids, labels = torch.zeros(16, width, dtype=torch.long), torch.full((16, width), -100)
        for row, (p, a) in enumerate(zip(prompts, answers, strict=True)):
            ids[row, : len(p) + len(a)] = torch.tensor(p + a)
            labels[row, len(p) : len(p) + len(a)] = torch.tensor(a)
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(ref.path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model that talks, the hackable reward model, and where to put runs."""
    root, rng = tmp_path_factory.mktemp("hacking"), random.Random(0)
    base = make_tiny_model(root / "model")
    teach(base, rng)
    rows = [shorter_is_better(rng, prompt) for prompt in PROMPTS for _ in range(3)]
    reward = make_run(root / "reward", "reward", base, rows, epochs=8, learning_rate=5e-3)
    assert main([str(reward)]) == 0
    return root, base, adapter_of(reward, base)


def practise(world, watchdog, name="", **gently):
    """PPO with none of its own guards against length, and a watchdog or not."""
    root, base, reward = world
    rows = [PracticePrompt(prompt=ask(prompt), split="heldout" if i % 2 else "train") for i, prompt in enumerate(PROMPTS)]
    loose = {"kl_coef": 0.0, "kl_target": 0, "length_penalty": 0, "missing_end_penalty": 0, "watched_prompts": 0}
    sizes = {
        "episodes": 640,
        "batch_size": 32,
        "samples_per_prompt": 8,
        "max_new_tokens": 32,
        "baseline": "rloo",
        "learning_rate": 1e-2,
        "ppo_epochs": 4,
    }
    folder = make_run(
        root / (name or watchdog), "ppo", base, rows, reward=reward, watchdog=watchdog, **{**loose, **sizes, **gently}
    )
    assert main([str(folder)]) == 0
    return folder


def mean_length(base, adapter=None):
    """Tokens an answer, over 8 answers to each prompt."""
    host = AdapterHost(load_base(base, dtype="float32"))
    if adapter is not None:
        host.load(adapter, "tuned")
        host.activate(["tuned"])
    prompts = [prompt_ids(host.base.tokenizer, ask(prompt)) for prompt in PROMPTS]
    answers = sample(
        host.model, prompts=prompts, k=8, sampling=Sampling(temperature=1.0, top_p=1.0, max_new_tokens=32),
        end_ids=host.base.end_ids, pad_id=host.base.pad_id, generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    return sum(len(answer.ids) for answer in answers) / len(answers)


@pytest.fixture(scope="module")
def unguarded(world):
    """A run that nothing holds back."""
    return practise(world, "off")


def test_a_guarded_run_stops_where_an_unguarded_one_collapses(world, unguarded):
    _, base, _ = world
    usual = mean_length(base)
    guarded = practise(world, "stop")

    assert mean_length(base, unguarded / "adapter") < 0.4 * usual
    assert not events(unguarded, "warning")

    assert mean_length(base, guarded / "adapter") > 0.5 * usual
    *before, last = events(guarded, "warning")
    assert "shrank" in last["message"]
    assert "stopped" in last["message"]
    assert any("smaller steps" in warning["message"] for warning in before)
    steps = [max(e["step"] for e in events(run, "metrics")) for run in (guarded, unguarded)]
    assert steps[0] < steps[1]
    assert events(guarded)[-1]["outcome"] == "done"


def test_the_reward_went_up_while_the_answers_went_away(unguarded):
    """What makes it hacking: by the reward model's own numbers the collapsed run looks like a success."""
    scores = [e["values"]["objective/scores"] for e in events(unguarded, "metrics") if "objective/scores" in e["values"]]
    assert scores[-1] > scores[0] + 0.5


def test_a_run_that_ends_too_soon_to_be_stopped_keeps_its_best_all_the_same(world):
    _, base, _ = world
    folder = practise(world, "stop", "cut-short", episodes=128)
    said = [warning["message"] for warning in events(folder, "warning")]
    assert any("smaller steps" in words for words in said)
    assert "not recovered" in said[-1]
    assert mean_length(base, folder / "adapter") > mean_length(base) / 2.5  # the rule's own limit


def test_a_watchdog_that_never_speaks_changes_nothing(world):
    gently = {"learning_rate": 5e-4, "episodes": 96}
    silent, none = (practise(world, mode, f"gently-{mode}", **gently) for mode in ("stop", "off"))
    assert not events(silent, "warning")
    written = [(run / "adapter" / "adapter_model.safetensors").read_bytes() for run in (silent, none)]
    assert written[0] == written[1]
