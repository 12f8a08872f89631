"""What would be published of a run or a project, gathered from the workspace: the Hub gets exactly these bytes, or nothing."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.adapterfiles import ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_adapter
from rlhf_desktop.core.errors import BadInput, NotEnoughFeedback
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.rewardfiles import HEADS, REWARD
from rlhf_desktop.core.runs import AdapterRef, Finished, RunConfig
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.signals import Judged, rankings
from rlhf_desktop.feedback.snapshot import read_snapshot
from rlhf_desktop.hub.cards import AdapterCard, DatasetCard, Measure, Statement
from rlhf_desktop.hub.library import Library
from rlhf_desktop.hub.privacy import Find, Review, redacted, review
from rlhf_desktop.hub.push import PlannedFile, PushPlan
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters
from rlhf_desktop.jobs.follow import tail_events
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.audit import head_words
from rlhf_desktop.operations.blind_results import evaluations
from rlhf_desktop.store.database import Store

COLUMNS = {
    "prompt": "the conversation up to the answer, as messages",
    "chosen": "the answer that was preferred, as messages",
    "rejected": "the other answer, as messages",
    "annotator": "who judged, as a number: names are not published",
    "confidence": "how sure they were, 0 to 1",
}
NEEDED_COLUMNS = ("prompt", "chosen", "rejected")
_SPLIT_NAMES = {"train": "train", "heldout": "test"}


# --- adapters -----------------------------------------------------------------------------------------------------------------


def find_adapter(workspace: Workspace, adapter: AdapterRef) -> AdapterInfo:
    """The entry of an adapter of this workspace.

    Raises:
        BadInput: it is only a folder somewhere.
    """
    for info in list_adapters(workspace):
        if info.ref.hash == adapter.hash:
            return info
    raise BadInput(f"“{adapter.name}” is not in this workspace.", "Publish what a run has made, or what was pulled.")


def adapter_card(workspace: Workspace, library: Library, store: Store, info: AdapterInfo) -> AdapterCard:
    """The facts of an adapter's card, from its run and the project's blind evaluations."""
    base_repo = _hub_repo(library, info.ref.base_hash)
    run = RunFolder(workspace.runs / info.run_id)
    if not run.config_file.is_file():  # it came from elsewhere: nothing more is known
        return AdapterCard(
            info.title, info.algorithm, info.base_name, info.ref.base_hash, base_repo, created=info.created, log=head_words(store)
        )
    config = run.config()
    return AdapterCard(
        title=info.title,
        algorithm=config.algorithm,
        base_name=config.base.name,
        base_hash=config.base.hash,
        base_repo=base_repo,
        started_from=config.start.name if config.start else "",
        rows=_row_counts(run),
        settings=config.settings,
        measures=[*_won(store, config, info), *_run_measures(run)],
        versions=config.versions,
        created=config.created,
        log=head_words(store),
    )


def _row_counts(run: RunFolder) -> dict[str, int]:
    rows = read_snapshot(run.data)
    trained = sum(row.split == "train" for row in rows)
    return {"used for training": trained, "held out for evaluation": len(rows) - trained}


def _won(store: Store, config: RunConfig, info: AdapterInfo) -> list[Measure]:
    """How often people preferred it blind, from each finished evaluation of its project."""
    found = []
    known = [*store.projects.all(), *store.projects.archived()]  # another one was deleted since
    for summary in [s for project in known if project.id == config.project_id for s in evaluations(store, project)]:
        if summary.evaluation.new.adapter_hash == info.ref.hash and summary.judged:
            old = summary.evaluation.old
            name = f"preferred to {old.adapter_name or old.model_name}, judged blind"
            found.append(Measure(name, summary.win.rate, summary.win.low, summary.win.high, summary.win.n))
    return found


def _run_measures(run: RunFolder) -> list[Measure]:
    last = next((event for event in reversed(tail_events(run.events)) if isinstance(event, Finished)), None)
    left_out = ("wall_s", "peak_rss_bytes", "peak_cuda_bytes")
    values = last.metrics.items() if last else ()
    return [Measure(name, float(value)) for name, value in values if value is not None and name not in left_out]


def _hub_repo(library: Library, base_hash: str) -> str:
    """The base model's name on the Hub, where it was pulled from there."""
    source = next((model.source for model in library.list() if model.hash == base_hash), "")
    return source.removeprefix("hub:").partition("@")[0] if source.startswith("hub:") else ""


def plan_adapter(repo: str, folder: Path, card: AdapterCard, said: Statement, *, private: bool = True, tag: str = "") -> PushPlan:
    """The files of an adapter or reward model as they would go: weights as they are, the rest without this computer's paths.

    Raises:
        ModelTrouble: the folder is not an adapter that could be loaded again.
    """
    check_adapter(folder)
    files = [PlannedFile("README.md", card.render(said).encode())]
    facts = {"v": 1, "title": card.title, "algorithm": card.algorithm, "base_name": card.base_name, "base_hash": card.base_hash}
    files.append(PlannedFile("rlhf_desktop.json", _json(facts)))
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.name == ADAPTER_CONFIG:
            config = json.loads(file.read_bytes())
            files.append(PlannedFile(name, _json({**config, "base_model_name_or_path": card.base_repo or card.base_name})))
        elif file.name in (ADAPTER_WEIGHTS, HEADS, REWARD):
            files.append(PlannedFile(name, file))
    return PushPlan(repo, "model", tuple(files), private, tag)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


# --- datasets -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DatasetRow:
    """One comparison as it would be published: all columns, and its half of the split."""

    split: str
    values: Mapping[str, object]


def preference_rows(store: Store, project: Project) -> list[DatasetRow]:
    """Every comparison of a project that is not a tie.

    Raises:
        NotEnoughFeedback: there is none.
    """
    people: dict[str, int] = {}
    found = [row for item in store.judged(project.id) for row in _rows_of(item, people)]
    if not found:
        raise NotEnoughFeedback("There are no comparisons to publish.", "Rank some answers first.")
    return found


def _rows_of(item: Judged, people: dict[str, int]) -> Iterable[DatasetRow]:
    number = people.setdefault(item.judgement.who, len(people) + 1)
    for ranked in rankings([item]):
        texts = [answer.text for answer in ranked.completions]
        for pair in pairs([answer.rank for answer in ranked.completions]):
            if not pair.tie:
                better, worse = ([{"role": "assistant", "content": texts[i]}] for i in (pair.better, pair.worse))
                values = {
                    "prompt": list(ranked.prompt), "chosen": better, "rejected": worse,
                    "annotator": f"annotator {number}", "confidence": item.judgement.confidence,
                }  # fmt: skip
                yield DatasetRow(_SPLIT_NAMES[item.split], values)


@dataclass(frozen=True)
class DatasetDraft:
    """What is ticked, and what was found in it."""

    rows: tuple[DatasetRow, ...]
    columns: tuple[str, ...]
    review: Review


def draft_dataset(
    rows: Sequence[DatasetRow], columns: Sequence[str] = NEEDED_COLUMNS, on_row: Callable[[int], None] | None = None
) -> DatasetDraft:
    """Keep the ticked columns and look through what is left of the rows. `on_row` may raise to end it.

    Raises:
        BadInput: a column there is none of.
    """
    wanted = _wanted(columns)
    kept = _only(rows, wanted)
    return DatasetDraft(kept, wanted, review([row.values for row in kept], on_row))


def narrowed(draft: DatasetDraft, columns: Sequence[str]) -> DatasetDraft:
    """A draft with fewer columns, and of what was found only what is in those."""
    wanted = _wanted(columns)
    finds = tuple(find for find in draft.review.finds if find.field.partition(".")[0] in wanted)
    return DatasetDraft(_only(draft.rows, wanted), wanted, Review(finds))


def _wanted(columns: Sequence[str]) -> tuple[str, ...]:
    """The ticked columns and those a dataset cannot do without, in their usual order."""
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise BadInput(f"There is no column called “{unknown[0]}”.", f"There are: {', '.join(COLUMNS)}.")
    return tuple(name for name in COLUMNS if name in NEEDED_COLUMNS or name in columns)


def _only(rows: Sequence[DatasetRow], columns: Sequence[str]) -> tuple[DatasetRow, ...]:
    return tuple(DatasetRow(row.split, {name: row.values[name] for name in columns}) for row in rows)


def plan_dataset(
    repo: str,
    title: str,
    draft: DatasetDraft,
    said: Statement,
    *,
    replace: Sequence[Find] = (),
    leave_out: Iterable[int] = (),
    private: bool = True,
    tag: str = "",
    log: str = "",
) -> PushPlan:
    """The dataset's files: one JSONL a split, and the card.

    Args:
        repo: Where to.
        title: The card's heading.
        draft: What is ticked.
        said: The user's words for the card.
        replace: Finds to replace by their kind.
        leave_out: Rows not to publish, by their number in the draft.
        private: Who may read it.
        tag: A name for this version.
        log: The head of the audit log, for the card.
    """
    values = redacted([row.values for row in draft.rows], replace)
    dropped = set(leave_out)
    by_split: dict[str, list[dict[str, object]]] = {}
    for number, (row, clean) in enumerate(zip(draft.rows, values, strict=True)):
        if number not in dropped:
            by_split.setdefault(row.split, []).append(clean)
    if not by_split:
        raise NotEnoughFeedback("No row is left to publish.", "Tick some rows.")
    counts: dict[str, int] = {}
    for find in replace:
        if find.row not in dropped:
            counts[find.kind] = counts.get(find.kind, 0) + 1
    kept = [row for number, row in enumerate(draft.rows) if number not in dropped]
    people = {str(row.values["annotator"]) for row in kept} if "annotator" in draft.columns else set()
    card = DatasetCard(
        title, {name: COLUMNS[name] for name in draft.columns}, {s: len(rows) for s, rows in by_split.items()}, counts, len(people),
        log,
    )  # fmt: skip
    files = [PlannedFile("README.md", card.render(said).encode())]
    files += [PlannedFile(f"data/{split}.jsonl", _jsonl(rows)) for split, rows in by_split.items()]
    return PushPlan(repo, "dataset", tuple(files), private, tag)


def _jsonl(rows: Iterable[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
