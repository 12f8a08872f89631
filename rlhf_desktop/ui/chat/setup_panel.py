"""What a conversation begins with: instructions for the model, and how answers are drawn."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.thoughts import DEFAULT_THOUGHT_TOKENS, Kind
from rlhf_desktop.ui.chat.saved_instructions import SavedInstructions
from rlhf_desktop.ui.help.termlabel import TermLabel, term_caption
from rlhf_desktop.ui.judging.writing import LongEdit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import DecimalField, NumberField, named
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.saved_state import KeptForm
from rlhf_desktop.ui.widgets.surfaces import Card, column, row
from rlhf_desktop.ui.widgets.text import caption

_TEMPERATURES, _TOP_PS, _ANSWER_TOKENS = (0.0, 2.0), (0.01, 1.0), (1, 8192)  # the limits of core.protocol.Sampling
_THOUGHT_TOKENS = (16, 32768)
_ABOUT_THOUGHTS: dict[Kind | None, str] = {
    "none": "This model knows no thoughts: it answers at once.",
    "switch": "A thought is shown apart from the answer. It is never judged, and nothing learns from it.",
    "always": "This model always thinks first; it cannot be switched off. Thoughts are never judged, and nothing learns from them.",
    "free": "This model thinks first when it likes. Thoughts are never judged, and nothing learns from them.",
}


class SetupPanel(Card):
    """Folded away until it is asked for."""

    instructionsGiven = Signal(str)
    samplingChanged = Signal(object)  # Sampling
    usualChosen = Signal()  # new conversations are to think as this one
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(kind="notice", parent=parent)
        self._begun = False
        self.setAccessibleName("Instructions and sampling")
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        self.body.addWidget(TermLabel("Instructions for the model", strong=True))
        self._explained = caption("", wrap=True)
        self.body.addWidget(self._explained)
        self.edit = LongEdit("Instructions for the model", gives_way=True)
        self.edit.setPlaceholderText("For instance: You answer customers of a kitchen shop. Be brief and kind.")
        self.saved = SavedInstructions()
        self.body.addWidget(self.saved)
        self.body.addWidget(self.edit)
        self.body.addLayout(self._make_sampling())
        self.body.addLayout(self._make_thinking())
        self.show_thinking("switch")  # now that its parts have a place: before, one shown would be a window
        lower = row(spacing=t.SPACE_S)
        close, self.use = Button("Close", "quiet"), Button("Use these instructions")
        self.kept = KeptForm({"instructions": self.edit}, self.use, self)
        self.numbers = caption("")
        lower.addWidget(self.kept.words)
        lower.addWidget(self.numbers)
        lower.addStretch(1)
        lower.addWidget(close)
        lower.addWidget(self.use)
        self.body.addLayout(lower)
        self.edit.submitted.connect(self._give)
        self.use.clicked.connect(self._give)
        self.edit.textChanged.connect(lambda: self.saved.show_text(self.edit.toPlainText()))
        self.saved.chosen.connect(self._choose)
        self.saved.left.connect(self.edit.setFocus)
        self.edit.left.connect(self.left)
        close.clicked.connect(self.left)

    def _make_sampling(self) -> Flow:
        self.temperature, self.top_p, self.length = DecimalField(), DecimalField(), NumberField()
        fields = Flow(t.SPACE_S)
        for decimals, limits, step in ((self.temperature, _TEMPERATURES, 0.1), (self.top_p, _TOP_PS, 0.05)):
            decimals.setRange(*limits)
            decimals.setSingleStep(step)
        self.length.setRange(*_ANSWER_TOKENS)
        self.length.setSingleStep(64)
        for field, words, meaning in (
            (self.temperature, "Variety", "0 always takes the likeliest word; higher values vary more"),
            (self.top_p, "Share of likely words", "Only the likeliest words that together have this share are drawn from"),
            (self.length, "Longest answer", "In tokens: about three quarters of a word each"),
        ):
            named(field, words)
            field.setToolTip(meaning)
            field.valueChanged.connect(self._changed)
            fields.addWidget(term_caption(words))
            fields.addWidget(field)
        return fields

    def _make_thinking(self) -> QVBoxLayout:
        self.think, self.thought = QCheckBox("Think before answering"), NumberField()
        self.think.setAccessibleName("Think before answering")
        self.think.toggled.connect(self._changed)
        self.thought.setRange(*_THOUGHT_TOKENS)
        self.thought.setSingleStep(256)
        self.thought.setValue(DEFAULT_THOUGHT_TOKENS)
        named(self.thought, "Longest thought")
        self.thought.setToolTip("In tokens; a thought that gets longer is ended, and the answer follows")
        self.thought.valueChanged.connect(self._changed)
        self.usual = Button("Do so in all new conversations", "link")
        self.usual.setToolTip("In this project: in Chat, in Label and in comparisons")
        self.usual.clicked.connect(self.usualChosen)
        self._thought_name = caption("Longest thought")
        self._about_thoughts = caption("", wrap=True)
        line = Flow(t.SPACE_S)
        for part in (self.think, self._thought_name, self.thought, self.usual):
            line.addWidget(part)
        held = column(spacing=t.SPACE_XS)
        held.addLayout(line)
        held.addWidget(self._about_thoughts)
        return held

    def show_thinking(self, kind: Kind | None) -> None:
        """Offer what the model's template knows of thoughts; None: somebody else's server answers."""
        self._kind = kind
        said = _ABOUT_THOUGHTS.get(kind, "This server decides by itself whether its model thinks first.")
        self._about_thoughts.setText(said)
        self._show_thought_fields()

    def _show_thought_fields(self) -> None:
        self.think.setEnabled(self._kind == "switch")
        room = self._kind in ("always", "free") or (self._kind == "switch" and self.think.isChecked())
        for part in (self._thought_name, self.thought):
            part.setVisible(room)
        self.usual.setVisible(self._kind == "switch")

    def show_setup(self, instructions: str, sampling: Sampling, begun: bool) -> None:
        """Show what holds for the conversation."""
        self.edit.setPlainText(instructions)
        self.kept.rest()
        self.numbers.setText("")
        self._begun = begun
        self.use.setVisible(True)
        self.use.set_text("Use and ask again from the start" if begun else "Use these instructions")
        self._explained.setText(
            "The first message is asked again under the new instructions. What is here now stays as another branch."
            if begun
            else "They stand before your first message, and are kept with every judgement."
        )
        parts = (self.temperature, self.top_p, self.length, self.think, self.thought)
        for part in parts:
            part.blockSignals(True)
        self.temperature.setValue(sampling.temperature)
        self.top_p.setValue(sampling.top_p)
        self.length.setValue(sampling.max_new_tokens)
        self.think.setChecked(sampling.max_thought_tokens > 0)
        self.thought.setValue(sampling.max_thought_tokens or DEFAULT_THOUGHT_TOKENS)
        for part in parts:
            part.blockSignals(False)
        self._show_thought_fields()

    def _choose(self, text: str) -> None:
        """Saved instructions are there to be used, or to be changed first."""
        self.edit.setPlainText(text)
        self.edit.setFocus()

    def settle(self) -> None:
        """It is closed. Before the first message what is written holds; later it would ask again, so it waits for its button."""
        self.kept.settle()
        if self.kept.dirty and not self._begun:
            self._give()

    def _give(self) -> None:
        self.kept.saved()
        self.instructionsGiven.emit(self.edit.toPlainText().strip())

    def _changed(self) -> None:
        self._show_thought_fields()
        self.numbers.setText("Kept for this conversation.")
        room = self.thought.value() if self._room_is_chosen() else 0
        self.samplingChanged.emit(
            Sampling(
                temperature=self.temperature.value(),
                top_p=self.top_p.value(),
                max_new_tokens=self.length.value(),
                max_thought_tokens=room,
            )
        )

    def _room_is_chosen(self) -> bool:
        """Whether the room for thoughts is other than what holds by itself."""
        if self._kind in ("always", "free"):
            return self.thought.value() != DEFAULT_THOUGHT_TOKENS
        return self.think.isChecked()
