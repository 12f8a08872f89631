"""Erase: judgements with their texts, out of the store and out of every copy the program made of them.

What cannot be called back is listed for the user: adapters that were trained on it, and files that were exported with it.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.files import canonical_json, read_jsonl, sha256_file, write_atomic, write_json, write_jsonl
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import replace
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.judgements import Correction
from rlhf_desktop.jobs.queue import run_folders
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.erasing import bury, scrub, with_texts
from rlhf_desktop.store.exports import Export
from rlhf_desktop.store.migrations import migrate

ERASED = "[erased]"
_LEAST_CHARS = 8  # shorter texts ("yes") are not looked for inside others
_COPIES = (".json", ".jsonl", ".md", ".html", ".txt", ".log")
_MAX_COPY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Erasure:
    """What an erase would do; shown before the user confirms.

    Attributes:
        judgements: Ids of the judgements that go: those chosen, their other versions, and others on the same answers.
        messages: Ids of the messages that go.
        prompts: Ids of the prompts of prompt sets that go: those that ask the same.
        runs: Runs whose frozen feedback is rewritten.
        adapters: Titles of the runs whose adapters learned from it, directly or by going on from one that did.
        exports: Files that were written with it. They are not touched.
    """

    judgements: tuple[str, ...]
    messages: tuple[str, ...]
    prompts: tuple[str, ...]
    runs: tuple[str, ...]
    adapters: tuple[str, ...]
    exports: tuple[Export, ...]


@dataclass(frozen=True)
class Erased:
    """What an erase did: the plan it followed, and the copies it rewrote."""

    plan: Erasure
    rewritten: tuple[Path, ...]


@dataclass(frozen=True)
class _Words:
    """The texts that go: by prompt, and on their own."""

    pairs: frozenset[tuple[str, str]]  # canonical prompt, text
    prompts: frozenset[str]  # canonical prompts that go as a whole
    texts: tuple[str, ...]  # the longest first


def plan_erasure(store: Store, workspace: Workspace, project: Project, judgement_ids: Iterable[str]) -> Erasure:
    """Say what would go with these judgements. Nothing is changed."""
    return _plan(store, workspace, project, list(judgement_ids))[0]


def _plan(store: Store, workspace: Workspace, project: Project, ids: list[str]) -> tuple[Erasure, _Words]:
    with store.connection.snapshot():
        going = with_texts(store.connection, ids)
        if not going.judgements:
            raise BadInput("None of these judgements is here any more.", "Reload the list.")
        words = _words(store, going.judgements, set(going.messages))
        prompts = [prompt.id for prompt in store.prompts.prompts(project.id) if canonical_json(prompt.prompt) in words.prompts]
        rows = store.connection.rows(
            "SELECT min(rowid) AS first FROM judgements WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(going.judgements),),
        )
        exports = store.exports.since(project.id, rows[0]["first"])
    runs = [run for run in run_folders(workspace) if _holds(run, words)]
    titles = tuple(_descendants(workspace, runs))
    plan = Erasure(going.judgements, going.messages, tuple(prompts), tuple(run.id for run in runs), titles, tuple(exports))
    return plan, words


def _words(store: Store, judgements: Sequence[str], messages: set[str]) -> _Words:
    pairs: set[tuple[str, str]] = set()
    prompts: set[str] = set()
    texts: set[str] = set()
    for start in range(0, len(judgements), 500):
        for judgement in store.judgements.by_ids(judgements[start : start + 500]):
            tree = store.conversations.tree(store.conversations.message(judgement.displayed[0]).conversation_id)
            path = tree.path(judgement.displayed[0])
            prompt = canonical_json([node.message for node in path[:-1]])
            shown = [tree.node(message).content for message in judgement.displayed]
            said = [verdict.text for verdict in judgement.verdicts if isinstance(verdict, Correction)]
            pairs |= {(prompt, text) for text in [*shown, *said]}
            texts |= {*shown, *said, judgement.critique}
            gone = [node for node in path[:-1] if node.id in messages]
            texts |= {node.content for node in gone}
            if gone:
                prompts.add(prompt)
    longest = sorted((text for text in texts if len(text.strip()) >= _LEAST_CHARS), key=len, reverse=True)
    return _Words(frozenset(pairs), frozenset(prompts), tuple(longest))


def _holds(run: RunFolder, words: _Words) -> bool:
    return run.data.exists() and any(_is_row_of(row, words) for row in read_jsonl(run.data))


def _is_row_of(row: Any, words: _Words) -> bool:
    """Whether a snapshot's row is about what goes."""
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), list):
        return False
    messages: Messages = row["prompt"]
    prompt = canonical_json(messages)
    if prompt in words.prompts:
        return True
    return any((prompt, text) in words.pairs for text in _texts_of(row))


def _texts_of(row: dict[str, Any]) -> Iterator[str]:
    for value in (row.get("completion"), row.get("text")):
        if isinstance(value, str):
            yield value
    for part in row.get("completions") or []:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _descendants(workspace: Workspace, runs: Sequence[RunFolder]) -> Iterator[str]:
    """The titles of runs with an adapter that learned from these runs' feedback, or from an adapter or reward model that did."""
    tainted = {str(run.adapter) for run in runs}
    for folder in run_folders(workspace):  # oldest first: what a run starts from is older
        try:
            config = folder.config()
        except AppError:
            continue
        origins = {str(Path(ref.path)) for ref in (config.start, config.reward) if ref is not None}
        if str(folder.adapter) in tainted or origins & tainted:
            tainted.add(str(folder.adapter))
            if folder.adapter.is_dir():
                yield config.title


def erase(
    store: Store,
    workspace: Workspace,
    project: Project,
    judgement_ids: Iterable[str],
    *,
    confirmed: bool,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Erased:
    """Erase judgements and their texts for good: the store, its backups, and the copies in runs and reports.

    The store goes first. When a later step fails, erasing again goes on with the copies that are left.

    Args:
        store: Where from.
        workspace: Where the copies are.
        project: Of which project.
        judgement_ids: What the user chose.
        confirmed: That the user has seen the plan and said yes.
        on_progress: Told what is being done.

    Raises:
        BadInput: not confirmed, nothing to erase, or a run that uses it is not over.
    """
    if not confirmed:
        raise BadInput("Erasing cannot be undone, so it has to be confirmed.", "Look at what would go, then confirm.")
    plan, words = _plan(store, workspace, project, list(judgement_ids))
    _check_idle(workspace, plan.runs)
    on_progress("erasing from the database")
    bury(store, [*plan.judgements, *plan.messages, *plan.prompts])
    rewritten = []
    for run in run_folders(workspace):
        on_progress(f"looking through the run {run.id}")
        rewritten += list(_rewrite_run(run, words))
    rewritten += list(_rewrite_loose(workspace, words))
    on_progress("cleaning the database")
    scrub(store.connection)
    for backup in sorted(workspace.backups.glob("*.db")):
        on_progress(f"rewriting the backup {backup.name}")
        _rewrite_backup(backup, [*plan.judgements, *plan.messages, *plan.prompts])
        rewritten.append(backup)
    return Erased(plan, tuple(rewritten))


def _check_idle(workspace: Workspace, runs: Sequence[str]) -> None:
    for run in run_folders(workspace):
        if run.id in runs and not run.state().ended:
            raise BadInput(
                f"The run “{run.config().title}” is learning from this feedback now.",
                "Stop it or wait for it, then erase. Nothing was erased.",
            )


def _rewrite_run(run: RunFolder, words: _Words) -> Iterator[Path]:
    """The frozen feedback without its rows (and the new hash in run.json, so that the run can still be resumed); the samples."""
    if _holds(run, words):
        write_jsonl(run.data, [row for row in read_jsonl(run.data) if not _is_row_of(row, words)])
        config = run.config().model_copy(update={"data_sha256": sha256_file(run.data)})
        write_json(run.config_file, config.model_dump(mode="json"))
        yield run.data
    for path in sorted(run.path.iterdir()):
        if path != run.data and path != run.config_file and _blacken(path, words):
            yield path


def _rewrite_loose(workspace: Workspace, words: _Words) -> Iterator[Path]:
    """Reports, and other files the program keeps beside the database."""
    folders = [workspace.root, *(path for path in workspace.root.iterdir() if path.is_dir())]
    for folder in folders:
        if folder not in (workspace.runs, workspace.models, workspace.backups):
            for path in sorted(folder.iterdir()):
                if _blacken(path, words):
                    yield path


def _blacken(path: Path, words: _Words) -> bool:
    """Put a mark in place of the texts in a copy. Returns whether any was there."""
    if path.suffix not in _COPIES or not path.is_file() or path.stat().st_size > _MAX_COPY_BYTES:
        return False
    before = path.read_bytes().decode("utf-8", "surrogateescape")
    after = before
    for text in words.texts:
        for form in _spellings(text):
            after = after.replace(form, ERASED)
    if after != before:
        write_atomic(path, after.encode("utf-8", "surrogateescape"))
    return after != before


def _spellings(text: str) -> set[str]:
    """How a text may stand in a copy: plain, in JSON, in HTML."""
    in_json = {json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]}
    return {text, escape(text), escape(text, quote=False)} | in_json


def _rewrite_backup(path: Path, ids: Sequence[str]) -> None:
    """Erase from a backup too. One of an older schema is brought up to date first, in a copy that then takes its place."""
    working = path.with_suffix(".erasing")
    try:
        shutil.copyfile(path, working)
        with closing(Connection(working)) as connection:
            migrate(connection)
            bury(Store(connection), ids)
            scrub(connection)
            connection.close_readers()
            connection.raw.execute("PRAGMA journal_mode=DELETE")
        replace(working, path)
    finally:
        for left in path.parent.glob(f"{working.name}*"):
            left.unlink()
