"""What an export came to, as a person reads it: what, how much, where; the file manager shows it, and Python lines wait folded."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QProcess, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QWidget

from rlhf_desktop.operations.written import Written
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import Card, clear, column
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, Label, caption

Start = Callable[[str, Sequence[str]], object]


def show_in_folder(path: Path, system: str = sys.platform, start: Start = QProcess.startDetached) -> bool:
    """Have the file manager show a file or a folder. Nothing leaves the computer. False: nobody could."""
    if not path.exists():
        return False
    if system == "win32":
        return _started(start("explorer", [f"/select,{path}"]))
    if system == "darwin":
        return _started(start("open", ["-R", str(path)]))
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path if path.is_dir() else path.parent)))


def _started(answer: object) -> bool:
    return bool(answer[0]) if isinstance(answer, tuple) else bool(answer)  # PySide gives the process's number too


class WrittenCard(Card):
    """One summary for every export: feedback, bundles, reports, models."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(kind="notice", parent=parent)
        self.setAccessibleName("What was written")
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        self._written: Written | None = None
        head = Flow(t.SPACE_S)
        self.title = Label("", strong=True)
        head.addWidget(IconLabel("success", "success"))
        head.addWidget(self.title)
        self.body.addLayout(head)
        self._facts = column(spacing=0)
        self.body.addLayout(self._facts)
        self.left_out, self.next = caption("", wrap=True), caption("", wrap=True)
        self.body.addWidget(self.left_out)
        self.body.addWidget(self.next)
        self.body.addLayout(self._buttons())
        self.code = Label("", "caption", wrap=True)
        self.code.setProperty("code", True)
        self.code.setAccessibleName("Python that loads it")
        flags = Qt.TextInteractionFlag
        self.code.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
        self.body.addWidget(self.code)
        self.hide()

    def _buttons(self) -> Flow:
        self.folder, self.copy = Button("Show in folder", icon="folder"), Button("Copy path", "quiet", icon="copy")
        self.python = Button("Load it in Python", "quiet", icon="chevron-right")
        self.python.setCheckable(True)
        line = Flow(t.SPACE_S)
        for button in (self.folder, self.copy, self.python):
            line.addWidget(button)
        self.folder.clicked.connect(self._show_in_folder)
        self.copy.clicked.connect(self._copy)
        self.python.toggled.connect(self._fold)
        return line

    def show_written(self, written: Written) -> None:
        """Say what was written."""
        self._written = written
        self.title.setText(written.title)
        clear(self._facts)
        facts = Form(field_rows=False, spacing=t.SPACE_XS)
        for name, value in (*written.facts, ("Where", str(written.path))):
            facts.add(name, ElidedLabel(value))
        self._facts.addLayout(facts)
        left = " ".join(written.left_out)
        self.left_out.setText(f"Left out: {left}" if left else "Nothing was left out.")
        self.next.setText(written.next)
        self.next.setVisible(bool(written.next))
        self.copy.set_text("Copy path")
        self.code.setText(written.python)
        self.python.setVisible(bool(written.python))
        self.python.setChecked(False)
        self._fold(False)
        self.show()

    def _fold(self, on: bool) -> None:
        self.python.set_icon("chevron-down" if on else "chevron-right")
        self.code.setVisible(on)

    def _show_in_folder(self) -> None:
        if self._written is not None and not show_in_folder(self._written.path):
            self.next.setText("No file manager could be opened. Copy the path instead.")
            self.next.show()

    def _copy(self) -> None:
        if self._written is not None:
            QGuiApplication.clipboard().setText(str(self._written.path))
            self.copy.set_text("Copied")
