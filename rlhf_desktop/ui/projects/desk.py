"""Projects in the window: the header's menu, the two pages, and what becomes of the current project. Decides; the pages show."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMenu, QWidget

from rlhf_desktop.core.errors import AppError, NotFound
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.project_presets import ProjectPreset
from rlhf_desktop.operations import project_actions as actions
from rlhf_desktop.operations.conversations import is_listed
from rlhf_desktop.operations.project_erasing import erase_deleted, erase_expired
from rlhf_desktop.operations.projects import open_project, use_project
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame.palette import Command
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.projects.facts import Projects, read_projects, short
from rlhf_desktop.ui.projects.newpage import NewProjectPage
from rlhf_desktop.ui.projects.page import ProjectsPage

if TYPE_CHECKING:
    from rlhf_desktop.ui.frame.window import Window

_LEFT_AT = "left_at"  # a setting of a project: the room and the conversation it was left in
_ALL = "switch project, archived projects, unarchive, recently deleted, restore project, trash, bin"
_NONE_LEFT = (
    "Every project is archived or deleted, so there is an empty one to go on with. Give it a name and a purpose here, or take "
    "another one back under Projects."
)


class ProjectDesk(QObject):
    """Made once, beside the window.

    Args:
        context: The program's parts.
        window: Shows rooms and pages.
        parent: Qt's parent.
    """

    def __init__(self, context: Context, window: "Window", parent: QObject) -> None:
        super().__init__(parent)
        self._context, self._window = context, window
        self._page: ProjectsPage | None = None
        self._new: NewProjectPage | None = None
        self._room = "chat"  # where the pages were opened from
        self._acts: dict[str, Callable[[Project, str], Project]] = {
            "rename": lambda project, name: actions.rename_project(self._store, context.workspace, project, name),
            "duplicate": lambda project, name: actions.duplicate_project(self._store, project, who_am_i(self._store), name),
            "archive": lambda project, _: actions.archive_project(self._store, context.queue, project),
            "unarchive": lambda project, _: actions.unarchive_project(self._store, project),
            "delete": lambda project, _: actions.delete_project(self._store, context.queue, project),
            "restore": lambda project, _: actions.restore_project(self._store, context.workspace, project),
        }
        self._after: dict[str, Callable[[Project], None]] = {
            "rename": self._renamed,
            "duplicate": self._duplicated,
            "archive": lambda project: self._put_away(project, f"“{short(project)}” is archived.", "unarchive"),
            "unarchive": lambda project: self._came_back(f"“{short(project)}” is in use again."),
            "delete": lambda project: self._put_away(
                project, f"“{short(project)}” is deleted, and kept for {actions.KEPT_DAYS} days.", "restore"
            ),
            "restore": lambda project: self._came_back(f"“{short(project)}” is back as it was."),
        }

    @property
    def _store(self) -> Store:
        return self._context.store

    @property
    def _current(self) -> Project:
        return self._context.session.project

    # --- the menu and the palette

    def show_menu(self, at: QWidget) -> None:
        """The projects in use, and what can be done with the current one."""
        menu = QMenu(at)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for project in self._store.projects.all():
            action = menu.addAction(short(project).replace("&", "&&"), partial(self.open, project))
            action.setCheckable(True)
            action.setChecked(project.id == self._current.id)
        menu.addSeparator()
        menu.addAction("New project…", self.show_new)
        menu.addAction("Rename…", lambda: self.show_projects("rename"))
        menu.addAction("Duplicate settings…", lambda: self.show_projects("duplicate"))
        menu.addAction("Archive", lambda: self.act(self._current.id, "archive"))
        menu.addAction("Delete…", lambda: self.show_projects("delete"))
        menu.addSeparator()
        menu.addAction("All projects", self.show_projects)
        menu.addAction("Sample project", self._context.session.sampleProjectRequested.emit)
        menu.popup(at.mapToGlobal(at.rect().bottomLeft()))

    def commands(self) -> list[Command]:
        """What the palette finds."""
        others = [project for project in self._store.projects.all() if project.id != self._current.id]
        return [
            Command("New project", "plus", self.show_new, aliases="create project, add project"),
            Command("All projects", "folder", self.show_projects, aliases=_ALL),
            Command("Rename this project", "edit", lambda: self.show_projects("rename")),
            Command("Duplicate this project’s settings", "copy", lambda: self.show_projects("duplicate"), aliases="copy project"),
            Command("Archive this project", "folder", lambda: self.act(self._current.id, "archive"), aliases="hide, put away"),
            Command("Delete this project", "trash", lambda: self.show_projects("delete"), aliases="remove, erase"),
            *(Command(short(project), "folder", partial(self.open, project), "project") for project in others),
        ]

    def open(self, project: Project) -> None:
        """Make a project current, and go on in it where it was left: in its room and conversation, else in the room one was in."""
        room, conversation = self._window.current_room or self._room, ""
        if project.id != self._current.id:
            self._remember(room)
            self._context.session.set_project(use_project(self._store, project))
            left = self._store.settings.get(_LEFT_AT, {}, project.id)
            room, conversation = left.get("room", room), left.get("conversation") or ""
        if conversation and is_listed(self._store, project, conversation):
            self._window.room("chat").show_conversation(conversation)
        self._window.show_room(room)

    def remember(self) -> None:
        """The window is about to close and to open again: it goes on where it is now."""
        self._remember(self._window.current_room or self._room)

    def go_on(self) -> None:
        """Where `remember` was."""
        left = self._store.settings.get(_LEFT_AT, {}, self._current.id)
        conversation = left.get("conversation") or ""
        if conversation and is_listed(self._store, self._current, conversation):
            self._window.room("chat").show_conversation(conversation)
        self._window.show_room(left.get("room", "chat"))
        if left.get("sitting"):
            self._window.room("label").go_on()

    def _remember(self, room: str) -> None:
        """Where the current project is left."""
        shown = self._window.room("chat").conversation_id
        sitting = room == "label" and self._window.room("label").judges
        self._store.settings.set(_LEFT_AT, {"room": room, "conversation": shown, "sitting": sitting}, self._current.id)

    # --- the pages

    def show_projects(self, action: str = "") -> None:
        """The page of all projects; with the current one's question for an action open."""
        if self._page is None:
            self._page = ProjectsPage()
            self._page.chosen.connect(self.act)
            self._page.runRequested.connect(self._context.session.runRequested)
            self._page.newRequested.connect(self.show_new)
            self._page.left.connect(self._leave)
        self._show(self._page)
        if action:
            self._page.ask_when_shown(self._current.id, action)
        self._page.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.refresh()

    def show_new(self, why: str = "") -> None:
        """The page that makes a project."""
        if self._new is None:
            self._new = NewProjectPage()
            self._new.made.connect(self._make)
            self._new.left.connect(self._leave)
        self._new.begin(self._store.projects.free_name, why)
        self._show(self._new)
        self._new.take_focus()

    def _show(self, page: QWidget) -> None:
        self._room = self._window.current_room or self._room
        self._window.show_page(page)

    def _leave(self) -> None:
        self._window.show_room(self._room)

    def refresh(self) -> None:
        """Read the projects again, if they are looked at."""
        if self._page is not None and self._page.isVisible():
            self._context.tasks.run(
                read_projects,
                self._store,
                self._context.queue,
                on_success=self._found,
                on_failure=self._context.session.troubled.emit,
            )

    def _found(self, found: Projects) -> None:
        assert self._page is not None
        self._page.show_projects(found, self._current.id)

    # --- what is done

    def _make(self, name: str, preset: ProjectPreset) -> None:
        assert self._new is not None
        store, who = self._store, who_am_i(self._store)
        self._context.tasks.run(
            lambda: actions.new_project(store, name, preset, who), on_success=self._made, on_failure=self._new.show_trouble
        )

    def _made(self, project: Project) -> None:
        """To the composer of the new project."""
        self._context.session.set_project(project)
        self._window.show_room("chat")
        self._window.room("chat").focus_place().setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._context.session.announce(f"“{short(project)}” was created.")

    def act(self, project_id: str, action: str, name: str = "") -> None:
        """Do what was chosen for a project, off this thread."""
        if action == "open":
            self.open(self._store.projects.get(project_id))
        elif action == "erase":
            self._erase(project_id)
        else:
            act = self._acts[action]
            self._context.tasks.run(
                lambda: act(self._store.projects.get(project_id), name),
                on_success=self._after[action],
                on_failure=lambda trouble: self._failed(project_id, trouble),
            )

    def _failed(self, project_id: str, trouble: AppError) -> None:
        if self._page is None or not self._page.isVisible() or not self._page.show_trouble(project_id, trouble):
            self._context.session.troubled.emit(trouble)

    def _renamed(self, project: Project) -> None:
        if project.id == self._current.id:
            self._context.session.rename_project(project)
        self._settle()

    def _duplicated(self, project: Project) -> None:
        self._context.session.set_project(project)
        self._context.session.announce(f"“{short(project)}” was created with the same settings. Judgements stay where they are.")
        self._settle()

    def _put_away(self, project: Project, said: str, back: str) -> None:
        was_current = project.id == self._current.id
        if was_current:
            self._go_on_elsewhere()
        self._context.session.announce(said, lambda: self._bring_back(project, back, was_current))
        self._settle()

    def _bring_back(self, project: Project, action: str, open_it: bool) -> None:
        """Undo: as it was, and current again if it was."""

        def done(restored: Project) -> None:
            if open_it:
                self.open(restored)
            self._after[action](restored)

        act = self._acts[action]
        self._context.tasks.run(lambda: act(project, ""), on_success=done, on_failure=self._context.session.troubled.emit)

    def _go_on_elsewhere(self) -> None:
        """The current project is put away: another one is opened, or there is a fresh one to name."""
        known = {project.id for project in self._store.projects.all()}
        now = open_project(self._store)
        self._context.session.set_project(now)
        if now.id not in known:
            self.show_new(_NONE_LEFT)

    def _came_back(self, said: str) -> None:
        self._context.session.announce(said)
        self._settle()

    def _settle(self) -> None:
        """The list as it is now; nothing that was pressed has the focus any more."""
        if self._page is not None and self._page.isVisible():
            self._page.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.refresh()
        self._context.session.runsChanged.emit()
        self._context.session.modelsChanged.emit()

    # --- erasing

    def _erase(self, project_id: str) -> None:
        context = self._context

        def work(on_progress: Callable[[str], None]) -> str:
            with Store.open(context.store.path) as store:
                project = store.projects.get(project_id)
                erase_deleted(store, context.queue, project, confirmed=True, on_progress=on_progress)
            return f"“{short(project)}” is erased for good."

        assert self._page is not None
        self._page.show_work("Erasing…")
        context.tasks.run(
            work,
            on_success=self._erased,
            on_failure=lambda trouble: self._failed(project_id, trouble),
            on_progress=self._progressed,
        )

    def _progressed(self, said: object) -> None:
        if self._page is not None:
            self._page.show_work(f"{str(said).capitalize()}…")

    def _erased(self, said: str) -> None:
        if self._page is not None:
            self._page.show_work("")
        self._context.session.announce(said)
        self._settle()

    def erase_expired(self) -> None:
        """At the start: deleted projects whose time is over go, beside the work."""
        context = self._context

        def work() -> str:
            if not actions.expired(context.store):
                return ""
            with Store.open(context.store.path) as store:
                return erase_expired(store, context.queue)

        context.tasks.run(
            work, on_success=lambda said: context.session.announce(said) if said else None, on_failure=context.session.troubled.emit
        )

    # --- others

    def look(self) -> None:
        """See whether another window or command has put the current project away, or renamed it."""
        before = self._current
        try:
            now = self._store.projects.get(before.id)
        except NotFound:
            now = None
        if now is None or not now.in_use:
            self._go_on_elsewhere()
            self._context.session.announce(f"“{short(before)}” was archived or deleted elsewhere.")
            self.refresh()
        elif now.name != before.name:
            self._context.session.rename_project(now)
            self.refresh()
