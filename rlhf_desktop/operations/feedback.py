"""Feedback in and out of a project: preview and import with bad rows set aside, export, and what there is."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.files import atomic_file
from rlhf_desktop.feedback.columns import likely_form
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.formats import FORMATS, SURE, Guess, Reading, format_named, guesses, read_feedback, sample, surveyed
from rlhf_desktop.feedback.formats.asking import Note, Question
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.containers import understanding_of
from rlhf_desktop.feedback.formats.programs.talk import TALKS
from rlhf_desktop.feedback.judgements import AllBad, Correction, Labels, Ranking, Ratings, Spans, Thumbs
from rlhf_desktop.feedback.markup import MarkupCounter
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, Problem, RankingRow, UnjudgedRow
from rlhf_desktop.operations.rows import check_output, disk_troubles
from rlhf_desktop.operations.writing import write_records
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.importing import exported, import_rows

EXPORT_FORMATS = (*(name for name, form in FORMATS.items() if form.write), "demonstrations")
_ALIASES = {"demonstrations": "messages"}
_PREVIEWED = 20
_LOOKED_AT = 200_000  # rows of a file that a preview counts
_REASONS = 50  # that it tells apart
_REPORTED = 500  # rows between two words on progress
_NOUNS = {"thumbs": "thumb", "ranking": "comparison", "correction": "correction", "demonstration": "example"}


class ImportCancelled(AppError):
    """The user cancelled an import."""


@dataclass(frozen=True)
class ImportReport:
    """What an import did. `rejected_file` holds the rows left out, with why, when there were any.

    `notes` say what of the other rows was left out, `questions` what was taken as likely because nobody answered. Of another
    program's export, `conversations` were read; `alternatives` are questions whose answers wait to be judged, `asked` other ones.
    """

    rankings: int
    demonstrations: int
    duplicates: int
    rejected: int
    rejected_file: Path | None
    first_reason: str = ""
    others: int = 0
    notes: tuple[Note, ...] = ()
    questions: tuple[Question, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    conversations: int = 0
    alternatives: int = 0
    asked: int = 0

    @property
    def imported(self) -> int:
        """Rows added."""
        return self.rankings + self.demonstrations + self.others

    @property
    def summary(self) -> str:
        """What came out of another program's conversations: "312 conversations, 41 thumbs, 18 corrections, …"; else empty."""
        return _summary(self.conversations, self.kinds, self.alternatives, self.asked)


def _summary(conversations: int, kinds: Mapping[str, int], alternatives: int, asked: int) -> str:
    counts = [(conversations, "conversation"), *((kinds.get(kind, 0), noun) for kind, noun in _NOUNS.items())]
    parts = [_count(n, noun) for n, noun in counts if n]
    parts += [f"{_count(alternatives, 'question')} with alternatives to judge"] if alternatives else []
    parts += [f"{_count(asked, 'other question')} to judge"] if asked else []
    return ", ".join(parts) if conversations else ""


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


@dataclass(frozen=True)
class ImportPreview:
    """What a file seems to be, before anything is imported.

    Attributes:
        guesses: The formats it may be in, the likeliest first.
        sure: Whether to go on without asking.
        columns: The names in the file's first records.
        rows: The first rows, as they would be imported.
        problems: What is wrong with those of the first records that cannot be used.
        usable: How many rows the whole file gives (the first part of a very large one: see `whole`).
        unusable: How many of its records cannot be used.
        reasons: Why not, each with its number.
        questions: What the file does not say; answered by `answers` of the same keys.
        notes: What of the usable rows is left out or taken in a way worth saying.
        whole: Whether all of the file was looked at.
        understood: How the file was read: its letters, its separator, how many files.
        summary: What another program's conversations give; empty for other files.
        likely: The format that its columns seem to fill, and which column would fill what; empty where a format fits by itself.
    """

    guesses: tuple[Guess, ...]
    sure: bool
    columns: tuple[str, ...]
    rows: tuple[FeedbackRow, ...]
    problems: tuple[Problem, ...]
    usable: int = 0
    unusable: int = 0
    reasons: tuple[Note, ...] = ()
    questions: tuple[Question, ...] = ()
    notes: tuple[Note, ...] = ()
    whole: bool = True
    understood: tuple[str, ...] = ()
    summary: str = ""
    likely: tuple[str, Mapping[str, str]] = ("", MappingProxyType({}))


@dataclass(frozen=True)
class FeedbackStats:
    """What a project holds, in effect (undone judgements do not count)."""

    judgements: int
    by_kind: dict[str, int]
    judged_prompts: int
    heldout_prompts: int
    comparisons: int
    ties: int
    prompt_sets: dict[str, int]


def preview_import(
    path: Path,
    *,
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
) -> ImportPreview:
    """Look at a file, as `import_feedback` with the same choices would read it. Nothing is imported."""
    records = sample(path)
    found = guesses([_mapped(record, columns) for record in records])
    reading = Reading(format_named(_ALIASES.get(form, form)) if form else None, columns, answers)
    context = surveyed(path, reading, _LOOKED_AT)
    look = _Look()
    for row in read_feedback(path, reading, context=context):
        if not look.at(row):
            break
    second = found[1].confidence if len(found) > 1 else 0.0
    told = bool(found) and found[0].confidence >= SURE and found[0].confidence > second
    names = tuple(dict.fromkeys(str(key) for record in records for key in record))
    understood = understanding_of(path)
    return ImportPreview(
        tuple(found),
        look.usable > look.unusable and told and not context.questions and not understood.guessed,
        names,
        tuple(look.rows),
        tuple(look.problems),
        look.usable,
        look.unusable,
        tuple(Note(reason, count) for reason, count in look.reasons.most_common()),
        context.questions,
        (*context.notes, *_markup_notes(look.markup)),
        look.whole,
        understood.notes,
        _summary(context.store(TALKS, Counter)[TALKS], look.kinds, look.several, look.single),
        ("", {}) if look.rows or context.questions else likely_form(names, records),
    )


def _markup_notes(markup: MarkupCounter) -> tuple[Note, ...]:
    return (Note(markup.sentence, markup.rows),) if markup.rows else ()


class _Look:
    """Counts the rows of a file, keeping the first of them."""

    def __init__(self) -> None:
        self.rows: list[FeedbackRow] = []
        self.problems: list[Problem] = []
        self.usable = self.unusable = 0
        self.reasons: Counter[str] = Counter()
        self.markup = MarkupCounter()
        self.kinds: Counter[str] = Counter()
        self.several = self.single = 0  # questions to be judged, with several answers and with one
        self.whole = True

    def at(self, row: FeedbackRow | Problem) -> bool:
        """Count one. Returns whether to go on."""
        self.markup.at(row)
        first = self.usable + self.unusable < _PREVIEWED
        if isinstance(row, Problem):
            self.unusable += 1
            self.problems += [row] if first else []
            if row.reason in self.reasons or len(self.reasons) < _REASONS:
                self.reasons[row.reason] += 1
        else:
            self.usable += 1
            self.rows += [row] if first else []
            self.kinds.update(verdict.kind for verdict in row.verdicts)
            self.several += isinstance(row, UnjudgedRow) and len(row.completions) > 1
            self.single += isinstance(row, UnjudgedRow) and len(row.completions) == 1
        self.whole = self.usable + self.unusable < _LOOKED_AT
        return self.whole


def _mapped(record: Record, columns: Mapping[str, str] | None) -> Record:
    return {ours: record.get(theirs) for ours, theirs in columns.items()} if columns else record


def import_feedback(
    store: Store,
    project: Project,
    path: Path,
    *,
    annotator: str = "",
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_share: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ImportReport:
    """Add a file's usable rows to a project in one transaction; the others go to `<file>.rejected.jsonl` with place and reason.

    Importing a file twice changes nothing.

    Args:
        store: Where to.
        project: Which project.
        path: The file.
        annotator: The judge of rows that name none.
        form: The format's name; by default each record is read in the one it fits best.
        columns: Our name of a field → the file's column.
        answers: To the questions of a preview, by their keys.
        on_progress: Told the number of rows read, now and then.
        on_share: Told how much of the file is read, 0 to 1.
        cancelled: Asked now and then.

    Raises:
        NotFound: there is no such file.
        BadInput: it is empty, or none of its rows can be used.
        ImportCancelled: nothing was imported.
    """
    reading = Reading(format_named(_ALIASES.get(form, form)) if form else None, columns, answers)
    context = surveyed(path, reading)
    watch = _Watch(path, on_progress, on_share, cancelled)
    aside = path.with_name(path.name + ".rejected.jsonl")
    with ExitStack() as files:
        rejects, markup = _Rejects(aside, files), MarkupCounter()
        rows = rejects.set_aside(watch.over(markup.over(read_feedback(path, reading, watch.reached, context))))
        done = import_rows(store, project.id, rows, who=annotator, title=path.stem or path.name)
        anything = done.rankings or done.demonstrations or done.others or done.duplicates or done.alternatives or done.questions
        if rejects.count and not anything:
            raise BadInput(
                f"No row of {path.name} can be used: {rejects.first}.",
                _remedy(path, context.questions),
            )
    return ImportReport(
        done.rankings,
        done.demonstrations,
        done.duplicates,
        rejects.count,
        aside if rejects.count else None,
        rejects.first,
        done.others,
        (*context.notes, *_markup_notes(markup)),
        context.questions,
        done.kinds,
        context.store(TALKS, Counter)[TALKS],
        done.alternatives,
        done.questions,
    )


def _remedy(path: Path, asked: tuple[Question, ...]) -> str:
    """What may help where no row can be used: an answer to what is asked, or the format that its columns seem to fill."""
    if asked:
        keys = " ".join(f'--answer "{question.key}=…"' for question in asked[:3])
        return f"Nothing was imported. --preview shows what may be answered: {keys}"
    records = sample(path)
    form, columns = likely_form(dict.fromkeys(str(key) for record in records for key in record), records)
    if not form:
        return "Nothing was imported. “feedback import --help” shows the forms that are understood."
    return f"Nothing was imported. It may be {format_named(form).title}: {said_columns(form, columns)}"


def said_columns(form: str, columns: Mapping[str, str]) -> str:
    """A format and its columns as the command line takes them."""
    return " ".join([f"--format {form}", *(f'--column "{ours}={theirs}"' for ours, theirs in columns.items())])


class _Watch:
    """Tells how far an import is, and stops it when asked."""

    def __init__(
        self,
        path: Path,
        on_progress: Callable[[int], None] | None,
        on_share: Callable[[float], None] | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._path, self._on_progress, self._on_share, self._cancelled = path, on_progress, on_share, cancelled
        self._bytes = 0

    def reached(self, read_bytes: int) -> None:
        self._bytes = read_bytes

    def over(self, rows: Iterator[FeedbackRow | Problem]) -> Iterator[FeedbackRow | Problem]:
        total = max(1, self._path.stat().st_size) if self._path.is_file() else 1
        for number, row in enumerate(rows, 1):
            yield row
            if number % _REPORTED == 0:
                if self._cancelled():
                    raise ImportCancelled("The import was cancelled.", "Nothing was imported.")
                if self._on_progress:
                    self._on_progress(number)
                if self._on_share:
                    self._on_share(min(1.0, self._bytes / total))


class _Rejects:
    """Writes unusable rows beside the file as they come, so that they can be mended and imported again."""

    def __init__(self, path: Path, files: ExitStack) -> None:
        self._path, self._files = path, files
        self.count = 0
        self.first = ""

    def set_aside(self, rows: Iterator[FeedbackRow | Problem]) -> Iterator[FeedbackRow]:
        """The usable rows. The file takes its name when the import has ended well."""
        out: Any = None
        for row in rows:
            if not isinstance(row, Problem):
                yield row
                continue
            if out is None:
                self.first = f"line {row.line}: {row.reason}"
                self._files.enter_context(disk_troubles(self._path))
                out = self._files.enter_context(atomic_file(self._path))
            self.count += 1
            value = {"line": row.line, "reason": row.reason, "text": row.text}
            out.write((json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


@dataclass(frozen=True)
class FeedbackExport:
    """What an export wrote: so many records, from so many judgements; and those the format has no place for, by what they say."""

    records: int
    judgements: int
    left_out: Mapping[str, int]


def export_feedback(store: Store, project: Project, path: Path, form: str = "rankings", *, names: bool = False) -> FeedbackExport:
    """Write a project's feedback in one of `EXPORT_FORMATS`, whole or not at all.

    The file's name says how: .csv, .parquet, .json (one list), else JSON lines. Who judged is a number, or with `names` by name.

    Raises:
        BadInput: an unknown format, or a place that cannot be written.
        NoSpace: the disk is full.
    """
    if form not in EXPORT_FORMATS:
        raise BadInput(f"There is no export format called “{form}”.", f"Choose one of: {', '.join(EXPORT_FORMATS)}.")
    chosen = format_named(_ALIASES.get(form, form))
    check_output(path)
    rows = (lambda: exported(store.stream(project.id))) if names else (lambda: _numbered(exported(store.stream(project.id))))
    records = _Records(rows, chosen)
    with store.connection.snapshot():
        last = store.judgements.last_row()
        write_records(path, records)
    store.exports.note(project.id, path, form, last)
    return FeedbackExport(records.count, records.used, dict(records.left_out))


def _numbered(rows: Iterable[FeedbackRow]) -> Iterator[FeedbackRow]:
    """The rows with a number in place of who judged, the same for each person throughout."""
    people: dict[str, str] = {}
    for row in rows:
        yield replace(row, annotator=people.setdefault(row.annotator, f"annotator {len(people) + 1}")) if row.annotator else row


class _Records:
    """A project's feedback as a format's records, made anew each time it is walked; what is counted is of the last walk."""

    def __init__(self, rows: Callable[[], Iterable[FeedbackRow]], form: Format) -> None:
        self._rows, self._form = rows, form
        self.count = self.used = 0
        self.left_out: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record]:
        self.count = self.used = 0
        self.left_out.clear()
        for row in self._rows():
            before = self.count
            for record in self._form.write(row) if self._form.write else ():
                self.count += 1
                yield record
            if self.count > before:
                self.used += 1
            else:
                self.left_out[_said_by(row)] += 1


def _ranking(ranks: Sequence[int]) -> str:
    return "a ranking" if len(set(ranks)) > 1 else "a tie"


def _said_by(row: FeedbackRow) -> str:
    """What a judgement says, in one word or two."""
    if isinstance(row, RankingRow):
        return _ranking(row.ranks)
    if isinstance(row, DemonstrationRow):
        return "an example"
    kinds = {
        AllBad: "none will do",
        Thumbs: "thumbs",
        Ratings: "ratings",
        Labels: "labels",
        Spans: "marks",
        Correction: "a correction",
    }
    verdicts = [
        _ranking(verdict.ranks) if isinstance(verdict, Ranking) else kinds.get(type(verdict), "something else")
        for verdict in getattr(row, "verdicts", ())
    ]
    return ", ".join(dict.fromkeys(verdicts)) or "nothing"


def feedback_stats(store: Store, project: Project) -> FeedbackStats:
    """Count a project's feedback."""
    with store.connection.snapshot():
        counts, prompts = store.standing.counts(project.id), store.questions.counts(project.id)
        ranked = store.standing.rankings(project.id)
        sets = store.prompts.sizes(project.id)
    tied = [(n, [pair.tie for pair in pairs(ranks)]) for ranks, n in ranked.items()]
    ties, compared = sum(n * sum(found) for n, found in tied), sum(n * len(found) for n, found in tied)
    return FeedbackStats(
        judgements=sum(counts.values()),
        by_kind=dict(counts),
        judged_prompts=prompts.judged,
        heldout_prompts=prompts.heldout,
        comparisons=compared - ties,
        ties=ties,
        prompt_sets=sets,
    )
