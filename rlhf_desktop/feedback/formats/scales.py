"""Scales of marks: as declared, as told by all marks of a question together, or as somebody answers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import isclose
from typing import Any

from rlhf_desktop.feedback.rows import Unusable

_WRITTEN = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*(?:-|–|to)\s*(-?\d+(?:\.\d+)?)\s*(?:by\s*(\d+(?:\.\d+)?))?\s*$")
_COMMA = re.compile(r"^([-+]?\d+),(\d{1,2})$")
_TOPS = (5, 7, 10)  # what scales usually end with
_MOST = 1001  # steps: percents with one decimal
_EITHER_WAY = re.compile(  # names of marks whose lowest may be the best
    r"\b(?:rank(?:ing)?|place|position|order|toxic(?:ity)?|harm(?:ful(?:ness)?)?|severity|errors?|mistakes?|hallucinations?|bias|"
    r"difficulty|effort|verbosity|offensive(?:ness)?|violence|risk|danger|unsafe|confusion|problems?|issues?|repetition|penalty|"
    r"grades?|bad(?:ness)?|poor(?:ness)?|wrong(?:ness)?|\w*noten?|dislikes?|complaints?|loss|distance|perplexity|rude(?:ness)?)\b"
)
_ENOUGH = 3  # different marks, before their ends say what the scale's are


@dataclass(frozen=True)
class Scale:
    """Marks from the worst to the best, in steps. 5 to 1 says that 1 is the best."""

    worst: float
    best: float
    step: float = 1

    @property
    def levels(self) -> int:
        """How many different marks there are."""
        return round(abs(self.best - self.worst) / self.step) + 1

    def level(self, mark: float) -> int:
        """Where a mark stands, 1 for the worst.

        Raises:
            Unusable: it is not on the scale.
        """
        place = (mark - self.worst) / (self.best - self.worst) * (self.levels - 1)
        if not isclose(place, round(place), abs_tol=1e-6) or not 0 <= round(place) < self.levels:
            raise Unusable(f"the mark {mark:g} is not on the scale from {self.worst:g} to {self.best:g}")
        return round(place) + 1

    def __str__(self) -> str:
        steps = "" if self.step == 1 else f" by {self.step:g}"
        return f"{self.worst:g}-{self.best:g}{steps}"

    @property
    def words(self) -> str:
        """For a choice on screen."""
        low, high = sorted((self.worst, self.best))
        return f"{low:g} to {high:g}; {self.best:g} is the best"


def scale_of(text: str) -> Scale:
    """A scale as people write it, the worst mark first: "1-10", "5 to 1", "0-5 by 0.5".

    Raises:
        Unusable: it is none, or has too many steps.
    """
    found = _WRITTEN.match(text)
    if not found:
        raise Unusable(f"“{text[:40]}” is no scale; write the worst and the best mark, as 1-10")
    worst, best, step = float(found[1]), float(found[2]), float(found[3] or 1)
    if worst == best or not step or not 2 <= Scale(worst, best, step).levels <= _MOST:
        raise Unusable(f"the scale {text.strip()} does not have 2 to {_MOST} steps")
    return Scale(worst, best, step)


def is_scale(text: str) -> bool:
    """Whether a text is written as a scale."""
    return bool(_WRITTEN.match(text))


def number_of(value: Any) -> float | None:
    """A number, also one that a table wrote as a text ("4,5" too, but "1,000" may be a thousand); None for anything else."""
    if isinstance(value, str):
        try:
            value = float(_COMMA.sub(r"\1.\2", value.strip()))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        return None
    return float(value)


def whole_of(value: Any) -> int | None:
    """A whole number, also as 4.0 or "4"; None for anything else."""
    number = number_of(value)
    return int(number) if number is not None and number.is_integer() else None


def either_way(name: str) -> bool:
    """Whether the lowest of the marks called so (in words) may be the best."""
    return bool(_EITHER_WAY.search(name))


def told_by(marks: Iterable[float]) -> tuple[Scale | None, bool]:
    """The scale that all marks of a question suggest, and whether they settle it.

    They settle it when there are several, from the bottom of a usual scale to its top. None: no usual scale has such marks.
    """
    seen = sorted(set(marks))
    halves = all((mark * 2).is_integer() for mark in seen)
    top = next((top for top in _TOPS if seen and seen[-1] <= top), None)
    if not seen or seen[0] < 0 or not halves or top is None:
        return None, False
    step = 1.0 if all(mark.is_integer() for mark in seen) else 0.5
    bottom = 0 if seen[0] < 1 else 1
    return Scale(bottom, top, step), seen[0] == bottom and seen[-1] == top and len(seen) >= _ENOUGH


def scales_with(marks: Iterable[float]) -> list[Scale]:
    """The usual scales that have all these marks, both ways round."""
    seen = list(marks)
    ends = [(1, 5), (1, 7), (1, 10), (0, 4), (0, 5), (0, 10), (1, 3), (1, 4), (-1, 1)]
    fitting = [(low, high) for low, high in ends if all(low <= mark <= high for mark in seen)]
    step = 1.0 if all(float(mark).is_integer() for mark in seen) else 0.5
    up = [Scale(low, high, step) for low, high in fitting]
    if seen and all(0 <= mark <= 1 for mark in seen) and step != 1.0:
        up = [Scale(0, 1, 0.01)]
    return up + [Scale(one.best, one.worst, one.step) for one in up]
