"""How a batch is laid out changes nothing: not what stands in the padding, and not how many rows go through the model at once."""

import pytest
import torch

from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.dpo import DpoTrainer
from rlhf_desktop.training.kto import KtoTrainer
from rlhf_desktop.training.ppo import PpoTrainer
from rlhf_desktop.training.reward import RewardTrainer
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.sft import SftTrainer
from tests.training.folders import adapter_of, demonstrations, make_run, marked, practice, rankings, ratings, thumbs

ALL_AT_ONCE, ONE_BY_ONE = 10**6, 1  # tokens of a micro-batch
UNUSED_TOKEN = 0  # <|endoftext|>: nothing in the test's texts is written with it
ALGORITHMS = {
    "sft": (SftTrainer, demonstrations, {}),
    "reward": (RewardTrainer, lambda: [*rankings(), *ratings(), *marked()], {"ensemble": 2}),
    "dpo": (DpoTrainer, rankings, {}),
    "dpo-ipo": (DpoTrainer, rankings, {"loss": "ipo"}),
    "kto": (KtoTrainer, thumbs, {}),
    "ppo": (
        PpoTrainer,
        practice,
        {"batch_size": 8, "samples_per_prompt": 2, "max_new_tokens": 12, "minibatches": 1, "ppo_epochs": 1},
    ),
}


@pytest.fixture(scope="module")
def scorer(tiny_model, tmp_path_factory):
    """An untrained reward model: any scores will do."""
    folder = tmp_path_factory.mktemp("scorer") / "run"
    (folder / "adapter").mkdir(parents=True)
    host = AdapterHost(load_base(tiny_model, dtype="float32"))
    model = RewardModel.create(host, count=1, rank=2, alpha=4, seed=0)
    masters = {f"reward-0/{name}": p for name, p in host.parameters("reward-0").items()}
    model.save(folder / "adapter", {**masters, f"reward-0/{HEAD}": model.members[0].head}, {})
    return adapter_of(folder, tiny_model)


@pytest.fixture
def after_two_steps(tiny_model, tmp_path, scorer):
    """A function: the metrics of two steps and an evaluation, and the trained tensors."""

    def run(algorithm, *, tokens=ALL_AT_ONCE, pad_id=None):
        trainer_class, rows, settings = ALGORITHMS[algorithm]
        name = algorithm.partition("-")[0]
        folder = tmp_path / f"{algorithm}-{tokens}-{pad_id}"
        watched = {} if name == "reward" else {"watched_prompts": 0}
        make_run(
            folder, name, tiny_model, rows(), reward=scorer if name == "ppo" else None,
            learning_rate=1e-4, warmup=0.0, **{"batch_size": 4, **watched, **settings},
        )  # fmt: skip
        trainer = trainer_class(RunFiles(folder))
        trainer.budget.tokens = tokens
        if pad_id is not None:
            object.__setattr__(trainer.host.base, "pad_id", pad_id)
            _shout(trainer.host.model.get_input_embeddings(), pad_id)
        trainer.prepare(resumed=False)
        metrics = [trainer.step(0), trainer.step(1), trainer.evaluate(2)]
        optimizers = trainer.optimizers if name == "reward" else [trainer.optimizer]
        return metrics, {f"{i}:{key}": t.clone() for i, o in enumerate(optimizers) for key, t in o.masters.items()}

    return run


def _shout(embedding, token):
    """Let a token's embedding be enormous on the way in, while the vocabulary head that shares the matrix stays as it is."""

    def hook(module, inputs, output):
        return torch.where((inputs[0] == token).unsqueeze(-1), torch.full_like(output, 1e4), output)

    embedding.register_forward_hook(hook)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_is_computed_over_padding(after_two_steps, algorithm):
    """Poison in the padding changes no metric and no parameter, not by a bit."""
    clean_metrics, clean = after_two_steps(algorithm)
    poisoned_metrics, poisoned = after_two_steps(algorithm, pad_id=UNUSED_TOKEN)
    assert poisoned_metrics == clean_metrics
    assert all(torch.equal(poisoned[name], clean[name]) for name in clean)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_batch_at_once_and_row_by_row_is_the_same_update(after_two_steps, algorithm):
    whole_metrics, whole = after_two_steps(algorithm)
    single_metrics, single = after_two_steps(algorithm, tokens=ONE_BY_ONE)
    for ours, theirs in zip(whole_metrics, single_metrics, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert theirs[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    for name, tensor in whole.items():
        torch.testing.assert_close(single[name], tensor, atol=2e-5, rtol=0)  # a fifth of one step


def test_the_poison_is_poison(after_two_steps, monkeypatch):
    """The same poison in a token that does occur is felt: the test above can fail."""
    clean, _ = after_two_steps("sft")
    poisoned, _ = after_two_steps("sft", pad_id=2)  # the end of a turn
    assert poisoned != clean
