"""How the answers to a few fixed prompts change while the model learns: before and now, side by side, and every look between."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.runview import RunView, SampleView
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, column, row
from rlhf_desktop.ui.widgets.text import IconLabel, Label, caption, heading

_TO_COME = "*It is asked again while the model learns.*"
_MARKS: dict[str, tuple[str, t.Role]] = {"Best score": ("trophy", "success"), "Lowest score": ("alert", "warning")}


class SampleCard(Card):
    """One prompt: the starting model's answer at the left, a later one at the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._prompt = Label("", strong=True, wrap=True)
        self._mark_icon = IconLabel("trophy", "success", t.ICON_SMALL)
        self.mark = caption("")
        head = row()
        head.addWidget(self._prompt, 1)
        head.addWidget(self._mark_icon)
        head.addWidget(self.mark)
        self.body.addLayout(head)
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_XL)
        self._heads = caption("Before"), caption("Now")
        self._texts = MarkdownView(name="Answer before"), MarkdownView(name="Answer now")
        for place, (head_line, text) in enumerate(zip(self._heads, self._texts, strict=True)):
            grid.addWidget(head_line, 0, place)
            grid.addWidget(text, 1, place, Qt.AlignmentFlag.AlignTop)
            grid.setColumnStretch(place, 1)
        grid.setRowStretch(2, 1)
        self.body.addLayout(grid)

    def show_sample(self, sample: SampleView, step: int | None, mark: str) -> None:
        """Show the answers before and after `step` (None: the newest), and how the reward model marks them."""
        version = sample.at(step)
        self._prompt.setText(sample.prompt)
        later = version.step > 0 or len(sample.versions) > 1  # else there is nothing to set beside the answer before yet
        names = "Before", f"{'Now' if step is None else 'Then'}, after step {version.step:,}" if later else "Now"
        for head, name, score in zip(self._heads, names, (sample.first_score, version.score if later else None), strict=True):
            head.setText(f"{name}  ·  score {score:+.1f}" if score is not None else name)
        for view, text in zip(self._texts, (sample.before or "", version.text if later else _TO_COME), strict=True):
            if view.text() != text:
                view.set_text(text)
        icon, tone = _MARKS.get(mark, ("trophy", "muted"))
        self._mark_icon.set_icon(icon, tone)
        self._mark_icon.setVisible(bool(mark))
        self.mark.setText(mark)
        self.mark.setVisible(bool(mark))


class SampleList(QWidget):
    """All fixed prompts of a run; hidden until there is one. Two buttons go back and forth between the looks at them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = column(self, 0, t.SPACE_M)
        self._cards: dict[str, SampleCard] = {}
        self._view: RunView | None = None
        self._step: int | None = None  # None follows the newest
        self.earlier = IconButton("chevron-left", "Earlier answers")
        self.later = IconButton("chevron-right", "Later answers")
        self._when = caption("")
        head = row()
        head.addWidget(heading("The same questions, before and now"), 1)
        for part in (self.earlier, self._when, self.later):
            head.addWidget(part)
        self._box.addLayout(head)
        self.earlier.clicked.connect(lambda: self._go(-1))
        self.later.clicked.connect(lambda: self._go(1))
        self.hide()

    def refresh(self, view: RunView) -> None:
        """Show the newest answers, or go on showing those that were chosen."""
        self._view = view
        steps, marks = view.sample_steps(), view.marks(self._step)
        for prompt, sample in view.samples.items():
            if prompt not in self._cards:
                self._cards[prompt] = SampleCard()
                self._box.addWidget(self._cards[prompt])
            self._cards[prompt].show_sample(sample, self._step, marks.get(prompt, ""))
        self._show_place(steps)
        self.setVisible(bool(self._cards))

    def _show_place(self, steps: list[int]) -> None:
        several = len(steps) > 1
        place = len(steps) - 1 if self._step is None else steps.index(self._step)
        self._when.setText(f"look {place + 1} of {len(steps)}" if several else "")
        for button, usable in ((self.earlier, place > 0), (self.later, self._step is not None)):
            button.setVisible(several)
            button.setEnabled(usable)

    def _go(self, places: int) -> None:
        assert self._view is not None
        steps = self._view.sample_steps()
        now = len(steps) - 1 if self._step is None else steps.index(self._step)
        wanted = max(0, now + places)
        self._step = None if wanted >= len(steps) - 1 else steps[wanted]
        self.refresh(self._view)
