"""What a test of `make trust` counts: how often it shall try, what it tried, what it found."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.trust.rows import by_key

FIRST, COUNT, RESULTS = "RLHF_DESKTOP_TRUST_FIRST", "RLHF_DESKTOP_TRUST_COUNT", "RLHF_DESKTOP_TRUST_RESULTS"
_DETAILS = 20  # kept of what was found


@dataclass
class Trial:
    """One test's part of a row.

    Outside `make trust` it tries as often as its mark says, so that the usual tests try a few.

    Attributes:
        key: The row's.
        usual: How often it tries in the usual tests.
        tried: How often it has tried.
    """

    key: str
    usual: int
    tried: int = 0
    _found: Counter[str] = field(default_factory=Counter)
    _most: dict[str, float] = field(default_factory=dict)
    _details: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> range:
        """Which of the row's trials are wanted here, counted from 0: a number seeds chance, or is the place of a kill."""
        first = int(os.environ.get(FIRST, "0"))
        return range(first, first + int(os.environ.get(COUNT, str(self.usual))))

    def share(self, part: int, parts: int) -> list[int]:
        """The numbers that fall to one of several tests of a row."""
        return [number for number in self.numbers if number % parts == part]

    def found(self, name: str, detail: object = "") -> None:
        """Count something that was found, under the table's name for it; goes on, so that all is counted."""
        assert name in by_key(self.key).may, name
        self._found[name] += 1
        self._details.append(f"{name}: {detail}")

    def measured(self, name: str, value: float) -> None:
        """A figure of which the greatest counts."""
        assert name in by_key(self.key).may, name
        self._most[name] = max(value, self._most.get(name, value))

    def check(self) -> None:
        """Fail if more was found than may be."""
        assert self.tried, "nothing was tried"
        found, may = {**self._found, **self._most}, by_key(self.key).may
        over = {name: value for name, value in found.items() if value > may[name]}
        assert not over, f"of {self.tried} tried: {over}\n" + "\n".join(self._details[:_DETAILS])

    def write(self) -> None:
        """Add a line to the file of results, if one is asked for."""
        note({"tried": self.tried, "found": dict(self._found), "most": self._most, "details": self._details[:_DETAILS]})


def note(line: dict[str, Any]) -> None:
    """Add a line to the file of results, if one is asked for."""
    if file := os.environ.get(RESULTS):
        with Path(file).open("a", encoding="utf-8") as results:
            results.write(json.dumps(line) + "\n")
