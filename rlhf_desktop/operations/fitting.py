"""Which rows a run can use, and how much of them: told before it starts, from the measured tokens.

`training.encoding` does the same with the tokens themselves.
"""

from collections.abc import Sequence

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.measures import RowSize
from rlhf_desktop.core.recipes import CommonSettings, PpoSettings, SftSettings
from rlhf_desktop.operations.checkup import Finding

_NAMED_ROWS = 5


def fitted(row: RowSize, settings: CommonSettings) -> RowSize | None:
    """A row as the trainer takes it, None when it is set aside.

    The oldest turns of the prompt go first, the question stays whole; then an answer to imitate is cut, and any other row goes.
    """
    most = settings.max_length
    longest = settings.max_new_tokens if isinstance(settings, PpoSettings) else max(row.answers, default=0)
    if row.trouble or row.question + (1 if isinstance(settings, SftSettings) else longest) > most:
        return None
    prompt = max(row.question, min(row.prompt, most - longest))
    return row.model_copy(update={"prompt": prompt, "answers": [min(answer, most - prompt) for answer in row.answers]})


def fit_findings(numbered: Sequence[tuple[int, RowSize]], settings: CommonSettings, alike: Sequence[int] = ()) -> list[Finding]:
    """What becomes of rows that are too long or say nothing, or that the template refuses; none where all are learned from whole.

    Args:
        numbered: Each row's number (from 1, as the run will name it) and its tokens.
        settings: The run's.
        alike: Numbers of rows that compare a text with itself.

    Raises:
        NotEnoughFeedback: no row could be used.
    """
    refused = [(number, row) for number, row in numbered if row.trouble]
    readable = [(number, row) for number, row in numbered if not row.trouble]
    aside = [number for number, row in readable if fitted(row, settings) is None]
    shortened = [number for number, row in readable if _is_cut(row, settings)]
    findings = []
    if alike:
        said = _capital(f"{_rows(alike)} set aside: the answers are the same text.")
        findings.append(Finding("rows", "note", said, "Judge answers that differ."))
    if refused:
        said = _capital(f"{_rows([number for number, _ in refused])} set aside: {refused[0][1].trouble}")
        findings.append(Finding("rows", "note", said, "Correct or remove them, or choose a model whose template takes them."))
    if aside or shortened:
        findings.append(_too_long(aside, shortened, settings, max(_needed(row, settings) for _, row in readable)))
    unused = {*alike, *aside, *(number for number, _ in refused)}
    if numbered and unused.issuperset(number for number, _ in numbered):
        raise NotEnoughFeedback(f"None of the rows can be used. {findings[0].sentence}", findings[0].remedy)
    return findings


def _too_long(aside: Sequence[int], shortened: Sequence[int], settings: CommonSettings, needed: int) -> Finding:
    parts = [f"{_rows(shortened)} cut at the end of the answer, which then teaches no end"] if shortened else []
    parts += [f"{_rows(aside)} set aside"] if aside else []
    said = f"Longer than max_length = {settings.max_length:,} tokens: {'; '.join(parts)}."
    return Finding("rows", "note", said, f"max_length = {needed:,} would keep all of them; it takes more memory.")


def _is_cut(row: RowSize, settings: CommonSettings) -> bool:
    found = fitted(row, settings)
    return found is not None and found.answers != row.answers


def _needed(row: RowSize, settings: CommonSettings) -> int:
    longest = settings.max_new_tokens if isinstance(settings, PpoSettings) else max(row.answers, default=0)
    return row.question + longest


def _rows(numbers: Sequence[int]) -> str:
    """`Row 3 is`, `12 rows (1, 2, 3, 4, 5 …) are`."""
    if len(numbers) == 1:
        return f"row {numbers[0]} is"
    more = " …" if len(numbers) > _NAMED_ROWS else ""
    return f"{len(numbers):,} rows ({', '.join(map(str, numbers[:_NAMED_ROWS]))}{more}) are"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
