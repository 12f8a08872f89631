"""One judgement as it was displayed: the prompt, the answers in their places, the verdict, and withdraw or restore."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.feedback.judgements import Correction, Ranking
from rlhf_desktop.operations.history import LETTERS, HistoryItem
from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, heading


class DetailPane(Page):
    """Emits `withdrawn` and `restored` with the judgement's id."""

    withdrawn = Signal(str)
    restored = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.CONTENT_WIDTH, parent)
        self.setAccessibleName("The judgement as it was displayed")
        self._item: HistoryItem | None = None
        self.body.setSpacing(t.SPACE_M)
        head = row()
        self._verdict = heading("")
        self.withdraw = Button("Withdraw", icon="undo")
        self.restore = Button("Restore", icon="refresh")
        self.withdraw.clicked.connect(lambda: self.withdrawn.emit(self._item.row.judgement.id))
        self.restore.clicked.connect(lambda: self.restored.emit(self._item.row.judgement.id))
        head.addWidget(self._verdict, 1)
        head.addWidget(self.withdraw)
        head.addWidget(self.restore)
        self.body.addLayout(head)
        self._facts = caption("", wrap=True)
        self.body.addWidget(self._facts)
        self._parts = column(spacing=t.SPACE_M)
        self.body.addLayout(self._parts)
        self.body.addStretch(1)

    def show_item(self, item: HistoryItem) -> None:
        """Show a judgement."""
        self._item = item
        judgement = item.row.judgement
        self._verdict.setText(item.row.verdict)
        spent = f"took {words.duration(judgement.seconds_spent)}" if judgement.seconds_spent else ""
        state = "" if item.row.standing else "taken back or replaced; it does not count"
        self._facts.setText("  ·  ".join(part for part in (f"by {judgement.who}" if judgement.who else "", spent, state) if part))
        self.withdraw.setVisible(item.row.standing)
        self.restore.setVisible(not item.row.standing)
        clear(self._parts)
        for message in item.prompt:
            self._parts.addWidget(
                _turn({"user": "Prompt", "system": "Instructions"}.get(message["role"], "Answer before"), message["content"])
            )
        for place, text in enumerate(item.answers):
            self._parts.addWidget(_answer(item, place, text))
        if isinstance(judgement.verdict, Correction):
            self._parts.addWidget(_turn("Corrected to", judgement.verdict.text))
        if judgement.critique:
            self._parts.addWidget(_turn("Why", judgement.critique))


def _turn(name: str, text: str) -> Card:
    card = Card(kind="turn")
    card.body.addWidget(caption(name))
    card.body.addWidget(MarkdownView(text, name))
    return card


def _answer(item: HistoryItem, place: int, text: str) -> Card:
    card = Card()
    verdict = item.row.judgement.verdict
    rank = verdict.ranks[place] if isinstance(verdict, Ranking) else 0
    card.set_chosen(rank == 1)
    head = row()
    letter = Label(LETTERS[place], strong=True)
    head.addWidget(letter)
    head.addWidget(Label(words.ordinal(rank) if rank else "", tone="accent" if rank == 1 else "muted"), 1)
    head.addWidget(caption(item.writers[place]))
    card.body.addLayout(head)
    card.body.addWidget(MarkdownView(text, f"Answer {LETTERS[place]}"))
    return card
