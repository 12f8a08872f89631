"""A way to learn, as a card: a plain sentence, what it needs against what there is, and the button that begins."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from rlhf_desktop.operations.amounts import Amount
from rlhf_desktop.ui.help.termlabel import TermLabel, term_caption
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.wording import Recipe
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, caption


class RecipeCard(Card):
    """One recipe. Emits `chosen` with its algorithm, and `resized`, so that the meters of a row of cards can be kept level."""

    chosen = Signal(str)
    resized = Signal()

    def __init__(self, recipe: Recipe, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._recipe = recipe
        self.setAccessibleName(recipe.title)
        head = row()
        head.addWidget(IconLabel(recipe.icon, "muted"))
        head.addWidget(TermLabel(recipe.title, "answer", strong=True), 1)
        self.body.addLayout(head)
        self._technical = term_caption(recipe.technical)
        self.body.addWidget(self._technical)
        self._sentence = TermLabel(recipe.sentence, wrap=True)
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.body.addWidget(self._sentence)
        self._meter = Meter(f"{recipe.title}: feedback")
        self.body.addWidget(self._meter)
        self._more = caption("", wrap=True)
        self._more.hide()
        self.body.addWidget(self._more)
        self._cost = caption("", wrap=True)
        self.body.addWidget(self._cost)
        self.body.addStretch(1)
        self.body.addSpacing(t.SPACE_XS)
        self.button = Button("Start…")
        self.button.setAccessibleName(f"Start: {recipe.title}")
        self.button.clicked.connect(lambda: self.chosen.emit(recipe.algorithm))
        self.body.addWidget(self.button)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Its sentence may take more lines now, or fewer."""
        super().resizeEvent(event)
        self.resized.emit()

    def sentence_height(self) -> int:
        """What the sentence takes by itself at this width."""
        self._sentence.setMinimumHeight(0)  # it would count
        return self._sentence.heightForWidth(self._sentence.width())

    def set_sentence_height(self, height: int) -> None:
        """Give the sentence as much room as the longest of the row takes."""
        self._sentence.setMinimumHeight(height)

    def show_amount(self, there: Amount, suggested: bool, more: str = "") -> None:
        """What there is against what is suggested; `more` is what else is known: what more would buy, or what speaks against it."""
        self._meter.set_value(there.have, there.suggested, there.sentence, "success" if there.worth_it else "")
        self._more.setText(more)
        self._more.setVisible(bool(more))
        self._technical.setText(f"{self._recipe.technical} · suggested next" if suggested else self._recipe.technical)

    def show_cost(self, words: str) -> None:
        """What such a run takes, as far as that is known."""
        self._cost.setText(words)
        self._cost.setVisible(bool(words))

    def set_role(self, chosen: bool, primary: bool) -> None:
        """Outline the card (suggested, or its panel is open); give it the room's one primary button, or an ordinary one."""
        self.set_chosen(chosen)
        self.button.set_kind("primary" if primary else "normal")


class RecipeLine(Card):
    """A recipe that fewer people need, on one line under the cards; it shows and emits the same."""

    chosen = Signal(str)

    def __init__(self, recipe: Recipe, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._recipe = recipe
        self.setAccessibleName(recipe.title)
        self.body.setContentsMargins(t.SPACE_L, t.SPACE_S, t.SPACE_S, t.SPACE_S)
        line = row(spacing=t.SPACE_M)
        line.addWidget(IconLabel(recipe.icon, "muted", t.ICON_SMALL))
        line.addWidget(TermLabel(f"{recipe.title} ({recipe.technical})", strong=True))
        line.addWidget(ElidedLabel(recipe.sentence), 1)
        self._have = caption("")
        line.addWidget(self._have)
        self.button = Button("Start…", "quiet")
        self.button.setAccessibleName(f"Start: {recipe.title}")
        self.button.clicked.connect(lambda: self.chosen.emit(recipe.algorithm))
        line.addWidget(self.button)
        self.body.addLayout(line)

    def show_amount(self, there: Amount, suggested: bool, _more: str = "") -> None:
        """What there is against what is suggested."""
        self._have.setText(f"{there.sentence} · suggested next" if suggested else there.sentence)

    def show_cost(self, words: str) -> None:
        """What such a run takes."""
        self.setToolTip(words)

    def set_role(self, chosen: bool, _primary: bool) -> None:
        """Outline it while its panel is open."""
        self.set_chosen(chosen)
