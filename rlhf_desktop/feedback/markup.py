"""Rows that hold another program's chat markup: a model's template would be written around it a second time.

Nothing is taken out: what somebody wrote may speak of such marks. It is counted and said, with what to do.
"""

import re
from collections import Counter
from collections.abc import Iterator

from rlhf_desktop.feedback.rows import FeedbackRow, Problem

_ROLE = "(?:system|user|assistant|model|human)"
_MARKS = {  # how programs write where a turn begins
    "<|im_start|>": rf"<\|im_start\|>\s*{_ROLE}",
    "[INST]": r"\[INST\]",
    "<|start_header_id|>": rf"<\|start_header_id\|>\s*{_ROLE}",
    "<start_of_turn>": rf"<start_of_turn>\s*{_ROLE}",
    "<|turn>": rf"<\|turn>\s*{_ROLE}",
    "<|user|>": rf"<\|{_ROLE}\|>",
    "<｜User｜>": "<｜(?:User|Assistant)｜>",
    "### Instruction:": r"^### ?(?:Instruction|Response|Human|Assistant):",
    "USER: … ASSISTANT:": r"(?:\A|\s)USER: [\s\S]*?\sASSISTANT:",
}
_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<turn|>", "<|end|>", "<|endoftext|>", "</s>", "<｜end▁of▁sentence｜>")
_ANY = re.compile("|".join(f"({pattern})" for pattern in _MARKS.values()), re.MULTILINE)
_NAMES = tuple(_MARKS)


def foreign_mark(row: FeedbackRow) -> str:
    """The mark of another program's template in a row's texts: before a turn, or at an answer's end; "" where there is none."""
    for text in (*(message["content"] for message in row.prompt), *row.completions):
        if found := _ANY.search(text):
            return _NAMES[(found.lastindex or 1) - 1]
    for text in row.completions:
        if end := next((end for end in _ENDS if text.rstrip().endswith(end)), ""):
            return end
    return ""


class MarkupCounter:
    """Counts rows with another program's markup as they pass."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def at(self, row: FeedbackRow | Problem) -> None:
        """Look at one row."""
        mark = "" if isinstance(row, Problem) else foreign_mark(row)
        if mark:
            self.found[mark] += 1

    def over(self, rows: Iterator[FeedbackRow | Problem]) -> Iterator[FeedbackRow | Problem]:
        """The rows, each looked at."""
        for row in rows:
            self.at(row)
            yield row

    @property
    def rows(self) -> int:
        """How many rows have some."""
        return self.found.total()

    @property
    def sentence(self) -> str:
        """What is to be said of them, without their number; "" where there are none."""
        if not self.found:
            return ""
        marks = ", ".join(mark for mark, _ in self.found.most_common(3))
        return (
            f"Some rows hold another program's chat markup ({marks}), which a model would be taught as text within its own: "
            "write them anew as plain questions and answers, or as conversations with roles"
        )
