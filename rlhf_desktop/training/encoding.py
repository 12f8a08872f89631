"""Rows of feedback as token ids within `max_length`; a row that can teach nothing is set aside, counted, and said.

The question is always kept whole. An answer that does not fit beside it is cut at its end where it is imitated (it then teaches no
end of turn); where it is compared, marked or called good or bad the row is set aside: half an answer is not what was judged.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rlhf_desktop.core.errors import ModelTrouble, NotEnoughFeedback
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.snapshot import AnyRow, SnapshotRow
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.template import completion_ids, fit_turns
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.run import RunFiles

TOO_LONG = "longer than max_length"
ALIKE = "the answers are the same text"

_NAMED_ROWS = 5  # by their numbers, in one sentence


class _TooLong(Exception):
    """A row does not fit."""


class Encoder:
    """Encodes the rows of one run, and remembers those it could not use.

    Args:
        base: Whose template and tokens.
        max_length: Tokens of a row at most.
        rows: All rows of the run, for their numbers (from 1, as they stand in data.jsonl).
    """

    def __init__(self, base: BaseModel, max_length: int, rows: Sequence[SnapshotRow] = ()) -> None:
        self.base, self.max_length = base, max_length
        self._numbers = {id(row): number for number, row in enumerate(rows, 1)}
        self.aside: dict[str, list[int]] = {}  # reason → numbers of rows
        self.cut: list[int] = []  # rows whose answer was cut
        self.needed = 0  # tokens of the longest row that did not fit

    def imitated(self, row: SnapshotRow, text: str) -> Group | None:
        """The row's prompt with an answer to imitate, cut at its end where it does not fit; None when the row is set aside."""
        with self._or_aside(row):
            answer = self._answer(text)
            prompt = self._prompt(row.prompt, len(answer), least=1)
            if len(prompt) + len(answer) > self.max_length:
                self.cut.append(self._number(row))
            return Group(prompt, [answer[: self.max_length - len(prompt)]])
        return None

    def compared(self, row: SnapshotRow, texts: Sequence[str]) -> Group | None:
        """The row's prompt with whole answers, each with its end of turn; None when the row is set aside."""
        with self._or_aside(row):
            answers = [self._answer(text) for text in texts]
            longest = max(map(len, answers))
            return Group(self._prompt(row.prompt, longest, least=longest), answers)
        return None

    def asked(self, row: SnapshotRow, room: int) -> list[int] | None:
        """The row's prompt, with room for so many tokens of an answer; None when the row is set aside."""
        with self._or_aside(row):
            return self._prompt(row.prompt, room, least=room)
        return None

    def set_aside(self, row: SnapshotRow, reason: str) -> None:
        """Note that a row is not used."""
        self.aside.setdefault(reason, []).append(self._number(row))

    def say(self, run: RunFiles) -> None:
        """One warning for each reason, with the numbers of the first rows and what would keep them; once in a run's life."""
        if run.started is not None:
            return
        for reason, numbers in self.aside.items():
            run.emit("warning", code="rows", message=f"{_named(numbers)} set aside: {reason}.{self._remedy(reason)}")
        if self.cut:
            said = f"{_named(self.cut)} cut at the end of the answer, so it teaches no end of turn."
            run.emit("warning", code="rows", message=said + self._remedy(TOO_LONG))

    def kept(self, rows: Sequence[AnyRow]) -> list[AnyRow]:
        """The rows that were not set aside."""
        gone = {number for numbers in self.aside.values() for number in numbers}
        return [row for row in rows if self._number(row) not in gone]

    def check_left(self, used: Sequence[object]) -> None:
        """Raise NotEnoughFeedback if every row of a kind had to be set aside."""
        if not used and self.aside:
            reason = max(self.aside, key=lambda reason: len(self.aside[reason]))
            remedy = self._remedy(reason).strip() or "Add others, or choose another model."
            raise NotEnoughFeedback(f"None of the rows can be learned from: {reason}.", remedy)

    # --- parts ----------------------------------------------------------------------------------------------------------------

    def _answer(self, text: str) -> list[int]:
        return completion_ids(self.base.tokenizer, text, self.base.end_ids[0])

    def _prompt(self, messages: Messages, wanted: int, *, least: int) -> list[int]:
        """The prompt without the oldest turns that leave no room for `wanted` tokens; raises _TooLong where `least` do not fit."""
        ids = fit_turns(self.base.tokenizer, messages, self.max_length - wanted)
        if len(ids) + wanted > self.max_length:
            self.needed = max(self.needed, len(ids) + wanted)
        if len(ids) + least > self.max_length:
            raise _TooLong
        return ids

    @contextmanager
    def _or_aside(self, row: SnapshotRow) -> Iterator[None]:
        """Set the row aside where it does not fit or the template refuses it."""
        try:
            yield
        except _TooLong:
            self.set_aside(row, TOO_LONG)
        except ModelTrouble as problem:
            self.set_aside(row, problem.message[:1].lower() + problem.message[1:].rstrip("."))

    def _number(self, row: SnapshotRow) -> int:
        return self._numbers.get(id(row), 0)

    def _remedy(self, reason: str) -> str:
        return f" max_length = {self.needed:,} would keep all of them." if reason == TOO_LONG else ""


def _named(numbers: Sequence[int]) -> str:
    """`Rows 3, 8 and 12 more are`."""
    first = ", ".join(map(str, numbers[:_NAMED_ROWS]))
    if len(numbers) == 1:
        return f"Row {first} is"
    more = len(numbers) - _NAMED_ROWS
    return f"{len(numbers)} rows ({first}{f' and {more} more' if more > 0 else ''}) are"
