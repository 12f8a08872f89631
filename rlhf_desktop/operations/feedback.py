"""Feedback in and out of a project: import with bad rows set aside, export, and what there is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import write_jsonl
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.judgements import Ranking
from rlhf_desktop.feedback.rankings import pairs, ranking_to
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, Problem, RankingRow
from rlhf_desktop.operations.rows import check_output, disk_troubles, write_rows
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.importing import exported, import_rows

EXPORT_FORMATS = ("rankings", "demonstrations", "preference", "prompt-completion")


@dataclass(frozen=True)
class ImportReport:
    """What an import did. `rejected_file` holds the lines left out, with why, when there were any."""

    rankings: int
    demonstrations: int
    duplicates: int
    rejected: int
    rejected_file: Path | None
    first_reason: str = ""

    @property
    def imported(self) -> int:
        """Rows added."""
        return self.rankings + self.demonstrations


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


def import_feedback(
    store: Store, project: Project, path: Path, *, annotator: str = "", on_progress: Callable[[int], None] | None = None
) -> ImportReport:
    """Add a file's usable rows to a project in one transaction; the others go to `<file>.rejected.jsonl` with line and reason.

    Importing a file twice changes nothing.

    Raises:
        NotFound: there is no such file.
        BadInput: it is empty, or none of its rows can be used.
    """
    done = import_rows(store, project.id, _counted(read_feedback(path), on_progress), who=annotator)
    if done.problems and not (done.rankings or done.demonstrations or done.duplicates):
        first = done.problems[0]
        raise BadInput(
            f"No row of {path.name} can be used: line {first.line}: {first.reason}.",
            "Nothing was imported. “feedback import --help” shows the forms that are understood.",
        )
    aside = _set_aside(path, done.problems)
    reason = f"line {done.problems[0].line}: {done.problems[0].reason}" if done.problems else ""
    return ImportReport(done.rankings, done.demonstrations, done.duplicates, len(done.problems), aside, reason)


def _counted(rows: Iterator[FeedbackRow | Problem], on_progress: Callable[[int], None] | None) -> Iterator[FeedbackRow | Problem]:
    for number, row in enumerate(rows, 1):
        yield row
        if on_progress and number % 1000 == 0:
            on_progress(number)


def _set_aside(path: Path, problems: tuple[Problem, ...]) -> Path | None:
    """Copy the unusable lines beside the file, so that they can be mended and imported again."""
    if not problems:
        return None
    aside = path.with_name(path.name + ".rejected.jsonl")
    wanted = {problem.line: problem.reason for problem in problems}
    with path.open("rb") as lines, disk_troubles(aside):
        texts = {n: raw.decode("utf-8", "replace").rstrip("\r\n") for n, raw in enumerate(lines, 1) if n in wanted}
        write_jsonl(aside, ({"line": n, "reason": reason, "text": texts.get(n, "")} for n, reason in wanted.items()))
    return aside


def export_feedback(store: Store, project: Project, path: Path, form: str = "rankings") -> int:
    """Write a project's feedback in one of `EXPORT_FORMATS`, whole or not at all. Returns the number of rows.

    Raises:
        BadInput: an unknown format, or a place that cannot be written.
        NoSpace: the disk is full.
    """
    if form not in EXPORT_FORMATS:
        raise BadInput(f"There is no export format called “{form}”.", f"Choose one of: {', '.join(EXPORT_FORMATS)}.")
    check_output(path)
    rows = [value for row in exported(store, project.id) for value in _export_rows(row, form)]
    write_rows(path, rows)
    return len(rows)


def _export_rows(row: FeedbackRow, form: str) -> Iterator[dict[str, Any]]:
    if isinstance(row, DemonstrationRow):
        if form == "demonstrations":
            yield {"messages": [*row.prompt, {"role": "assistant", "content": row.completion}]}
        elif form == "prompt-completion":
            yield {"prompt": row.prompt, "completion": [{"role": "assistant", "content": row.completion}]}
    elif form == "rankings":
        yield ranking_to(row)
    elif form == "preference":
        yield from _preferences(row)


def _preferences(row: RankingRow) -> Iterator[dict[str, Any]]:
    """TRL's explicit preference rows: every pair that is not a tie."""
    for pair in pairs(row.ranks):
        if not pair.tie:
            chosen, rejected = ([{"role": "assistant", "content": row.completions[i]}] for i in (pair.better, pair.worse))
            yield {"prompt": row.prompt, "chosen": chosen, "rejected": rejected}


def feedback_stats(store: Store, project: Project) -> FeedbackStats:
    """Count a project's feedback."""
    counts = store.judgements.counts(project.id)
    judged = store.judged(project.id)
    compared = [pair for item in judged if isinstance(v := item.judgement.verdict, Ranking) for pair in pairs(v.ranks)]
    split_of = {tuple((m["role"], m["content"]) for m in item.prompt): item.split for item in judged}
    return FeedbackStats(
        judgements=sum(counts.values()),
        by_kind=dict(counts),
        judged_prompts=len(split_of),
        heldout_prompts=sum(split == "heldout" for split in split_of.values()),
        comparisons=sum(not pair.tie for pair in compared),
        ties=sum(pair.tie for pair in compared),
        prompt_sets={s.name: len(store.prompts.prompts(project.id, s.name)) for s in store.prompts.sets(project.id)},
    )
