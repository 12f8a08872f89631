"""The sample project's plan: how much of everything, which prompts for what, and what a demo that was cut short remembers."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import Value
from rlhf_desktop.feedback.support_rule import RULE_NAME
from rlhf_desktop.operations.demo_report import DemoAnswer, DemoPrompt

AS_PRACTISED = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=96)  # as PPO samples, or freer
ROWS_AT_ONCE = 32  # answers a request, so that progress is seen
CALMER = Sampling(temperature=0.8, top_p=1.0, max_new_tokens=96)
AS_IN_CHAT = Sampling()


@dataclass(frozen=True)
class DemoSize:
    """How much of everything. Settings are those that differ from the recipes' defaults."""

    name: str
    feedback_prompts: int  # to train the reward model and to practise on
    check_prompts: int  # more feedback prompts, held out to measure the reward model
    heldout_prompts: int
    base_answers: int = 2  # feedback answers a prompt from the base model …
    sft_answers: int = 2  # … and from the SFT model
    heldout_answers: int = 1  # a prompt and model
    feedback_sampling: Sampling = AS_PRACTISED
    heldout_sampling: Sampling = AS_IN_CHAT
    sft: dict[str, Any] = field(default_factory=dict)
    reward: dict[str, Any] = field(default_factory=dict)
    ppo: dict[str, Any] = field(default_factory=dict)
    shrinks: bool = False  # on a slow computer, so that it ends in time

    def scaled(self, share: float) -> "DemoSize":
        """A share of its prompts and of its practice, of which there is always some."""
        if share == 1:
            return self
        return replace(
            self,
            feedback_prompts=max(12, round(share * self.feedback_prompts)),
            check_prompts=max(4, round(share * self.check_prompts)),
            heldout_prompts=max(8, round(share * self.heldout_prompts)),
            ppo={**self.ppo, "episodes": max(2, round(share * self.ppo["episodes"] / PPO_BATCH)) * PPO_BATCH},
        )


PPO_BATCH = 24  # answers, as the recipe has it
_SFT = {"epochs": 4, "watched_prompts": 2}
_PPO = {"samples_per_prompt": 4, "max_new_tokens": 80, "learning_rate": 1.5e-4, "watched_prompts": 2}
# Few steps, so larger ones.
QUICK = DemoSize(
    "quick", 40, 8, 24, sft=_SFT, reward={"epochs": 1}, ppo={**_PPO, "episodes": 192, "learning_rate": 4e-4}, shrinks=True
)
# Most answers to judge are the SFT model's own, as freely varied as PPO will show them: a reward model that is trained on half of
# the base's ramblings learns to tell those, and nothing of what makes one decent answer better than another. Each ranking of eight
# has 28 pairs, so two make a batch; and what is said of the parts of an answer counts most, as it says why.
_REWARD = {"batch_size": 2, "learning_rate": 8e-4, "attribute_weight": 3.0}
# The other answers to a prompt say more about what to expect than a value head can learn from so few; and eight answers learned
# from once move the policy less at random than four learned from twice.
_GROUPS = {
    "baseline": "rloo",
    "samples_per_prompt": 8,
    "batch_size": 32,
    "ppo_epochs": 1,
    "learning_rate": 3e-4,
    "temperature": 0.7,
}
THOROUGH = DemoSize(
    "thorough", 96, 16, 64, base_answers=1, sft_answers=7, feedback_sampling=CALMER,
    sft=_SFT, reward=_REWARD, ppo={**_PPO, **_GROUPS, "episodes": 896},
)  # fmt: skip


class DemoState(Value):
    """`demo.json`: what is done."""

    v: int = 1
    size: str
    seed: int
    project_id: str
    share: float = 1.0  # of the size, which a slow computer does not do whole
    foreseen_s: float | None = None  # of the whole demo
    done: tuple[str, ...] = ()
    runs: dict[str, str] = {}  # algorithm → run id
    seconds: dict[str, float] = {}
    measures: dict[str, float] = {}
    heldout: dict[str, list[DemoAnswer]] = {}  # by model


def chosen_prompts(size: DemoSize) -> dict[str, list[DemoPrompt]]:
    """The prompts of each part, drawn the same way every time; the file's own split decides what is held out."""
    rows = [DemoPrompt.model_validate(row) for row in _resource("prompts.jsonl")]
    parts = {split: [row for row in rows if row.split == split] for split in ("sft", "feedback", "heldout")}
    for name in ("feedback", "heldout"):
        random.Random(f"{RULE_NAME} {name}").shuffle(parts[name])
    feedback = parts["feedback"]
    end = size.feedback_prompts + size.check_prompts
    return {
        "sft": parts["sft"],
        "feedback": feedback[: size.feedback_prompts],
        "check": feedback[size.feedback_prompts : end],
        "heldout": parts["heldout"][: size.heldout_prompts],
    }


def written(prompts: Sequence[DemoPrompt]) -> Iterator[tuple[DemoPrompt, str]]:
    """Each of these prompts with the answer written to it as an example."""
    answers = {row["id"]: row["answer"] for row in _resource("demonstrations.jsonl")}
    return ((prompt, answers[prompt.id]) for prompt in prompts)


def _resource(name: str) -> list[Any]:
    return [json.loads(line) for line in (resources_dir() / "demo" / name).read_text("utf-8").splitlines()]


def messages(prompt: DemoPrompt) -> Messages:
    """The conversation that asks it."""
    return [{"role": "user", "content": prompt.prompt}]
