"""What the page of projects shows, read off the GUI thread, and its words. Qt-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.operations.project_actions import KEPT_DAYS, Contents, contents, erased_on, live_run
from rlhf_desktop.operations.project_erasing import runs_that_go
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words

NAME_CHARS = 48  # of a name in a menu, a toast or a button


@dataclass(frozen=True)
class ProjectFacts:
    """One project.

    Attributes:
        project: The project.
        holds: What is in it.
        live: A run of it that is not over.
        staying: Titles of its runs whose model another project uses.
    """

    project: Project
    holds: Contents
    live: RunSummary | None = None
    staying: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The line under its name."""
        holds = self.holds.words[:1].upper() + self.holds.words[1:]
        if self.project.deleted_at:
            return f"{holds} · erased for good on {_day(erased_on(self.project))}"
        if self.project.archived_at:
            return f"{holds} · archived on {_day(datetime.fromisoformat(self.project.archived_at))}"
        return f"{holds} · created on {_day(datetime.fromisoformat(self.project.created_at))}"

    @property
    def deleting(self) -> str:
        """What deleting it means."""
        return f"Delete {self._whole}? It can be restored for {KEPT_DAYS} days, then it is erased for good."

    @property
    def erasing(self) -> str:
        """What erasing it now means."""
        used = ", ".join(f"“{title}”" for title in self.staying)
        kept = f" Another project uses {used}, so that model stays." if used else ""
        return f"Erase {self._whole} now? This cannot be undone.{kept}"

    @property
    def _whole(self) -> str:
        return f"“{self.project.name}”, which holds {self.holds.words}," if self.holds.anything else f"“{self.project.name}”"


@dataclass(frozen=True)
class Projects:
    """All projects of a workspace."""

    in_use: Sequence[ProjectFacts]
    archived: Sequence[ProjectFacts]
    deleted: Sequence[ProjectFacts]


def read_projects(store: Store, queue: Queue) -> Projects:
    """All projects and what is in each. Blocks."""

    def facts(project: Project) -> ProjectFacts:
        staying = runs_that_go(store, queue, project).staying if project.deleted_at else ()
        return ProjectFacts(project, contents(store, queue, project), live_run(queue, project), staying)

    known = store.projects
    return Projects(*(tuple(map(facts, found)) for found in (known.all(), known.archived(), known.deleted())))


def short(project: Project) -> str:
    """A project's name where there is little room."""
    return words.shortened(project.name, NAME_CHARS)


def _day(moment: datetime) -> str:
    local = moment.astimezone()
    return f"{local.day} {local:%B %Y}"
