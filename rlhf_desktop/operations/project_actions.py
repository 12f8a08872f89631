"""What can be done with a whole project: make it, rename it, take its settings over, put it away, delete it and bring it back.

Nothing is lost by any of these. What is deleted is kept for `KEPT_DAYS` and can be restored; only then it is erased
(`project_erasing`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.offline import locked_by_name
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.project_presets import ProjectPreset
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.conversations import count_conversations
from rlhf_desktop.operations.projects import STAYS_OFFLINE, UNNAMED, check_in_use, use_project
from rlhf_desktop.store.database import Store

KEPT_DAYS = 30
TAKEN_OVER = ("protocol", "model", "adapter", "server", "thought_tokens", "saved_instructions", STAYS_OFFLINE)
"""The settings of a project that say how one works in it, and nothing about what was done."""
TRAINING_NUMBERS = "form:start "  # how the drafts begin that keep what differs from the usual in a recipe
_OF_ONE_RUN = ("start", "reward", "name")  # in them: what a run starts from, and what it is called
_LIVE = ("queued", "starting", "running")


@dataclass(frozen=True)
class Contents:
    """What is in a project."""

    judgements: int
    conversations: int
    prompts: int
    runs: int

    @property
    def anything(self) -> bool:
        """Whether there is anything in it."""
        return any((self.judgements, self.conversations, self.prompts, self.runs))

    @property
    def words(self) -> str:
        """For instance “143 judgements, 12 conversations, 4 runs”."""
        parts = ((self.judgements, "judgement"), (self.conversations, "conversation"), (self.prompts, "prompt"), (self.runs, "run"))
        return ", ".join(f"{n:,} {noun}{'' if n == 1 else 's'}" for n, noun in parts if n) or "nothing yet"


def contents(store: Store, queue: Queue, project: Project) -> Contents:
    """What is in a project. Blocks."""
    return Contents(
        judgements=sum(store.standing.counts(project.id).values()),
        conversations=count_conversations(store, project),
        prompts=sum(store.prompts.sizes(project.id).values()),
        runs=len(runs_of(queue, project)),
    )


def runs_of(queue: Queue, project: Project) -> list[RunSummary]:
    """A project's runs, newest first."""
    return [run for run in queue.runs() if run.project_id == project.id]


def listed_runs(store: Store, queue: Queue) -> list[RunSummary]:
    """The runs to choose from, newest first: those of archived and deleted projects are left out."""
    away = {project.id for project in (*store.projects.archived(), *store.projects.deleted())}
    return [run for run in queue.runs() if run.project_id not in away]


def check_run_in_use(store: Store, run: RunFolder) -> None:
    """Refuse to go on with a run of a project that is archived or deleted."""
    away = (*store.projects.archived(), *store.projects.deleted())
    for project in away:
        if project.id == run.config().project_id:
            check_in_use(project)


def new_project(store: Store, name: str, preset: ProjectPreset, who: str) -> Project:
    """Make a project and make it the last used. An empty one that the program made by itself is taken for it.

    Raises:
        BadInput: the name cannot be used; says why.
    """
    with store.connection.transaction():
        project = _begun(store, name)
        store.protocols.set(project.id, preset.protocol)
        if preset.guidelines:
            store.guidelines.save(project.id, preset.guidelines, who)
        if preset.offline:
            store.settings.set(STAYS_OFFLINE, True, project.id)
    return use_project(store, project)


def _begun(store: Store, name: str) -> Project:
    spare = next((p for p in store.projects.all() if _is_spare(store, p)), None)
    if spare is None:
        return store.projects.create(name)
    renamed = store.projects.rename(spare.id, name)
    store.settings.set(UNNAMED, None, spare.id)
    return renamed


def _is_spare(store: Store, project: Project) -> bool:
    untouched = store.settings.get(UNNAMED, False, project.id) and not store.projects.has_content(project.id)
    return bool(untouched and store.guidelines.current(project.id) is None)


def rename_project(store: Store, workspace: Workspace, project: Project, name: str) -> Project:
    """Give a project another name.

    Raises:
        BadInput: the name cannot be used, or a policy goes by the old one; says why.
    """
    _hold_to_policy(workspace, project.name, name)
    with store.connection.transaction():
        renamed = store.projects.rename(project.id, name)
        store.settings.set(UNNAMED, None, project.id)
    return renamed


def _hold_to_policy(workspace: Workspace, name: str, other: str) -> None:
    if locked_by_name(workspace, name, other):
        raise BadInput(
            f"A policy keeps “{name}” offline by its name, so it keeps this name.",
            "Ask whoever wrote the policy to add the other one.",
        )


def duplicate_project(store: Store, project: Project, who: str, name: str = "") -> Project:
    """Make a project that is asked the same, by the same guidelines, of the same model, trained with the same numbers.

    Judgements, conversations, prompts and runs stay where they are.

    Args:
        store: Where.
        project: Whose settings.
        who: The new guidelines' author, whose training numbers are taken over.
        name: Of the new one; "" for the same name with a number.

    Raises:
        BadInput: the name cannot be used; says why.
    """
    with store.connection.transaction():
        made = store.projects.create(name or store.projects.free_name(project.name), heldout_share=project.heldout_share)
        for key in TAKEN_OVER:
            store.settings.set(key, store.settings.get(key, None, project.id), made.id)
        for draft in store.drafts.all(project.id, who):
            if draft.key.startswith(TRAINING_NUMBERS):
                numbers = {name: value for name, value in draft.value.items() if name not in _OF_ONE_RUN}
                store.drafts.save(made.id, who, draft.key, numbers)
        if (now := store.guidelines.current(project.id)) and now.text:
            store.guidelines.save(made.id, now.text, who)
    return use_project(store, made)


def archive_project(store: Store, queue: Queue, project: Project) -> Project:
    """Put a project away: it is in no list any more, and all of it stays.

    Raises:
        BadInput: a run of it is under way or waits.
    """
    check_in_use(project)
    _refuse_live(queue, project, "archived")
    return store.projects.archive(project.id)


def unarchive_project(store: Store, project: Project) -> Project:
    """Take an archived project back into use."""
    return store.projects.archive(project.id, away=False)


def delete_project(store: Store, queue: Queue, project: Project) -> Project:
    """Delete a project. It can be restored for `KEPT_DAYS`.

    Raises:
        BadInput: a run of it is under way or waits.
    """
    _refuse_live(queue, project, "deleted")
    return store.projects.delete(project.id)


def live_run(queue: Queue, project: Project) -> RunSummary | None:
    """A run of the project that is under way, else one that waits; None when all have ended."""
    live = [run for run in runs_of(queue, project) if run.state in _LIVE]
    return min(live, key=lambda run: (run.state == "queued", run.created), default=None)


def _refuse_live(queue: Queue, project: Project, done: str) -> None:
    if (run := live_run(queue, project)) is not None:
        raise BadInput(
            f"“{project.name}” cannot be {done} while its run “{run.title}” is not over.",
            "Stop the run, which keeps what it has learnt, or wait for it; then try again.",
        )


def restore_project(store: Store, workspace: Workspace, project: Project) -> Project:
    """Bring a deleted project back as it was; under a name with a number where its own has been given away.

    Raises:
        BadInput: a policy goes by its name, which another project has now.
    """
    name = store.projects.free_name(project.name)
    if name != project.name:
        _hold_to_policy(workspace, project.name, name)
    return store.projects.restore(project.id, name)


def find_deleted(store: Store, name_or_id: str) -> Project:
    """The deleted project a user named: of several of one name the last deleted.

    Raises:
        NotFound: none of this name was deleted, or it has been erased since.
    """
    gone = store.projects.deleted()
    if not gone:
        raise NotFound("No deleted project is kept here.", f"A deleted project is kept for {KEPT_DAYS} days, then erased.")
    return store.projects.find(name_or_id, gone)


def erased_on(project: Project) -> datetime:
    """When a deleted project is erased for good."""
    assert project.deleted_at is not None
    return datetime.fromisoformat(project.deleted_at) + timedelta(days=KEPT_DAYS)


def expired(store: Store, now: datetime | None = None) -> list[Project]:
    """The deleted projects whose time is over."""
    moment = now or datetime.now(UTC)
    return [project for project in store.projects.deleted() if erased_on(project) <= moment]
