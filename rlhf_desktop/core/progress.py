"""How far work is whose steps take known shares of its time, and how long it has left as far as that can be told."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LEAST_S = 2.0  # what has been measured for a shorter time foretells nothing


class Step(str):
    """A sentence that says what is being done now; it also knows how far that is.

    Args:
        words: The sentence.
        done: The share of all work that is done, 0 to 1.
        until: The share that will be done when the next sign of progress comes.
    """

    done: float
    until: float

    def __new__(cls, words: str, done: float = 0.0, until: float = 1.0) -> "Step":
        """Make one."""
        made = super().__new__(cls, words)
        made.done, made.until = done, until
        return made


@dataclass
class Pace:
    """Foretells from the steps so far: on a busy computer the first of them take longer, and so will the others."""

    clock: Callable[[], float] = time.monotonic
    _began_s: float = field(init=False)
    _step: Step | None = None
    _total_s: float = 0.0  # foretold; 0: not known yet

    def __post_init__(self) -> None:
        """Begin."""
        self._began_s = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self._began_s

    def step(self, words: str) -> None:
        """A step begins; plain words say nothing of how far it is."""
        self._step = words if isinstance(words, Step) else None
        known = self._step is not None and self._step.done > 0 and self.elapsed_s >= _LEAST_S
        self._total_s = self.elapsed_s / self._step.done if known and self._step is not None else 0.0

    @property
    def fraction(self) -> float | None:
        """The share that is done: what the steps say, and within a step what time says; None: there is no telling."""
        if self._step is None or not (self._step.done or self._total_s):
            return None
        by_time = self.elapsed_s / self._total_s if self._total_s else 0.0
        return min(self._step.until, max(self._step.done, by_time))

    @property
    def left_s(self) -> float | None:
        """Seconds left; None when they cannot be foretold, as when a step takes longer than it should."""
        if self._step is None or not self._total_s or self.elapsed_s > self._step.until * self._total_s:
            return None
        return self._total_s - self.elapsed_s


def watched(items: Any, tell: Callable[[float], None]) -> Any:
    """Go through items and tell the share of them that is done, a hundred times at most."""
    total, told = len(items), -1
    for place, item in enumerate(items):
        yield item
        percent = 100 * (place + 1) // total
        if percent > told:
            told = percent
            tell((place + 1) / total)
