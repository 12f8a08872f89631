"""Is the policy still answering, or gaming its reward model? Looks at each batch of answers and says so in one plain sentence.

The rules compare with the reference's own answers. On a finding the run stops and the policy falls back to the last parameters
that passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

PATIENCE = 2  # batches in a row a rule must be broken, so that one odd batch stops nothing


@dataclass(frozen=True)
class Health:
    """Means over a batch's answers. Lengths are tokens, KL nats an answer, entropy nats a token."""

    length: float
    ended: float  # share of answers that ended by themselves
    distinct_2: float  # different pairs of neighbouring tokens / pairs, within answers
    kl: float
    entropy: float

    @classmethod
    def of(cls, answers: Sequence[Sequence[int]], ended: Sequence[bool], kl: float, entropy: float) -> "Health":
        """Measure a batch of token ids."""
        shares = []
        for answer in answers:
            pairs = list(pairwise(answer))
            shares.append(len(set(pairs)) / len(pairs) if pairs else 1.0)
        count = len(answers)
        return cls(sum(map(len, answers)) / count, sum(ended) / count, sum(shares) / count, kl, entropy)


class Watchdog:
    """Remembers what healthy looks like and the last parameters that were."""

    def __init__(self, kl_target: float) -> None:
        self.kl_limit = 4 * kl_target if kl_target else float("inf")
        self.reference: Health | None = None
        self.reason = ""
        self.healthy: dict[str, Tensor] = {}
        self._broken = 0

    def set_reference(self, health: Health) -> None:
        """What the starting model's answers look like."""
        self.reference = health

    def keep_healthy(self, parameters: Mapping[str, Tensor]) -> None:
        """Remember these as the parameters to fall back to."""
        if self._broken == 0:
            self.healthy = {name: tensor.detach().clone() for name, tensor in parameters.items()}

    def look(self, now: Health) -> None:
        """Judge a batch; after `PATIENCE` bad ones in a row `reason` is set."""
        found = self._finding(now)
        self._broken = self._broken + 1 if found else 0
        if self._broken >= PATIENCE:
            self.reason = f"{found} The run was stopped, and the model from before that was kept."

    def _finding(self, now: Health) -> str:
        then = self.reference
        if then is None:
            return ""
        if now.length < 0.4 * then.length:
            return f"The answers shrank from {then.length:.0f} to {now.length:.0f} tokens: short answers score well."
        if now.length > 2.5 * then.length:
            return f"The answers grew from {then.length:.0f} to {now.length:.0f} tokens: long answers score well."
        if now.distinct_2 < 0.7 * then.distinct_2:
            return "The answers began to repeat themselves: the model found phrases that score well."
        if now.ended < 0.3 and now.ended < then.ended - 0.3:
            return f"Only {100 * now.ended:.0f}% of the answers still come to an end."
        if now.kl > self.kl_limit:
            return f"The model has drifted too far from where it started (KL {now.kl:.0f} nats an answer)."
        return ""

    def state(self) -> dict[str, Any]:
        """For a checkpoint, as JSON; the healthy parameters are saved apart."""
        return {"reference": asdict(self.reference) if self.reference else None, "broken": self._broken, "reason": self.reason}

    def load(self, state: Mapping[str, Any], healthy: Mapping[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        self.reference = Health(**state["reference"]) if state["reference"] else None
        self._broken, self.reason = state["broken"], state["reason"]
        self.healthy = dict(healthy)
