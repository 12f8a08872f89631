"""Cards, empty states and meters."""

from typing import TypeVar

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLayout,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import keep_grown
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.text import IconLabel, caption, heading, restyle

_A_MOMENT_MS = 300

W = TypeVar("W", bound=QWidget)


def column(parent: QWidget | None = None, margin: int = 0, spacing: int = t.SPACE_S) -> QVBoxLayout:
    """A vertical layout with token distances."""
    made = QVBoxLayout(parent) if parent else QVBoxLayout()
    made.setContentsMargins(margin, margin, margin, margin)
    made.setSpacing(spacing)
    return made


def row(parent: QWidget | None = None, margin: int = 0, spacing: int = t.SPACE_S) -> QHBoxLayout:
    """A horizontal layout with token distances."""
    made = QHBoxLayout(parent) if parent else QHBoxLayout()
    made.setContentsMargins(margin, margin, margin, margin)
    made.setSpacing(spacing)
    return made


def reveal(widget: QWidget, at_top: bool = False) -> None:
    """Scroll whatever holds a widget so far that it is seen, once the layout knows where it is.

    Args:
        widget: It, or the heading of what is to be seen.
        at_top: As far up as it goes, so that what is below it is seen too.
    """
    QTimer.singleShot(0, lambda: _scroll_to(widget, at_top))


def _scroll_to(widget: QWidget, at_top: bool) -> None:
    parent = widget.parentWidget() if isValid(widget) else None
    while parent is not None:
        if isinstance(parent, QScrollArea) and parent.widget().isAncestorOf(widget):
            if at_top:
                parent.verticalScrollBar().setValue(widget.mapTo(parent.widget(), QPoint(0, 0)).y() - t.SPACE_XL)
            parent.ensureWidgetVisible(widget, 0, t.SPACE_L)
        parent = parent.parentWidget()


def clear(layout: QLayout) -> None:
    """Take everything out of a layout and delete its widgets."""
    while (item := layout.takeAt(0)) is not None:
        if item.widget() is not None:
            item.widget().hide()
            item.widget().deleteLater()
        elif item.layout() is not None:
            clear(item.layout())


def widgets_in(layout: QLayout, kind: type[W]) -> list[W]:
    """The widgets of a kind that a layout places, in its order."""
    children = layout.parentWidget().findChildren(kind, options=Qt.FindChildOption.FindDirectChildrenOnly)
    placed = {child: layout.indexOf(child) for child in children}
    return sorted((child for child in children if placed[child] >= 0), key=placed.__getitem__)


def hairline() -> QFrame:
    """A divider."""
    made = QFrame()
    made.setProperty("kind", "hairline")
    return made


class Card(QFrame):
    """A rounded surface. Put things into `body`."""

    def __init__(self, title: str = "", kind: str = "card", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", kind)
        self.body = column(self, t.SPACE_L, t.SPACE_S)
        if title:
            self.body.addWidget(heading(title))

    def set_chosen(self, on: bool) -> None:
        """Outline the card as the chosen one."""
        restyle(self, chosen=on)


class Page(QScrollArea):
    """A room's scrolling page: one centred column of at most `width` pixels at a text scale of 1. Put things into `body`."""

    def __init__(self, width: int = t.CONTENT_WIDTH, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QWidget()
        outer.setProperty("kind", "plain")
        across = row(outer)
        across.setContentsMargins(t.SPACE_XL, t.SPACE_XL, t.SPACE_XL, t.SPACE_XL)
        inner = QWidget()
        inner.setProperty("kind", "plain")
        keep_grown(inner, lambda: inner.setMaximumWidth(icons.grown(width)))
        inner.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        across.addStretch(1)
        across.addWidget(inner, 1000)
        across.addStretch(1)
        self.body = column(inner, 0, t.SPACE_L)
        self.setWidget(outer)


class Pages(QStackedWidget):
    """One page in front. A page that comes has no control focused: by itself Qt takes the first, which may start work."""

    def setCurrentWidget(self, page: QWidget) -> None:
        """Show a page; the focus, if it was in here, is then on none of its controls until somebody chooses one."""
        focus = self.window().focusWidget()
        if page is not self.currentWidget() and focus is not None and self.isAncestorOf(focus):
            self.setFocus()
        super().setCurrentWidget(page)


class EmptyState(QWidget):
    """What a room says before there is anything in it: what it is for, and the one button that begins."""

    began = Signal()

    def __init__(
        self, icon: str, title: str, lines: str, button: str = "", shortcut: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        box = column(self, t.SPACE_XXL, t.SPACE_M)
        box.addStretch(1)
        centre = Qt.AlignmentFlag.AlignHCenter
        box.addWidget(IconLabel(icon, "muted", t.ICON_LARGE), 0, centre)
        self._title = heading(title)
        box.addWidget(self._title, 0, centre)
        words = TermLabel(lines, "body", "muted", wrap=True)
        words.setAlignment(centre)
        words.ensurePolished()
        words.setFixedWidth(t.SIDEBAR_WIDTH * 2 - t.SPACE_XXL * 2)
        keep_grown(words, lambda: words.setMinimumHeight(words.heightForWidth(words.width())))
        box.addWidget(words, 0, centre)
        if button:
            self.button = Button(button, "primary", shortcut=shortcut)
            self.button.clicked.connect(self.began)
            box.addSpacing(t.SPACE_S)
            box.addWidget(self.button, 0, centre)
        box.addStretch(2)

    def set_title(self, title: str) -> None:
        """Say something else above."""
        self._title.setText(title)


class Meter(QWidget):
    """A bar from 0 to `maximum` with a sentence under it: what there is against what is needed."""

    def __init__(self, name: str, words: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, t.SPACE_XS)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(name)
        self._words = caption(words, wrap=True)
        box.addWidget(self._bar)
        box.addWidget(self._words)

    def set_value(self, value: float, maximum: float, words: str = "", tone: str = "") -> None:
        """Fill the bar; `maximum` 0 shows that something goes on without saying how far it is."""
        self._bar.setRange(0, 1000 if maximum else 0)
        self._bar.setValue(round(1000 * min(1.0, value / maximum)) if maximum else 0)
        self._words.setText(words)
        self._words.setVisible(bool(words))
        self._bar.setAccessibleDescription(words)
        restyle(self._bar, tone=tone)


class Looking(Page):
    """What a room shows until it knows what there is: blank at first, and after a moment what is being looked for."""

    def __init__(self, words: str, parent: QWidget | None = None) -> None:
        super().__init__(t.FORM_WIDTH, parent)
        self.meter = Meter(words)
        self.meter.set_value(0, 0, words)
        self.meter.hide()
        self.body.addWidget(self.meter)
        self.body.addStretch(1)
        self._clock = QTimer(self)
        self._clock.setSingleShot(True)
        self._clock.setInterval(_A_MOMENT_MS)
        self._clock.timeout.connect(self.meter.show)

    def showEvent(self, event: QShowEvent) -> None:
        """Wait a moment: most often there is an answer before."""
        self._clock.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Blank again for the next time."""
        self._clock.stop()
        self.meter.hide()
        super().hideEvent(event)


class Notice(QFrame):
    """A quiet sentence with an icon, and perhaps one button: a trouble, a hint."""

    acted = Signal()

    def __init__(self, icon: str, text: str, tone: t.Role = "text", button: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        across = row(self, t.SPACE_M, t.SPACE_M)
        self._picture = IconLabel(icon, tone)
        self.words = TermLabel(text, wrap=True)
        self.button = Button(button or "OK", "normal")
        self.button.clicked.connect(self.acted)
        across.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        across.addWidget(self.words, 1)
        across.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.button.setVisible(bool(button))  # now that it has a place: before, it would be a window of its own

    def say(self, icon: str, text: str, tone: t.Role = "text", button: str = "") -> None:
        """Show another sentence."""
        self._picture.set_icon(icon, tone)
        self.words.setText(text)
        self.button.setVisible(bool(button))
        if button:
            self.button.set_text(button)


class ConfirmRow(QFrame):
    """A question in place, such as “Remove?”, with a dangerous yes and a harmless no; nothing modal."""

    confirmed = Signal()

    def __init__(
        self, question: str, yes: str = "Remove", icon: str = "trash", no: str = "Keep", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        across = row(self, t.SPACE_S, t.SPACE_S)
        across.addWidget(TermLabel(question, wrap=True), 1)
        self.yes, self.no = Button(yes, "danger", icon), Button(no)
        for button in (self.yes, self.no):
            button.clicked.connect(self.hide)
            across.addWidget(button)
        self.yes.clicked.connect(self.confirmed)
        self.hide()
