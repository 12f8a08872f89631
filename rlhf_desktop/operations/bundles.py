"""Feedback between workstations: a project as one file, and a colleague's file into a project."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.bundles import Manifest, open_bundle, write_bundle
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.operations.feedback import ImportCancelled
from rlhf_desktop.operations.rows import check_output, disk_troubles
from rlhf_desktop.store.bundling import Merged, bundle_rows, merge_rows
from rlhf_desktop.store.database import Store


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


def export_bundle(store: Store, project: Project, path: Path) -> Manifest:
    """Write a project's feedback, and nothing else of the workspace, as a bundle: whole or not at all."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder.", "Give the name of a file to write.")
    check_output(path)
    with store.connection.snapshot(), disk_troubles(path):
        last = store.judgements.last_row()
        share = store.projects.get(project.id).heldout_share
        manifest = write_bundle(path, project.name, share, bundle_rows(store, project.id))
    store.exports.note(project.id, path, "bundle", last)
    return manifest


def inspect_bundle(store: Store, path: Path) -> BundleSummary:
    """Look through a bundle before merging it: every line is checked, nothing is changed.

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
    return BundleSummary(
        bundle.manifest.project,
        len(ids),
        len(ids) - here,
        bundle.count("conversations.jsonl"),
        bundle.count("prompts.jsonl"),
        tuple(people),
        bundle.count("tombstones.jsonl"),
    )


def merge_bundle(store: Store, project: Project, path: Path, *, cancelled: Callable[[], bool] = lambda: False) -> Merged:
    """Add a colleague's feedback to a project in one transaction. Merging it again changes nothing; nor does the order of merges.

    Raises:
        NotFound: there is no such file.
        BadInput: it was refused; says why. Nothing was merged.
        ImportCancelled: nothing was merged.
    """

    def check() -> None:
        if cancelled():
            raise ImportCancelled("The merge was cancelled.", "Nothing was merged.")

    return merge_rows(store, project.id, open_bundle(path), check)
