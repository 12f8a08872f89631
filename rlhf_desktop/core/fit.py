"""Whether a model fits this computer's memory, as every screen and command says it."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["fits", "tight", "won't fit", "unknown"]

_BYTES_A_PARAMETER = 2  # bfloat16
_TRAINING_FACTOR = 2.0  # adapter, optimiser, activations and both passes, beside the weights: measured on small models
_COMFORT = 1.3  # room for the system and the other programs


@dataclass(frozen=True)
class Fit:
    """A verdict with its numbers, in bytes."""

    verdict: Verdict
    needs_bytes: float
    has_bytes: float | None

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        needs = f"Chatting and training need about {_gb(self.needs_bytes)} of memory"
        if self.has_bytes is None:
            return f"{needs}; how much this computer has is not known yet."
        ends = {
            "fits": "so it fits.",
            "tight": "so it is tight: close other programs, and expect to chat but perhaps not to train.",
            "won't fit": "so it won't fit. Choose a smaller model.",
        }
        return f"{needs}; this computer has {_gb(self.has_bytes)}, {ends[self.verdict]}"


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes < 9.95e9 else f"{n_bytes / 1e9:,.0f} GB"


def training_bytes(parameters: float) -> float:
    """Memory to chat with and train a model of so many parameters, roughly."""
    return parameters * _BYTES_A_PARAMETER * _TRAINING_FACTOR


def model_fit(parameters: float, memory_bytes: float | None) -> Fit:
    """Whether a model fits, before it is downloaded."""
    needs = training_bytes(parameters)
    if memory_bytes is None:
        return Fit("unknown", needs, None)
    verdict: Verdict = "fits" if needs * _COMFORT <= memory_bytes else "tight" if needs <= memory_bytes else "won't fit"
    return Fit(verdict, needs, memory_bytes)
