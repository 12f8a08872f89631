"""Sizes in pixels that go with the text: set now, and again whenever the size of the text is changed."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

_NEWS = (QEvent.Type.FontChange, QEvent.Type.StyleChange)


def is_growth(event: QEvent) -> bool:
    """Whether an event of `changeEvent` may mean that text has another size now."""
    return event.type() in _NEWS


class _Growing(QObject):
    """Watches one widget, and lives as long as it."""

    def __init__(self, widget: QWidget, apply: Callable[[], None]) -> None:
        super().__init__(widget)
        self._apply, self._for = apply, QGuiApplication.font().pixelSize()
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Set the size again."""
        now = QGuiApplication.font().pixelSize()
        if is_growth(event) and now != self._for:
            self._for = now
            self._apply()
        return super().eventFilter(watched, event)


def keep_grown(widget: QWidget, apply: Callable[[], None]) -> None:
    """Set a widget's size with `apply`, which asks `icons.grown` or the widget's font; and again with each size of text."""
    apply()
    _Growing(widget, apply)
