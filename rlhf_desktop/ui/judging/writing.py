"""A field for a longer text of the user's own: a correction, an example, a guideline."""

from PySide6.QtCore import QEvent, QSize, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import column
from rlhf_desktop.ui.widgets.text import align_as_written, caption, either_way

_LEAST_LINES, _MOST_LINES = 4, 16


class LongEdit(QPlainTextEdit):
    """Enter is a new line, Ctrl+Enter keeps the text, Esc leaves, Tab goes on.

    As tall as its text, up to some lines; `gives_way`: lower where the room is short, and then it scrolls.
    """

    submitted = Signal()
    left = Signal()

    def __init__(self, name: str, text: str = "", gives_way: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gives_way = gives_way
        if gives_way:
            self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setProperty("type", "answer")
        self.setAccessibleName(name)
        self.setTabChangesFocus(True)
        either_way(self.document())
        align_as_written(self.document())
        self.setPlainText(text)
        self.document().documentLayout().documentSizeChanged.connect(lambda _size: self._fit())
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The two keys that end writing."""
        said = keymap.heard(event, "writing")
        if said == "keep":
            self.submitted.emit()
        elif said == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Fit again when the font changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()

    def sizeHint(self) -> QSize:
        """As tall as the text."""
        return QSize(super().sizeHint().width(), self._tall(_MOST_LINES))

    def minimumSizeHint(self) -> QSize:
        """A few lines."""
        return QSize(super().minimumSizeHint().width(), self._tall(_LEAST_LINES))

    def _fit(self) -> None:
        if self._gives_way:
            self.updateGeometry()
        else:
            self.setFixedHeight(self._tall(_MOST_LINES))

    def _tall(self, most: int) -> int:
        lines = max(_LEAST_LINES, min(most, round(self.document().size().height())))
        return lines * self.fontMetrics().lineSpacing() + 2 * t.SPACE_M


class WritingPane(QWidget):
    """The field, what its keys do, and the two buttons for them."""

    kept = Signal(str)
    left = Signal()

    def __init__(
        self,
        name: str,
        text: str,
        keep: str,
        gives_way: bool = False,
        before: str | None = None,
        leave: str = "Cancel",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._box = box = column(self, 0, t.SPACE_XS)
        self.edit = LongEdit(name, text, gives_way)
        box.addWidget(self.edit)
        lower = Flow(t.SPACE_S)  # in as many lines as it takes: cards stay equal
        lower.addWidget(caption(f"{keymap.shown('keep')} keeps · {keymap.shown('leave')} {leave.lower()}s"))
        cancel = Button(leave, "quiet")
        self.keep = Button(keep, "primary")
        lower.addWidget(cancel)
        lower.addWidget(self.keep)
        box.addLayout(lower)
        self._before = (text if before is None else before).strip()  # what holds already
        self.edit.textChanged.connect(self._refresh)
        self._refresh()
        self.edit.submitted.connect(self._keep)
        self.keep.clicked.connect(self._keep)
        self.edit.left.connect(self.left)
        cancel.clicked.connect(self.left)

    def _refresh(self) -> None:
        """It can be kept exactly while it says something else than before."""
        self.keep.setEnabled(self.edit.toPlainText().strip() != self._before)

    def _keep(self) -> None:
        self.kept.emit(self.edit.toPlainText())

    def add(self, part: QWidget) -> None:
        """Put something below the buttons."""
        self._box.addWidget(part)
