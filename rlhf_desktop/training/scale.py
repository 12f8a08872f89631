"""What is usual for the model that a PPO run starts from: the scale by which scores and lengths are measured."""

from dataclasses import dataclass

from torch import Tensor

_LEAST_SPREAD = 1e-3


@dataclass
class Scale:
    """What is usual, measured on the reference's own answers; kept in checkpoints."""

    mean: float  # of the raw scores
    std: float
    length: float  # tokens an answer
    reward: float = 0.0  # of the scores after penalties

    @classmethod
    def of(cls, raw_scores: Tensor, lengths: Tensor) -> "Scale":
        """Measure answers of the reference: their raw scores (E,) and lengths in tokens (E,)."""
        spread = max(float(raw_scores.std(unbiased=False)), _LEAST_SPREAD)
        return cls(float(raw_scores.mean()), spread, float(lengths.float().mean()))

    def normalise(self, raw_scores: Tensor) -> Tensor:
        """Raw scores as standard deviations from the usual."""
        return (raw_scores - self.mean) / self.std
