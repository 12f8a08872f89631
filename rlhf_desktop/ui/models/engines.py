"""The panel under a model that says what computes its answers, and what else could; and who does what is chosen there."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import LibraryModel
from rlhf_desktop.operations.engines import Choice, Options, options, use_llama, use_torch
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.surfaces import Card, row
from rlhf_desktop.ui.widgets.text import caption

_TORCH = "Torch computes with the whole weights, as training does."
_LLAMA = "llama.cpp is several times faster on a processor and takes less memory. Training always uses the whole weights."


class EnginePanel(Card):
    """Torch, or llama.cpp from one of several files."""

    chosen = Signal(str)  # how the file's weights are quantised; "": torch
    closed = Signal()

    def __init__(self, name: str, found: Options, parent: QWidget | None = None) -> None:
        super().__init__(f"What computes the answers of {name}", parent=parent)
        self._choices: dict[str, Choice] = {each.numbers: each for each in found.choices}
        self.engines = choice("Engine")
        self.engines.addItem("Torch", "")
        for numbers, each in self._choices.items() if not found.trouble else ():
            self.engines.addItem(f"llama.cpp: {each.words}", numbers)
        self.engines.setCurrentIndex(max(0, self.engines.findData(found.now)))
        self.words = caption("", wrap=True)
        lines = Form()
        lines.add("Engine", self.engines)
        lines.addRow("", self.words)
        self.body.addLayout(lines)
        self._now, self._trouble = found.now, found.trouble
        self.use = Button("Use", "primary", icon="check")
        self.use.clicked.connect(lambda: self.chosen.emit(self.engines.currentData()))
        cancel = Button("Cancel", "quiet")
        cancel.clicked.connect(self.closed)
        ends = row(spacing=t.SPACE_S)
        ends.addWidget(self.use)
        ends.addWidget(cancel)
        ends.addStretch(1)
        self.body.addLayout(ends)
        self.engines.currentIndexChanged.connect(self._changed)
        self._changed()

    def _changed(self) -> None:
        picked: str = self.engines.currentData()
        copied = picked in self._choices and not self._choices[picked].made
        self.words.setText(" ".join(part for part in (_LLAMA if picked else _TORCH, self._trouble) if part))
        self.use.setText("Make the copy and use it" if copied else "Use")
        self.use.setEnabled(picked != self._now)

    def set_busy(self, busy: bool) -> None:
        """Nothing can be pressed while a copy is made."""
        self.use.setEnabled(not busy)
        self.engines.setEnabled(not busy)


class EngineChoice(QObject):
    """Reads what there is to choose, shows it, and does what is chosen, all in the background.

    Args:
        context: The program's parts.
        say: Shows a sentence at the top of the room: icon, words, tone.
    """

    done = Signal()

    def __init__(self, context: Context, say: Callable[[str, str, t.Role], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context, self._say = context, say
        self._panel: EnginePanel | None = None

    def open(self, model: LibraryModel, place: Callable[[EnginePanel], None], failed: Callable[[AppError], None]) -> None:
        """Make the panel as soon as it is known what there is."""

        def show(found: Options) -> None:
            self._panel = EnginePanel(model.name, found)
            self._panel.chosen.connect(lambda numbers: self.choose(model, numbers))
            place(self._panel)

        self._context.tasks.run(options, self._context.library, model.name, on_success=show, on_failure=failed)

    def choose(self, model: LibraryModel, numbers: str) -> None:
        """Have it answered so from now on; a copy may take minutes."""
        if self._panel is not None:
            self._panel.set_busy(True)
        if numbers:
            self._say("clock", f"Preparing {model.name} for llama.cpp… a copy takes a minute or more.", "muted")
        library = self._context.library

        def work() -> ModelRef:
            return use_llama(library, model.name, numbers) if numbers else use_torch(library, model.name)

        self._context.tasks.run(work, on_success=self._chosen, on_failure=self._failed)

    def _chosen(self, ref: ModelRef) -> None:
        session = self._context.session
        if session.base is not None and (session.base.hash, session.base.name) == (ref.hash, ref.name):
            session.set_model(ref, session.adapter)  # and chat loads it so
        self._say("success", f"{ref.name} is answered by {ref.engine or 'torch'} from now on.", "success")
        self._panel = None
        self.done.emit()

    def _failed(self, trouble: AppError) -> None:
        if self._panel is not None:
            self._panel.set_busy(False)
        self._say("alert", str(trouble), "danger")
