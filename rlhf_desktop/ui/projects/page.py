"""All projects: those in use, the archived ones, and those that can still be restored."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.projects.card import ProjectCard
from rlhf_desktop.ui.projects.facts import ProjectFacts, Projects
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Meter, Page, clear, column, reveal, row
from rlhf_desktop.ui.widgets.text import Label, caption, heading, title

_SECTIONS = (
    ("in_use", "", ""),
    ("archived", "Archived", "Hidden from the menu; nothing is lost. Unarchive one to go on with it."),
    (
        "deleted",
        "Recently deleted",
        "Kept for 30 days, then erased for good: texts, runs and what the program's files and backups hold.",
    ),
)


class ProjectsPage(Page):
    """Shows and asks; the desk does it."""

    chosen = Signal(str, str, str)  # a project's id, an action, and the name it needs
    runRequested = Signal(str)
    newRequested = Signal()
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.CONTENT_WIDTH, parent)
        self.setAccessibleName("Projects")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # where keys belong while nothing is chosen
        upper = row(spacing=t.SPACE_S)
        self.new, self.back = Button("New project", "primary", "plus"), Button("Back", "quiet", "chevron-left")
        upper.addWidget(title("Projects"), 1)
        upper.addWidget(self.back)
        upper.addWidget(self.new)
        self.body.addLayout(upper)
        said = "One for each thing you teach: its conversations, judgements, guidelines and runs. The models are shared by all."
        self.body.addWidget(Label(said, tone="muted", wrap=True))
        self.meter = Meter("Working")
        self.meter.hide()
        self.body.addWidget(self.meter)
        self._list = column(spacing=t.SPACE_M)
        self.body.addLayout(self._list)
        self.body.addStretch(1)
        self.cards: dict[str, ProjectCard] = {}
        self._wanted: tuple[str, str] | None = None
        self.new.clicked.connect(self.newRequested)
        self.back.clicked.connect(self.left)

    def focus_place(self) -> QWidget:
        """The question that is open, else the page itself."""
        asking = next((card.asking for card in self.cards.values() if card.asking is not None), None)
        return asking.name if asking is not None and not asking.name.isHidden() else self

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc goes back to the room."""
        if keymap.heard(event, "projects") == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def ask_when_shown(self, project_id: str, action: str) -> None:
        """Open a project's question as soon as the list is there."""
        self._wanted = (project_id, action)

    def show_projects(self, found: Projects, current: str) -> None:
        """Show what there is."""
        clear(self._list)
        self.cards = {}
        for name, words, explained in _SECTIONS:
            self._add_section(words, explained, getattr(found, name), current)
        wanted, self._wanted = self._wanted, None
        if wanted and wanted[0] in self.cards:
            self.cards[wanted[0]].ask(wanted[1])
            reveal(self.cards[wanted[0]])

    def _add_section(self, words: str, explained: str, found: Sequence[ProjectFacts], current: str) -> None:
        if not found:
            return
        if words:
            self._list.addSpacing(t.SPACE_M)
            self._list.addWidget(heading(words))
            self._list.addWidget(caption(explained, wrap=True))
        for facts in found:
            card = ProjectCard(facts, facts.project.id == current)
            card.chosen.connect(lambda action, name, key=facts.project.id: self.chosen.emit(key, action, name))
            card.runRequested.connect(self.runRequested)
            card.left.connect(lambda: self.setFocus(Qt.FocusReason.ShortcutFocusReason))
            self.cards[facts.project.id] = card
            self._list.addWidget(card)
            card.show()  # at once: a question in it takes the focus before the layout comes round to it

    def show_work(self, words: str) -> None:
        """Say that something takes a while; "" when it is over."""
        self.meter.set_value(0, 0, words)
        self.meter.setVisible(bool(words))

    def show_trouble(self, project_id: str, trouble: AppError) -> bool:
        """Say why something was not done, at its project. Whether it is shown."""
        self.show_work("")
        card = self.cards.get(project_id)
        if card is not None:
            card.show_trouble(trouble)
        return card is not None
