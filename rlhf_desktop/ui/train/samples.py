"""Answers to fixed prompts, before and now, side by side."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.runview import RunView, SampleView
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, column
from rlhf_desktop.ui.widgets.text import Label, caption, heading


class SampleCard(Card):
    """One prompt: the starting model's answer at the left, the newest at the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._prompt = Label("", strong=True, wrap=True)
        self.body.addWidget(self._prompt)
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_XL)
        self._heads = caption("Before"), caption("Now")
        self._texts = MarkdownView(name="Answer before"), MarkdownView(name="Answer now")
        for place, (head, text) in enumerate(zip(self._heads, self._texts, strict=True)):
            grid.addWidget(head, 0, place)
            grid.addWidget(text, 1, place, Qt.AlignmentFlag.AlignTop)
            grid.setColumnStretch(place, 1)
        grid.setRowStretch(2, 1)
        self.body.addLayout(grid)

    def show_sample(self, sample: SampleView) -> None:
        """Show both answers and how the reward model marks them."""
        self._prompt.setText(sample.prompt)
        for head, name, score in zip(
            self._heads, ("Before", f"Now, after step {sample.step:,}"), (sample.first_score, sample.score), strict=True
        ):
            head.setText(f"{name}  ·  score {score:+.1f}" if score is not None else name)
        for view, text in zip(self._texts, (sample.before or "", sample.now), strict=True):
            if view.text() != text:
                view.set_text(text)


class SampleList(QWidget):
    """All fixed prompts of a run; hidden until there is one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = column(self, 0, t.SPACE_M)
        self._box.addWidget(heading("The same questions, before and now"))
        self._cards: dict[str, SampleCard] = {}
        self.hide()

    def refresh(self, view: RunView) -> None:
        """Show the newest answers."""
        for prompt, sample in view.samples.items():
            if prompt not in self._cards:
                self._cards[prompt] = SampleCard()
                self._box.addWidget(self._cards[prompt])
            self._cards[prompt].show_sample(sample)
        self.setVisible(bool(self._cards))
