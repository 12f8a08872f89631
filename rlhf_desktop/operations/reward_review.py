"""A reward model against the expert on held-out answers: how its scores fall, and where it was surest and wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.signals import rankings
from rlhf_desktop.feedback.snapshot import RankedAnswers
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.operations.evaluation import trained_prompts
from rlhf_desktop.operations.generation import OnProgress, score_answers
from rlhf_desktop.operations.rows import Answer, AnswerRow
from rlhf_desktop.store.database import Store

_MOST_MISTAKES = 12


@dataclass(frozen=True)
class Mistake:
    """A pair the expert ordered one way and the reward model the other; `sure` is how likely it held its order to be (over ½)."""

    prompt: Messages
    better: str  # by the expert
    worse: str
    sure: float


@dataclass(frozen=True)
class RewardReview:
    """Scores of the answers that won and that lost against another, and the mistakes it was surest of, surest first."""

    preferred: tuple[float, ...]
    other: tuple[float, ...]
    mistakes: tuple[Mistake, ...]
    pairs: int

    @property
    def wrong(self) -> int:
        """How many of the pairs it orders the other way."""
        return sum(other > preferred for preferred, other in zip(self.preferred, self.other, strict=True))


def review_reward(
    client: ChatWorker,
    store: Store,
    project: Project,
    *,
    base: ModelRef,
    reward: AdapterRef,
    runs: Path,
    on_progress: OnProgress | None = None,
) -> RewardReview:
    """Score the held-out answers that the expert has ranked.

    Raises:
        NotEnoughFeedback: no held-out ranking is left that the reward model has not learned from.
        ModelTrouble, WorkerTrouble: as the worker says.
    """
    known = trained_prompts(runs, reward)
    held_out = [item for item in store.judged(project.id) if item.split == "heldout"]
    rows = [row for row in rankings(held_out) if prompt_hash(row.prompt) not in known]
    if not any(not p.tie for row in rows for p in pairs([c.rank for c in row.completions])):
        raise NotEnoughFeedback(
            "No held-out comparison is left to try the reward model on.", "Judge some more: one prompt in seven is kept aside."
        )
    asked = [AnswerRow(row.prompt, tuple(Answer(c.text) for c in row.completions)) for row in rows]
    scored = score_answers(client, asked, base=base, reward=reward, on_progress=on_progress)
    return _reviewed(rows, scored)


def _reviewed(rows: Sequence[RankedAnswers], scored: Sequence[AnswerRow]) -> RewardReview:
    preferred, other, mistakes = [], [], []
    for row, answers in zip(rows, scored, strict=True):
        scores = [answer.score or 0.0 for answer in answers.completions]
        for pair in pairs([c.rank for c in row.completions]):
            if pair.tie:
                continue
            lead = scores[pair.better] - scores[pair.worse]
            preferred.append(scores[pair.better])
            other.append(scores[pair.worse])
            if lead < 0:
                texts = answers.texts
                mistakes.append(Mistake(row.prompt, texts[pair.better], texts[pair.worse], 1 / (1 + exp(lead))))
    surest = sorted(mistakes, key=lambda mistake: -mistake.sure)[:_MOST_MISTAKES]
    return RewardReview(tuple(preferred), tuple(other), tuple(surest), len(preferred))
