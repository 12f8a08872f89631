"""Buttons. Each has an accessible name, and says its shortcut in its tooltip."""

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QPushButton, QToolButton, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import is_growth
from rlhf_desktop.ui.widgets.text import plain_tip, restyle

Kind = Literal["normal", "primary", "quiet", "danger", "link", "row", "status"]


def hint(name: str, shortcut: str) -> str:
    """A tooltip: the name, and its keys as this system writes them."""
    return plain_tip(f"{name}  ({keymap.written(QKeySequence(shortcut))})" if shortcut else name)


def _role_of(kind: Kind) -> t.Role:
    return "on_accent" if kind == "primary" else "danger" if kind == "danger" else "text"


V = TypeVar("V")  # what the choices of a control stand for


class Button(QPushButton):
    """A button with words. One `primary` a screen; `quiet` for what is at hand but not urgent."""

    focus_reason = Qt.FocusReason.NoFocusReason  # by what the focus came last

    def __init__(self, text: str, kind: Kind = "normal", icon: str = "", shortcut: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text.replace("&", "&&"), parent)
        self._icon, self._role = icon, _role_of(kind)
        self.setProperty("kind", kind)
        self.setAccessibleName(text)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._size = icons.grown(t.ICON_SMALL)
        self.setIconSize(QSize(self._size, self._size))
        if shortcut:
            self.setShortcut(QKeySequence(shortcut))
            self.setToolTip(hint(text, shortcut))
        self._refresh()

    def set_text(self, text: str) -> None:
        """Change the words, and the accessible name with them."""
        shortcut = self.shortcut()  # Qt forgets it when the text changes
        self.setText(text.replace("&", "&&"))
        self.setShortcut(shortcut)
        self.setAccessibleName(text)

    def set_icon(self, icon: str) -> None:
        """Change the icon."""
        self._icon = icon
        self._refresh()

    def set_kind(self, kind: Kind) -> None:
        """Change how much the button weighs."""
        self._role = _role_of(kind)
        restyle(self, kind=kind)
        self._refresh()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Keep by what the focus came: a key, the mouse, or only the program."""
        self.focus_reason = event.reason()
        super().focusInEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Tint again when the theme has changed, and grow with the text."""
        super().changeEvent(event)
        if is_growth(event) and self._size != icons.grown(t.ICON_SMALL):
            self._size = icons.grown(t.ICON_SMALL)
            self.setIconSize(QSize(self._size, self._size))
            self._refresh()
        if event.type() == QEvent.Type.PaletteChange:
            self._refresh()

    def _refresh(self) -> None:
        if self._icon:
            self.setIcon(icons.icon(self._icon, self._role, self._size))


class IconButton(QToolButton):
    """A button with an icon only; its name is read aloud and shown as tooltip."""

    focus_reason = Qt.FocusReason.NoFocusReason  # by what the focus came last

    def __init__(
        self,
        icon: str,
        name: str,
        shortcut: str = "",
        kind: Literal["icon", "primary", "rail"] = "icon",
        size: int = t.ICON,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._icon, self._token = icon, size
        self._role: t.Role = "on_accent" if kind == "primary" else "muted"
        self.setProperty("kind", kind)
        self._size = self._grown()
        self.setIconSize(QSize(self._size, self._size))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_name(name, shortcut)
        self.toggled.connect(lambda _on: self._refresh())
        self._refresh()

    def set_name(self, name: str, shortcut: str = "") -> None:
        """Change what the button is called, and its keys."""
        self.setAccessibleName(name)
        self.setToolTip(hint(name, shortcut))
        if shortcut:
            self.setShortcut(QKeySequence(shortcut))

    def set_icon(self, icon: str) -> None:
        """Change the icon."""
        self._icon = icon
        self._refresh()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Keep by what the focus came: a key, the mouse, or only the program."""
        self.focus_reason = event.reason()
        super().focusInEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Tint again when the theme has changed, and grow with the text."""
        super().changeEvent(event)
        if is_growth(event) and self._size != self._grown():
            self._size = self._grown()
            self.setIconSize(QSize(self._size, self._size))
            self._refresh()
        if event.type() == QEvent.Type.PaletteChange:
            self._refresh()

    def _grown(self) -> int:
        return self._token if self.property("kind") == "rail" else icons.grown(self._token)  # the rail has one width

    def _refresh(self) -> None:
        role = "text" if self.isChecked() else self._role
        self.setIcon(icons.icon(self._icon, role, self._size))


class SegmentedControl(QFrame, Generic[V]):
    """A few choices of which one holds, side by side. Arrow keys move between them."""

    changed = Signal(object)

    def __init__(self, name: str, options: Sequence[tuple[str, V]], value: V | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "segments")
        self.setAccessibleName(name)
        self._values = [value for _text, value in options]
        self._group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(2)
        for index, (text, _value) in enumerate(options):
            button = QPushButton(text, self)
            button.setCheckable(True)
            button.setProperty("kind", "segment")
            button.setAccessibleName(f"{name}: {text}")
            self._group.addButton(button, index)
            row.addWidget(button)
        self.set_value(self._values[0] if value is None else value)
        self._group.idClicked.connect(lambda index: self.changed.emit(self._values[index]))

    def value(self) -> V:
        """The choice that holds."""
        return self._values[self._group.checkedId()]

    def set_value(self, value: V) -> None:
        """Choose, without emitting `changed`."""
        self._group.button(self._values.index(value)).setChecked(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right choose the neighbour."""
        step = {"left": -1, "right": 1}.get(keymap.heard(event, "segments"))
        if step is None:
            super().keyPressEvent(event)
            return
        index = max(0, min(len(self._values) - 1, self._group.checkedId() + step))
        self._group.button(index).click()
        self._group.button(index).setFocus(Qt.FocusReason.TabFocusReason)


class Chip(QPushButton):
    """A small word that filters (checkable) or says what something is."""

    def __init__(self, text: str, checkable: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setProperty("kind", "chip")
        self.setCheckable(checkable)
        self.setAccessibleName(text)
        if not checkable:
            self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
