"""The Feedback room: composes its tabs, made when they are first looked at."""

from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QTabBar, QWidget

from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.files_page import FilesPage
from rlhf_desktop.ui.feedback.judgements_page import JudgementsPage
from rlhf_desktop.ui.feedback.team_page import TeamPage
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import Pages, column, hairline, row
from rlhf_desktop.ui.widgets.text import title

if TYPE_CHECKING:
    from rlhf_desktop.ui.feedback.quality_page import QualityPage

_QUALITY = 1  # its place among the tabs
_TABS = ("Judgements", "Quality", "Team", "Import / export")


class _Page(Protocol):
    def refresh(self) -> None: ...


class FeedbackRoom(QObject):
    """Judgements, newest first, and files in and out."""

    title, icon = "Feedback", "feedback"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._root = QWidget()
        self._root.setProperty("kind", "page")
        self._front = False
        box = column(self._root, 0, 0)
        head = row(spacing=t.SPACE_XL)
        head.setContentsMargins(t.SPACE_XL, t.SPACE_M, t.SPACE_XL, 0)
        head.addWidget(title("Feedback"), 0, Qt.AlignmentFlag.AlignVCenter)
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Parts of Feedback")
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        for name in _TABS:
            self.tabs.addTab(name)
        head.addWidget(self.tabs, 1, Qt.AlignmentFlag.AlignBottom)
        box.addLayout(head)
        box.addWidget(hairline())
        self.judgements, self.files, self.team = JudgementsPage(context), FilesPage(context), TeamPage(context)
        self.quality: QualityPage | None = None
        self._stack = Pages()
        for page in (self.judgements, QWidget(), self.team, self.files):
            self._stack.addWidget(page)
        box.addWidget(self._stack, 1)
        self._connect()

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        self.tabs.currentChanged.connect(self._show)
        self.files.imports.imported.connect(self.judgements.refresh)
        self.files.bundles.merged.connect(self.judgements.refresh)
        session.projectChanged.connect(self._changed)
        session.feedbackChanged.connect(self._changed)
        keymap.listen(self._root, "find", self._find, inside=True)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def focus_place(self) -> QWidget:
        """No control at all."""
        return self._root

    def activated(self) -> None:
        """Look again."""
        self._front = True
        self.refresh()

    def deactivated(self) -> None:
        """A revision begun is kept as a draft."""
        self._front = False
        for page in (self.judgements.revising, self.team.settling):
            page.judging.settle()

    def _changed(self) -> None:
        if self._front:
            self.refresh()

    def refresh(self) -> None:
        """Show what is there now."""
        pages: tuple[_Page | None, ...] = (self.judgements, self.quality, self.team, self.files)
        page = pages[self._stack.currentIndex()]
        if page is not None:
            page.refresh()

    def _show(self, tab: int) -> None:
        if tab == _QUALITY and self.quality is None:
            self._make_quality()
        self._stack.setCurrentIndex(tab)
        self.refresh()

    def _make_quality(self) -> None:
        """Its plots take long to import, so they come when they are first looked at."""
        from rlhf_desktop.ui.feedback.quality_page import QualityPage

        self.quality = QualityPage(self._context)
        self.quality.tooFastRequested.connect(self._show_quickest)
        held = self._stack.widget(_QUALITY)
        self._stack.insertWidget(_QUALITY, self.quality)
        self._stack.removeWidget(held)
        held.deleteLater()

    def _find(self) -> None:
        self.tabs.setCurrentIndex(0)
        self.judgements.filters.search.setFocus()

    def _show_quickest(self) -> None:
        self.tabs.setCurrentIndex(0)
        self.judgements.filters.sort.choose("quickest", "quickest first")
