"""Shown above the composer while the model is got ready: how far that is, and the message that is sent as soon as it is."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.feedback.attachments import in_short
from rlhf_desktop.ui import words
from rlhf_desktop.ui.loading import Loading
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Meter, column, row
from rlhf_desktop.ui.widgets.text import Label

_SHOWN_CHARACTERS = 160  # of the message that waits


class WaitingBar(QFrame):
    """A line for the message, one for the model."""

    edited = Signal()  # take the message back into the composer
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        self._message = ""
        self._loading: Loading | None = None
        box = column(self, t.SPACE_M, t.SPACE_S)
        self.words = Label("", wrap=True)
        self.edit, self.cancel = Button("Edit", icon="edit"), Button("Cancel", "quiet")
        self.edit.setAccessibleName("Edit the message that waits")
        self.cancel.setAccessibleName("Cancel the message that waits")
        across = row(None, 0, t.SPACE_S)
        across.addWidget(self.words, 1)
        across.addWidget(self.edit)
        across.addWidget(self.cancel)
        self.meter = Meter("Getting the model ready")
        box.addLayout(across)
        box.addWidget(self.meter)
        self.edit.clicked.connect(self.edited)
        self.cancel.clicked.connect(self.cancelled)
        self.hide()

    def show_message(self, text: str) -> None:
        """The message that waits; "" for none."""
        self._message = in_short(text)
        self._refresh()

    def show_loading(self, loading: Loading | None) -> None:
        """How far the model is; None when none is being got ready."""
        self._loading = loading
        self._refresh()

    def _refresh(self) -> None:
        waits, loading = bool(self._message), self._loading
        if waits:
            self.words.setText(f"Waiting for the model: “{words.shortened(self._message, _SHOWN_CHARACTERS)}”")
        else:
            self.words.setText("You can write already: what you send waits until the model is ready.")
        self.edit.setVisible(waits)
        self.cancel.setVisible(waits)
        self.meter.setVisible(loading is not None)
        if loading is not None:
            self.meter.set_value(loading.fraction or 0.0, 0.0 if loading.fraction is None else 1.0, loading.words)
        self.setVisible(waits or (loading is not None and loading.is_long))
