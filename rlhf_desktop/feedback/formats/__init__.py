"""The formats that feedback comes and goes in: recognised by their keys, record by record, with how sure that is.

| format | keys |
|---|---|
| rankings (ours) | prompt, completions with rank |
| TRL preference, explicit | prompt, chosen, rejected |
| TRL preference, implicit | chosen, rejected: whole conversations |
| TRL unpaired | prompt, completion, label |
| TRL prompt and completion | prompt, completion |
| conversations (TRL, OpenAI) | messages |
| HH-RLHF | chosen, rejected: transcripts |
| UltraFeedback binarised | prompt, chosen, rejected, score_chosen, score_rejected |
| OpenAssistant trees | message_tree_id, prompt with replies |
| Argilla records | fields, responses |
| Label Studio tasks | data, annotations |
| ShareGPT | conversations with from and value |
| Alpaca | instruction, input, output |
| OpenAI preference | input, preferred_output, non_preferred_output |
| arena battles | conversation_a, conversation_b, winner; or response_a, response_b, winner_model_a, … |
| published sets | HelpSteer, PKU-SafeRLHF, SHP, Nectar, WildChat (see `published`), raw UltraFeedback, flat OpenAssistant |
| rivals | several answers in columns or a list, with a winner or scores (see `rivals`) |
| other programs | Open WebUI, AnythingLLM, LM Studio, Jan, LibreChat, ChatGPT, Claude; plain conversations (see `programs`) |

Files are JSON, tables or Parquet, plain or packed, or a folder of them (see `containers`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats.alpaca import ALPACA
from rlhf_desktop.feedback.formats.arena import ARENA, ARENA_TABLE
from rlhf_desktop.feedback.formats.argilla import ARGILLA
from rlhf_desktop.feedback.formats.asking import Context, Watched
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.containers import read_items
from rlhf_desktop.feedback.formats.declared import beside
from rlhf_desktop.feedback.formats.hh import HH
from rlhf_desktop.feedback.formats.label_studio import LABEL_STUDIO
from rlhf_desktop.feedback.formats.oasst import OASST, OASST_FLAT
from rlhf_desktop.feedback.formats.openai import OPENAI
from rlhf_desktop.feedback.formats.programs.anything_llm import ANYTHING_LLM
from rlhf_desktop.feedback.formats.programs.chatgpt import CHATGPT
from rlhf_desktop.feedback.formats.programs.claude import CLAUDE
from rlhf_desktop.feedback.formats.programs.jan import JAN
from rlhf_desktop.feedback.formats.programs.librechat import LIBRECHAT
from rlhf_desktop.feedback.formats.programs.lm_studio import LM_STUDIO
from rlhf_desktop.feedback.formats.programs.open_webui import OPEN_WEBUI, OPEN_WEBUI_FEEDBACK
from rlhf_desktop.feedback.formats.programs.plain import PLAIN
from rlhf_desktop.feedback.formats.published import CHATS, HELPSTEER, NECTAR, SAFE_RLHF, SHP
from rlhf_desktop.feedback.formats.rankings_format import RANKINGS
from rlhf_desktop.feedback.formats.rivals import RIVALS
from rlhf_desktop.feedback.formats.sharegpt import SHAREGPT
from rlhf_desktop.feedback.formats.trl import IMPLICIT, MESSAGES, PREFERENCE, PROMPT_COMPLETION, UNPAIRED
from rlhf_desktop.feedback.formats.ultrafeedback import ULTRAFEEDBACK, ULTRAFEEDBACK_RAW
from rlhf_desktop.feedback.rows import FeedbackRow, Problem, Unusable
from rlhf_desktop.feedback.verdicts import Ranking

PROGRAMS = (OPEN_WEBUI, OPEN_WEBUI_FEEDBACK, ANYTHING_LLM, LM_STUDIO, JAN, LIBRECHAT, CHATGPT, CLAUDE, PLAIN)
FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        RANKINGS, PREFERENCE, IMPLICIT, UNPAIRED, PROMPT_COMPLETION, MESSAGES, HH, ULTRAFEEDBACK, OASST, ARGILLA, LABEL_STUDIO,
        SHAREGPT, ALPACA, OPENAI, ARENA, HELPSTEER, SAFE_RLHF, SHP, NECTAR, ULTRAFEEDBACK_RAW, OASST_FLAT, CHATS, ARENA_TABLE,
        RIVALS, *PROGRAMS,
    )
}  # fmt: skip
_SURVEYORS = [form for form in FORMATS.values() if form.survey]
_OPTIONAL = ("annotator", "system", "label")  # fields that a record may lack
SURE = 0.8  # from here on a preview need not ask
_SAMPLE = 50  # records that a guess is made from


@dataclass(frozen=True)
class Guess:
    """A format and how sure its keys make us, 0 to 1: the mean over the first records."""

    format: Format
    confidence: float


def format_named(name: str) -> Format:
    """The format of this name.

    Raises:
        BadInput: there is none; says which there are.
    """
    if name not in FORMATS:
        raise BadInput(f"There is no format called “{name}”.", f"Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def guesses(records: list[Record]) -> list[Guess]:
    """The formats these records may be in, the likeliest first."""
    found = [Guess(form, sum(form.fits(r) for r in records) / len(records)) for form in FORMATS.values() if records]
    return sorted((guess for guess in found if guess.confidence > 0), key=lambda guess: -guess.confidence)


def sample(path: Path) -> list[Record]:
    """The first records of a file that are objects."""
    return list(islice((item.value for item in read_items(path) if isinstance(item.value, dict)), _SAMPLE))


@dataclass(frozen=True)
class Reading:
    """How to read a file.

    Attributes:
        format: The one format it is in; None: each record in the one it fits best.
        columns: Our name of a field → the file's name of it, where they differ.
        answers: To what a preview asked, by the questions' keys.
    """

    format: Format | None = None
    columns: Mapping[str, str] | None = None
    answers: Mapping[str, str] | None = None

    def rows(self, value: Any, context: Context | None = None) -> list[FeedbackRow]:
        """The rows of one record.

        Args:
            value: Any JSON.
            context: What is known of its file; without one the record stands alone.

        Raises:
            Unusable: says what is wrong with it.
        """
        if context is None:
            context = Context(self.answers or {})
            self.survey(value, context)
        if not isinstance(value, dict):
            raise Unusable("it is not a JSON object")
        mapped = self._mapped(value)
        form = self.format or _best(mapped)
        if form.fits(mapped) == 0:
            raise Unusable(f"it is not in the format {form.title} ({form.keys})")
        context.next_record()
        record = Watched({**self._others(value, form), **mapped})
        try:
            rows = [_checked(row) for row in form.read(record, context)]
            context.left_unread(record)
            return rows
        except Unusable:
            raise
        except (BadInput, RecursionError) as problem:
            raise Unusable(str(problem).rstrip(".") or "it is nested too deeply") from None
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:  # a value of a kind the format never has
            raise Unusable(f"a value in it is not what the format {form.title} has there") from problem

    def survey(self, value: Any, context: Context) -> None:
        """Look at a record before any is read: what all of them together say."""
        if not isinstance(value, dict):
            return
        record = {**value, **(self._renamed(value) if self.columns else {})}
        forms = [self.format] if self.format else _SURVEYORS
        for form in forms:
            if form.survey and form.fits(record) > 0:
                with suppress(Unusable, AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError):
                    form.survey(record, context)

    def _renamed(self, record: Record) -> Record:
        return {ours: record[theirs] for ours, theirs in (self.columns or {}).items() if theirs in record}

    def _mapped(self, record: Record) -> Record:
        if not self.columns:
            return record
        optional = [self.columns.get(name) for name in _OPTIONAL]
        missing = [theirs for theirs in self.columns.values() if theirs not in record and theirs not in optional]
        if missing:
            raise Unusable(f"it has nothing in the column “{missing[0][:40]}”")
        return self._renamed(record)

    def _others(self, record: Record, form: Format) -> Record:
        """The columns nobody mapped: a label, scores or a system message there still say what they say."""
        if not self.columns:
            return {}
        used, left = set(self.columns.values()), {*form.fields} - {*_OPTIONAL}
        return {name: value for name, value in record.items() if name not in used and name not in left}


def _checked(row: FeedbackRow) -> FeedbackRow:
    """A text that wins over itself says nothing, and is no judgement."""
    for verdict in row.verdicts:
        if isinstance(verdict, Ranking) and len(set(verdict.ranks)) > 1 and len({text.strip() for text in row.completions}) == 1:
            raise Unusable("the better and the worse answer are the same text, so it says nothing")
    return row


def _best(record: Record) -> Format:
    form = max(FORMATS.values(), key=lambda form: form.fits(record))
    if form.fits(record) == 0:
        keys = ", ".join(str(key)[:40] for key in list(record)[:8])
        raise Unusable(f"no format has just these keys: {keys}" if keys else "it has nothing")
    return form


def surveyed(path: Path, reading: Reading, most: int | None = None) -> Context:
    """What a whole file says of itself, with what lies beside it: nothing of it is guessed from one record.

    Args:
        path: The file.
        reading: How to read it.
        most: At most so many records are looked at, for a preview.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read.
    """
    context = Context(reading.answers or {}, beside(path))
    for item in islice(read_items(path), most):
        reading.survey(item.value, context)
    return context


def read_feedback(
    path: Path,
    reading: Reading | None = None,
    on_bytes: Callable[[int], None] | None = None,
    context: Context | None = None,
) -> Iterator[FeedbackRow | Problem]:
    """The rows of a feedback file in any of the formats, read piece by piece.

    What cannot be used comes as a `Problem` with its place, so one bad row does not cost the others.

    Args:
        path: The file.
        reading: How to read it; by default every record in the format it fits best.
        on_bytes: Told how far into the file each record reaches, before its rows come.
        context: From `surveyed`; holds the open questions and what was left out, when all is read.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read, or is empty.
    """
    reading = reading or Reading()
    context = context or surveyed(path, reading)
    anything = False
    for item in read_items(path):
        anything = True
        if on_bytes:
            on_bytes(item.read_bytes)
        if isinstance(item.value, Problem):
            yield item.value
            continue
        try:
            rows = reading.rows(item.value, context)
        except Unusable as reason:
            yield Problem(item.number, f"{item.source}: {reason}" if item.source else str(reason), item.text)
            continue
        yield from rows
    if not anything:
        raise BadInput(f"{path.name} is empty.", "Give a file with feedback in it.")
