"""Gradients of a model that computes in float16: scaled so that small ones do not vanish, and given up where large ones overflow.

bfloat16 has float32's range and needs none of this. A loss is multiplied before backward, the summed float32 gradients are divided
before the step. The scale halves when a gradient has overflown, and that step is skipped; it doubles after many good steps.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

START = 2.0**12
LARGEST = 2.0**24
GROW_AFTER = 200  # good steps


class FormatOverflow(Exception):
    """No scale helps, as the loss itself is not a number in float16; a wider format does."""


class LossScale:
    """The scale of one optimiser's losses: 1 for good unless one of its parameters computes in float16.

    Args:
        parameters: Those that compute.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.is_on = any(parameter.dtype == torch.float16 for parameter in parameters)
        self.factor = START if self.is_on else 1.0
        self._good = 0  # steps since the scale last changed
        self._losses: list[Tensor] = []  # of the step under way
        self._last: list[Tensor] = []  # of the one before, read only when it has overflown

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to go backward from."""
        if not self.is_on:
            return loss
        self._losses.append(loss.detach())
        return loss * self.factor

    @torch.no_grad()
    def unscale(self, gradients: Iterable[Tensor]) -> bool:
        """Divide the summed gradients by the scale, and choose the next scale. False where one has overflown: no step, then."""
        if not self.is_on:
            return True
        found = list(gradients)
        for gradient in found:
            gradient.div_(self.factor)
        fine = bool(torch.stack([gradient.isfinite().all() for gradient in found]).all())
        self._last, self._losses = self._losses, []
        self._follow(fine)
        return fine

    def is_hopeless(self) -> bool:
        """Whether a step overflowed for want of range in the forward pass itself, which no scale mends. Asked after `unscale`."""
        return self.factor == 1.0 or not all(bool(loss.isfinite()) for loss in self._last)

    def _follow(self, fine: bool) -> None:
        self._good = self._good + 1 if fine else 0
        if not fine:
            self.factor = max(1.0, self.factor / 2)
        elif self._good == GROW_AFTER:
            self.factor, self._good = min(LARGEST, self.factor * 2), 0

    def state(self) -> Tensor:
        """For a checkpoint, (2,)."""
        return torch.tensor([self.factor, float(self._good)], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Go on from a checkpoint, unless the run goes on in another format."""
        if self.is_on and float(state[0]) > 1.0:
            self.factor, self._good = float(state[0]), int(state[1])
