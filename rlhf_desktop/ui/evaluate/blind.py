"""A blind comparison of two models: who is on which side stays hidden until it is over. Qt-free."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["left", "right", "tie"]


@dataclass(frozen=True)
class Pair:
    """One prompt with an answer of each model."""

    prompt: str
    old: str
    new: str


@dataclass(frozen=True)
class Judged:
    """A pair with what the expert said, sides undone. `score` is 1 for the new model, 0 for the old one, ½ for a tie."""

    pair: Pair
    new_on_left: bool
    verdict: Verdict
    seconds: float

    @property
    def score(self) -> float:
        """The new model's share of this prompt."""
        if self.verdict == "tie":
            return 0.5
        return 1.0 if (self.verdict == "left") == self.new_on_left else 0.0


class BlindTrial:
    """Shows pairs one after the other in a random order with random sides, balanced, and keeps the verdicts.

    Args:
        pairs: What to judge.
        seed: Decides order and sides, so that a trial can be repeated.
    """

    def __init__(self, pairs: Sequence[Pair], seed: int) -> None:
        chance = random.Random(seed)
        self._pairs = list(pairs)
        chance.shuffle(self._pairs)
        sides = [i % 2 == 0 for i in range(len(self._pairs))]  # half of each: no model profits from a habit of the eye
        chance.shuffle(sides)
        self._new_on_left = sides
        self.judged: list[Judged] = []

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    @property
    def over(self) -> bool:
        """All pairs are judged."""
        return len(self.judged) >= self.total

    def prompt(self) -> str:
        """The prompt being judged."""
        return self._pairs[len(self.judged)].prompt

    def sides(self) -> tuple[str, str]:
        """The left and the right answer of the pair being judged."""
        at = len(self.judged)
        pair = self._pairs[at]
        return (pair.new, pair.old) if self._new_on_left[at] else (pair.old, pair.new)

    def judge(self, verdict: Verdict, seconds: float) -> Judged:
        """Record the verdict on this pair and go to the next."""
        at = len(self.judged)
        judged = Judged(self._pairs[at], self._new_on_left[at], verdict, seconds)
        self.judged.append(judged)
        return judged

    def undo(self) -> Judged | None:
        """Take the last verdict back. Returns it, or None when there is none."""
        return self.judged.pop() if self.judged else None

    def scores(self) -> list[float]:
        """The new model's share of each judged prompt."""
        return [j.score for j in self.judged]


def verdict_sentence(rate: float, low: float, high: float, n: int, new: str, old: str) -> str:
    """One sentence a reader can act on: the rate, its interval, and whether it decides."""
    said = f"On {n} prompts you preferred {new} to {old} {rate:.0%} of the time ({low:.0%}–{high:.0%})."
    if low > 0.5:
        return f"{said} It is better."
    if high < 0.5:
        return f"{said} It is worse."
    return f"{said} Not enough to decide yet{_more(rate, n)}."


def _more(rate: float, n: int) -> str:
    """How many more prompts would decide if the rate held: where the normal interval's half width meets the distance to ½."""
    distance = abs(rate - 0.5)
    if distance < 0.05:
        return ": the two are close"
    needed = 1.96**2 * rate * (1 - rate) / distance**2 if 0 < rate < 1 else 6
    return f": about {max(5, round(needed - n))} more"
