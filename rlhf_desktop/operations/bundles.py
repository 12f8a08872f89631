"""Feedback between workstations: a project as one file, and a colleague's file into a project."""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.lockedfile import lock_file, shred
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.bundles import Bundle, Manifest, open_bundle, write_bundle
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.operations.erase import erase_with_merge, finish_erasing
from rlhf_desktop.operations.feedback import ImportCancelled
from rlhf_desktop.operations.rows import check_output, disk_troubles
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.bundling import Merged, Taken, bundle_rows, merge_rows, what_it_takes
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import doomed, present
from rlhf_desktop.store.takings import Erasure
from rlhf_desktop.store.unmerging import Undone, undo_merge

_BEFORE = "before-merge.db"  # among the backups: the database before the last merge
_CHOOSE = "Look at it first; then merge it with its erasures, without them, or with some."


@dataclass(frozen=True)
class BundleSummary:
    """What is in a bundle. `new` of its judgements are not in the workspace yet."""

    project: str
    judgements: int
    new: int
    conversations: int
    prompts: int
    annotators: tuple[str, ...]
    tombstones: int
    takes: int  # judgements of the project it is to be merged into, which its erasures would take
    takes_messages: int
    takes_prompts: int
    erasures: tuple[Erasure, ...] = ()  # the same one by one

    @property
    def erases(self) -> bool:
        """Whether anything that is here would go."""
        return bool(self.takes or self.takes_messages or self.takes_prompts)


def export_bundle(store: Store, project: Project, path: Path, passphrase: str = "") -> Manifest:
    """Write a project's feedback, and nothing else of the workspace, as a bundle: whole or not at all.

    Args:
        store: Where from.
        project: Whose.
        path: The file.
        passphrase: What the file is encrypted with, whatever the workspace is; "": not at all.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder.", "Give the name of a file to write.")
    check_output(path)
    with store.connection.snapshot(), disk_troubles(path):
        last = store.judgements.last_row()
        share = store.projects.get(project.id).heldout_share
        head = store.audit.head()
        plain = store.path.with_name(f".{path.name}.plain.{os.getpid()}.tmp") if passphrase else path  # not as the file is written
        try:
            manifest = write_bundle(plain, project.name, share, bundle_rows(store, project.id), str(head) if head.seq else "")
            if passphrase:
                lock_file(plain, path, passphrase)
        finally:
            if passphrase:
                shred(plain)
    store.exports.note(project.id, path, "bundle", last)
    return manifest


def inspect_bundle(store: Store, project: Project, path: Path) -> BundleSummary:
    """Look through a bundle before merging it into a project: every line is checked, nothing is changed.

    Raises:
        NotFound: there is no such file.
        BadInput: it was refused; says why.
    """
    bundle = open_bundle(path)
    ids: list[str] = []
    people: dict[str, None] = {}
    for name in bundle.manifest.files:
        for row in bundle.rows(name):
            if name == "judgements.jsonl":
                ids.append(row.id)
                people.setdefault(row.who)
    here = sum(len(store.judgements.by_ids(ids[start : start + 500])) for start in range(0, len(ids), 500))
    taken = what_it_takes(store, project.id, bundle)
    return BundleSummary(
        bundle.manifest.project,
        len(ids),
        len(ids) - here,
        bundle.count("conversations.jsonl"),
        bundle.count("prompts.jsonl"),
        tuple(people),
        bundle.count("tombstones.jsonl"),
        len(taken.going.judgements),
        len(taken.going.messages),
        taken.prompts,
        taken.erasures,
    )


def merge_bundle(
    store: Store,
    project: Project,
    path: Path,
    *,
    erasures: Collection[str] | bool | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Merged:
    """Add a colleague's feedback to a project in one transaction. Merging it again changes nothing; nor does the order of merges.

    The database is backed up first. What was erased goes from every copy in the workspace, as in an erase of one's own, that backup
    included: it is there for all the rest. `undo_last_merge` undoes all but that.

    Args:
        store: Where to.
        project: Which project.
        path: The bundle.
        erasures: What of all that was erased there goes here too, for good: everything, nothing, or these (`Erasure.key`). None:
            nobody was asked, so nothing is merged if any would.
        cancelled: Asked now and then.

    Raises:
        NotFound: there is no such file.
        BadInput: it was refused; says why. Nothing was merged.
        ImportCancelled: nothing was merged.
        NoSpace, StoreTrouble: nothing was merged; or it was, and the rest of its erasures follows at the next start.
    """

    def check() -> None:
        if cancelled():
            raise ImportCancelled("The merge was cancelled.", "Nothing was merged.")

    bundle = open_bundle(path)
    taken = what_it_takes(store, project.id, bundle)
    if erasures is None and not taken.nothing:
        raise BadInput(f"{path.name} would erase {_said(taken)} of “{project.name}” for good, so nothing was merged.", _CHOOSE)
    accepted = _accepted(taken, erasures)
    workspace = Workspace(store.path.parent)
    if accepted or _brings_anything(store, bundle):  # else the last backup would be lost for nothing
        back_up(store.connection, workspace.backups / _BEFORE, check)
    if taken.nothing or not accepted:
        return merge_rows(store, project.id, bundle, check, erasures=taken.nothing)
    wanted = True if erasures is True else accepted
    merge = partial(merge_rows, store, project.id, bundle, check, erasures=wanted)
    ids, going = (taken.ids, taken.going) if wanted is True else (tuple(accepted), doomed(store.connection, accepted))
    return erase_with_merge(store, workspace, project, ids, going, merge)


def _brings_anything(store: Store, bundle: Bundle) -> bool:
    """Whether any judgement, message or prompt of the bundle is not here yet."""
    for name in ("judgements.jsonl", "messages.jsonl", "prompts.jsonl"):
        rows = bundle.rows(name)
        while chunk := [row.id for row in islice(rows, 500)]:
            if len(present(store.connection, chunk)) < len(set(chunk)):
                return True
    return False


def _accepted(taken: Taken, erasures: Collection[str] | bool | None) -> frozenset[str]:
    """The ids that shall be erased of those that are here."""
    known = {one.key: one for one in taken.erasures}
    keys = [] if not erasures else known if erasures is True else erasures
    if unknown := [key for key in keys if key not in known]:
        raise BadInput(
            f"The bundle has no erasure “{unknown[0][:100]}” that is new here.", "Look at it again: --preview lists them."
        )
    return frozenset(one for key in keys for one in known[key].ids)


def undo_last_merge(store: Store, project: Project) -> Undone:
    """Undo the newest merge of a project in one step; again, and the one before it goes.

    What was added since stays, with all that it is about; what a colleague's erasures took stays erased.

    Raises:
        BadInput: there is none.
        NoSpace, StoreTrouble: an erasure that came with it is not finished yet, and cannot be now.
    """
    workspace = Workspace(store.path.parent)
    if workspace.erasing.exists():
        finish_erasing(store, workspace)
    return undo_merge(store, project.id)


def undone_words(done: Undone) -> str:
    """What undoing a merge did, in sentences."""
    gone = counted((done.removed.get(name, 0), noun) for name, noun in _KINDS)
    parts = [f"The merge is undone: {gone or 'nothing that it added'} went."]
    if stay := counted((done.staying.get(name, 0), noun) for name, noun in _KINDS):
        parts.append(f"{stay} stayed: what you have added since is about them.")
    if done.erased:
        parts.append(f"{count(done.erased, 'judgement that it erased stays', 'judgements that it erased stay')} erased.")
    if done.runs:
        parts.append(f"{count(done.runs, 'run was', 'runs were')} started since, and may have learned from it.")
    return " ".join(parts)


def counted(parts: Iterable[tuple[int, str]]) -> str:
    """Those of these that there are any of, with their numbers: "2 judgements and 1 prompt"."""
    found = [count(n, noun) for n, noun in parts if n]
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def erasure_words(one: Erasure) -> str:
    """What one erasure would take."""
    held = counted([(one.judgements, "judgement"), (one.answers, "answer"), (one.prompts, "prompt")]) or "a conversation"
    by = f", judged by {', '.join(one.people)}" if one.people else ""
    return f"“{one.opening or 'without a question'}”: {held}{by}"


_KINDS = (
    ("judgements", "judgement"),
    ("conversations", "conversation"),
    ("prompts", "prompt"),
    ("guidelines", "text of guidelines"),
)


def _said(taken: Taken) -> str:
    judgements, messages = len(taken.going.judgements), len(taken.going.messages)
    return counted([(judgements, "judgement"), (messages, "message"), (taken.prompts, "prompt")])
