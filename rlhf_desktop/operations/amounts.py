"""How much a project's feedback makes for each trainer, and how much more is worth its time.

Judgements are what people make; comparisons, examples and thumbs are what trainers learn from. One judgement makes several
comparisons (a ranking of four makes six) or none (a tie, a prompt that is held out), so what is missing is foreseen from what the
judgements so far have made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from rlhf_desktop.core.recipes import ALGORITHMS, Algorithm
from rlhf_desktop.core.words import count, noun, roughly
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.signals import Judged, demonstrations, rankings, thumbs
from rlhf_desktop.feedback.snapshot import RankedAnswers, SnapshotRow
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store

UNITS: dict[Algorithm, str] = {"sft": "example", "reward": "comparison", "ppo": "prompt", "dpo": "comparison", "kto": "thumb"}
SUGGESTED: dict[Algorithm, int] = {"sft": 20, "reward": 100, "ppo": 50, "dpo": 100, "kto": 100}
"""From so many on, a run is worth its time. The only such numbers there are: header, cards, panels and commands say these."""

LOOKED_AT = 1_000  # judgements of each form, the newest: far beyond what is suggested, and read after each judgement


@dataclass(frozen=True)
class Amount:
    """What there is for a trainer, in the half of the split that may be trained on.

    Attributes:
        have: Examples, comparisons, prompts or thumbs to learn from.
        suggested: From here on a run is worth its time.
        one: What one of them is called.
        need: The least a run starts with.
        at_least: There may be more: not all was looked at.
        held_out: As many more are kept aside, to judge by.
        held_out_prompts: Of so many prompts.
        given: So many judgements made these, those that are held out or came to nothing among them.
        share_trained: The share of the prompts that may be trained on, where nothing has been judged.
    """

    have: int
    suggested: int
    one: str
    need: int = 1
    at_least: bool = False
    held_out: int = 0
    held_out_prompts: int = 0
    given: int = 0
    share_trained: float = 1.0

    @property
    def enough(self) -> bool:
        """Whether a run can start."""
        return self.have >= self.need

    @property
    def worth_it(self) -> bool:
        """Whether a run is worth its time."""
        return self.have >= self.suggested

    @property
    def missing(self) -> int:
        """So many more are suggested."""
        return max(0, self.suggested - self.have)

    @property
    def more(self) -> int:
        """About so many more judgements make what is missing, if they make as much as those before."""
        made = self.have / self.given if self.given and self.have else self.share_trained
        return roughly(ceil(self.missing / made)) if self.missing else 0

    @property
    def share(self) -> float:
        """How far it goes towards what is suggested, 0 to 1."""
        return min(1.0, self.have / self.suggested)

    @property
    def of_suggested(self) -> str:
        """For instance “44 of 100 comparisons”; “120 comparisons” once it is worth its time."""
        if not self.worth_it:
            return f"{self.have:,} of {count(self.suggested, self.one)}"
        return f"{self.have:,}{' or more' if self.at_least else ''} {noun(self.have, self.one)}"

    @property
    def sentence(self) -> str:
        """The meter's words."""
        if not self.worth_it:
            return f"{self.of_suggested} suggested"
        return self.of_suggested + (f", {self.held_out:,} more held out" if self.held_out and not self.at_least else "")


def amounts(store: Store, project: Project) -> dict[Algorithm, Amount]:
    """How far a project's feedback goes for each trainer. PPO needs a reward model besides."""
    found = store.sample(project.id, LOOKED_AT)
    whole = sum(store.standing.counts(project.id).values()) <= len(found)
    trained = 1 - store.projects.get(project.id).heldout_share
    made: Mapping[Algorithm, Callable[[Iterable[Judged]], Iterable[SnapshotRow]]] = {
        "sft": demonstrations, "reward": rankings, "dpo": rankings, "kto": thumbs,
    }  # fmt: skip

    def amount(name: Algorithm) -> Amount:
        if name == "ppo":
            return Amount(store.questions.training_prompts(project.id), SUGGESTED[name], UNITS[name])
        return _amount(name, list(made[name](found)), whole, trained)

    return {name: amount(name) for name in ALGORITHMS}


def _amount(name: Algorithm, rows: Sequence[SnapshotRow], whole: bool, trained: float) -> Amount:
    have, held = (sum(map(_size, (row for row in rows if row.split == half))) for half in ("train", "heldout"))
    aside = {prompt_hash(row.prompt) for row in rows if row.split == "heldout" and _size(row)}
    at_least = not whole and have >= SUGGESTED[name]
    return Amount(
        have,
        SUGGESTED[name],
        UNITS[name],
        at_least=at_least,
        held_out=held,
        held_out_prompts=len(aside),
        given=len(rows),
        share_trained=trained,
    )


def _size(row: SnapshotRow) -> int:
    """What a row counts for: its decided comparisons, else one."""
    if isinstance(row, RankedAnswers):
        return sum(not pair.tie for pair in pairs([part.rank for part in row.completions]))
    return 1
