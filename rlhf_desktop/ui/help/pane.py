"""The help beside the room: a page, the way back, and a search through all pages."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QUrl, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QStackedWidget, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help import guide
from rlhf_desktop.ui.help.ranking import Words, best
from rlhf_desktop.ui.help.view import GuideView
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.markdown import ask_to_open
from rlhf_desktop.ui.widgets.surfaces import column, hairline, row

_MOST = 20
_EXCERPT = 90
_STEPS = {"down": 1, "up": -1}
_LEADS_OUT = "This page of the guide points to a page on the internet."


def section_words(section: guide.Section) -> Words:
    """What a section is found by."""
    return Words(section.title, section.also, section.text)


class HelpPane(QFrame):
    """Shows and searches; `closed` when the user has had enough."""

    closed = Signal()
    pageShown = Signal(str)  # its name

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "aside")
        self.setAccessibleName("Help")
        self._before: list[str] = []
        self._target = ""
        self._lead = ""  # Markdown under the page's title
        self._offers: dict[str, Button] = {}  # what a page offers to do, by its name
        self.view = GuideView()
        self.found = QListWidget()
        self._pages = QStackedWidget()
        box = column(self, 0, 0)
        box.addLayout(self._head())
        box.addWidget(hairline())
        self._offered = column(None, 0, 0)
        self._offered.setContentsMargins(t.SPACE_S, 0, t.SPACE_S, t.SPACE_S)
        box.addLayout(self._offered)
        box.addWidget(self._pages, 1)
        self._build_search()
        self._pages.addWidget(self.view)
        self._pages.addWidget(self.found)
        self.view.targetChosen.connect(self.show_target)
        self.view.addressChosen.connect(self._leads_out)

    @property
    def target(self) -> str:
        """What is shown: "page" or "page#anchor"."""
        return self._target

    def show_target(self, target: str, lead: str = "") -> None:
        """Show a page of the guide, or one heading of it. A target that is not there shows the contents."""
        if self._target and target != self._target:
            self._before.append(self._target)
        self._open(target, lead)

    def offer(self, page: str, words: str, then: Callable[[], None]) -> None:
        """Have a page offer to do what it speaks of."""
        self._offers[page] = Button(words)
        self._offers[page].clicked.connect(lambda: then())
        self._offers[page].hide()
        self._offered.addWidget(self._offers[page])

    def back(self) -> None:
        """The page before this one."""
        if self._before:
            self._open(self._before.pop(), "")

    def _open(self, target: str, lead: str) -> None:
        name, _, anchor = target.partition("#")
        try:
            page = guide.page(name)
        except KeyError:
            page, target, anchor = guide.page(guide.CONTENTS), guide.CONTENTS, ""
        self.search.clear()
        if page.name != self._target.partition("#")[0] or lead != self._lead:
            self._lead = lead
            self.view.show_page(page.name, _with_lead(page.markdown, lead), anchor)
        else:
            self.view.show_anchor(anchor)
        self._target = target
        self._back.setEnabled(bool(self._before))
        self._show_offers()
        self.pageShown.emit(page.name)

    def _show_offers(self) -> None:
        page = "" if self.search.text().strip() else self._target.partition("#")[0]
        for name, button in self._offers.items():
            button.setVisible(name == page)

    def _head(self) -> QHBoxLayout:
        across = row(None, t.SPACE_S, t.SPACE_XS)
        self._back = IconButton("chevron-left", "Back in the help")
        self._back.setToolTip(keymap.tip("Back in the help", "back"))  # no shortcut: the room may have one of the same keys
        self._back.setEnabled(False)
        self._back.clicked.connect(self.back)
        contents = IconButton("list", "All pages of the guide")
        contents.clicked.connect(lambda: self.show_target(guide.CONTENTS))
        close = IconButton("x", "Close the help")
        close.setToolTip(keymap.tip("Close the help", "leave"))
        close.clicked.connect(self.closed)
        self.search = QLineEdit()
        across.addWidget(self._back)
        across.addWidget(self.search, 1)
        across.addWidget(contents)
        across.addWidget(close)
        return across

    def _build_search(self) -> None:
        self.search.setPlaceholderText("Search the guide")
        self.search.setAccessibleName("Search the guide")
        self.search.textChanged.connect(self._search)
        self.search.returnPressed.connect(self._choose)
        self.search.installEventFilter(self)
        self.found.setAccessibleName("Found in the guide")
        self.found.setWordWrap(True)
        self.found.setFrameShape(QFrame.Shape.NoFrame)
        self.found.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.found.itemActivated.connect(self._choose)
        self.found.itemClicked.connect(self._choose)

    def _search(self, text: str) -> None:
        self.found.clear()
        wanted = text.strip()
        for section in best(wanted, guide.sections(), section_words, _MOST) if wanted else []:
            item = QListWidgetItem(f"{section.title}  ·  {guide.page(section.page).title}\n{_excerpt(section.text)}")
            item.setData(Qt.ItemDataRole.UserRole, section.target)
            self.found.addItem(item)
        if wanted and not self.found.count():
            nothing = QListWidgetItem("Nothing in the guide matches that. Try another word.")
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            self.found.addItem(nothing)
        self.found.setCurrentRow(0)
        self._pages.setCurrentWidget(self.found if wanted else self.view)
        self._show_offers()

    def _choose(self, _item: QListWidgetItem | None = None) -> None:
        item = self.found.currentItem()
        target = item.data(Qt.ItemDataRole.UserRole) if item is not None else None
        if target:
            self.show_target(target)
            self.view.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows choose among what was found while the field keeps the focus."""
        if not (step := _STEPS.get(keymap.pressed(event, "help"), 0)):
            return super().eventFilter(watched, event)
        self.found.setCurrentRow(max(0, min(self.found.count() - 1, self.found.currentRow() + step)))
        return True

    def event(self, event: QEvent) -> bool:
        """Keys of the help are its own while it has the focus, whatever shortcut the room has."""
        if keymap.overrides(event, "back", "help"):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Back; and what leaves the search first, then the help."""
        said = keymap.heard(event, "help")
        if said == "back":
            self.back()
        elif said != "leave":
            super().keyPressEvent(event)
        elif self.search.text():
            self.search.clear()
            self.view.setFocus()
        else:
            self.closed.emit()

    def _leads_out(self, url: QUrl) -> None:
        ask_to_open(url, _LEADS_OUT, self)


def _with_lead(markdown: str, lead: str) -> str:
    """The page with a paragraph under its title."""
    title, _, rest = markdown.partition("\n")
    return f"{title}\n\n{lead}\n{rest}" if lead else markdown


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[:_EXCERPT].rsplit(" ", 1)[0] + " …"
