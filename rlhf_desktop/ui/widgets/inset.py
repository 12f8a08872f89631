"""A text that is shown whole where there is room for it, and scrolls in its place where there is not."""

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QRect, QSize, Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import column


@dataclass(frozen=True)
class Step:
    """How far to read on."""

    by: int
    pages: bool


READING = {  # by the names of `ui.frame.keymap`
    "up": Step(-1, pages=False),
    "down": Step(1, pages=False),
    "page up": Step(-1, pages=True),
    "page down": Step(1, pages=True),
}
LEAST_LINES = 3  # fewer lines of an answer than this cannot be read in one go


class Inset(QScrollArea):
    """As tall as what is in it, and never taller. Put things into `body`. The wheel goes on to the page at either end.

    It gives way to what stands beside it, down to a few lines; with a `cap` it does not, and is no taller than that.
    """

    def __init__(self, spacing: int = t.SPACE_S, least_lines: int = LEAST_LINES, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cap: int | None = None
        self._least_lines = least_lines
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        inner = QWidget()
        inner.setProperty("kind", "plain")
        self.body = column(inner, 0, spacing)
        self.setWidget(inner)
        inner.installEventFilter(self)

    @property
    def whole_height(self) -> int:
        """What is in it takes so much."""
        layout, width = self.body, self.viewport().width()
        return layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()

    @property
    def cap(self) -> int | None:
        """It is no taller than this."""
        return self._cap

    def set_cap(self, height: int) -> None:
        """Be no taller than this, and no lower than need be."""
        if height != self._cap:
            self._cap = height
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        """All of it, up to the cap."""
        whole = self.whole_height
        return QSize(self.body.totalSizeHint().width(), whole if self._cap is None else min(whole, self._cap))

    def minimumSizeHint(self) -> QSize:
        """A few lines, or all where that is less; as narrow as one likes."""
        line = round(self.fontMetrics().lineSpacing() * t.LINE_HEIGHT_PERCENT / 100)
        least = self._least_lines * line if self._cap is None else self._cap
        return QSize(self.body.totalMinimumSize().width(), min(self.whole_height, least))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """What is in it has grown or shrunk."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self.updateGeometry()
        return super().eventFilter(watched, event)

    @property
    def whole(self) -> bool:
        """Whether all of it is seen."""
        return self.verticalScrollBar().maximum() == 0

    def read_on(self, step: Step) -> None:
        """So many lines or pages further; back, if negative. A page leaves a line to go on from."""
        bar, line = self.verticalScrollBar(), self.fontMetrics().lineSpacing()
        bar.setValue(bar.value() + step.by * (self.viewport().height() - line if step.pages else line))

    def to_top(self) -> None:
        """Where one begins to read."""
        self.verticalScrollBar().setValue(0)


def keep_in_sight(widget: QWidget, place: QRect) -> None:
    """Scroll the insets that hold a widget so far that this part of it is seen: the caret, as it moves."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, Inset):
            at = widget.mapTo(parent.widget(), place.center())
            parent.ensureVisible(at.x(), at.y(), 0, place.height())
        parent = parent.parentWidget()
