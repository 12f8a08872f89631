"""Exactly what would be sent: each file with its size and hash, and what is in it."""

from pathlib import Path

from PySide6.QtWidgets import QPlainTextEdit, QWidget

from rlhf_desktop.hub.push import PlannedFile, PushPlan
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.surfaces import column
from rlhf_desktop.ui.widgets.text import caption

_SHOWN_BYTES = 200_000


class PlanView(QWidget):
    """Where to, who may read it, the files, and one of them opened."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, t.SPACE_S)
        self.where = TermLabel("", strong=True, wrap=True)
        self.which = choice("File to look into")
        self.facts = caption("", wrap=True)
        self.content = QPlainTextEdit()
        self.content.setReadOnly(True)
        self.content.setTabChangesFocus(True)
        self.content.setAccessibleName("What is in the file")
        self.content.setFixedHeight(2 * t.CHART_HEIGHT)
        for part in (self.where, self.which, self.facts, self.content):
            box.addWidget(part)
        self._plan: PushPlan | None = None
        self.which.currentIndexChanged.connect(self._open)

    def show_plan(self, plan: PushPlan) -> None:
        """Show what would go."""
        self._plan = plan
        who = "everybody can read it" if not plan.private else "only your account can read it"
        total = f"{words.count(len(plan.files), 'file')}, {words.size(plan.total_bytes)}"
        tag = f", as version {plan.tag}" if plan.tag else ""
        self.where.setText(f"{total}, to {plan.repo}{tag}; {who}")
        self.which.blockSignals(True)
        self.which.clear()
        for file in plan.files:
            self.which.addItem(f"{file.path}  ·  {words.size(file.size)}")
        self.which.blockSignals(False)
        self._open()

    def _open(self) -> None:
        if self._plan is None or self.which.currentIndex() < 0:
            return
        file = self._plan.files[self.which.currentIndex()]
        self.facts.setText(f"{file.size:,} bytes, SHA-256 {file.sha256}")
        self.content.setPlainText(_beginning(file))


def _beginning(file: PlannedFile) -> str:
    if isinstance(file.content, Path):
        return "Weights: numbers only."
    said = file.content[:_SHOWN_BYTES].decode("utf-8", "replace")
    more = len(file.content) - _SHOWN_BYTES
    return f"{said}\n\n… and {more:,} bytes more like these." if more > 0 else said
