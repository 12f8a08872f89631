"""What each format can say: written and read back it is the same, or it is not written (or not read) and the guide says so.

The table in the guide is this test's. Nothing may come back as something else.
"""

from itertools import product
from pathlib import Path

import pytest

from rlhf_desktop.feedback.formats import FORMATS, Reading, read_feedback
from rlhf_desktop.feedback.formats.parquet import installed
from rlhf_desktop.feedback.judgements import Rating, Ratings, Thumbs
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow, row_of
from rlhf_desktop.operations.writing import write_records

GUIDE = Path(__file__).parents[3] / "resources" / "guide" / "feedback_files.md"
WRITTEN = [name for name, form in FORMATS.items() if form.write]
SUFFIXES = [".jsonl", ".json", ".csv", *([".parquet"] if installed() else [])]
TEXTS = {
    "newline": "one\ntwo\r\n\n three",
    "quotes": "“so” \"said\" 'he' `x` «y»",
    ";": "a;b,c\td|e",
    "=1+1": "=1+1",
    "emoji": "👩🏽‍🚀 ok ☀️",
    "Arabic": "مرحبا — שלום",
    "JSON": '{"a": [1, null], "b": "c"}',
    "empty": "",
}
FEATURES = ("comparison", "tie", "marks of 10 steps", "example", "thumb", "system", "several turns", *TEXTS)
SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def asked(text="Why?"):
    return {"role": "user", "content": text}


PAIR = RankingRow([asked()], ("Because.", "No."), (1, 2))
SAID = {
    "comparison": PAIR,
    "tie": RankingRow([asked()], ("Because.", "No."), (1, 1)),
    "marks of 10 steps": row_of([asked()], ["Because.", "No."], [Ratings((Rating("accuracy", 10, (9, 5)),))]),
    "example": DemonstrationRow([asked()], "Because."),
    "thumb": row_of([asked()], ["Because."], [Thumbs(False)]),
}


def bases(form, written):
    """The forms of judgement that a format can say at all: what stands beside them is tried with each."""
    return [row for name, row in SAID.items() if name in ("comparison", "example", "thumb") and written(form, [row]) == [row]]


def with_feature(row, feature):
    """A judgement with a feature in its prompt and its answers."""
    if feature in SAID:
        return SAID[feature]
    if feature in ("system", "several turns"):
        prompt = [SYSTEM, *row.prompt] if feature == "system" else [*TURNS, *row.prompt]
        return row_of(prompt, row.completions, row.verdicts)
    text = TEXTS[feature]
    prompt = [asked(text)] if text else row.prompt
    return _as_given(row, prompt, (text, *row.completions[1:]))


def _as_given(row, prompt, texts):
    if isinstance(row, RankingRow):
        return RankingRow(prompt, texts, row.ranks)
    return DemonstrationRow(prompt, texts[0]) if isinstance(row, DemonstrationRow) else row_of(prompt, texts, row.verdicts)


@pytest.fixture
def written(tmp_path):
    """Write rows in a format to a file of a kind, and read it back; without who judged, where a format has no place for it."""

    def there_and_back(form, rows, suffix=".jsonl"):
        path = tmp_path / f"f{suffix}"
        records = [record for row in rows for record in FORMATS[form].write(row)]
        if not records:
            return []
        write_records(path, records)
        for reading in (Reading(FORMATS[form]), Reading()):
            found = list(read_feedback(path, reading))
            if reading.format:
                first = found
        assert [type(row) for row in found] == [type(row) for row in first]
        return [row if isinstance(row, Problem) else _nameless(row) for row in found]

    return there_and_back


def _nameless(row):
    return row_of(row.prompt, row.completions, row.verdicts, critique=row.critique)


def can_say(form, feature, written, suffix=".jsonl"):
    """Whether a format says it and gives it back. It may refuse; it may not change anything."""
    tried = []
    for base in [PAIR] if feature in SAID else bases(form, written):
        row = with_feature(base, feature)
        back = written(form, [row], suffix)
        refused = not back or all(isinstance(one, Problem) for one in back)
        assert refused or back == [row], (form, feature, suffix, back)
        tried.append(not refused)
    assert len(set(tried)) == 1, (form, feature, tried)
    return tried[0]


@pytest.mark.parametrize("form", WRITTEN)
def test_what_is_written_comes_back_the_same_in_every_kind_of_file_or_not_at_all(form, written):
    for feature, suffix in product(FEATURES, SUFFIXES):
        assert can_say(form, feature, written, suffix) == can_say(form, feature, written), (feature, suffix)


def test_the_guides_table_of_what_each_format_can_say_is_this_one(written):
    lines = [f"| Format | {' | '.join(FEATURES)} |", "|---" * (len(FEATURES) + 1) + "|"]
    for form in WRITTEN:
        cells = ["yes" if can_say(form, feature, written) else "–" for feature in FEATURES]
        lines.append(f"| {FORMATS[form].title} | {' | '.join(cells)} |")
    assert "\n".join(lines) in GUIDE.read_text(encoding="utf-8"), "\n" + "\n".join(lines)
