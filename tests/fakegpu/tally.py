"""What is asked of the cards: kernels, waits of the host, bytes, by line of the program."""

import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from types import CodeType

ROOT = "/rlhf_desktop/"  # lines of the program are told from those of its libraries by this part of their path


@dataclass
class Tally:
    """Counts since the last `clear`; a wait is the host standing still until a card has done everything before."""

    kernels: Counter[str] = field(default_factory=Counter)  # by operation
    kernels_at: Counter[str] = field(default_factory=Counter)  # by line
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)  # by line and reason
    up_bytes: int = 0  # from the host to a card
    down_bytes: int = 0

    @property
    def launches(self) -> int:
        """Kernels in all."""
        return sum(self.kernels.values())

    @property
    def stalls(self) -> int:
        """Waits in all."""
        return sum(self.waits.values())

    def clear(self) -> None:
        """Count from zero."""
        for counter in (self.kernels, self.kernels_at, self.waits):
            counter.clear()
        self.up_bytes = self.down_bytes = 0

    def launch(self, name: str) -> None:
        """A kernel was sent to a card."""
        self.kernels[name] += 1
        self.kernels_at[place()] += 1

    def wait(self, why: str) -> None:
        """The host waited."""
        self.waits[place(), why] += 1

    def stalls_in(self, *parts: str) -> int:
        """Waits at lines whose name begins with one of some paths, such as "training/"."""
        return sum(count for (at, _), count in self.waits.items() if at.startswith(parts))

    def lines(self, most: int = 20) -> list[str]:
        """For a person: where the host waited, the most frequent first."""
        return [f"{count:6,} × {at}: {why}" for (at, why), count in self.waits.most_common(most)]


TALLY = Tally()


def place() -> str:
    """The innermost line of the program that led here, as "training/sft.py:60 step"."""
    frame = sys._getframe(1)
    while frame is not None:
        if name := _ours(frame.f_code):
            return f"{name}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere" if threading.current_thread() is threading.main_thread() else "elsewhere (backward)"


@cache
def _ours(code: CodeType) -> str:
    _, found, name = code.co_filename.rpartition(ROOT)
    return name if found else ""
