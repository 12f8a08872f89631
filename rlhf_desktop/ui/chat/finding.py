"""Find in the conversation: all that is found is highlighted in every turn, one of them is current and in sight."""

from contextlib import suppress
from dataclasses import dataclass

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QLineEdit, QTextEdit, QWidget

from rlhf_desktop.ui.chat.conversation_view import ConversationView
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.highlight import highlight
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import caption

_PAUSE_MS = 100
_TINT = 70  # of 255: the accent behind what is found


@dataclass(frozen=True)
class Match:
    """One place where the words stand."""

    view: MarkdownView
    cursor: QTextCursor


class Finder:
    """The places in a conversation's turns, in reading order."""

    def __init__(self, conversation: ConversationView) -> None:
        self._conversation = conversation
        self._marked: list[MarkdownView] = []
        self.matches: list[Match] = []
        self.current = -1

    def search(self, words: str, keep: bool = False) -> None:
        """Find all of them; the first one that is not above what is in sight is current, or with `keep` the one that was."""
        before = self.current
        self.matches = [match for view in self._conversation.texts() for match in _in(view, words)] if words else []
        if not self.matches:
            self.current = -1
        else:
            self.current = min(before, len(self.matches) - 1) if keep and before >= 0 else self._first_in_sight()
        self._mark()
        if not keep:
            self._show()

    def _first_in_sight(self) -> int:
        places = ((match.view, match.view.cursorRect(match.cursor).center()) for match in self.matches)
        return next((n for n, place in enumerate(places) if not self._conversation.is_above(*place)), 0)

    def step(self, by: int) -> None:
        """Go on, round the ends."""
        if self.matches:
            self.current = (self.current + by) % len(self.matches)
            self._mark()
            self._show()

    def clear(self) -> None:
        """Highlight nothing."""
        self.search("")

    def _mark(self) -> None:
        for view in self._marked:
            view.setExtraSelections([])
        found: dict[MarkdownView, list[QTextEdit.ExtraSelection]] = {}
        for place, match in enumerate(self.matches):
            found.setdefault(match.view, []).append(_highlight(match, place == self.current))
        for view, selections in found.items():
            view.setExtraSelections(selections)
        self._marked = list(found)

    def _show(self) -> None:
        if self.current >= 0:
            match = self.matches[self.current]
            self._conversation.show_place(match.view, match.view.cursorRect(match.cursor).center())


def _in(view: MarkdownView, words: str) -> list[Match]:
    found, cursor = [], QTextCursor(view.document())
    while not (cursor := view.document().find(words, cursor)).isNull():
        found.append(Match(view, QTextCursor(cursor)))
    return found


def _highlight(match: Match, is_current: bool) -> QTextEdit.ExtraSelection:
    colours, look = current(), QTextCharFormat()
    tint = QColor(colours.accent)
    if is_current:
        look.setForeground(QColor(colours.on_accent))
    else:
        tint.setAlpha(_TINT)
    look.setBackground(tint)
    return highlight(match.cursor, look)


class _Field(QLineEdit):
    """Tells what its keys say."""

    said = Signal(str)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """On to the next, back, or away."""
        name = keymap.heard(event, "finding")
        if name:
            self.said.emit(name)
        else:
            super().keyPressEvent(event)


class FindBar(QFrame):
    """A field, how many there are, on and back."""

    def __init__(self, conversation: ConversationView, fallback: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        self.setAccessibleName("Find in the conversation")
        self._finder, self._fallback = Finder(conversation), fallback
        self._came_from: QWidget | None = None
        self.field = _Field()
        self.field.setPlaceholderText("Find in the conversation")
        self.field.setAccessibleName("Find in the conversation")
        self.count = caption("")
        self.before = IconButton("chevron-up", "Previous match", size=t.ICON_SMALL)
        self.after = IconButton("chevron-down", "Next match", size=t.ICON_SMALL)
        self.before.setToolTip(keymap.tip("Previous match", "previous match"))  # the field hears the keys
        self.after.setToolTip(keymap.tip("Next match", "next match"))
        away = IconButton("x", "Close the search", size=t.ICON_SMALL)
        across = row(self, t.SPACE_S, t.SPACE_S)
        across.addWidget(self.field, 1)
        for part in (self.count, self.before, self.after, away):
            across.addWidget(part)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._search)
        self.field.textChanged.connect(self._pause.start)
        self.field.said.connect(self._do)
        self.before.clicked.connect(lambda: self.step(-1))
        self.after.clicked.connect(lambda: self.step(1))
        away.clicked.connect(self.leave)
        self.hide()

    def open(self) -> None:
        """Come up, or take the focus again with the words ready to be replaced."""
        if not self.isVisible():
            self._came_from = self.window().focusWidget()
        self.show()
        self.field.setFocus()
        self.field.selectAll()
        self._search()

    def leave(self) -> None:
        """Go, and give the focus back to where it was."""
        self._pause.stop()
        self._finder.clear()
        self.hide()
        back, self._came_from = self._came_from, None
        heir = self._fallback
        with suppress(RuntimeError):  # it is gone meanwhile
            if back is not None and back.isVisible() and back.window() is self.window():
                heir = back
        heir.setFocus()

    def refresh(self) -> None:
        """Other turns are shown."""
        if self.isVisible():
            self._finder.search(self.field.text(), keep=True)
            self._say()

    def step(self, by: int) -> None:
        """On, or back."""
        if self._pause.isActive():
            self._search()
        else:
            self._finder.step(by)
        self._say()

    def _do(self, name: str) -> None:
        if name == "leave":
            self.leave()
        else:
            self.step(1 if name == "next match" else -1)

    def _search(self) -> None:
        self._pause.stop()
        self._finder.search(self.field.text())
        self._say()

    def _say(self) -> None:
        found = len(self._finder.matches)
        self.count.setText(f"{self._finder.current + 1} of {found:,}" if found else "Not found" if self.field.text() else "")
        self.before.setEnabled(found > 1)
        self.after.setEnabled(found > 1)
