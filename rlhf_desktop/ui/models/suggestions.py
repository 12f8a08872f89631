"""“Models for real work”: a few that are good to start with, and whether each fits this computer."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame.welcome import SUGGESTIONS, fit_word
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card
from rlhf_desktop.ui.widgets.text import Label, caption


class SuggestionsCard(Card):
    """Says which was asked for."""

    asked = Signal(str)  # a model's name

    def __init__(self, device: dict | None, parent: QWidget | None = None) -> None:
        super().__init__("Models for real work", parent=parent)
        self.body.addWidget(caption("Press one to find it on the Hub, or add a folder or GGUF file you have.", wrap=True))
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_XL)
        grid.setVerticalSpacing(t.SPACE_S)
        self.fits: list[Label] = []
        for place, model in enumerate(SUGGESTIONS):
            find = Button(model.name, "link")
            find.setAccessibleName(f"Search the Hub for {model.name}")
            find.clicked.connect(lambda _on=False, name=model.name: self.asked.emit(name))
            grid.addWidget(find, place, 0, Qt.AlignmentFlag.AlignLeft)
            grid.addWidget(Label(f"{model.parameters / 1e9:.1f} billion parameters"), place, 1)
            grid.addWidget(Label(model.licence), place, 2)
            self.fits.append(Label("", strong=True))
            grid.addWidget(self.fits[-1], place, 3)
            grid.addWidget(Label(model.note, tone="muted", wrap=True), place, 4)
        grid.setColumnStretch(4, 1)
        self.body.addLayout(grid)
        self.memory = caption("")
        self.body.addWidget(self.memory)
        self.show_memory(device)

    def show_memory(self, device: dict | None) -> None:
        """What the computer has, and so what fits."""
        total = device.get("memory_total_bytes") if device else None
        for label, model in zip(self.fits, SUGGESTIONS, strict=True):
            said, tone = fit_word(model, total)
            label.setText(said)
            label.set_tone(tone)
        self.memory.setText(f"This computer: {device.get('name', '')}, {words.size(total)} of memory." if device and total else "")
