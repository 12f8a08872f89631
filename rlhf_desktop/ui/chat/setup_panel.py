"""What a conversation begins with: instructions for the model, and how answers are drawn."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QSpinBox, QWidget

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.ui.judging.writing import LongEdit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import DecimalField, named
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import Card, row
from rlhf_desktop.ui.widgets.text import Label, caption

_LIMITS = {"temperature": (0.0, 2.0), "top_p": (0.01, 1.0), "max_new_tokens": (1, 8192)}  # those of core.protocol.Sampling


class SetupPanel(Card):
    """Folded away until it is asked for."""

    instructionsGiven = Signal(str)
    samplingChanged = Signal(object)  # Sampling
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(kind="notice", parent=parent)
        self.setAccessibleName("Instructions and sampling")
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        self.body.addWidget(Label("Instructions for the model", strong=True))
        self._explained = caption("", wrap=True)
        self.body.addWidget(self._explained)
        self.edit = LongEdit("Instructions for the model")
        self.edit.setPlaceholderText("For instance: You answer customers of a kitchen shop. Be brief and kind.")
        self.body.addWidget(self.edit)
        self.body.addLayout(self._make_sampling())
        lower = row(spacing=t.SPACE_S)
        lower.addStretch(1)
        close, self.use = Button("Close", "quiet"), Button("Use these instructions")
        lower.addWidget(close)
        lower.addWidget(self.use)
        self.body.addLayout(lower)
        self.edit.submitted.connect(self._give)
        self.use.clicked.connect(self._give)
        self.edit.left.connect(self.left)
        close.clicked.connect(self.left)

    def _make_sampling(self):
        self.temperature, self.top_p, self.length = DecimalField(), DecimalField(), QSpinBox()
        fields = Flow(t.SPACE_S)
        for field, name, words, step, meaning in (
            (self.temperature, "temperature", "Variety", 0.1, "0 always takes the likeliest word; higher values vary more"),
            (
                self.top_p,
                "top_p",
                "Share of likely words",
                0.05,
                "Only the likeliest words that together have this share are drawn from",
            ),
            (self.length, "max_new_tokens", "Longest answer", 64, "In tokens: about three quarters of a word each"),
        ):
            low, high = _LIMITS[name]
            field.setRange(low, high)
            field.setSingleStep(step)
            named(field, words)
            field.setToolTip(meaning)
            field.valueChanged.connect(self._changed)
            fields.addWidget(caption(words))
            fields.addWidget(field)
        return fields

    def show_setup(self, instructions: str, sampling: Sampling, begun: bool) -> None:
        """Show what holds for the conversation."""
        self.edit.setPlainText(instructions)
        self.use.setVisible(True)
        self.use.set_text("Use and ask again from the start" if begun else "Use these instructions")
        self._explained.setText(
            "The first message is asked again under the new instructions. What is here now stays as another branch."
            if begun
            else "They stand before your first message, and are kept with every judgement."
        )
        for field, value in (
            (self.temperature, sampling.temperature),
            (self.top_p, sampling.top_p),
            (self.length, sampling.max_new_tokens),
        ):
            field.blockSignals(True)
            field.setValue(value)
            field.blockSignals(False)

    def _give(self) -> None:
        self.instructionsGiven.emit(self.edit.toPlainText().strip())

    def _changed(self) -> None:
        self.samplingChanged.emit(
            Sampling(temperature=self.temperature.value(), top_p=self.top_p.value(), max_new_tokens=self.length.value())
        )
