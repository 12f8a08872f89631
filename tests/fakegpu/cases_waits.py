"""What a micro-batch of training costs a card: how often the host waits for it, and how many kernels it is sent.

`BEFORE` was measured so at commit 36111d7, when each micro-batch read its numbers and its tensors went over one by one.
"""

from dataclasses import dataclass

import pytest

from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.worker.train import TRAINERS
from tests.fakegpu.runs import train
from tests.fakegpu.tally import TALLY
from tests.training.folders import adapter_of, demonstrations, make_run, marked, practice, rankings, ratings, thumbs

SETTINGS = {"epochs": 2, "batch_size": 5}
PPO = {"episodes": 20, "batch_size": 10, "samples_per_prompt": 2, "minibatches": 1, "max_new_tokens": 6, "watched_prompts": 0}
ROWS = {
    "sft": demonstrations,
    "dpo": rankings,
    "kto": thumbs,
    "reward": lambda: [*rankings(), *ratings(), *marked()],
    "ppo": practice,
}
BEFORE = {"sft": (11.2, 523), "dpo": (16.2, 568), "kto": (27.4, 724), "reward": (23.2, 605), "ppo": (12.7, 515)}
"""Waits and launches of a micro-batch."""


@dataclass(frozen=True)
class Cost:
    """Of one update's micro-batches, each."""

    micro_batches: int
    waits: float
    launches: float


def cost_of(trainer) -> Cost:
    """The second update of a run, with one row of feedback a micro-batch; of PPO, what follows the sampling of a batch."""
    seen = _counted(trainer)
    trainer.prepare(False)
    trainer.budget.tokens = 1
    for index in range(2):
        seen.clear()
        TALLY.clear()
        trainer.step(index)
    return Cost(len(seen), TALLY.stalls / len(seen), TALLY.launches / len(seen))


def _counted(trainer) -> list[object]:
    """Grows with each micro-batch. For PPO the tally begins when the answers are there."""
    seen: list[object] = []
    for optimizer in getattr(trainer, "optimizers", None) or [trainer.optimizer]:
        optimizer.accumulate = _after(seen.append, optimizer.accumulate)
    if hasattr(trainer, "_update"):
        trainer._update = _after(lambda _: TALLY.clear(), trainer._update)
    return seen


def _after(first, then):
    """Both, one after the other."""

    def both(*parts):
        first(parts)
        return then(*parts)

    return both


@pytest.fixture
def trainer(request, tmp_path, tiny_model, card):
    """Of the algorithm the test names."""
    algorithm, more = request.param, {}
    if algorithm == "ppo":
        judge = make_run(tmp_path / "judge", "reward", tiny_model, rankings(), epochs=1, batch_size=5)
        train(judge)
        more["reward"] = adapter_of(judge, tiny_model)
    settings = PPO if algorithm == "ppo" else SETTINGS
    return TRAINERS[algorithm](RunFiles(make_run(tmp_path / "run", algorithm, tiny_model, ROWS[algorithm](), **settings, **more)))


@pytest.mark.parametrize("trainer", BEFORE, indirect=True)
def test_a_micro_batch_waits_a_third_as_often_as_it_did(trainer, request):
    before_waits, before_launches = BEFORE[trainer.run.config.algorithm]
    cost = cost_of(trainer)
    print(f"\n{trainer.run.config.algorithm}: {cost}")
    assert cost.micro_batches >= 5  # what an update needs once does not hide what each micro-batch needs
    assert cost.waits <= before_waits / 3, "\n".join(TALLY.lines())
    assert cost.launches <= 0.9 * before_launches
    updates = 2 if trainer.run.config.algorithm == "ppo" else 1
    assert cost.waits * cost.micro_batches <= 2 * updates, "\n".join(
        TALLY.lines()
    )  # whose numbers come over once, however many micro-batches there are
