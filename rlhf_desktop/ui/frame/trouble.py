"""A trouble, said without stopping anything: one line under the header, and for bugs a report to copy."""

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import IconLabel, Label


class TroubleBar(QFrame):
    """Shows the latest trouble until it is dismissed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        self._detail = ""
        self._shown: AppError | None = None
        across = row(self, t.SPACE_S, t.SPACE_M)
        across.setContentsMargins(t.SPACE_L, t.SPACE_S, t.SPACE_S, t.SPACE_S)
        self.words = Label("", wrap=True)
        self._copy = Button("Copy details", "quiet", icon="copy")
        close = IconButton("x", "Dismiss this message", size=t.ICON_SMALL)
        across.addWidget(IconLabel("alert", "danger", t.ICON_SMALL))
        across.addWidget(self.words, 1)
        across.addWidget(self._copy)
        across.addWidget(close)
        self._copy.clicked.connect(self._copy_detail)
        close.clicked.connect(self.hide)
        self.hide()

    def show_trouble(self, trouble: AppError) -> None:
        """Say it."""
        self._shown = trouble
        self.words.setText(str(trouble))
        self._detail = f"{trouble}\n\n{trouble.detail}".strip()
        self._copy.setVisible(bool(trouble.detail))
        self.setAccessibleName(f"Trouble: {trouble}")
        self.show()

    def take_back(self, trouble: AppError | None) -> None:
        """What was wrong no longer is: stop saying so, unless something else has been said since."""
        if trouble is not None and self._shown is trouble:
            self.hide()

    def _copy_detail(self) -> None:
        QGuiApplication.clipboard().setText(self._detail)
