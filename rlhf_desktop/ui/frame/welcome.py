"""The first thing a new user sees: what the starter model is for, and which models are for real work."""

from typing import Literal

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout

from rlhf_desktop.core.fit import Verdict, model_fit, training_bytes
from rlhf_desktop.core.recommended import RECOMMENDED, Recommended
from rlhf_desktop.ui import words
from rlhf_desktop.ui.loading import Loading
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, Page, row
from rlhf_desktop.ui.widgets.text import Label, caption, title

SUGGESTIONS = tuple(
    model
    for model in RECOMMENDED
    if model.name in ("Qwen2.5-1.5B-Instruct", "SmolLM2-1.7B-Instruct", "Qwen3-4B-Instruct-2507", "Llama-3.2-3B-Instruct")
)


_TONES: dict[Verdict, Literal["success", "warning", "danger", "muted"]] = {
    "fits": "success",
    "tight": "warning",
    "won't fit": "danger",
    "unknown": "muted",
}


def fit_word(suggestion: Recommended, memory_bytes: float | None) -> tuple[str, Literal["success", "warning", "danger", "muted"]]:
    """Whether a model fits this machine's memory, in a word, and the word's tone."""
    verdict = model_fit(suggestion.parameters, memory_bytes).verdict
    return "checking…" if verdict == "unknown" else verdict, _TONES[verdict]


class WelcomePage(Page):
    """Calm, one card, two ways on."""

    chatRequested = Signal()
    sampleRequested = Signal()
    tryAgainRequested = Signal()

    def __init__(self) -> None:
        super().__init__(t.FORM_WIDTH)
        self.setAccessibleName("Welcome")
        self.body.addSpacing(t.SPACE_XL)
        self.body.addWidget(title("Teach a model what a good answer is"))
        self.body.addWidget(
            Label(
                "Chat with a model on this computer, say which answers are better, and let it learn from you. Nothing you write "
                "leaves this machine.",
                "answer",
                "muted",
                wrap=True,
            )
        )
        self.status = Notice("clock", "Getting the starter model ready…", "muted", "Try again")
        self.status.button.hide()
        self.status.acted.connect(self.tryAgainRequested)
        self.meter = Meter("Getting the model ready")
        self.meter.hide()
        self.body.addWidget(self.status)
        self.body.addWidget(self.meter)
        self.body.addLayout(self._buttons())
        self.body.addWidget(self._models())
        self.body.addStretch(1)
        self.set_memory(None)

    def set_memory(self, memory_bytes: float | None) -> None:
        """Say which of the suggested models fit."""
        for suggestion, label in zip(SUGGESTIONS, self._fits, strict=True):
            word, tone = fit_word(suggestion, memory_bytes)
            label.setText(word)
            label.set_tone(tone)
        has = f"This computer has {words.size(memory_bytes)} of memory. " if memory_bytes else ""
        self._where.setText(has + "Add one in Models: from the Hub, from a folder, or a GGUF file.")

    def show_loading(self, loading: Loading | None, said: str, *, ready: bool) -> None:
        """How far the model is, or what `said` says of it."""
        if loading is None:
            self.status.say("success" if ready else "clock", said, "success" if ready else "muted")
        else:
            self.status.say("clock", "You can start chatting already: what you send waits until the model is ready.", "muted")
            self.meter.set_value(loading.fraction or 0.0, 0.0 if loading.fraction is None else 1.0, loading.words)
        self.meter.setVisible(loading is not None)

    def show_trouble(self, said: str) -> None:
        """No model could be got ready."""
        self.status.say("alert", said, "danger", "Try again")

    def _buttons(self) -> QHBoxLayout:
        across = row(None, 0, t.SPACE_M)
        chat = Button("Start chatting", "primary")
        sample = Button("Try the sample project")
        sample.setToolTip("Watch the whole loop on prepared feedback, in a project of its own")
        chat.clicked.connect(self.chatRequested)
        sample.clicked.connect(self.sampleRequested)
        across.addWidget(chat)
        across.addWidget(sample)
        across.addStretch(1)
        return across

    def _models(self) -> Card:
        card = Card("The starter model only demonstrates")
        said = "It is tiny, so that everything runs in minutes on any laptop. For real work, choose one of these:"
        card.body.addWidget(Label(said, tone="muted", wrap=True))
        card.body.addSpacing(t.SPACE_XS)
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_L)
        grid.setVerticalSpacing(t.SPACE_S)
        grid.setColumnStretch(1, 1)
        self._fits: list[Label] = []
        for line, suggestion in enumerate(SUGGESTIONS):
            grid.addWidget(Label(suggestion.name, strong=True), line, 0)
            grid.addWidget(caption(suggestion.note, wrap=True), line, 1)
            grid.addWidget(caption(suggestion.terms.name), line, 2)
            grid.addWidget(caption(words.size(training_bytes(suggestion.parameters))), line, 3)
            verdict = Label("", "caption", "muted", strong=True)
            self._fits.append(verdict)
            grid.addWidget(verdict, line, 4)
        card.body.addLayout(grid)
        self._where = caption("", wrap=True)
        card.body.addSpacing(t.SPACE_XS)
        card.body.addWidget(self._where)
        return card
