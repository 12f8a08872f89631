"""Deleted projects whose time is over, or of which the user wants nothing kept: erased with their texts and their runs.

A run whose model another project uses or has trained on stays, without anything of what was said in this one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.operations.erase import Erased, erase_project
from rlhf_desktop.operations.project_actions import expired, runs_of
from rlhf_desktop.store.database import Store


@dataclass(frozen=True)
class RunsThatGo:
    """A project's runs by what becomes of them.

    Attributes:
        going: Ids of those that go with the project.
        staying: Titles of those whose model another project uses, or has trained on.
    """

    going: tuple[str, ...]
    staying: tuple[str, ...]


def runs_that_go(store: Store, queue: Queue, project: Project) -> RunsThatGo:
    """What becomes of a project's runs when it is erased."""
    used = set(_adapters_used(store, queue, {project.id}))
    runs = runs_of(queue, project)
    staying = [run for run in runs if str(run.folder.adapter) in used]
    return RunsThatGo(tuple(run.id for run in runs if run not in staying), tuple(run.title for run in staying))


def listed_adapters(store: Store, queue: Queue) -> list[AdapterInfo]:
    """The adapters to choose from: those of deleted projects are left out, as far as no other project uses them."""
    found, gone = list_adapters(queue.workspace), {project.id for project in store.projects.deleted()}
    if not gone:
        return found
    used = set(_adapters_used(store, queue, gone))
    return [info for info in found if info.project_id not in gone or info.ref.path in used]


def _adapters_used(store: Store, queue: Queue, but: set[str]) -> Iterator[str]:
    """The folders of the adapters that projects talk to, have talked to or have trained on; not by these projects."""
    for project in (*store.projects.all(), *store.projects.archived(), *store.projects.deleted()):
        if project.id not in but:
            yield from filter(None, (store.settings.get("adapter", None, project.id),))
            yield from (kept.adapter_path for kept in store.evaluations.adoptions(project.id) if kept.adapter_path)
    for run in queue.runs():
        if run.project_id not in but and run.algorithm:
            config = run.folder.config()
            yield from (ref.path for ref in (config.start, config.reward) if ref is not None)


def erase_deleted(
    store: Store, queue: Queue, project: Project, *, confirmed: bool, on_progress: Callable[[str], None] = lambda _: None
) -> Erased:
    """Erase a deleted project for good.

    Raises:
        BadInput: not confirmed, or the project is not a deleted one.
        NoSpace, StoreTrouble: as `erase.erase`; the next start goes on with what is left.
    """
    if not confirmed:
        raise BadInput("Erasing cannot be undone, so it has to be confirmed.", "Look at what would go, then confirm.")
    if not store.projects.get(project.id).deleted_at:
        raise BadInput(f"The project “{project.name}” is in use, so it is not erased.", "Delete it first.")
    return erase_project(store, queue.workspace, project, runs_that_go(store, queue, project).going, on_progress)


def erase_expired(store: Store, queue: Queue, now: datetime | None = None) -> str:
    """Erase the deleted projects whose time is over. Returns what the user should know; "" when nothing was to be done.

    Never raises an `AppError`: what could not be erased now is tried again at the next start.
    """
    gone: list[str] = []
    for project in expired(store, now):
        try:
            erase_deleted(store, queue, project, confirmed=True)
        except AppError as trouble:
            return f"The deleted project “{project.name}” could not be erased yet. {trouble}"
        gone.append(f"“{project.name}”")
    return f"Deleted long ago and now erased for good: {', '.join(gone)}." if gone else ""
