"""Erase: judgements with their texts, out of the store and out of every copy the program made of them.

An erase is one transaction over the whole workspace. Its plan (ids and words) is written before anything is changed, carried out in
steps that may be done twice, and deleted last: where it is cut short, by a kill or a full disk, the next start or the next erase
goes on.

What cannot be called back is listed for the user: adapters that were trained on it, and files that were exported with it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from rlhf_desktop.core.errors import AppError, BadInput, NoSpace, StoreTrouble
from rlhf_desktop.core.files import canonical_json, discard, fsync_dir, is_disk_full, sha256_text
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import make_private
from rlhf_desktop.core.runs import Value
from rlhf_desktop.core.sealing import keep, read_bytes
from rlhf_desktop.feedback.attachments import texts_in
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.verdicts import verdict_to_json
from rlhf_desktop.jobs.queue import run_folders
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.alone import alone
from rlhf_desktop.operations.blacken import ERASED as ERASED  # what stands in place of the words
from rlhf_desktop.operations.blacken import LEAST_CHARS, Words, drop_rows, files_of, holds, rewrite, sweep
from rlhf_desktop.operations.conversation_export import FORM as CONVERSATION
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import Doomed, belongings, bury, doomed, said_elsewhere, scrub, with_texts
from rlhf_desktop.store.exports import Export

_T = TypeVar("_T")
_LOCK = ("erasing", "is erasing in")
_VERDICTS_WORDS = ("text", "reason", "note")
_GOES_ON = "What is left goes by itself at the next start, or when you erase again."


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


class Pending(Value):
    """The plan on disk: what goes, with its words. `kind` "merge": it came with a bundle, and holds once that has been merged.

    `projects` and `runs` (folders' names) go as a whole.
    """

    v: Literal[1] = 1
    kind: Literal["erase", "merge"]
    plan: Erasure
    ids: tuple[str, ...]
    words: Words
    projects: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    project: str = ""  # in which it is done


def plan_erasure(store: Store, workspace: Workspace, project: Project, judgement_ids: Iterable[str]) -> Erasure:
    """Say what would go with these judgements. Nothing is changed."""
    return _plan(store, workspace, project, list(judgement_ids))[0]


def _plan(store: Store, workspace: Workspace, project: Project, ids: list[str]) -> tuple[Erasure, Words]:
    with store.connection.snapshot():
        going = with_texts(store.connection, ids)
        if not going.judgements:
            raise BadInput("None of these judgements is here any more.", "Reload the list.")
        words = words_of(store, going)
        prompts = [prompt.id for prompt in store.prompts.prompts(project.id) if canonical_json(prompt.prompt) in words.prompts]
    return _with_copies(store, workspace, project, going, prompts, words), words


def _with_copies(
    store: Store, workspace: Workspace, project: Project, going: Doomed, prompts: Sequence[str], words: Words
) -> Erasure:
    """The plan, with the runs and files that hold it."""
    first = store.connection.rows(
        "SELECT coalesce(min(rowid), 0) AS first FROM judgements WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(going.judgements),),
    )[0]["first"]
    exports = [export for export in store.exports.since(project.id, first) if _may_hold(export, words)]
    runs = [run for run in run_folders(workspace) if holds(run, words)]
    titles = tuple(_descendants(workspace, runs))
    return Erasure(going.judgements, going.messages, tuple(prompts), tuple(run.id for run in runs), titles, tuple(exports))


def _may_hold(export: Export, words: Words) -> bool:
    """Whether a file that left may hold these words. Only a conversation's is looked into: it is about few of the judgements."""
    path = Path(export.path)
    if export.form != CONVERSATION or path.suffix not in (".md", ".json") or not path.is_file():
        return True
    content = path.read_text("utf-8", "replace")
    return any(text.strip() in content or json.dumps(text, ensure_ascii=False)[1:-1] in content for text in words.texts)


def words_of(store: Store, going: Doomed, prompts: Iterable[Messages] = ()) -> Words:
    """The texts that go with these judgements, messages and prompts: questions, answers, thoughts, what was said of them."""
    found, gone = _Gathered(set(), set(), set()), set(going.messages)
    for prompt in prompts:
        found.prompts.add(canonical_json(prompt))
        found.texts |= {text for message in prompt for text in texts_in(message["content"])}
    for start in range(0, len(going.judgements), 500):
        for judgement in store.judgements.by_ids(going.judgements[start : start + 500]):
            said = [
                part
                for verdict in (judgement.verdict, *judgement.also)
                for part in _strings(verdict_to_json(verdict), _VERDICTS_WORDS)
            ]
            found.texts |= {*said, judgement.critique}
            _gather(store, judgement.displayed, said, gone, found)
    for message in gone - found.seen:
        _gather(store, (message,), (), gone, found)
    longest = sorted((text for text in found.texts if len(text.strip()) >= LEAST_CHARS), key=lambda text: (-len(text), text))
    return Words(frozenset(found.pairs), frozenset(found.prompts), tuple(longest))


@dataclass
class _Gathered:
    """The words found so far, and the messages that were looked at."""

    pairs: set[tuple[str, str]]
    prompts: set[str]
    texts: set[str]
    seen: set[str] = field(default_factory=set)


def _gather(store: Store, siblings: Sequence[str], said: Iterable[str], gone: set[str], found: _Gathered) -> None:
    """The words of messages that answer one question, and of what led to them and goes too."""
    tree = store.conversations.tree(store.conversations.message(siblings[0]).conversation_id)
    path = tree.path(siblings[0])
    prompt = canonical_json([node.message for node in path[:-1]])
    shown = [tree.node(message) for message in siblings]
    before = [node for node in path[:-1] if node.id in gone]
    found.seen |= {*siblings, *(node.id for node in before)}
    found.texts |= {text for node in (*shown, *before) for text in (*texts_in(node.content), node.thought)} | set(said)
    if path[-1].role == "assistant":
        found.pairs |= {(prompt, text) for text in [*(node.content for node in shown), *said]}
    if before:
        found.prompts.add(prompt)


def _strings(value: Any, names: Sequence[str]) -> Iterator[str]:
    """The texts under these names, however deep."""
    if isinstance(value, dict):
        for name, part in value.items():
            if isinstance(part, str) and name in names:
                yield part
            yield from _strings(part, names)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, names)


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
    """Erase judgements and their texts for good: the store, its backups, and every copy in the workspace.

    An erase that was cut short before is finished first. When a step fails, the next start goes on with what is left.

    Args:
        store: Where from.
        workspace: Where the copies are.
        project: Of which project.
        judgement_ids: What the user chose.
        confirmed: That the user has seen the plan and said yes.
        on_progress: Told what is being done.

    Raises:
        BadInput: not confirmed, nothing to erase, or a run that uses it is not over.
        NoSpace: the disk is full; says what happens now.
        StoreTrouble: another window or command is erasing, or something reads the database.
    """
    if not confirmed:
        raise BadInput("Erasing cannot be undone, so it has to be confirmed.", "Look at what would go, then confirm.")
    ids = list(judgement_ids)
    with alone(workspace, *_LOCK):
        finished = _finish(store, workspace, on_progress)
        if finished is not None and set(ids) <= set(finished.plan.judgements):
            return finished
        plan, words = _plan(store, workspace, project, ids)
        pending = Pending(
            kind="erase", plan=plan, ids=(*plan.judgements, *plan.messages, *plan.prompts), words=words, project=project.id
        )
        _begin(workspace, pending)
        return _carry_out(store, workspace, pending, on_progress)


def finish_erasing(store: Store, workspace: Workspace, on_progress: Callable[[str], None] = lambda _: None) -> Erased | None:
    """Go on with an erase that was cut short; None where there is none. Raises as `erase` does."""
    with alone(workspace, *_LOCK):
        return _finish(store, workspace, on_progress)


def erase_with_merge(
    store: Store, workspace: Workspace, project: Project, ids: Sequence[str], going: Doomed, merge: Callable[[], _T]
) -> _T:
    """Merge what erases these ids, and carry that out on disk as an erase of one's own. Raises as `erase` and `merge` do."""
    with alone(workspace, *_LOCK):
        _finish(store, workspace, lambda _: None)
        with store.connection.snapshot():
            words = words_of(store, going, [prompt.prompt for prompt in store.prompts.by_ids(project.id, ids)])
            plan = _with_copies(store, workspace, project, going, (), words)
        pending = Pending(
            kind="merge", plan=plan, ids=tuple(dict.fromkeys([*ids, *going.judgements, *going.messages])), words=words
        )
        _begin(workspace, pending)
        try:
            merged = merge()
        except BaseException:
            workspace.erasing.unlink()
            raise
        _carry_out(store, workspace, pending, lambda _: None)
    return merged


def erase_project(
    store: Store, workspace: Workspace, project: Project, runs: Sequence[str], on_progress: Callable[[str], None] = lambda _: None
) -> Erased:
    """Erase a project with all that is in it, as `erase` does; what other projects say too stays theirs. Raises as `erase` does.

    Args:
        store: Where from.
        workspace: Where the copies are.
        project: Which.
        runs: Ids of the runs that go with it. What it has said goes from every other.
        on_progress: Told what is being done.
    """
    with alone(workspace, *_LOCK):
        finished = _finish(store, workspace, on_progress)
        if finished is not None and not any(known.id == project.id for known in store.projects.deleted()):
            return finished
        with store.connection.snapshot():
            ids = belongings(store.connection, [project.id])
            going = doomed(store.connection, ids)
            words = words_of(store, going, [prompt.prompt for prompt in store.prompts.prompts(project.id)])
            words = words.without(said_elsewhere(store.connection, project.id, words.all))
        plan = _with_copies(store, workspace, project, going, (), words)
        pending = Pending(
            kind="erase", plan=plan, ids=tuple(ids), words=words, projects=(project.id,), runs=tuple(runs), project=project.id
        )
        _begin(workspace, pending)
        return _carry_out(store, workspace, pending, on_progress)


# --- the transaction ----------------------------------------------------------------------------------------------------------


def _begin(workspace: Workspace, pending: Pending) -> None:
    """Refuse what cannot be done now, then write the plan: from here on it will be finished."""
    _check_idle(workspace, pending.plan.runs, "Stop it or wait for it, then try again. Nothing was erased.")
    try:
        keep(workspace.erasing, pending.model_dump_json())
        make_private(workspace.erasing)
    except OSError as problem:
        if not is_disk_full(problem):
            raise StoreTrouble(
                "The workspace cannot be written, so nothing was erased.", "Check its folder.", repr(problem)
            ) from problem
        hint = "Free some space on the workspace's disk, then erase again."
        raise NoSpace("The disk is full, so nothing was erased.", hint, repr(problem)) from problem


def _pending(workspace: Workspace) -> Pending | None:
    try:
        return Pending.model_validate_json(read_bytes(workspace.erasing))
    except FileNotFoundError:
        return None
    except ValidationError as problem:
        hint = f"Update the program; or delete {workspace.erasing.name} in the workspace, and erase again."
        raise StoreTrouble("An erase was cut short, and this version cannot read its plan.", hint, str(problem)[:500]) from None


def _finish(store: Store, workspace: Workspace, on_progress: Callable[[str], None]) -> Erased | None:
    pending = _pending(workspace)
    if pending is None:
        return None
    if pending.kind == "merge" and not store.has_tombstones(pending.ids):
        workspace.erasing.unlink()  # it was cut short before it was merged: nothing was to go
        return None
    _check_idle(workspace, pending.plan.runs, f"Stop it or wait for it. {_GOES_ON}")
    return _carry_out(store, workspace, pending, on_progress)


def _carry_out(store: Store, workspace: Workspace, pending: Pending, on_progress: Callable[[str], None]) -> Erased:
    """Take all steps, each of which may have been taken before."""
    words, ids = pending.words, list(pending.ids)
    if store.upkeep:
        store.upkeep.stop()  # it reads the database, and the copy it makes may have what goes: tomorrow's begins anew
    rewritten: list[Path] = []
    with _in_plain_words():
        on_progress("erasing from the database")
        _bury(store, pending)
        on_progress("cleaning the database")
        scrub(store.connection)
        sweep(workspace, backups_in_work=True)  # from here on no new copy can have it
        for run in run_folders(workspace):
            if run.id in pending.runs:
                discard(run.path, run.id)
            elif drop_rows(run, words):
                rewritten.append(run.data)
        for path in files_of(workspace):
            on_progress(f"looking through {path.name}")
            if rewrite(path, words, ids, pending.projects):
                rewritten.append(path)
        workspace.erasing.unlink()
        fsync_dir(workspace.root)
    return Erased(pending.plan, tuple(rewritten))


def _bury(store: Store, pending: Pending) -> None:
    """Erase from the database, and note it: once, however often it is taken up again. A merge has noted its own."""
    with store.connection.transaction():
        projects = [one for one in pending.projects if store.connection.row("SELECT 1 FROM projects WHERE id = ?", (one,))]
        gone = bury(store, pending.ids, pending.words.texts, pending.projects)
        if not (projects or gone.judgements or gone.messages):
            return
        facts: dict[str, Any] = {
            "judgements": len(gone.judgements),
            "messages": len(gone.messages),
            "prompts": len(pending.plan.prompts),
        }
        ids = sha256_text("".join(f"{one}\n" for one in sorted((*gone.judgements, *gone.messages))))
        store.audit.note("project erased" if projects else "erased", project=pending.project, **facts, ids=ids)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """What a failed step means: nothing is lost, and the rest follows."""
    try:
        yield
    except NoSpace as problem:
        raise _no_space(problem.detail) from problem
    except OSError as problem:
        if is_disk_full(problem):
            raise _no_space(repr(problem)) from problem
        hint = f"Check that the workspace can be written. {_GOES_ON}"
        raise StoreTrouble("Not all copies could be erased.", hint, repr(problem)) from problem


def _no_space(detail: str) -> NoSpace:
    return NoSpace(
        "The disk is full, so not all copies are erased yet.", f"Free some space on the workspace's disk. {_GOES_ON}", detail
    )


def _check_idle(workspace: Workspace, runs: Sequence[str], hint: str) -> None:
    for run in run_folders(workspace):
        if run.id in runs and _under_way(run):
            raise BadInput(f"The run “{run.config().title}” is learning from this feedback now.", hint)


def _under_way(run: RunFolder) -> bool:
    try:
        return not run.state().ended
    except AppError:
        return False  # damaged: it will never run again
