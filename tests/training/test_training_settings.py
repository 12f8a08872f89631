"""Every setting of every trainer is read and matters; a bad one is refused with its bounds."""

import hashlib
from itertools import count

import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.recipes import ALGORITHMS, describe, make_settings
from rlhf_desktop.feedback.snapshot import RankedAnswers
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.worker.train import TRAINERS
from tests.training.folders import adapter_of, demonstrations, events, make_run, marked, practice, rankings, ratings, thumbs

SHARED = {
    "learning_rate": 2e-3, "epochs": 4, "batch_size": 2, "max_length": 60, "lora_rank": 2, "lora_alpha": 16, "warmup": 0.9,
    "max_grad_norm": 1e-3, "seed": 1, "watched_prompts": 1, "dtype": "bfloat16",
    "quantization": "4bit",
}  # fmt: skip
CHANGES = {
    "sft": SHARED,
    "reward": {
        **SHARED, "ensemble": 2, "centering": 0.5, "tie_width": 2.0, "margin": 3.0, "attribute_weight": 0.1, "part_weight": 5.0,
        "variety": 4.0,
    },
    "dpo": {**SHARED, "beta": 1.0, "loss": "ipo", "label_smoothing": 0.3, "margin": 3.0},
    "kto": {**SHARED, "beta": 1.0, "desirable_weight": 3.0},
    "ppo": {
        **SHARED, "max_length": 69, "batch_size": 16, "samples_per_prompt": 4, "episodes": 256, "max_new_tokens": 12,
        "ppo_epochs": 1, "minibatches": 1, "baseline": "rloo", "temperature": 1.5, "kl_coef": 1.0, "kl_target": 0.5,
        "clip_range": 0.01, "value_clip": 0.001,
        "value_coef": 2.0, "gae_lambda": 0.5, "reward_std_coef": 2.0, "score_clip": 0.5, "length_penalty": 5.0,
        "missing_end_penalty": 5.0, "part_penalty": 5.0, "watchdog": "off",
    },
}  # fmt: skip
START = {
    "ppo": {
        "learning_rate": 3e-3, "batch_size": 32, "samples_per_prompt": 2, "episodes": 96, "max_new_tokens": 24, "ppo_epochs": 2,
        "minibatches": 2, "watched_prompts": 0, "kl_target": 0.01, "warmup": 0.0,
    },
    "reward": {"learning_rate": 1e-3, "warmup": 0.0},
}  # fmt: skip
OTHERS = {"learning_rate": 1e-3, "watched_prompts": 0, "warmup": 0.0}
CASES = [
    (algorithm, name) for algorithm in ALGORITHMS for name in CHANGES[algorithm] if name in {s.name for s in describe(algorithm)}
]


@pytest.fixture(scope="module")
def scorer(tiny_model, tmp_path_factory):
    """Two untrained scorers that disagree, and mind some parts of answers."""
    folder = tmp_path_factory.mktemp("scorer") / "run"
    (folder / "adapter").mkdir(parents=True)
    host = AdapterHost(load_base(tiny_model, dtype="float32"))
    model = RewardModel.create(host, count=2, rank=2, alpha=4, seed=0, part_tokens=2.0)
    for member in model.members:
        member.head.data[-1] = member.head.data[0]
    masters = {f"{m.name}/{key}": p for m in model.members for key, p in host.parameters(m.name).items()}
    model.save(folder / "adapter", {**masters, **{f"{m.name}/{HEAD}": m.head for m in model.members}}, {})
    return adapter_of(folder, tiny_model)


def rows_of(algorithm):
    sure = [RankedAnswers(**{**row.model_dump(), "margin": 1.0}) for row in rankings()[:3]]
    ranked = [*sure, *rankings()[3:]]
    rows = {"sft": demonstrations(), "dpo": ranked, "kto": thumbs(), "ppo": practice()}
    return [*ranked, *ratings(), *marked()] if algorithm == "reward" else rows[algorithm]


@pytest.fixture(scope="module")
def learn(tiny_model, tmp_path_factory, scorer):
    """A function: what three updates with these settings lead to, as one hash of all numbers."""
    root = tmp_path_factory.mktemp("settings")
    known: dict[str, str] = {}
    numbers = count()

    def run(algorithm, **changes):
        key = f"{algorithm}-{changes}"
        if key not in known:
            folder = root / str(next(numbers))
            settings = {**START.get(algorithm, OTHERS), **changes}
            make_run(folder, algorithm, tiny_model, rows_of(algorithm), reward=scorer if algorithm == "ppo" else None, **settings)
            known[key] = fingerprint(TRAINERS[algorithm](RunFiles(folder)), folder)
        return known[key]

    return run


def fingerprint(trainer, folder):
    trainer.prepare(resumed=False)
    metrics = [trainer.step(index) for index in range(min(3, trainer.total_steps))]
    trainer.evaluate(trainer.total_steps)
    optimizers = getattr(trainer, "optimizers", None) or [trainer.optimizer]
    weights = [(key, tensor.tolist()) for o in optimizers for key, tensor in o.masters.items()]
    shown = [(e["prompt"], e["text"]) for e in events(folder, "sample")]
    return hashlib.sha256(repr((trainer.total_steps, metrics, weights, shown)).encode()).hexdigest()


def test_every_setting_has_a_case():
    for algorithm in ALGORITHMS:
        assert {s.name for s in describe(algorithm)} == {name for a, name in CASES if a == algorithm}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_settings_lead_to_the_same_numbers(learn, algorithm):
    assert learn(algorithm) == learn(algorithm, seed=0)


@pytest.mark.parametrize(("algorithm", "name"), CASES, ids=lambda value: value)
def test_a_setting_matters(learn, algorithm, name):
    assert learn(algorithm, **{name: CHANGES[algorithm][name]}) != learn(algorithm)


@pytest.mark.parametrize(("algorithm", "name"), CASES, ids=lambda value: value)
def test_a_bad_value_is_refused_with_what_may_be_given(algorithm, name):
    setting = next(s for s in describe(algorithm) if s.name == name)
    bad = "nonsense" if setting.choices else setting.minimum - 1
    with pytest.raises(BadInput, match=name) as trouble:
        make_settings(algorithm, {name: bad})
    expected = setting.choices if setting.choices else (str(setting.minimum), str(setting.maximum))
    assert all(part in trouble.value.hint for part in expected)
