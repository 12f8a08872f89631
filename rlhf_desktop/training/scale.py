"""What is usual for the model that a PPO run starts from, and how far its answers have drifted from that length.

A reward model easily takes length for quality, in either direction. A price on each answer's own length would keep it from making
a habit of it, but would also drown what the scores say: lengths vary twofold for good reasons. So the price is on the drift of all
answers together, λ·d² with d = log₂(T̄ / T̄₀) for the mean length T̄ now and T̄₀ at the start. To descend it, an answer of T
tokens pays its slope,

    2λ · d / ln 2 · (T / T̄₀ − 1),

which is nothing while the mean stays where it was, however long or short one answer needs to be. T̄ is a running mean over batches:
the mean of one batch is mostly chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

_MEMORY = 0.7  # weight of the batches before in the running mean
_LEAST_SPREAD = 1e-3


@dataclass
class Scale:
    """What is usual, measured on the reference's own answers; kept in checkpoints."""

    mean: float  # of the raw scores
    std: float
    length: float  # tokens an answer
    reward: float = 0.0  # of the scores after penalties
    recent: float = 0.0  # tokens an answer lately

    def __post_init__(self) -> None:
        self.recent = self.recent or self.length

    @classmethod
    def of(cls, raw_scores: Tensor, lengths: Tensor) -> "Scale":
        """Measure answers of the reference: their raw scores (E,) and lengths in tokens (E,)."""
        length = float(lengths.float().mean())
        return cls(float(raw_scores.mean()), max(float(raw_scores.std(unbiased=False)), _LEAST_SPREAD), length)

    def normalise(self, raw_scores: Tensor) -> Tensor:
        """Raw scores as standard deviations from the usual."""
        return (raw_scores - self.mean) / self.std

    def follow(self, lengths: Sequence[int]) -> None:
        """Take a new batch of practised answers into the running mean."""
        self.recent = _MEMORY * self.recent + (1 - _MEMORY) * sum(lengths) / len(lengths)

    def length_penalty(self, lengths: Tensor, coefficient: float) -> Tensor:
        """What answers of these lengths (E,) pay for the drift so far; see the module's docstring."""
        drift = math.log2(self.recent / self.length)
        return 2 * coefficient * drift / math.log(2) * (lengths / self.length - 1)
