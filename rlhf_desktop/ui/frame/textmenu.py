"""The right button in text: the same few actions, in the words and look of the program, in every field and every text to read.

Qt's own menus differ from control to control, in words and in what they offer. A text gets this one when it first gets the focus,
which the right button gives it, unless whoever made it has a menu of its own for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QPoint, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTextBrowser,
    QTextEdit,
    QWidget,
)

from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t

_LONG = QPlainTextEdit | QTextEdit
_FIELDS = (QLineEdit, QPlainTextEdit, QTextEdit, QLabel)
Writable = QLineEdit | QPlainTextEdit | QTextEdit
Text = Writable | QLabel
_DEFAULT, _CUSTOM = Qt.ContextMenuPolicy.DefaultContextMenu, Qt.ContextMenuPolicy.CustomContextMenu


@dataclass(frozen=True)
class TextAction:
    """One line of the menu; `on`: whether it can be done now."""

    words: str
    do: Callable[[], object]
    icon: str = ""
    key: str = ""  # its meaning in the table of keys
    on: bool = True


Group = list[TextAction]
More = Callable[[QWidget, QPoint], list[Group]]


class TextMenus(QObject):
    """Gives texts their menu, in every window of the program.

    Attributes:
        more: What stands above the usual actions, for a text and a place in it: the speller's suggestions.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.more: More = lambda _text, _at: []
        application().focusChanged.connect(self._take)

    def _take(self, _old: QWidget | None, now: QWidget | None) -> None:
        text = text_of(now)
        if text is not None and text.contextMenuPolicy() in (_DEFAULT, Qt.ContextMenuPolicy.NoContextMenu):
            text.setContextMenuPolicy(_CUSTOM)
            text.customContextMenuRequested.connect(self._asked)

    def _asked(self, at: QPoint) -> None:
        text = self.sender()
        if isinstance(text, _FIELDS):
            self.show_menu(text, at)

    def show_menu(self, text: Text, at: QPoint) -> QMenu:
        """The menu of a text, at a place in it."""
        menu = QMenu(text)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for group in [*self.more(text, at), *groups_for(text, at)]:
            if menu.actions() and group:
                menu.addSeparator()
            for action in group:
                _add(menu, action)
        over = text.viewport() if isinstance(text, _LONG) else text
        menu.popup(over.mapToGlobal(at))
        return menu


def _add(menu: QMenu, action: TextAction) -> None:
    words = action.words.replace("&", "&&")
    key = f"\t{keymap.shown(action.key)}" if action.key else ""
    line = menu.addAction(words + key, action.do)
    if action.icon:
        line.setIcon(icons.icon(action.icon, "muted", icons.grown(t.ICON_SMALL)))
    line.setEnabled(action.on)


def text_of(widget: QWidget | None) -> Text | None:
    """The text in a control that has the focus, or the control itself; None: it is no text."""
    if isinstance(widget, QAbstractSpinBox | QComboBox):
        widget = widget.lineEdit() if not isinstance(widget, QComboBox) or widget.isEditable() else None
    return widget if isinstance(widget, _FIELDS) else None


def groups_for(text: Text, at: QPoint) -> list[Group]:
    """What can be done to a text, as it is now."""
    if isinstance(text, QLabel):
        return [[TextAction("Copy", lambda: _copy(text.selectedText() or text.text()), "copy", "copy")]]
    selected = text.hasSelectedText() if isinstance(text, QLineEdit) else text.textCursor().hasSelection()
    everything = text.text() if isinstance(text, QLineEdit) else text.toPlainText()
    select = TextAction("Select all", text.selectAll, "", "select all", bool(everything))
    if text.isReadOnly():
        all_of_it = TextAction("Copy the whole text", lambda: _copy(everything), "" if selected else "copy", "", bool(everything))
        part = [TextAction("Copy", text.copy, "copy", "copy")] if selected else []
        return [_link_group(text, at), [*part, all_of_it], [select]]
    return [_history(text), _clipboard(text, selected), [select]]


def _history(text: Writable) -> Group:
    state = text if isinstance(text, QLineEdit) else text.document()
    return [
        TextAction("Undo", text.undo, "undo", "undo", state.isUndoAvailable()),
        TextAction("Redo", text.redo, "redo", "redo", state.isRedoAvailable()),
    ]


def _clipboard(text: Writable, selected: bool) -> Group:
    secret = isinstance(text, QLineEdit) and text.echoMode() != QLineEdit.EchoMode.Normal
    given = QGuiApplication.clipboard().mimeData()
    can_paste = text.canPaste() if isinstance(text, _LONG) else bool(given is not None and given.hasText())
    return [
        TextAction("Cut", text.cut, "cut", "cut", selected and not secret),
        TextAction("Copy", text.copy, "copy", "copy", selected and not secret),
        TextAction("Paste", text.paste, "paste", "paste", can_paste),
        TextAction("Delete", lambda: _delete(text), "trash", "", selected),
    ]


def _delete(text: Writable) -> None:
    if isinstance(text, QLineEdit):
        text.del_()
    else:
        text.textCursor().removeSelectedText()


def _link_group(text: Writable, at: QPoint) -> Group:
    """What can be done to the link under the pointer."""
    if not isinstance(text, QTextBrowser) or not (address := text.anchorAt(at)):
        return []
    opening = TextAction("Open this link…", lambda: text.anchorClicked.emit(QUrl(address)))
    return [opening, TextAction("Copy address", lambda: _copy(address), "link")]


def _copy(words: str) -> None:
    QGuiApplication.clipboard().setText(words)
