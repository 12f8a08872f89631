"""Feedback between workstations: a project as one file, and a colleague's file into a project."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.bundles import Manifest, open_bundle, write_bundle
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.operations.erase import erase_with_merge
from rlhf_desktop.operations.feedback import ImportCancelled
from rlhf_desktop.operations.rows import check_output, disk_troubles
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.bundling import Merged, Taken, bundle_rows, merge_rows, what_it_takes
from rlhf_desktop.store.database import Store

_BEFORE = "before-merge.db"  # among the backups: the database before the last merge that erased something
_CHOOSE = "Look at it first; then merge it with its erasures, or without them."


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

    @property
    def erases(self) -> bool:
        """Whether anything that is here would go."""
        return bool(self.takes or self.takes_messages or self.takes_prompts)


def export_bundle(store: Store, project: Project, path: Path) -> Manifest:
    """Write a project's feedback, and nothing else of the workspace, as a bundle: whole or not at all."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder.", "Give the name of a file to write.")
    check_output(path)
    with store.connection.snapshot(), disk_troubles(path):
        last = store.judgements.last_row()
        share = store.projects.get(project.id).heldout_share
        head = store.audit.head()
        manifest = write_bundle(path, project.name, share, bundle_rows(store, project.id), str(head) if head.seq else "")
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
    )


def merge_bundle(
    store: Store,
    project: Project,
    path: Path,
    *,
    erasures: bool | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Merged:
    """Add a colleague's feedback to a project in one transaction. Merging it again changes nothing; nor does the order of merges.

    Where erasures are carried out, the database is backed up first; then what was erased goes from every copy in the workspace, as
    in an erase of one's own, that backup included: it is there for all the rest.

    Args:
        store: Where to.
        project: Which project.
        path: The bundle.
        erasures: Whether what was erased there goes here too, for good. None: nobody was asked, so nothing is merged if any would.
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
    if taken.nothing or erasures is False:
        return merge_rows(store, project.id, bundle, check, erasures=taken.nothing)
    if erasures is None:
        raise BadInput(f"{path.name} would erase {_said(taken)} of “{project.name}” for good, so nothing was merged.", _CHOOSE)
    workspace = Workspace(store.path.parent)
    back_up(store.connection, workspace.backups / _BEFORE, check)
    merge = partial(merge_rows, store, project.id, bundle, check)
    return erase_with_merge(store, workspace, project, taken.ids, taken.going, merge)


def _said(taken: Taken) -> str:
    judgements, messages = len(taken.going.judgements), len(taken.going.messages)
    parts = [(judgements, "judgement"), (messages, "message"), (taken.prompts, "prompt")]
    return " and ".join(f"{n:,} {word if n == 1 else word + 's'}" for n, word in parts if n)
