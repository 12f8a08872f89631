"""A run's log, folded away until somebody asks."""

from itertools import islice

from PySide6.QtWidgets import QPlainTextEdit, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.runview import LOG_LINES, RunView
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import column, row


class RunLog(QWidget):
    """Adds what is new; it never writes the whole text again."""

    def __init__(self, view: RunView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view, self._shown = view, 0
        box = column(self, 0, t.SPACE_S)
        self.fold = Button("Log", "quiet", "chevron-right")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self._unfold)
        line = row()
        line.addWidget(self.fold)
        line.addStretch(1)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(LOG_LINES)
        self.text.setAccessibleName("Log of this run")
        self.text.setProperty("code", True)
        self.text.setMinimumHeight(t.CHART_HEIGHT * 2)
        self.text.hide()
        box.addLayout(line)
        box.addWidget(self.text)

    def refresh(self) -> None:
        """Show what has been said since."""
        log, logged = self._view.log, self._view.logged
        fresh = min(logged - self._shown, len(log))
        if self.text.isHidden() or not fresh:
            return
        self.text.appendPlainText("\n".join(islice(log, len(log) - fresh, None)))
        self._shown = logged

    def _unfold(self, on: bool) -> None:
        self.fold.set_icon("chevron-down" if on else "chevron-right")
        self.text.setVisible(on)
        self.refresh()
