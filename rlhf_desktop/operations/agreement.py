"""How often a reward model agrees with choices it has not seen, and whether that is more than a coin's one in two.

What a run has measured on its held-out comparisons is in its `finished` event. It counts as shown only if the interval leaves out
one half, and so many prompts could hardly come out so well by chance: an interval that resamples a handful of them is too narrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.words import count, roughly
from rlhf_desktop.evaluation.winrate import beats_a_coin, wilson
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.amounts import Amount
from rlhf_desktop.operations.comparing import run_result

NEXT_TRAINING = 30  # new judgements before the next training
HOPED_FOR = 0.75  # what a reward model agrees with once it has learnt something: so many prompts are needed to show that much


@dataclass(frozen=True)
class Agreement:
    """Held-out agreement of one reward model; `rate` is None where nothing was measured."""

    rate: float | None = None
    low: float = 0.0
    high: float = 1.0
    prompts: int = 0

    @property
    def above_chance(self) -> bool:
        """Whether it is shown to agree more often than a coin. Only such a model is worth practising against."""
        return self.rate is not None and self.low > 0.5 and beats_a_coin(self.rate, self.prompts)

    @property
    def sentence(self) -> str:
        """What it does, and what that is worth."""
        return self.said_of("it")

    def said_of(self, it: str) -> str:
        """The same of a reward model that is called so in the middle of a sentence."""
        if self.rate is None:
            return f"Nothing was held out to try {it} on: nobody knows whether it judges better than a coin."
        said = f"{it[:1].upper()}{it[1:]} agrees with {self.rate:.0%} of held-out choices ({self.low:.0%}–{self.high:.0%})"
        if self.above_chance:
            return f"{said}."
        if self.low > 0.5:
            return f"{said}, on {count(self.prompts, 'prompt')} only: too few to tell it from a coin."
        return f"{said}; a coin reaches 50%."

    @property
    def short(self) -> str:
        """The same in few words."""
        if self.rate is None:
            return "the reward model was tried on nothing"
        if self.low > 0.5:
            return f"the reward model was tried on {count(self.prompts, 'prompt')} only"
        return f"the reward model agrees with {self.rate:.0%}, a coin with 50%"


def agreement(measured: Mapping[str, float | int | None]) -> Agreement:
    """What a reward run's measures say. Earlier versions wrote no interval: then each comparison counts as a prompt of its own."""
    rate = measured.get("eval/rewards/accuracies")
    prompts = int(measured.get("eval/prompts") or measured.get("eval/pairs") or 0)
    if rate is None or not prompts:
        return Agreement()
    low, high = measured.get("eval/accuracy_low"), measured.get("eval/accuracy_high")
    if low is None or high is None:
        low, high = wilson(float(rate), prompts)
    return Agreement(float(rate), float(low), float(high), prompts)


def agreement_of(run: RunFolder) -> Agreement:
    """What is known of the reward model in a run's folder; nothing of one that came from elsewhere."""
    try:
        return agreement(run_result(run))
    except AppError:
        return Agreement()  # damaged, as the list of runs says


def judgements_needed(found: Agreement, comparisons: Amount, fresh: int) -> int:
    """About how many more judgements before a reward model is worth training again: the most that any reason asks for.

    Args:
        found: What the last one reached.
        comparisons: What there is to learn from.
        fresh: Judgements since the last one was trained.
    """
    wanted = _prompts_to_show(max(found.rate or 0.0, HOPED_FOR)) - comparisons.held_out_prompts
    to_show = ceil(wanted / max(0.05, 1 - comparisons.share_trained)) if wanted > 0 else 0
    return max(comparisons.more, roughly(max(0, to_show, NEXT_TRAINING - fresh)))


def _prompts_to_show(rate: float) -> int:
    """The least number of held-out prompts on which such a rate would be shown to be more than a coin's."""
    return next((n for n in range(1, 200) if beats_a_coin(rate, n)), 200)
